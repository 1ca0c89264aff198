"""Runs of MLflow in a folder's database, read back by MLflow."""

import logging
from pathlib import Path
from typing import Any

import pytest

from endoforge.core.errors import UserError
from endoforge.train.experiments import ReportRow
from endoforge.train.loop import train
from endoforge.train.mlflow_run import EXPERIMENT, TRAINING_TAG, MlflowRun, check_mlflow
from endoforge.train.reports import Plan
from tests.train.sessions import train_in_sessions


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """One for all tests, for a new database takes seconds."""
    folder: Path = tmp_path_factory.mktemp("mlflow")
    return folder / "tracked runs"


def client_of(folder: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def run_of(folder: Path, training_id: str) -> Any:
    client = client_of(folder)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    wanted = f"tags.`{TRAINING_TAG}` = '{training_id}'"
    [run] = client.search_runs([experiment.experiment_id], wanted)
    return run


def steps_of(folder: Path, training_id: str, name: str) -> list[int]:
    run = run_of(folder, training_id)
    told = client_of(folder).get_metric_history(run.info.run_id, name)
    return sorted(metric.step for metric in told)


def test_a_training_that_crashes_and_is_stopped_is_one_run_without_doubled_steps(
    small_config, recorder, folder
):
    config = small_config(mlflow=str(folder), ckpt_every_steps=3, epochs=2)
    longer = small_config(mlflow=str(folder), ckpt_every_steps=3, epochs=3)
    statuses = [
        run_of(folder, recorder.plan.training_id).info.status
        for _ in train_in_sessions(config, recorder, last=longer)
    ]
    assert statuses == ["FAILED", "KILLED", "FINISHED"]

    training_id = recorder.plan.training_id
    run = run_of(folder, training_id)
    assert run.data.params["target_size"] == "64x32"
    assert run.data.params["epochs"] == "2", "MLflow has a parameter never change"
    assert steps_of(folder, training_id, "train/loss") == list(range(1, 16))
    assert steps_of(folder, training_id, "validation/AP50") == [5, 10, 15]
    last = recorder.epochs[-1]
    assert run.data.metrics["epoch/mean_loss"] == pytest.approx(last.loss)
    pictures = list(folder.glob(f"artifacts/{run.info.run_id}/artifacts/images/*.png"))
    assert len(pictures) == 5 * 3
    assert len([one for one in pictures if "validation~00000+step+10+" in one.name]) == 1


PLAN = Plan(
    epochs=1,
    steps_per_epoch=4,
    seed=0,
    device="cpu",
    training_id="names",
    epochs_done=0,
    steps_done=0,
)


def test_names_that_mlflow_refuses_are_told_otherwise_and_many_metrics_in_several_requests(folder):
    run = MlflowRun(str(folder), {})
    assert run.open(PLAN) == -1
    rows = [ReportRow(step=one, series={"validation_AP50/IIa+IIc": 0.5}) for one in range(1500)]
    run.add(rows)
    run.close("done")
    assert steps_of(folder, "names", "validation_AP50/IIa_IIc") == list(range(1500))
    assert run.open(PLAN) == 1499


def test_a_server_that_cannot_be_reached_is_said_once(small_config, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with caplog.at_level(logging.WARNING):
        result = train(small_config(mlflow="http://127.0.0.1:9"))
    assert result.epochs == 2
    first, second = [one for one in caplog.messages if one.startswith("MLflow")]
    assert first.endswith("training goes on without it")
    assert second == "MLflow: lost 10 of 10 rows of this session's curves"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "expected a folder or the address"),
        ("gopher://host", "no known kind of address; there are http://"),
        ("https://me:secret@host/x", "host/x: has a password"),
        ("postgresql+psycopg2://me:secret@host/db", "has a password"),
    ],
)
def test_what_cannot_be_a_place_is_one_line(given, said):
    with pytest.raises(UserError) as caught:
        check_mlflow(given)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given", ["runs", "http://me@host:5000", "databricks", "sqlite:///a.db", "postgresql://host/db"]
)
def test_what_can_be_a_place_is_taken(given):
    check_mlflow(given)


def test_a_folder_in_a_capture_run_is_refused(small_config, small_root):
    run = next(small_root.glob("run_*"))
    with pytest.raises(UserError, match=r"--mlflow .*capture run"):
        train(small_config(mlflow=str(run / "mlflow")))
    assert not (run / "mlflow").exists()
