"""The frames of one side of a split that lie in shards, known by how many each shard has."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import decode_picture
from endoforge.captures.tally import Unusable
from endoforge.core.errors import UserError
from endoforge.data.decode_pictures import Identity, State, file_state
from endoforge.data.shard_cache import ShardCache, is_settled
from endoforge.data.shard_index import ShardIndex
from endoforge.data.shards import name_in, read_member


@dataclass(frozen=True, slots=True)
class ShardPicture:
    """A picture in a shard, whose path is `shard` below `root`; its label says its `size`."""

    root: Path
    shard: str
    offset: int
    num_bytes: int
    size: tuple[int, int]

    @property
    def identity(self) -> Identity | None:
        """Its name and the shard's state; None where there is no such shard."""
        state = file_state(self.root / self.shard)
        return state and (f"{self.shard}\0{self.offset}+{self.num_bytes}", *state)

    def told_name(self) -> str:
        """Its name and its shard's, for people."""
        return f"{name_in(self.root / self.shard, self.offset)} in {self.shard}"

    def read(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB; raises Unusable if it can't be, or isn't of the label's size."""
        picture = decode_picture(read_member(self.root / self.shard, self.offset, self.num_bytes))
        size = picture.shape[1], picture.shape[0]
        if size != self.size:
            detail = f"{size[0]}x{size[1]}, label {self.size[0]}x{self.size[1]}"
            raise Unusable("its label is of another size", detail)
        return picture


@dataclass(frozen=True, eq=False)
class ShardPart:
    """The M frames of a shard that are of one side: `rows` (M,) int64 are their places in `index`.

    `number` is the shard's among the side's, `classes` (K,) int64 the classes of all boxes of the
    index, by their places among the side's; -1 for one that the side doesn't have. `state` is the
    shard's before it was read, None if it changed just then and may change unnoticed.
    """

    number: int
    index: ShardIndex
    rows: NDArray[np.int64]
    classes: NDArray[np.int64]
    state: State | None


@dataclass(frozen=True, eq=False)
class ShardFrames:
    """N frames of some runs, in S shards below `root`; `runs` None stands for all runs.

    `shards` are paths relative to the root, `digests` what their indexes were at the start, and
    `counts` (S,) int64 how many frames of the side each has. Nothing is held of a frame: a shard's
    index is had from `cache` when it is needed.
    """

    root: Path
    shards: Sequence[str]
    digests: Sequence[bytes]
    counts: NDArray[np.int64]
    runs: frozenset[str] | None
    class_names: tuple[str, ...]
    cache: ShardCache

    def __len__(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def firsts(self) -> NDArray[np.int64]:
        """(S,): the place among all N of each shard's first frame."""
        return np.cumsum(self.counts) - self.counts

    def part(self, number: int) -> ShardPart:
        """What is of this side in shard `number`.

        Raises UserError if the shard isn't as it was at the start.
        """
        path = self.root / self.shards[number]
        state = file_state(path)
        index = self.cache.index(path)
        if index.digest != self.digests[number]:
            raise UserError(
                f"{path} has changed since the training began: start it again, with --fresh if its "
                "frames are others"
            )
        rows = rows_of(index, self.runs)
        places = {name: place for place, name in enumerate(self.class_names)}
        mapped = np.array([places.get(name, -1) for name in index.class_names], np.int64)
        classes = mapped[index.classes]
        return ShardPart(number, index, rows, classes, state if is_settled(state) else None)

    def picture(self, part: ShardPart, row: int) -> ShardPicture:
        """The picture of row `row` of a part's index."""
        offset, num_bytes = part.index.places[row].tolist()
        width, height = part.index.sizes[row].tolist()
        return ShardPicture(self.root, self.shards[part.number], offset, num_bytes, (width, height))


def rows_of(index: ShardIndex, runs: frozenset[str] | None) -> NDArray[np.int64]:
    """The places in a shard's index of the frames of some runs; of all, where that is None."""
    if runs is None:
        return np.arange(len(index))
    wanted = np.array([name in runs for name in index.runs], np.bool_)
    return np.flatnonzero(wanted[index.run_of])


class ShardOrder:
    """The order of N frames in an epoch: shards shuffled, then frames within windows of them.

    It follows from seed and epoch alone, and any part of it from the `counts` of frames a shard: a
    training resumes anywhere, and processes need not talk to agree.
    """

    def __init__(self, counts: NDArray[np.int64], window: int, seed: int) -> None:
        self.counts, self.window, self.seed = counts, window, seed

    def window_of(self, epoch: int, number: int) -> NDArray[np.int64]:
        """(n, 2): shard, and place among its frames, of each frame of window `number`, in order."""
        shards = np.random.default_rng([self.seed, epoch]).permutation(len(self.counts))
        ends = np.cumsum(self.counts[shards])
        first = number * self.window
        places = np.arange(first, min(first + self.window, int(ends[-1])))
        ranks = np.searchsorted(ends, places, side="right")
        within = places - (ends - self.counts[shards])[ranks]
        frames = np.stack([shards[ranks], within], axis=1)
        # The third number is never 0, for zeros at its end change nothing of a seed.
        return np.random.default_rng([self.seed, epoch, number + 1]).permutation(frames)
