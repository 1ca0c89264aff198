"""Pictures that lie in several mapped files, as one array."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = slice | Sequence[int] | NDArray[np.int64]


class Images:
    """(N, H, W, 3) uint8 RGB: picture i is row `rows[i]` of `blocks[block_of[i]]`.

    Each block is (M, H, W, 3) uint8. Indexing by a number, a slice or numbers copies those
    pictures, and reads no others.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        blocks: Sequence[NDArray[np.uint8]],
        block_of: Sequence[int] | NDArray[np.int64],
        rows: Sequence[int] | NDArray[np.int64],
    ) -> None:
        self._blocks = list(blocks)
        self._block_of = np.asarray(block_of, np.int64)
        self._rows = np.asarray(rows, np.int64)
        self.shape = (len(self._rows), *self._blocks[0].shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def at(self, places: Sequence[int]) -> "Images":
        """An array of the pictures at these places alone; no picture is read for it."""
        return Images(self._blocks, self._block_of[places], self._rows[places])

    def __getitem__(self, places: int | Rows) -> NDArray[np.uint8]:
        if isinstance(places, int | np.integer):
            return np.array(self._blocks[self._block_of[places]][self._rows[places]])
        block_of, rows = self._block_of[places], self._rows[places]
        copies = np.empty((len(rows), *self.shape[1:]), np.uint8)
        # Row by row: neighbours in a shuffled batch are rarely of one block.
        for copy, block, row in zip(copies, block_of.tolist(), rows.tolist(), strict=True):
            copy[:] = self._blocks[block][row]
        return copies
