"""Picture files into rows of one array, by all cores."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import read_picture
from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.tally import Unusable
from endoforge.core.choices import ResizeMode
from endoforge.core.errors import UserError
from endoforge.core.progress import progress
from endoforge.data.letterbox import Placement, resize_picture

Mapped = np.memmap[Any, np.dtype[np.uint8]]

Outcome = Placement | Unusable
"""Where a picture lies in its input, or why there is none."""


def decode_into(
    rows: NDArray[np.uint8], frames: Sequence[FrameRecord], mode: ResizeMode, label: str
) -> list[Outcome]:
    """Decode and resize the picture of each frame into its row of `rows`, (N, H, W, 3).

    The row of one that can't be decoded stays as it is. `label` names the frames in the progress.
    """
    decode = partial(_decode, frames, rows, mode)
    outcomes = []
    # Threads are enough: OpenCV lets go of Python's lock while it decodes and resizes.
    with progress(f"decoding {label} frames", len(frames), "frames") as advance, _threads() as pool:
        for outcome in pool.map(decode, range(len(frames))):
            outcomes.append(outcome)
            advance()
    return outcomes


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core; on an error, what has not begun is not waited for."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(
    frames: Sequence[FrameRecord], rows: NDArray[np.uint8], mode: ResizeMode, row: int
) -> Outcome:
    """Decode one picture into its row; run in a thread, it returns what went wrong."""
    try:
        picture = read_picture(frames[row].image_path)
    except Unusable as unusable:
        return unusable
    size = rows.shape[2], rows.shape[1]
    rows[row], place = resize_picture(picture, size, mode)
    return place


def unnamed_array(shape: tuple[int, ...]) -> Mapped:
    """A zeroed array in a temporary file without a name, gone when the array is.

    Raises UserError if there is no room.
    """
    with tempfile.TemporaryFile(prefix="endoforge-") as file:
        try:
            return map_new(file, shape)
        except OSError as error:
            raise UserError(
                f"no room for {np.prod(shape) / 1e9:.1f} GB of decoded frames in "
                f"{tempfile.gettempdir()}: make room, set TMPDIR to a larger disk, or choose a "
                f"smaller --target-size ({error})"
            ) from error


def map_new(file: IO[Any], shape: tuple[int, ...]) -> Mapped:
    """A zeroed array in the open, empty `file`; raises OSError if there is no room.

    The room is taken now: a mapped file that finds the disk full later kills the process.
    """
    num_bytes = int(np.prod(shape))
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, num_bytes)
    else:
        os.truncate(file.fileno(), num_bytes)
    return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)
