"""Jobs: fixed commands, numbers in range, logs, and a stop that lets them save."""

import shlex
import signal
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from endoforge.core.errors import UserError
from endoforge.train.checkpoint import FILE_NAMES
from endoforge.view.training import jobs as module
from endoforge.view.training.jobs import STATE_NAME, JobProcess, Jobs
from tests.train.conftest import write_root
from tests.view.conftest import small_config, until

COUNTING = """
import sys, time, signal
signal.signal(signal.SIGTERM, signal.default_int_handler)  # as endoforge does
try:
    print("begun", sys.argv[1:], flush=True)
    print("größe", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("saved", flush=True)
    sys.exit(130)
"""


@pytest.fixture
def jobs(tmp_path):
    jobs = Jobs(small_config(tmp_path))
    yield jobs
    jobs.close(0.0)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """In the place of Python, a script that waits to be stopped."""
    script = tmp_path / "fake.py"
    script.write_text(COUNTING, encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("ranges", ["real", "my own.toml", None])
def test_datagen_draws_from_the_ranges_of_the_view(tmp_path, ranges):
    jobs = Jobs(small_config(tmp_path, randomization=ranges))
    jobs.start("datagen", {"runs": 2})
    words = shlex.split(jobs.as_json()["datagen"]["command"])
    given = [after for word, after in pairwise(words) if word == "--randomization"]
    assert given == [ranges] * (ranges is not None)
    jobs.close(5)


@pytest.mark.usefixtures("fake")
def test_a_job_runs_is_followed_and_stops(jobs, tmp_path):
    assert jobs.as_json()["datagen"]["state"] == "idle"
    jobs.start("datagen", {"runs": 2, "seed": 9})
    job = jobs.job("datagen")
    until(lambda: "größe" in job.log_from(0)["text"])
    shown = jobs.as_json()["datagen"]
    assert shown["state"] == "running"
    assert shown["exit_code"] is None
    folder = str(tmp_path / "captures")
    assert (
        shown["command"].split()
        == (
            f"endoforge datagen --output-root {folder} --resolution 96x64 --renderer cpu "
            "--randomization plain --runs 2 --max-frames 60 --seed 9"
        ).split()
    )
    part = job.log_from(6)
    assert part["text"].startswith("['-m', 'endoforge', 'datagen'")
    assert job.log_from(part["next"]) == {"text": "", "next": part["next"]}
    with pytest.raises(UserError, match="running already"):
        jobs.start("datagen", {})
    job.stop()
    until(lambda: not job.running)
    until(lambda: "saved" in job.log_from(0)["text"])
    assert jobs.as_json()["datagen"]["state"] == "stopped"
    assert jobs.as_json()["datagen"]["exit_code"] == 130
    assert jobs.as_json()["train"]["state"] == "idle"


@pytest.fixture
def in_the_background():
    """As a shell starts what stands before an `&`."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("fake", "in_the_background")
def test_closing_ends_what_runs(jobs):
    jobs.start("train", {})
    job = jobs.job("train")
    until(lambda: "begun" in job.log_from(0)["text"])
    jobs.close(30.0)
    assert not job.running
    assert job.as_json()["exit_code"] == 130, "it ended when it was asked to, and wasn't killed"
    until(lambda: "saved" in job.log_from(0)["text"])


def test_train_goes_where_the_view_looks(jobs, tmp_path):
    words = jobs._fixed("train")
    assert words[words.index("--input-root") + 1] == str(tmp_path / "captures")
    assert words[words.index("--ckpt-dir") + 1] == str(tmp_path / "checkpoints")
    assert words[words.index("--status-file") + 1] == str(tmp_path / "logs" / "status.json")
    assert words[words.index("--metrics-out") + 1] == str(tmp_path / "logs" / "metrics.jsonl")


def test_train_computes_where_the_view_does(tmp_path):
    config = small_config(tmp_path, backend="webgpu", device="auto", adapter="vulkan,radeon")
    words = Jobs(config)._fixed("train")
    assert words[words.index("--backend") + 1] == "webgpu"
    assert words[words.index("--adapter") + 1] == "vulkan,radeon"
    assert "--adapter" not in Jobs(small_config(tmp_path))._fixed("train")


def test_a_checkpoint_that_train_wouldnt_write_is_told(tmp_path):
    jobs = Jobs(small_config(tmp_path, checkpoint=str(tmp_path / "mine.safetensors")))
    with pytest.raises(UserError, match="--checkpoint"):
        jobs.start("train", {})


@pytest.mark.parametrize(
    ("kind", "values", "word"),
    [
        ("datagen", {"runs": 0}, "runs 0"),
        ("datagen", {"runs": 100_000}, "1 to 1000"),
        ("datagen", {"runs": "4"}, "whole number"),
        ("datagen", {"runs": 4.5}, "whole number"),
        ("datagen", {"runs": True}, "whole number"),
        ("datagen", {"max_frames": None}, "max_frames"),
        ("datagen", {"output_root": "/etc"}, "no parameter"),
        ("datagen", {"seed": -1}, "seed -1"),
        ("train", {"lr_start": float("nan")}, "lr_start"),
        ("train", {"lr_start": 7}, "lr_start"),
        ("train", {"epochs": 1e3}, "whole number"),
        ("train", {"ckpt_dir": 3}, "no parameter"),
        ("demo", {}, "no job"),
    ],
)
def test_a_bad_parameter_is_refused_and_nothing_starts(jobs, kind, values, word):
    with pytest.raises(UserError, match=word):
        jobs.start(kind, values)
    assert {job["state"] for job in jobs.as_json().values()} == {"idle"}


@pytest.mark.slow
def test_datagen_itself_runs(jobs, tmp_path):
    jobs.start("datagen", {"runs": 1, "max_frames": 2})
    job = jobs.job("datagen")
    until(lambda: not job.running, seconds=300)
    until(lambda: "1 run, 2 frames" in job.log_from(0)["text"])
    assert job.state == "done"
    assert len(list((tmp_path / "captures").glob("run_*/images/*.png"))) == 2


@pytest.mark.slow
def test_a_training_keeps_weights_that_it_did_not_make(jobs, tmp_path):
    write_root(tmp_path / "captures", 2, 2)
    theirs = tmp_path / "checkpoints" / "tinydet.safetensors"
    theirs.parent.mkdir()
    theirs.write_bytes(b"trained for weeks")
    jobs.start("train", {"epochs": 1})
    job = jobs.job("train")
    until(lambda: not job.running, seconds=300)
    assert job.state == "done", job.log_from(0)["text"]
    assert theirs.with_name("tinydet.kept-1.safetensors").read_bytes() == b"trained for weeks"
    until(lambda: "kept as tinydet.kept-1.safetensors" in job.log_from(0)["text"])


def test_a_log_keeps_its_end(monkeypatch):
    monkeypatch.setattr(module, "LOG_KEPT", 10)
    job = JobProcess("train")
    job._note("0123456789")
    job._note("abc")
    assert job.log_from(0) == {"text": "3456789abc", "next": 13}
    assert job.log_from(11) == {"text": "bc", "next": 13}
    assert job.log_from(99) == {"text": "", "next": 13}


def test_a_training_that_can_be_gone_on_with_is_told(jobs):
    """By the state that `train` keeps beside its weights."""
    assert jobs.as_json()["train"]["goes_on"] is False
    state = Path(jobs.config.first_weights).with_name(STATE_NAME)
    assert STATE_NAME in FILE_NAMES
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_bytes(b"")
    assert jobs.as_json()["train"]["goes_on"] is True
    assert "goes_on" not in jobs.as_json()["datagen"]


def test_what_the_status_file_doesnt_say_of_a_training_is_known_at_once():
    """Not only when it has been silent for 30 s."""
    job: Any = JobProcess("train")
    other = {"status": "done", "pid": 1}
    assert job.phase(None) is job.phase(other) is None
    job._process = SimpleNamespace(pid=7, poll=lambda: None)
    assert job.phase(None) == job.phase(other) == "starting"
    own = {"status": "running", "pid": 7}
    assert job.phase(own) is None
    job._process = SimpleNamespace(pid=7, poll=lambda: -9)
    assert job.phase(own) == "gone"
    assert job.phase({"status": "stopped", "pid": 7}) is None
    assert job.phase(other) is job.phase(None) is None
