"""Every picture decoded and resized once, in one array that the disk holds, not the memory."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.index import FrameRecord
from endoforge.captures.pictures import read_picture
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.progress import progress
from endoforge.data.letterbox import Placement, ResizeMode, resize_picture


@dataclass(frozen=True, eq=False)
class Pack:
    """N inputs of one size, ready to batch.

    `images` is (N, H, W, 3) uint8 RGB, mapped from a file that vanishes with it; `boxes` holds for
    each a (K, 4) float32 xyxy in 0..1 of the input, `classes` a (K,) int64 of their places in
    `class_names`; `frames` says where each came from.
    """

    images: NDArray[np.uint8]
    boxes: list[NDArray[np.float32]]
    classes: list[NDArray[np.int64]]
    class_names: tuple[str, ...]
    frames: list[FrameRecord]
    tally: Tally

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def dropped(self) -> Counter[str]:
        """How much was dropped, by reason."""
        return self.tally.counts

    @property
    def examples(self) -> dict[str, list[str]]:
        """The first few of what was dropped, by reason."""
        return self.tally.examples


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
    """Decode and resize `frames` to `size` (width, height); `label` names them in the progress.

    `class_names` must hold every class of `frames`. Of a frame with more than `max_boxes` boxes the
    largest are kept, the others counted. A frame whose image can't be decoded is dropped and
    counted; if `strict`, it raises UserError, as does a pack in which no frame is left.
    """
    if not frames:
        raise UserError(f"no {label} frames to load")
    images = _disk_array((len(frames), size[1], size[0], 3))
    tally = Tally(strict=strict)
    boxes: list[NDArray[np.float32]] = []
    classes: list[NDArray[np.int64]] = []
    kept: list[int] = []
    fill = partial(_fill_slot, frames, images, size, resize_mode)
    with (
        progress(f"loading {label} frames", len(frames), "frames") as advance,
        _threads() as pool,
    ):
        for slot, filled in enumerate(pool.map(fill, range(len(frames)))):
            key = frames[slot].key
            if isinstance(filled, Unusable):
                tally.drop(f"frame: {filled.reason}", key, filled.detail)
            else:
                rows = _largest(frames[slot].boxes, max_boxes, key, tally)
                numbers = [class_names.index(name) for name in frames[slot].classes]
                boxes.append(filled.to_input(frames[slot].boxes[rows]))
                classes.append(np.array(numbers, np.int64)[rows])
                kept.append(slot)
            advance()
    if not kept:
        raise UserError(f"no {label} frame could be loaded: {'; '.join(tally.lines())}")
    kept_frames = [frames[slot] for slot in kept]
    return Pack(_close_gaps(images, kept), boxes, classes, class_names, kept_frames, tally)


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core; on an error, what has not begun is not waited for."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _fill_slot(
    frames: Sequence[FrameRecord],
    images: NDArray[np.uint8],
    size: tuple[int, int],
    resize_mode: ResizeMode,
    slot: int,
) -> Placement | Unusable:
    """Decode one frame into its slot; runs in a thread, so it returns what went wrong."""
    try:
        picture = read_picture(frames[slot].image_path)
    except Unusable as unusable:
        return unusable
    images[slot], place = resize_picture(picture, size, resize_mode)
    return place


def _largest(
    boxes: NDArray[np.float32], max_boxes: int, key: str, tally: Tally
) -> NDArray[np.intp]:
    """The places of the `max_boxes` largest, in the order that they had."""
    over = len(boxes) - max_boxes
    if over <= 0:
        return np.arange(len(boxes))
    tally.count("box: boxes over --max-boxes", key, over)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.sort(np.argsort(-areas, kind="stable")[:max_boxes])


def _close_gaps(images: NDArray[np.uint8], kept: list[int]) -> NDArray[np.uint8]:
    for slot, source in enumerate(kept):
        if slot != source:
            images[slot] = images[source]
    return images[: len(kept)]


def _disk_array(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A zeroed array in a temporary file without a name, gone when the array is."""
    with tempfile.TemporaryFile(prefix="endoforge-") as file:
        _reserve(file.fileno(), int(np.prod(shape)))
        return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)


def _reserve(descriptor: int, num_bytes: int) -> None:
    """Take the room now: a mapped file that finds the disk full later kills the process."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, num_bytes)
        else:
            os.truncate(descriptor, num_bytes)
    except OSError as error:
        raise UserError(
            f"no room for {num_bytes / 1e9:.1f} GB of decoded frames in {tempfile.gettempdir()}: "
            f"make room, set TMPDIR to a larger disk, or choose a smaller --target-size ({error})"
        ) from error
