"""Frames as inputs of one size, their pixels on disk, not in memory, and their boxes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.choices import ResizeMode
from endoforge.core.errors import UserError
from endoforge.data.decode_pictures import Picture, PictureFile
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
    labelled = [
        LabelledPicture(
            PictureFile(root, f"{frame.run}/{frame.image}"),
            frame.boxes,
            np.array([class_names.index(name) for name in frame.classes], np.int64),
        )
        for frame in frames
    ]
    inputs, kept, tally = load_inputs(
        root,
        labelled,
        lambda place: frames[place].key,
        class_names=class_names,
        size=size,
        resize_mode=resize_mode,
        max_boxes=max_boxes,
        strict=strict,
        label=label,
    )
    kept_frames = [frames[place] for place in kept]
    return Pack(inputs.images, inputs.boxes, inputs.classes, class_names, kept_frames, tally)


@dataclass(frozen=True, eq=False, slots=True)
class LabelledPicture:
    """A picture with its boxes (K, 4) float32 xyxy in 0..1 and their classes (K,) int64."""

    picture: Picture
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]


def load_inputs(
    root: Path,
    labelled: Sequence[LabelledPicture],
    name_of: Callable[[int], str],
    *,
    class_names: tuple[str, ...],
    size: tuple[int, int],
    resize_mode: ResizeMode,
    max_boxes: int,
    strict: bool,
    label: str,
) -> tuple[LabelledInputs, list[int], Tally]:
    """Pictures below `root` as inputs, the places of those that could be decoded, and the others.

    `name_of` gives the name of the one at a place; else as `pack_frames`.
    """
    pictures = [one.picture for one in labelled]
    decoded = load_decoded(root, pictures, size, resize_mode, label)
    tally = Tally(strict=strict)
    boxes: list[NDArray[np.float32]] = []
    classes: list[NDArray[np.int64]] = []
    kept: list[int] = []
    for place, (one, outcome) in enumerate(zip(labelled, decoded.outcomes, strict=True)):
        if isinstance(outcome, Unusable):
            tally.drop(f"frame: {outcome.reason}", name_of(place), outcome.detail)
        else:
            rows = np.arange(len(one.boxes))
            if len(rows) > max_boxes:
                rows = largest_boxes(one.boxes, max_boxes, name_of(place), tally)
            boxes.append(outcome.to_input(one.boxes[rows]))
            classes.append(one.classes[rows])
            kept.append(place)
    if not kept:
        raise UserError(f"no {label} frame could be loaded: {'; '.join(tally.lines())}")
    return LabelledInputs(decoded.images.at(kept), boxes, classes, class_names), kept, tally


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
