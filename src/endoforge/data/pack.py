"""Frames as inputs of one size, their pixels on disk, not in memory, and their boxes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.choices import ResizeMode
from endoforge.core.errors import UserError
from endoforge.data.decode_pictures import PictureFile
from endoforge.data.frame_cache import load_decoded
from endoforge.data.images import Images


@dataclass(frozen=True, eq=False)
class LabelledInputs:
    """N inputs of one size with their truth, ready to batch, wherever they come from.

    `images` is (N, H, W, 3) uint8 RGB; `boxes` holds for each a (K, 4) float32 xyxy in 0..1 of the
    input, `classes` a (K,) int64 of their places in `class_names`.
    """

    images: Images
    boxes: list[NDArray[np.float32]]
    classes: list[NDArray[np.int64]]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Pack(LabelledInputs):
    """Inputs made of recorded frames, their pixels mapped from files.

    `frames` says which frame each input shows, `tally` what was left out and why.
    """

    frames: list[FrameRecord]
    tally: Tally


def pack_frames(
    frames: Sequence[FrameRecord],
    *,
    class_names: tuple[str, ...],
    size: tuple[int, int],
    resize_mode: ResizeMode,
    max_boxes: int,
    strict: bool,
    label: str,
) -> Pack:
    """The frames of one root, resized to `size` (width, height); `label` names them in messages.

    A picture is decoded only if the user's cache folder doesn't hold it decoded. `class_names` must
    hold every class of `frames`. Of a frame with more than `max_boxes` boxes the largest are kept,
    the others counted. A frame whose image can't be decoded is dropped and counted; if `strict`, it
    raises UserError, as does a pack in which no frame is left.
    """
    if not frames:
        raise UserError(f"no {label} frames to load")
    root = frames[0].run_path.parent
    pictures = [PictureFile(root, f"{frame.run}/{frame.image}") for frame in frames]
    decoded = load_decoded(root, pictures, size, resize_mode, label)
    tally = Tally(strict=strict)
    boxes: list[NDArray[np.float32]] = []
    classes: list[NDArray[np.int64]] = []
    kept: list[int] = []
    for place, (frame, outcome) in enumerate(zip(frames, decoded.outcomes, strict=True)):
        if isinstance(outcome, Unusable):
            tally.drop(f"frame: {outcome.reason}", frame.key, outcome.detail)
        else:
            rows = largest_boxes(frame.boxes, max_boxes, frame.key, tally)
            numbers = [class_names.index(name) for name in frame.classes]
            boxes.append(outcome.to_input(frame.boxes[rows]))
            classes.append(np.array(numbers, np.int64)[rows])
            kept.append(place)
    if not kept:
        raise UserError(f"no {label} frame could be loaded: {'; '.join(tally.lines())}")
    kept_frames = [frames[place] for place in kept]
    return Pack(decoded.images.at(kept), boxes, classes, class_names, kept_frames, tally)


def largest_boxes(
    boxes: NDArray[np.float32], max_boxes: int, key: str, tally: Tally
) -> NDArray[np.intp]:
    """The places of the `max_boxes` largest of frame `key`, in their order; others are counted."""
    over = len(boxes) - max_boxes
    if over <= 0:
        return np.arange(len(boxes))
    tally.count("box: boxes over --max-boxes", key, over)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    # Stable, so that of equal boxes the first stay, on every machine; then back in their order.
    return np.sort(np.argsort(-areas, kind="stable")[:max_boxes])
