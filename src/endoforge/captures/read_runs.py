"""Capture runs for programs: their frames one by one, as arrays, with all that is known of each."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.captures.index import find_runs, has_plain_name
from endoforge.captures.pictures import decode_pixels, read_bytes, read_picture
from endoforge.captures.run_frames import FrameRecord, usable_frames
from endoforge.captures.schema import FrameLabel, PolypLabel
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.choices import LabelField
from endoforge.core.errors import UserError
from endoforge.roots.fetching import fetch

Extra = Literal["instance", "depth", "normals"]
"""A kind of picture that a run may hold beside each frame's image: more of the truth."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """One recorded frame with its truth.

    `image` is (H, W, 3) uint8 RGB; `boxes` (N, 4) float32 xyxy in 0..1 of the picture, right and
    bottom edges exclusive, as `Detections` has them. `classes` are the N names of what is in the
    boxes, `kinds` the N Paris kinds ("Ip", "IIa" ...), None where the label doesn't say. `polyps`
    are all that the label tells of those N polyps, such as `diameter_mm` and `visibility`, and
    `polyp_ids` their N names, the same for a polyp in every frame of the run; `label` is the whole
    of it, with the polyps that can't be seen. `run` is the name of the run's folder, `frame_id` the
    frame's number there, `seconds` its time in the run.
    """

    run: str
    frame_id: int
    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    classes: tuple[str, ...]
    kinds: tuple[str | None, ...]
    polyp_ids: tuple[int | None, ...]
    polyps: tuple[PolypLabel, ...]
    seconds: float
    label: FrameLabel
    label_path: Path

    def extra(self, kind: Extra) -> NDArray[Any] | None:
        """A picture of more truth, read when asked for; None where the run has none of this frame.

        `kind` is "instance", (H, W) uint8 (uint16 for imported masks with a `polyp_id` above 255),
        the `polyp_id` of a polyp or 0; "depth", (H, W) uint16 in 0.01 mm along the pixel's ray, 0
        where there is none; or "normals", (H, W, 3) uint8 RGB, (n + 1) / 2 * 255 of the normal in
        the camera's axes. Raises UserError for a file that is there but can't be decoded.
        """
        path = self.label_path.parents[1] / kind / f"{self.label_path.stem}.png"
        if not path.is_file():
            return None
        try:
            pixels = decode_pixels(read_bytes(path), cv2.IMREAD_UNCHANGED)
        except Unusable as unusable:
            raise UserError(f"{path}: {unusable.reason}; record the run again") from unusable
        return np.ascontiguousarray(pixels[..., ::-1]) if pixels.ndim == 3 else pixels


def read_runs(
    root: Path | str, *, label_field: LabelField = "label", strict: bool = False
) -> Iterator[LabelledFrame]:
    """Every usable frame of the capture runs under `root`, run by run, each by number.

    `root` is a folder of `run_*` folders, or one run, or an address of either. `label_field` names
    the classes: "label", or "paris" for the Paris kinds. A frame that can't be used, since its
    label is malformed, its image is missing or a box is none, is left out; in the end a warning
    tells how many, and why. Raises UserError if there is no run, and, if `strict`, at the first
    frame that would be left out.
    """
    tally = Tally(strict=strict)
    for run in [one for one in find_runs(fetch(root, "root")) if has_plain_name(one, tally)]:
        for record, label in usable_frames(run, label_field, tally):
            try:
                image = read_picture(record.image_path)
            except Unusable as unusable:
                tally.drop(f"frame: {unusable.reason}", record.key, unusable.detail)
                continue
            yield _labelled(record, label, image)
    for line in tally.lines():
        log.warning("left out %s", line)


def _labelled(record: FrameRecord, label: FrameLabel, image: NDArray[np.uint8]) -> LabelledFrame:
    return LabelledFrame(
        run=record.run,
        frame_id=record.frame_id,
        image=image,
        boxes=record.boxes,
        classes=record.classes,
        kinds=record.kinds,
        polyp_ids=record.polyp_ids,
        polyps=label.seen_polyps,
        seconds=record.seconds,
        label=label,
        label_path=record.label_path,
    )
