"""Small runs made by hand from the format's description: red blobs on a dull wall."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from endoforge.train.config import TrainConfig
from endoforge.train.reports import EpochReport, Outcome, Plan, Sink, StepReport
from tests.train.processes import make_comparable

WIDTH, HEIGHT = 128, 64


def write_frame(run: Path, number: int, rng: np.random.Generator, *, empty: bool) -> None:
    small = rng.integers(60, 120, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    image = cv2.resize(small, (WIDTH, HEIGHT))
    polyps = []
    if not empty:
        radii = rng.uniform(8, 20, 2)
        centre = rng.uniform(radii, np.array([WIDTH, HEIGHT]) - radii)
        cv2.ellipse(image, (centre.tolist(), (2 * radii).tolist(), 0), (220, 90, 80), -1)
        box = [*(centre - radii) / (WIDTH, HEIGHT), *(centre + radii) / (WIDTH, HEIGHT)]
        polyps.append({"center_world": [0, 0, 0], "bbox_px": None, "bbox_norm": box})
    name = f"frame_{number:05d}"
    cv2.imwrite(str(run / "images" / f"{name}.png"), image[..., ::-1])
    label = {
        "frame_id": number,
        "sim_time": number / 30,
        "unix_time": 1764161446.5,
        "image": f"images/{name}.png",
        "image_present": True,
        "camera_active": True,
        "polyp_seed": 0,
        "polyp_labels": polyps,
    }
    (run / "labels" / f"{name}.json").write_text(json.dumps(label))


def write_root(root: Path, num_runs: int, num_frames: int, *, seed: int = 0) -> Path:
    """Runs of blobs; every fifth frame is empty."""
    rng = np.random.default_rng(seed)
    for run_number in range(num_runs):
        run = root / f"run_{1764161446000 + 1000 * seed + run_number}"
        (run / "images").mkdir(parents=True)
        (run / "labels").mkdir()
        for number in range(num_frames):
            write_frame(run, number, rng, empty=number % 5 == 4)
    return root


@pytest.fixture
def make_root(tmp_path) -> Callable[..., Path]:
    """Makes a root of so many runs of so many frames under tmp_path."""

    def make(num_runs: int, num_frames: int, *, name: str = "captures", seed: int = 0) -> Path:
        return write_root(tmp_path / name, num_runs, num_frames, seed=seed)

    return make


@pytest.fixture(scope="session")
def small_root(tmp_path_factory) -> Path:
    """Three runs of five frames, shared: don't change it."""
    return write_root(tmp_path_factory.mktemp("small"), 3, 5)


@pytest.fixture
def small_config(small_root, tmp_path) -> Callable[..., TrainConfig]:
    """Configurations of a training of two epochs of five steps, in tmp_path/checkpoints."""

    def make(**others: Any) -> TrainConfig:
        fields: dict[str, Any] = {
            "input_root": str(small_root),
            "ckpt_dir": str(tmp_path / "checkpoints"),
            "epochs": 2,
            "target_size": "64x32",
            "val_ratio": 0.33,
            "device": "cpu",
        }
        return TrainConfig(**(fields | others))

    return make


class Recorder:
    """A sink that remembers, and does as told after a step or an epoch (both from 1)."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.steps: list[StepReport] = []
        self.epochs: list[EpochReport] = []
        self.outcome: tuple[Outcome, str | None] | None = None
        self.after_step: Callable[[StepReport], object] = lambda _report: None
        self.after_epoch: Callable[[EpochReport], object] = lambda _report: None

    def start(self, plan: Plan) -> None:
        self.plan = plan

    def step(self, report: StepReport) -> None:
        self.steps.append(report)
        self.after_step(report)

    def epoch(self, report: EpochReport) -> None:
        self.epochs.append(report)
        self.after_epoch(report)

    def finish(self, status: Outcome, error: str | None) -> None:
        self.outcome = (status, error)


@pytest.fixture
def comparable(monkeypatch) -> None:
    """Trainings here can be compared with those of several processes."""
    make_comparable(monkeypatch.setattr)


@pytest.fixture
def recorder(monkeypatch) -> Recorder:
    """Hears what the training loop reports, beside the sinks of its configuration."""
    from endoforge.train import loop
    from endoforge.train.sinks import build_sinks

    heard = Recorder()

    def with_recorder(config: TrainConfig) -> list[Sink]:
        return [*build_sinks(config), heard]

    monkeypatch.setattr(loop, "build_sinks", with_recorder)
    return heard
