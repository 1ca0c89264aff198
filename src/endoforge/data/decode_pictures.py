"""Pictures into rows of one array, by all cores."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import read_picture
from endoforge.captures.tally import Unusable
from endoforge.core.choices import ResizeMode
from endoforge.core.errors import UserError
from endoforge.core.progress import progress
from endoforge.data.letterbox import Placement, resize_picture

Mapped = np.memmap[Any, np.dtype[np.uint8]]

Outcome = Placement | Unusable
"""Where a picture lies in its input, or why there is none."""


State = tuple[int, int, int]
"""What tells whether a file was changed: its size in bytes, mtime and ctime in ns."""

Identity = tuple[str, int, int, int]
"""What names a picture under its root, and the state of its file.

The name is the file's path relative to the root; of a picture within a file, NUL and its place
follow.
"""


class Picture(Protocol):
    """A picture that lies somewhere below a root."""

    @property
    def identity(self) -> Identity | None:
        """Its name and its file's state; None where there is no such file."""
        ...

    def read(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB; raises Unusable if it can't be decoded."""
        ...


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture that is a file of its own: `name` is its path relative to `root`."""

    root: Path
    name: str

    @property
    def identity(self) -> Identity | None:
        """Its name and its file's state; None where there is no such file."""
        state = file_state(f"{self.root}/{self.name}")
        return state and (self.name, *state)

    def read(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB; raises Unusable if it can't be decoded."""
        return read_picture(self.root / self.name)


def file_state(path: Path | str) -> State | None:
    """The state of the file at `path`; None if there is no such file."""
    try:
        found = os.stat(path)  # noqa: PTH116  # for any path, and fast
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def decode_into(
    rows: NDArray[np.uint8], pictures: Sequence[Picture], mode: ResizeMode, label: str
) -> list[Outcome]:
    """Decode and resize each picture into its row of `rows`, (N, H, W, 3).

    The row of one that can't be decoded stays as it is. `label` names the frames in the progress.
    """
    decode = partial(_decode, pictures, rows, mode)
    outcomes = []
    # Threads are enough: OpenCV lets go of Python's lock while it decodes and resizes.
    with (
        progress(f"decoding {label} frames", len(pictures), "frames") as advance,
        _threads() as pool,
    ):
        for outcome in pool.map(decode, range(len(pictures))):
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
    pictures: Sequence[Picture], rows: NDArray[np.uint8], mode: ResizeMode, row: int
) -> Outcome:
    """Decode one picture into its row; run in a thread, it returns what went wrong."""
    try:
        picture = pictures[row].read()
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
