"""Runs of Weights & Biases, kept on the disk and read back; no server is asked."""

import json
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb
from wandb.proto import wandb_internal_pb2

from endoforge.core.errors import UserError
from endoforge.train.config import TrainConfig
from endoforge.train.loop import train
from tests.train.sessions import train_in_sessions

BLOCK, FILE_HEADER, HEADER, WHOLE, LAST = 32768, 7, 7, 1, 4


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty home, nobody logged in, W&B offline and as if it was never used."""
    for name in ("WANDB_API_KEY", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    wandb.teardown()


def records(path: Path) -> Iterator[Any]:
    """The records of a run's file, which is a log in LevelDB's form."""
    record: Any = vars(wandb_internal_pb2)["Record"]  # made when it is imported
    data, place, parts = path.read_bytes(), FILE_HEADER, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
        _, length, kind = struct.unpack("<IHB", data[place : place + HEADER])
        parts += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (WHOLE, LAST):
            yield record.FromString(parts)
            parts = b""


def sessions(folder: Path) -> list[list[Any]]:
    """In their order: of two that begin in one second, W&B adds -1 to the name of the later."""
    wandb.teardown()  # as where a process ends: its service has then written all that it was told
    paths = folder.glob("wandb/offline-run-*/*.wandb")
    return [list(records(path)) for path in sorted(paths, key=lambda path: path.parent.name)]


def history(session: list[Any]) -> dict[int, dict[str, object]]:
    """The rows of a session by their steps."""
    rows = {}
    for one in session:
        if one.WhichOneof("record_type") == "history":
            row = {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in one.history.item
            }
            assert one.history.step.num not in rows
            rows[one.history.step.num] = row
    return rows


def test_a_training_that_crashes_and_is_stopped_is_one_run_without_doubled_steps(
    small_config, recorder, here, caplog
):
    config = small_config(wandb="us/polyps", ckpt_every_steps=3, epochs=3)
    with caplog.at_level(logging.INFO):
        assert list(train_in_sessions(config, recorder)) == ["crashed", "stopped", "done"]
    assert "wandb sync" in caplog.text

    told = sessions(here)
    runs = [one.run for session in told for one in session if one.HasField("run")]
    assert {(run.run_id, run.project, run.entity) for run in runs} == {
        (recorder.plan.training_id, "polyps", "us")
    }
    [first, second, third] = map(history, told)
    assert list(first) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert not second, "its only step, the seventh, was told before the crash"
    assert list(third) == [9, 10, 11, 12, 13, 14, 15]
    row = first[5]
    assert row["epoch/mean_loss"] == pytest.approx(recorder.epochs[0].loss)
    assert row["train/learning_rate"] == pytest.approx(recorder.steps[4].lr)
    assert "validation/AP50" in row
    [picture] = [value for name, value in row.items() if name.startswith("validation/00000/path")]
    assert list(here.glob(f"wandb/offline-run-*/files/{picture}"))


def test_settings_are_told(small_config, here):
    train(small_config(wandb="polyps", epochs=1, log_every=0))
    [session] = sessions(here)
    updates = [update for one in session for update in (*one.config.update, *one.run.config.update)]
    told = {update.key: json.loads(update.value_json) for update in updates}
    assert told["target_size"] == "64x32"
    assert told["epochs"] == 1


def test_who_is_not_logged_in_is_told_before_anything_is_loaded(small_config, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(UserError, match="--wandb: not logged in: run `wandb login`"):
        train(small_config(wandb="polyps", input_root="nowhere"))


def test_a_server_that_cannot_be_reached_leaves_the_run_on_the_disk(
    small_config, monkeypatch, here, caplog
):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("endoforge.train.wandb_run.OPEN_S", 1)
    with caplog.at_level(logging.WARNING):
        train(small_config(wandb="polyps"))
    assert list(map(list, map(history, sessions(here)))) == [[*range(1, 11)]]
    [said] = [one for one in caplog.messages if one.startswith("Weights & Biases")]
    assert said.endswith("this session is kept on the disk")
    assert "\n" not in said


def test_what_the_server_has_is_not_told_again(recorder, small_config, monkeypatch):
    """As the library says it of a run that goes on; there is no server here to say it."""
    logged: list[int] = []
    asked: dict[str, Any] = {}

    class Run:
        disabled, offline, url, starting_step = False, False, "https://wandb.test/run", 8
        config = SimpleNamespace(update=lambda *_, **__: None)
        dir = str(Path("wandb/run-x/files").absolute())

        def log(self, data, step, commit):  # noqa: ARG002
            assert commit
            logged.append(step)

        def finish(self, exit_code):
            assert exit_code == 0

    def init(**given):
        asked.update(given)
        return Run()

    monkeypatch.setattr(wandb, "init", init)
    train(small_config(wandb="polyps"))
    assert logged == [8, 9, 10]
    assert (asked["id"], asked["resume"]) == (recorder.plan.training_id, "allow")


@pytest.mark.parametrize("project", ["", " ", "us/", "/polyps"])
def test_a_project_has_a_name(project):
    with pytest.raises(UserError, match=r"--wandb .*must name a project"):
        TrainConfig(wandb=project)
