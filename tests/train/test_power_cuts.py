"""The power fails between any two writes, or within one, and the training goes on all the same."""

import json
import os
from pathlib import Path

import pytest
from safetensors.torch import load_file

from endoforge.data import frame_cache
from endoforge.train import sinks
from endoforge.train.loop import train

NAMES = ["tinydet.safetensors", "tinydet_best.safetensors"]


class PowerCut(BaseException):
    pass


class Power:
    """Counts what is done to the disk, and fails at a given count: then nothing is done any more.

    A write that is cut short leaves the first half of its bytes.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails_at: int | None) -> None:
        self.count = 0
        self.fails_at = fails_at
        self.off = False
        for owner, name in ((Path, "replace"), (os, "link"), (os, "fsync"), (os, "unlink")):
            monkeypatch.setattr(owner, name, self._guarded(getattr(owner, name)))
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

    def use(self) -> None:
        self.count += 1
        self.off = self.off or self.count == self.fails_at
        if self.off:
            raise PowerCut

    def _guarded(self, action):
        def guarded(*args, **others):
            self.use()
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
            self._power.use()
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


@pytest.mark.slow
def test_a_power_cut_anywhere_costs_nothing(config, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    with monkeypatch.context() as patch:
        power = Power(patch, fails_at=None)
        train(config(whole))
    num_actions = power.count
    assert num_actions > 80  # start, four steps, two epochs, the end
    for fails_at in range(1, num_actions + 1):
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
def test_at_any_moment_the_weights_on_disk_are_whole(config, tmp_path, monkeypatch):
    folder = tmp_path / "watched"

    class Watching(Power):
        def use(self):
            super().use()
            for name in NAMES:
                if (folder / name).exists():
                    load_file(folder / name)

    with monkeypatch.context() as patch:
        Watching(patch, fails_at=None)
        train(config(folder))
    assert all((folder / name).exists() for name in NAMES)
