"""Several processes on one machine, as torchrun starts them, against one alone."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from endoforge.cli import run
from endoforge.train.loop import train
from tests.train.processes import epochs_in, finished, start, wait_for

pytestmark = pytest.mark.slow

EPOCHS = 6
FILES = ["tinydet.safetensors", "tinydet_best.safetensors"]


@pytest.fixture
def config(small_config):
    """Ten frames in batches of four, of which the last has two; five to validate, one batch."""

    def make(folder: Path, **others):
        fields = {
            "epochs": EPOCHS,
            "batch_size": 4,
            "ckpt_dir": str(folder),
            "metrics_out": str(folder.with_suffix(".jsonl")),
            "val_obj_thresh": 0.01,
        }
        return small_config(**(fields | others))

    return make


def assert_same_but_for_rounding(one: Path, other: Path) -> None:
    for name in FILES:
        ours, theirs = load_file(one / name), load_file(other / name)
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            assert torch.allclose(tensor.float(), theirs[key].float(), rtol=1e-3, atol=5e-4), key


def assert_same_metrics(one: Path, other: Path) -> None:
    ours, theirs = (
        [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
        for path in (one, other)
    )
    assert len(ours) == len(theirs) == EPOCHS
    for left, right in zip(ours, theirs, strict=True):
        assert left["loss"] == pytest.approx(right["loss"], rel=1e-4)
        assert left["images"] == right["images"] == 5
        assert left["val_metrics"][0]["batches"] == right["val_metrics"][0]["batches"] == 1
        assert left["ap"] == pytest.approx(right["ap"], abs=0.02)


@pytest.fixture
def alone(config, comparable, tmp_path):  # noqa: ARG001
    """The folder of the training of one process."""
    train(config(tmp_path / "alone"))
    return tmp_path / "alone"


def test_processes_together_do_what_one_does_alone(config, alone, tmp_path):
    """Three, of which one has no part of the last batch of two."""
    folder = tmp_path / "together"
    code, out, errors = finished(start(config(folder), processes=3))
    assert code == 0, errors
    assert f"training {EPOCHS} epochs of 3 steps on 3 processes, cpu" in errors
    assert out.count("last validation") == 1
    assert errors.count(f"epoch {EPOCHS}: loss") == 1
    assert_same_metrics(folder, alone)
    assert_same_but_for_rounding(folder, alone)


def test_stopped_with_two_processes_it_goes_on_with_one(config, alone, tmp_path):
    folder = tmp_path / "changing"
    metrics = folder.with_suffix(".jsonl")
    process = start(config(folder), processes=2)
    wait_for(lambda: len(epochs_in(metrics)) >= 1, process)
    process.send_signal(signal.SIGTERM)
    code, _, errors = finished(process)
    assert code != 0
    assert errors.count("stopped in epoch") == 1
    assert "go on with: the same torchrun, endoforge train --input-root" in errors
    assert epochs_in(metrics) != list(range(1, EPOCHS + 1))
    train(config(folder))
    assert_same_metrics(folder, alone)
    assert_same_but_for_rounding(folder, alone)


def test_a_process_that_dies_ends_the_others(config, tmp_path):
    metrics = tmp_path / "dying.jsonl"
    process = start(config(tmp_path / "dying", epochs=100_000), processes=2)
    wait_for(lambda: len(epochs_in(metrics)) >= 2, process)
    os.kill(max(children_of(process.pid)), signal.SIGKILL)
    code, _, errors = finished(process)
    assert code != 0
    assert "lost the other processes of this training" in errors or "SIGTERM" in errors


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True
    )
    return [int(word) for word in listed.stdout.split()]


def test_bad_input_ends_all_processes_with_its_line(config, tmp_path):
    process = start(config(tmp_path / "bad", input_root=str(tmp_path / "nowhere")), processes=2)
    code, _, errors = finished(process)
    assert code != 0
    assert errors.count("process 0: endoforge: error: no folder") == 1


def test_commands_of_one_process_refuse_torchrun(monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert run(["datagen"]) == 2
    assert "datagen runs as one process; torchrun is for train, train-hp" in capsys.readouterr().err
