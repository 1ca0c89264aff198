"""A training as a run of Weights & Biases."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from endoforge.core.errors import UserError
from endoforge.core.files import write_json_atomic
from endoforge.core.packages import packages_of
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.train.experiments import ReportRow
from endoforge.train.reports import Outcome, Plan

log = logging.getLogger(__name__)

OPEN_S, CLOSE_S = 15, 20
"""How long W&B may take to begin a run, before it is kept on the disk, and to end one."""
MARK_NAME = "endoforge_steps.json"
"""In the folder of an offline run: how far it goes, which W&B itself can't tell there."""
_EXIT_CODES: dict[Outcome, int] = {"done": 0, "failed": 1, "stopped": 255}


class WandbRun:
    """The run whose id is that of the training, in whatever sessions it is made.

    Where the server can't be reached the session is kept on the disk, for `wandb sync`. Raises
    UserError where the package is missing, and for who isn't logged in.
    """

    name = "Weights & Biases"

    def __init__(self, project: str, settings: Mapping[str, Any]) -> None:
        """`project` may name its entity too: ENTITY/PROJECT."""
        self._wandb = _import_wandb()
        entity, _, self._project = project.rpartition("/")
        self._entity = entity or None
        self._settings = dict(settings)
        self._run: Any = None
        self._check_login()

    def open(self, plan: Plan) -> int:
        """Begin the run, or go on with it; the last step that it has, on the server or the disk."""
        self._run = self._begun(plan)
        self._run.config.update(self._settings, allow_val_change=True)
        on_server = int(self._run.starting_step) - 1
        if self._run.disabled:
            return on_server
        where = f"kept in {self._folder}; `wandb sync` sends it" if self._offline else self._run.url
        log.info("%s: run %s, %s", self.name, plan.training_id, where)
        sessions = self._folder.parent.glob(f"offline-run-*-{plan.training_id}/{MARK_NAME}")
        return max(on_server, *map(_marked, sessions), -1)

    def _begun(self, plan: Plan) -> Any:
        try:
            return self._init(plan)
        except self._wandb.errors.Error as error:
            log.warning("%s: %s; this session is kept on the disk", self.name, _first_line(error))
            self._wandb.teardown()  # else its own process still holds the run's id
            return self._init(plan, mode="offline")

    def _init(self, plan: Plan, **how: str) -> Any:
        return self._wandb.init(
            project=self._project,
            entity=self._entity,
            id=plan.training_id,
            resume="allow",
            settings=self._wandb.Settings(
                console="off", silent=True, init_timeout=OPEN_S, finish_timeout=CLOSE_S
            ),
            **how,
        )

    @property
    def _folder(self) -> Path:
        return Path(self._run.dir).parent

    @property
    def _offline(self) -> bool:
        return bool(self._run.offline)

    def add(self, rows: list[ReportRow]) -> None:
        """Add rows; W&B sends them when it can."""
        for row in rows:
            pictures = {name: self._wandb.Image(one) for name, one in row.pictures.items()}
            self._run.log({**row.series, **pictures}, step=row.step, commit=True)
        if rows and self._offline and not self._run.disabled:
            write_json_atomic(self._folder / MARK_NAME, {"steps_done": rows[-1].step})

    def close(self, status: Outcome) -> None:
        """End the run's session; W&B shows one that was stopped as killed."""
        self._run.finish(exit_code=_EXIT_CODES[status])

    def _check_login(self) -> None:
        settings = self._wandb.setup(self._wandb.Settings(silent=True)).settings
        if settings.mode not in ("online", "shared"):
            return
        try:
            is_logged_in = self._wandb.login(prompt=False, verify=False)
        except self._wandb.errors.Error as error:
            raise UserError(f"--wandb: {_first_line(error)}; log in with `wandb login`") from error
        if not is_logged_in:
            raise UserError(
                "--wandb: not logged in: run `wandb login`, or set WANDB_API_KEY, or "
                "WANDB_MODE=offline to keep the run on this disk"
            )


def _import_wandb() -> Any:
    # Reports of W&B's own errors would go to its makers.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    with packages_of("wandb", "--wandb"):
        import wandb
    return wandb


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _marked(path: Path) -> int:
    """The last step of an offline session; -1 where its mark can't be read."""
    try:
        return int(parse_json(read_regular(path, MOST_LABEL_BYTES))["steps_done"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1
