"""A training as a run of MLflow."""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from endoforge.captures.addresses import shown_address
from endoforge.core.errors import UserError
from endoforge.core.folders import make_folder
from endoforge.core.packages import packages_of
from endoforge.core.text import printable
from endoforge.train.experiments import ReportRow
from endoforge.train.reports import Outcome, Plan

log = logging.getLogger(__name__)

EXPERIMENT = "endoforge"
"""The experiment of MLflow that holds the runs."""
TRAINING_TAG, STEPS_TAG = "endoforge.training", "endoforge.steps_done"
MOST_METRICS = 1000
"""That MLflow takes in one request."""
_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")
_PLACES_BY_NAME = ("databricks", "databricks-uc")
_STATUSES: dict[Outcome, str] = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
_UNNAMEABLE = re.compile(r"[^/\w.\- :]")
"""What a metric's name may not have in MLflow."""


def mlflow_folder(given: str) -> Path | None:
    """The folder that `--mlflow` names; None of what is an address."""
    return None if "://" in given or given in _PLACES_BY_NAME else Path(given)


def check_mlflow(given: str) -> None:
    """Raises UserError for what can't be the place of MLflow's runs, and for a password in it."""
    if not given.strip():
        raise UserError("--mlflow: expected a folder or the address of a server, got nothing")
    if mlflow_folder(given) is not None or given in _PLACES_BY_NAME:
        return
    scheme, _, rest = given.partition("://")
    if scheme.partition("+")[0] not in _SCHEMES:
        shown = printable(shown_address(given))
        kinds = ", ".join(f"{one}://" for one in _SCHEMES)
        raise UserError(
            f"--mlflow {shown}: no known kind of address; there are {kinds} and folders"
        )
    if "@" in rest and ":" in rest.rpartition("@")[0]:
        raise UserError(
            f"--mlflow {shown_address(given)}: has a password, which would be saved with the "
            "training; leave it out, and set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or the database's own file of passwords"
        )


class MlflowRun:
    """The run that is tagged with the training's id, in whatever sessions it is made.

    In a folder it lies in an SQLite database, mlflow.db, with the pictures beside it. Raises
    UserError where the package is missing.
    """

    name = "MLflow"

    def __init__(self, given: str, settings: Mapping[str, Any]) -> None:
        """`given` is a folder, or the address of a server or a database as MLflow has them."""
        check_mlflow(given)
        self._mlflow = _import_mlflow()
        self._folder = mlflow_folder(given)
        self._given = given
        self._settings = settings
        self._client: Any = None
        self._run_id = ""

    def open(self, plan: Plan) -> int:
        """Begin the run, or go on with it; the last step that it has, which a tag says."""
        self._client = self._mlflow.MlflowClient(self._address())
        experiment = self._experiment()
        wanted = f"tags.`{TRAINING_TAG}` = '{plan.training_id}'"
        found = self._client.search_runs([experiment], wanted)
        if found:
            run = found[0]
            self._client.update_run(run.info.run_id, status="RUNNING")
        else:
            tags = {TRAINING_TAG: plan.training_id}
            run = self._client.create_run(experiment, tags=tags, run_name=plan.training_id)
        self._run_id = run.info.run_id
        self._tell_settings(set(run.data.params))
        log.info("%s: run %s in the experiment %s", self.name, plan.training_id, EXPERIMENT)
        return int(run.data.tags.get(STEPS_TAG, -1))

    def _address(self) -> str:
        if self._folder is None:
            return self._given
        make_folder(self._folder.resolve())
        return f"sqlite:///{(self._folder / 'mlflow.db').resolve().as_posix()}"

    def _experiment(self) -> str:
        """Its id; it is made if it isn't there."""
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        place = self._folder and (self._folder / "artifacts").resolve().as_uri()
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=place))

    def _tell_settings(self, told: set[str]) -> None:
        """Those that aren't told yet: MLflow has a parameter never change."""
        from mlflow.entities import Param

        new = [Param(name, str(one)) for name, one in self._settings.items() if name not in told]
        if new:
            self._client.log_batch(self._run_id, params=new)

    def add(self, rows: list[ReportRow]) -> None:
        """Add rows, in as few requests as MLflow allows; pictures last, which go elsewhere."""
        from mlflow.entities import RunTag

        metrics = [one for row in rows for one in _metrics(row)]
        for start in range(0, len(metrics), MOST_METRICS):
            some = metrics[start : start + MOST_METRICS]
            tag = RunTag(STEPS_TAG, str(some[-1].step))
            self._client.log_batch(self._run_id, metrics=some, tags=[tag])
        for row in rows:
            for name, picture in row.pictures.items():
                self._client.log_image(self._run_id, picture, key=name, step=row.step)

    def close(self, status: Outcome) -> None:
        """Say how the session ended."""
        self._client.set_terminated(self._run_id, _STATUSES[status])


def _metrics(row: ReportRow) -> list[Any]:
    from mlflow.entities import Metric

    when_ms = round(1000 * row.unix_time)
    return [
        Metric(_UNNAMEABLE.sub("_", name), value, when_ms, row.step)
        for name, value in row.series.items()
    ]


def _import_mlflow() -> Any:
    # MLflow would tell its makers how it is used.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with packages_of("mlflow", "--mlflow"):
        import alembic  # noqa: F401 - what a folder's database needs, and says only when it is made
        import mlflow
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # after the import, which sets it too
    return mlflow
