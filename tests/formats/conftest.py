"""Pictures, and runs of them, to convert and to import."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from endoforge.captures.index import CaptureIndex, index_root
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.formats.config import ImportConfig, ImportFormat
from endoforge.formats.importing import run_import
from endoforge.formats.runs import ImportReport

Labelled = Sequence[tuple[Any, ...]]
"""Class and xyxy in pixels of each box, and the polyp's name where it has one."""


def picture_bytes(
    size: tuple[int, int], kind: str = "PNG", seed: int = 0, **options: object
) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def write_run(
    root: Path,
    frames: Sequence[Labelled],
    size: tuple[int, int] = (64, 48),
    seconds: Sequence[float] = (),
) -> Path:
    """A run whose odd frames are JPEG, at these times or all at 0."""
    recorder = RunRecorder.create(root, seed=0, max_frames=None, extra={})
    for number, labelled in enumerate(frames):
        kind, suffix = (("PNG", ".png"), ("JPEG", ".jpg"))[number % 2]
        label = FrameLabel(
            frame_id=number,
            sim_time=seconds[number] if seconds else 0,
            unix_time=0,
            image=image_name(number, suffix),
            image_present=True,
            camera_active=True,
            polyp_seed=0,
            polyp_labels=[
                PolypLabel(
                    center_world=(0, 0, 0),
                    bbox_px=corners,
                    label=name,
                    polyp_id=next(iter(more), None),
                )
                for name, corners, *more in labelled
            ],
        )
        recorder.write_encoded(picture_bytes(size, kind, number), suffix, label)
    recorder.finish()
    return recorder.run_dir


def contents(index: CaptureIndex, size: tuple[int, int]) -> list[list[tuple[str, list[float]]]]:
    """Class and xyxy in pixels of the boxes of each frame, sorted."""
    return [
        sorted(
            (name, (box * np.array(size * 2)).tolist())
            for name, box in zip(frame.classes, frame.boxes.astype(float), strict=True)
        )
        for frame in index.frames
    ]


class Foreign:
    """A folder of pictures, 64 by 48 pixels each, that another tool has labelled."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = root / "images"
        self.output = root / "imported"

    def picture(self, name: str, kind: str = "PNG", size: tuple[int, int] = (64, 48)) -> Path:
        path = self.images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_bytes(size, kind, seed=len(name)))
        return path

    def file(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def bring_in(self, format: ImportFormat, **settings: Any) -> ImportReport:
        return run_import(self.config(format, **settings))

    def config(self, format: ImportFormat, **settings: Any) -> ImportConfig:
        paths: dict[str, Any] = {"images": str(self.images), "output_root": str(self.output)}
        return ImportConfig(format=format, **{**paths, **settings})

    def imported(self) -> list[list[tuple[str, list[float]]]]:
        return contents(index_root(self.output, strict=True), (64, 48))


@pytest.fixture
def foreign(tmp_path: Path) -> Foreign:
    return Foreign(tmp_path)


@pytest.fixture
def make_run() -> Callable[..., Path]:
    return write_run
