"""Pictures of shards as a training's inputs, kept in the user's cache folder as they are decoded.

There is a file a shard, which is read row by row: memory holds none. What can't be kept costs time,
never an error.
"""

import logging
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from endoforge.core.choices import ResizeMode
from endoforge.core.errors import UserError
from endoforge.core.machine import free_bytes
from endoforge.core.text import size_in_words
from endoforge.data.blocks import BlockFolder
from endoforge.data.row_files import RowFile
from endoforge.data.shard_frames import ShardPart

log = logging.getLogger(__name__)

LEFT_FREE = 2 * 10**9
"""Bytes that stay free on the cache's disk: a training saves there too, and others write there."""
_MEND = "make room there, or set XDG_CACHE_HOME to another folder"


class DecodedShards:
    """The decoded pictures of N frames in shards below `root`, in one size, (width, height).

    The first that can't be kept ends the keeping; what is kept by then goes on to be read.
    """

    def __init__(
        self, root: Path, size: tuple[int, int], resize_mode: ResizeMode, num_frames: int
    ) -> None:
        self._folder = BlockFolder(root, size, resize_mode)
        self._frame_bytes = size[0] * size[1] * 3
        self._num_frames = num_frames
        self._keeps = True
        self._is_told = False
        self._is_foreseen = False
        self._lock = Lock()

    def begin(self) -> None:
        """Remove what nothing will read again; say how large it will be, and whether it fits."""
        try:
            self._folder.refuse_link()
            with self._folder.alone():
                self._folder.read_and_tidy()
            self._folder.mark_used()
            self._log_room()
        except OSError as error:
            self._end(error)

    def rows_of(self, shard: str, part: ShardPart) -> RowFile | None:
        """Where the pictures of a shard, whose path is `shard` below the root, are kept.

        Each has the row that it has in the part's index. None where nothing may be kept.
        """
        if part.state is None:
            return None
        try:
            self._folder.refuse_link()
        except OSError:
            return None
        return self._folder.row_file(shard, part.state, part.index.places.tobytes())

    def keep(self, rows: RowFile, row: int, pixels: NDArray[np.uint8]) -> bool:
        """Keep an input as row `row`; False if that can't be, of which a warning tells once."""
        if not self._keeps:
            return False
        try:
            if free_bytes(self._folder.path) < LEFT_FREE + self._frame_bytes:
                raise OSError(f"less than {size_in_words(LEFT_FREE)} are free on its disk")
            rows.write(row, pixels)
        except (OSError, UserError) as error:  # the latter for a link in the way
            self._end(error)
            return False
        return True

    def tell_of(self, num_not_kept: int) -> None:
        """Warn once of the frames that all processes decoded in an epoch and couldn't keep."""
        if num_not_kept and not self._is_told:
            self._is_told = True
            log.warning(
                "%s of %s training frames couldn't be kept decoded: every epoch decodes them again",
                f"{num_not_kept:,}",
                f"{self._num_frames:,}",
            )

    def _log_room(self) -> None:
        """Raises OSError if the disk can't be asked."""
        whole = self._num_frames * self._frame_bytes
        here = min(whole, self._folder.num_bytes(in_rows=True))
        room = here + max(0, free_bytes(self._folder.path) - LEFT_FREE)
        log.info(
            "training frames are kept decoded as they are used, while %s of the disk stay free: "
            "%s for all, %s are there; in %s (delete it any time)",
            size_in_words(LEFT_FREE),
            size_in_words(whole),
            size_in_words(here),
            self._folder.path,
        )
        self._is_foreseen = room < whole
        if self._is_foreseen:
            log.warning(
                "there is room for some %s of %s training frames decoded, the others are decoded "
                "in every epoch: %s",
                f"{room // self._frame_bytes:,}",
                f"{self._num_frames:,}",
                _MEND,
            )

    def _end(self, error: OSError | UserError) -> None:
        with self._lock:
            if self._keeps:
                log.log(
                    logging.DEBUG if self._is_foreseen else logging.WARNING,
                    "no more training frames are kept decoded in %s: %s (%s)",
                    self._folder.path,
                    _MEND,
                    error,
                )
            self._keeps = False
