"""Boxes drawn on pictures, to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.captures.config import OverlayConfig
from endoforge.captures.index import CaptureIndex, index_root
from endoforge.captures.pictures import encode_png, read_picture
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.progress import progress

Color = tuple[int, int, int]
TRUTH_COLOR: Color = (80, 255, 120)


@dataclass
class OverlayReport:
    """How many pictures and boxes were drawn, and what could not be."""

    out: Path
    skipped: Tally
    frames: int = 0
    boxes: int = 0

    def lines(self) -> list[str]:
        """The summary for people."""
        head = f"drew {self.boxes} boxes on {self.frames} frames in {self.out}"
        return [head, *(f"  skipped {line}" for line in self.skipped.lines())]


def overlay_labels(config: OverlayConfig) -> OverlayReport:
    """Write each usable frame of a run with its boxes drawn; frames without a box too.

    Raises UserError if `config.run` isn't one run, or the pictures would replace its images.
    """
    index = index_root(Path(config.run))
    if len(index.runs) != 1:
        names = ", ".join(run.name for run in index.runs[:3])
        raise UserError(f"{config.run} holds {len(index.runs)} runs ({names}, ...): name one run")
    out = Path(config.out) if config.out else index.runs[0].path / "overlays"
    _refuse_image_folder(out, index)
    out.mkdir(parents=True, exist_ok=True)
    report = OverlayReport(out, index.tally)
    with progress("drawing", len(index.frames), "frames") as advance:
        for frame in index.frames:
            try:
                picture = read_picture(frame.image_path)
            except Unusable as unusable:
                report.skipped.drop(f"frame: {unusable.reason}", frame.key, unusable.detail)
            else:
                drawn = draw_boxes(picture, frame.boxes, TRUTH_COLOR, frame.classes)
                write_atomic(out / f"{frame.label_path.stem}.png", encode_png(drawn))
                report.frames += 1
                report.boxes += len(frame.boxes)
            advance()
    return report


def _refuse_image_folder(out: Path, index: CaptureIndex) -> None:
    folders = {frame.image_path.parent.resolve() for frame in index.frames}
    if out.resolve() in folders:
        raise UserError(f"OUT {out} holds the run's own images: name another folder")


def draw_boxes(
    image: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    color: Color,
    captions: Sequence[str] = (),
    *,
    thickness: int = 1,
) -> NDArray[np.uint8]:
    """A copy of `image`, (H, W, 3) uint8 RGB, with outlines just inside each box.

    `boxes` is (N, 4) xyxy in 0..1 with exclusive right and bottom edges; `captions`, if any, has
    a text for each; `thickness` is in pixels.
    """
    height, width = image.shape[:2]
    canvas = image.copy()
    corners = np.rint(boxes * [width, height, width, height]).astype(int)
    for number, (x0, y0, x1, y1) in enumerate(corners.tolist()):
        right, bottom = max(x0, x1 - 1), max(y0, y1 - 1)
        cv2.rectangle(canvas, (x0, y0), (right, bottom), color, thickness)
        if captions:
            _write(canvas, captions[number], (x0, y0), color)
    return canvas


def _write(canvas: NDArray[np.uint8], text: str, corner: tuple[int, int], color: Color) -> None:
    """`text` above the box's corner, or below the edge where there is no room above."""
    baseline = corner[1] - 4 if corner[1] > 14 else corner[1] + 14
    place = (corner[0] + 2, baseline)
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, 1, cv2.LINE_AA)
