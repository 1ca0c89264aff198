"""Runs to label: with predictions, with truth, and with images alone."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from endoforge.captures.frame_times import FrameTime
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.select.selection import SelectedFrame, Selection, write_selection
from endoforge.view.labelling.label_messages import FrameView, LabelEdit

SIZE = (96, 64)
NOWHERE = (0.0, 0.0, 0.0)


def texture(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture, (H, W, 3) uint8, with something in it to follow."""
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 220, (size[1] // 4 + 1, size[0] // 4 + 1, 3)).astype(np.uint8)
    large = cv2.resize(small, (size[0] + 4, size[1] + 4), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(large[: size[1], : size[0]])


def guess(
    x0: float, y0: float, x1: float, y1: float, *, score: float = 0.6, polyp_id: int = 1
) -> PolypLabel:
    """A prediction that nobody has looked at; its box is in pixels."""
    return PolypLabel(
        center_world=NOWHERE,
        bbox_px=(x0, y0, x1, y1),
        polyp_id=polyp_id,
        source="predicted",
        score=score,
        reviewed=False,
    )


def drawn(x0: float, y0: float, x1: float, y1: float, *, polyp_id: int = 1) -> PolypLabel:
    """A box that a person drew."""
    return PolypLabel(
        center_world=NOWHERE,
        bbox_px=(x0, y0, x1, y1),
        polyp_id=polyp_id,
        source="annotated",
        reviewed=True,
    )


def edit(*polyps: PolypLabel, reviewed: bool = True, overrule: bool = False) -> LabelEdit:
    """What a person makes of a frame."""
    return LabelEdit(polyp_labels=list(polyps), reviewed=reviewed, overrule=overrule)


def write_run(
    root: Path,
    frames: list[list[PolypLabel] | None],
    *,
    extra: dict[str, Any] | None = None,
    **more: Any,
) -> Path:
    """A run whose frame i has these polyps, or is an image alone; `more` goes into every label."""
    recorder = RunRecorder.create(root, seed=1, max_frames=None, extra=extra or {})
    for number, polyps in enumerate(frames):
        picture = texture(number)
        if polyps is None:
            recorder.write_unlabelled(number, picture, FrameTime(0.2 * number))
            continue
        label = FrameLabel(
            frame_id=number,
            sim_time=0.2 * number,
            unix_time=1.0,
            image=image_name(number),
            image_present=True,
            camera_active=True,
            polyp_seed=0,
            polyp_labels=polyps,
            **more,
        )
        recorder.write(picture, label)
    recorder.finish()
    return recorder.run_dir


def choose(path: Path, *frames: tuple[str, int]) -> None:
    """Write the file of `select` that names these frames, by run and number."""
    chosen = [
        SelectedFrame(
            rank=rank,
            run=run,
            folder=run,
            frame_id=number,
            image=image_name(number),
            seconds=None,
            worth=0.5,
            score=0.5,
            track=None,
            reasons=[],
        )
        for rank, (run, number) in enumerate(frames, 1)
    ]
    write_selection(Selection(version="0", detector="none", seed=1, frames=chosen), path)


def boxes_of(view: FrameView) -> list[tuple[float, ...]]:
    """The boxes of a frame as the page gets them."""
    return [tuple(polyp.bbox_px or ()) for polyp in view.polyp_labels]


def label_of(run: Path, number: int) -> dict[str, Any]:
    """What the file of a label says."""
    fields: dict[str, Any] = json.loads((run / f"labels/frame_{number:05d}.json").read_text())
    return fields
