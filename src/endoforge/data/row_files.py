"""Files of decoded pictures that fill as the pictures are used, each in its row.

A row is a mark and the picture's pixels. The mark has a checksum of the pixels, by which a row that
was never written, or in part, is known, whoever was killed or lost power meanwhile. So processes
read and write one file at once, without locks: they write the same bytes into a row.
"""

import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.core.files import create_file, write_all, write_at
from endoforge.core.folders import make_folder
from endoforge.core.reading import open_regular

_MARK = struct.Struct("<II")
_WRITTEN = 1
"""What a hole, all zeros, can't say."""


@dataclass(frozen=True)
class RowFile:
    """A file that begins with the line `head`; it need not be there yet."""

    path: Path
    head: bytes

    def read_into(self, row: int, pixels: NDArray[np.uint8]) -> bool:
        """Fill `pixels`, a whole array, with row `row`; False if that isn't there, or damaged.

        Then `pixels` may hold anything.
        """
        try:
            with open_regular(self.path) as file:
                file.seek(self._offset(row, pixels))
                mark = file.read(_MARK.size)
                if not mark or not any(mark) or file.readinto(pixels.data) != pixels.nbytes:
                    return False
        except OSError:
            return False
        return mark == self._mark(row, pixels)

    def write(self, row: int, pixels: NDArray[np.uint8]) -> None:
        """Write row `row`, and make the file and its folder if need be; raises OSError."""
        offset = self._offset(row, pixels)
        parts = self._mark(row, pixels), pixels.data.cast("B")
        try:
            write_at(self.path, offset, *parts)
        except FileNotFoundError:
            make_folder(self.path.parent, within=self.path.parent.parent)
            with suppress(FileExistsError), create_file(self.path, buffering=0) as file:
                write_all(file, self.head)
            write_at(self.path, offset, *parts)

    def _offset(self, row: int, pixels: NDArray[np.uint8]) -> int:
        return len(self.head) + row * (_MARK.size + pixels.nbytes)

    def _mark(self, row: int, pixels: NDArray[np.uint8]) -> bytes:
        # Begun with what the file and the row are, so that no bytes of another place fit.
        return _MARK.pack(_WRITTEN, zlib.crc32(pixels.data, zlib.crc32(self.head, row)))
