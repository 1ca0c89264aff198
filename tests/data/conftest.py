"""Runs of small pictures, recorded with our own recorder."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from endoforge.captures.index import CaptureIndex, index_root
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name

WIDTH, HEIGHT = 32, 16
Boxes = Sequence[tuple[float, float, float, float]]


def record_run(root: Path, frames: Sequence[Boxes], corner: int | None = None) -> Path:
    """A run of 32x16 frames, each of one colour (its number, thrice), with these boxes.

    `corner`, if given, is the value of the first pixel, by which runs differ.
    """
    recorder = RunRecorder.create(root, seed=1, max_frames=None, extra={})
    for number, boxes in enumerate(frames):
        label = FrameLabel(
            frame_id=number,
            sim_time=0,
            unix_time=0,
            image=image_name(number),
            image_present=True,
            camera_active=True,
            polyp_seed=0,
            polyp_labels=[PolypLabel(center_world=(0, 0, 0), bbox_norm=box) for box in boxes],
        )
        picture = np.full((HEIGHT, WIDTH, 3), number, np.uint8)
        picture[0, 0] = number if corner is None else corner
        recorder.write(picture, label)
    recorder.finish()
    return recorder.run_dir


@pytest.fixture
def record(tmp_path: Path) -> Callable[[Sequence[Boxes]], Path]:
    """Records a run of frames, given by their boxes, under tmp_path/captures."""
    return lambda frames: record_run(tmp_path / "captures", frames)


@pytest.fixture
def index_of(tmp_path: Path) -> Callable[[Sequence[int]], CaptureIndex]:
    """Records runs of these numbers of frames, and indexes them."""

    def make(sizes: Sequence[int]) -> CaptureIndex:
        root = tmp_path / "captures"
        first = len(list(root.iterdir())) if root.is_dir() else 0
        for corner, size in enumerate(sizes, first + 100):
            record_run(root, [[(0, 0, 0.5, 0.5)]] * size, corner)
        return index_root(tmp_path / "captures")

    return make
