"""Files of decoded pictures that fill as the pictures are used, each in its row.

A row is a checksum and the picture's pixels, so that a row that was never written, or in part, is
known, whoever was killed or lost power meanwhile. Processes read and write one file at once,
without locks: they write the same bytes into a row.
"""

import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.core.files import create_file, write_all, write_at
from endoforge.core.folders import make_folder
from endoforge.core.reading import open_regular

_SUM_BYTES = 8


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
                checksum = file.read(_SUM_BYTES) or b""
                # A hole is told by its sum: its pixels need not be read.
                if not any(checksum) or file.readinto(pixels.data) != pixels.nbytes:
                    return False
        except OSError:
            return False
        return checksum == self._checksum(row, pixels)

    def write(self, row: int, pixels: NDArray[np.uint8]) -> None:
        """Write row `row`, and make the file and its folder if need be; raises OSError."""
        offset = self._offset(row, pixels)
        parts = self._checksum(row, pixels), pixels.data.cast("B")
        try:
            write_at(self.path, offset, *parts)
        except FileNotFoundError:
            make_folder(self.path.parent, within=self.path.parent.parent)
            with suppress(FileExistsError), create_file(self.path, buffering=0) as file:
                write_all(file, self.head)
            write_at(self.path, offset, *parts)

    def _offset(self, row: int, pixels: NDArray[np.uint8]) -> int:
        return len(self.head) + row * (_SUM_BYTES + pixels.nbytes)

    def _checksum(self, row: int, pixels: NDArray[np.uint8]) -> bytes:
        """The sum of the pixels as 64-bit numbers, and of what the file and the row are.

        A row is only ever written with the same bytes, so what it may lack are zeros in their
        place, which a sum tells as surely as a CRC, in a fifth of the time. It is never 0 for a
        black picture, as that of a hole would be.
        """
        flat = pixels.reshape(-1)
        rest = len(flat) % 8
        words = flat[: len(flat) - rest].view(np.uint64)
        total = (
            1 + zlib.crc32(self.head, row) + int(words.sum()) + int(flat[len(flat) - rest :].sum())
        )
        return (total % 2**64).to_bytes(_SUM_BYTES, "little")
