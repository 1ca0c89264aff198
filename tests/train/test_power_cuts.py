"""The power fails between any two writes, or within one, and the training goes on all the same.

At every place in trainings of a detector of a few numbers, which do to the disk what others do; at
every tenth in real ones.
"""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from endoforge.backends.arrays import to_tensors
from endoforge.backends.base import StepResult
from endoforge.backends.compute import TorchCompute
from endoforge.data import frame_cache
from endoforge.detect.detections import Detections
from endoforge.train import saved, sinks
from endoforge.train.loop import train

NAMES = ["tinydet.safetensors", "tinydet_best.safetensors"]


class PowerCut(BaseException):
    pass


def plain_name(file: object) -> str:
    """Without its folder, nor the chance in some names."""
    return re.sub(r"\b[0-9a-f]{16}\b", "?", Path(str(file)).name)


class Power:
    """Counts what is done to the disk, and fails at a given count: then nothing is done any more.

    A write that is cut short leaves the first half of its bytes.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails_at: int | None) -> None:
        self.count = 0
        self.seen: set[tuple[str, ...]] = set()
        self.fails_at = fails_at
        self.off = False
        for owner, name in ((Path, "replace"), (os, "link"), (os, "fsync"), (os, "unlink")):
            monkeypatch.setattr(owner, name, self._guarded(name, getattr(owner, name)))
        really_open = Path.open
        monkeypatch.setattr(
            Path,
            "open",
            lambda path, mode="r", *args, **others: (
                really_open(path, mode, *args, **others)
                if mode in ("r", "rb")
                else _File(really_open(path, mode, *args, **others), self)
            ),
        )

    def use(self, action: str, *files: object) -> None:
        self.count += 1
        self.seen.add((action, *(plain_name(file) for file in files)))
        self.off = self.off or self.count == self.fails_at
        if self.off:
            raise PowerCut

    def _guarded(self, name, action):
        def guarded(*args, **others):
            self.use(name, *(() if name == "fsync" else args))
            return action(*args, **others)

        return guarded


class _File:
    def __init__(self, file, power: Power) -> None:
        self._file, self._power = file, power

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, data):
        try:
            self._power.use("write", self._file.name)
        except PowerCut:
            self._file.write(data[: len(data) // 2])
            raise
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.fixture
def config(small_config, monkeypatch):
    """Two epochs of two steps, with everything that a training writes, the same however fast it is.

    The status file is written at each step, and no frame is old enough for the cache of frames.
    """
    monkeypatch.setattr(sinks, "STATUS_EVERY_S", 0.0)
    monkeypatch.setattr(frame_cache, "SETTLED_S", 1e6)

    def make(folder: Path):
        return small_config(
            batch_size=5,
            ckpt_dir=str(folder),
            metrics_out=str(folder / "metrics.jsonl"),
            status_file=str(folder / "status.json"),
            ckpt_every_steps=1,
            patience=5,
        )

    return make


def epochs_in(folder: Path) -> list[int]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["epoch"] for line in lines]


class FewNumbers:
    """A backend whose detector is four numbers: each step moves them by what it was given."""

    device = "cpu"
    required_divisor = 8

    def __init__(self, model_config) -> None:
        self.model_config = model_config
        self.now, self.average, self.moment = (np.full(4, 0.5, np.float32) for _ in range(3))
        self.num_steps = 0

    def step(self, batch, *, lr, epoch, step):
        seen = batch.images.float().mean().item() / 255
        self.num_steps += 1
        self.moment = 0.9 * self.moment + np.float32(seen + epoch)
        self.now = self.now - np.float32(lr * (1 + step)) * self.moment
        self.average = 0.7 * self.average + 0.3 * self.now
        return StepResult(loss=seen, mean_iou=0.0)

    def predict(self, images):
        boxes, scores = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        nothing = Detections(boxes, scores, np.zeros(0, np.int64))
        return [nothing] * len(images)

    def weights(self):
        return {"numbers": self.average.copy()}

    def state_dict(self):
        moments = {"step": np.array(self.num_steps), "exp_avg": self.moment.copy()}
        return {
            "model": {"numbers": self.now.copy()},
            "averaged": {"numbers": self.average.copy()},
            "optimizer": {"numbers": moments},
            "num_steps": self.num_steps,
        }

    def load_state_dict(self, state):
        self.now, self.average = state["model"]["numbers"], state["averaged"]["numbers"]
        self.moment = state["optimizer"]["numbers"]["exp_avg"]
        self.num_steps = state["num_steps"]


@pytest.fixture
def few_numbers(monkeypatch):
    """Trainings are of four numbers; all else of them is as ever."""
    monkeypatch.setattr(TorchCompute, "backend", lambda _, model, **__: FewNumbers(model))
    monkeypatch.setattr(
        saved, "_layout", lambda model, _muon: to_tensors(FewNumbers(model).state_dict())
    )


def trained(config, folder, monkeypatch) -> Power:
    """What a training that no power cut stops does to the disk."""
    with monkeypatch.context() as patch:
        power = Power(patch, fails_at=None)
        train(config(folder))
    assert power.count > 80  # start, four steps, two epochs, the end
    return power


def check_cuts(config, tmp_path, whole, cuts, monkeypatch) -> None:
    """Cut off there, and begun again, a training ends as the one in `whole`."""
    for fails_at in cuts:
        folder = tmp_path / f"cut_{fails_at}"
        with monkeypatch.context() as patch:
            Power(patch, fails_at)
            with pytest.raises(PowerCut):
                train(config(folder))
        train(config(folder))
        for name in NAMES:
            assert (folder / name).read_bytes() == (whole / name).read_bytes(), fails_at
        assert epochs_in(folder) == [1, 2], fails_at
        assert json.loads((folder / "status.json").read_text())["status"] == "done"


@pytest.mark.slow
@pytest.mark.usefixtures("few_numbers")
def test_a_power_cut_anywhere_costs_nothing(config, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    power = trained(config, whole, monkeypatch)
    assert (whole / NAMES[0]).read_bytes() == (whole / NAMES[1]).read_bytes()
    check_cuts(config, tmp_path, whole, range(1, power.count + 1), monkeypatch)


@pytest.mark.slow
def test_a_power_cut_costs_a_real_training_nothing(config, tmp_path, monkeypatch, request):
    whole = tmp_path / "whole"
    power = trained(config, whole, monkeypatch)
    check_cuts(config, tmp_path, whole, range(1, power.count + 1, 10), monkeypatch)
    request.getfixturevalue("few_numbers")
    assert trained(config, tmp_path / "few", monkeypatch).seen == power.seen


@pytest.mark.slow
def test_at_any_moment_the_weights_on_disk_are_whole(config, tmp_path, monkeypatch):
    folder = tmp_path / "watched"

    class Watching(Power):
        def use(self, *what):
            super().use(*what)
            for name in NAMES:
                if (folder / name).exists():
                    load_file(folder / name)

    with monkeypatch.context() as patch:
        Watching(patch, fails_at=None)
        train(config(folder))
    assert all((folder / name).exists() for name in NAMES)
