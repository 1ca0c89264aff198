"""Batches of frames that lie in shards, decoded when they are first asked for, and then kept."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.captures.tally import EXAMPLES_KEPT, Tally, Unusable
from endoforge.core.choices import ResizeMode
from endoforge.core.errors import UserError
from endoforge.core.machine import cpu_cores
from endoforge.data.decoded_shards import DecodedShards
from endoforge.data.letterbox import placement_of, resize_picture
from endoforge.data.loader import Batch, Shard, check_any_batch
from endoforge.data.pack import largest_boxes
from endoforge.data.row_files import RowFile
from endoforge.data.shard_frames import ShardFrames, ShardOrder, ShardPart

log = logging.getLogger(__name__)

WINDOW_FRAMES = 16_384
"""Frames that are shuffled among each other: those of 16 shards as `convert` writes them. What is
held of one is some 60 bytes, not its picture; more would open more shards at a time."""
LEAST_BATCHES_AHEAD = 2
PICTURES_AHEAD_A_THREAD = 2

_NOT_KEPT = "frame: decoded, and not kept"
_Fault = tuple[str, str]
"""Why a frame can't be used, and its name."""


@dataclass(frozen=True, eq=False)
class _Window:
    """Some frames in the order of an epoch: (n, 2) shard and place in its part, and the parts.

    `rows` are where the pictures of some parts are kept.
    """

    order: NDArray[np.int64]
    parts: dict[int, ShardPart]
    rows: dict[int, RowFile]


@dataclass(frozen=True, eq=False)
class _Made:
    """A part of a batch, of R rows, while threads fill it; the arrays are as in `Batch`."""

    images: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    num_boxes: NDArray[np.int64]
    indices: NDArray[np.int64]
    rows: slice
    num_all: int
    pending: list[Future[None]]


class StreamLoader:
    """Batches of the frames of shards, in the order of a `ShardOrder`: a `BatchSource`.

    Every frame comes once an epoch; as many as a `window` has are shuffled among each other. Of
    each batch it gives the part that is `shard`; `batch_size` is that of the whole. Pictures of
    `size` (width, height) are decoded by threads, some batches ahead, and kept on the disk where
    it has room; `most_boxes` is the width of all batches. In place of one that can't be decoded
    comes the next of its window that can; with `strict`, UserError. `gather` gives the values of
    all processes. Close it in the end.
    """

    def __init__(
        self,
        frames: ShardFrames,
        batch_size: int,
        *,
        seed: int,
        size: tuple[int, int],
        resize_mode: ResizeMode,
        max_boxes: int,
        most_boxes: int,
        window: int = WINDOW_FRAMES,
        drop_last: bool = False,
        strict: bool = False,
        shard: Shard | None = None,
        device: torch.device | None = None,
        gather: Callable[[Tally], list[Tally]] = lambda tally: [tally],
    ) -> None:
        self.frames = frames
        self.batch_size = batch_size
        self.size, self.resize_mode = size, resize_mode
        self.max_boxes, self.most_boxes = max_boxes, max(1, most_boxes)
        self.drop_last = drop_last
        self.shard = shard or Shard()
        self._order = ShardOrder(frames.counts, window, seed)
        self._windows: dict[tuple[int, int], _Window] = {}
        self._decoded = DecodedShards(frames.root, size, resize_mode, len(frames))
        self._pinned = device is not None and device.type == "cuda"
        self._num_threads = max(1, cpu_cores() // self.shard.count)
        self._pool = ThreadPoolExecutor(self._num_threads, "endoforge-shards")
        self._strict, self._gather = strict, gather
        self._unusable: dict[tuple[int, int], _Fault] = {}
        self._lock = Lock()
        check_any_batch(len(self), batch_size, len(frames))
        self._decoded.begin()

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        whole, rest = divmod(len(self.frames), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def batches(self, epoch: int, start: int = 0, stride: int = 1) -> Iterator[Batch]:
        """The batches of `epoch` with the numbers `start`, `start + stride` and so on.

        They are the same whatever was asked before. In the end it tells how many pictures of all
        processes couldn't be decoded; all must then ask for the end.
        """
        tally = Tally()
        rows_each = max(1, self.batch_size // self.shard.count)
        wanted = -(-PICTURES_AHEAD_A_THREAD * self._num_threads // rows_each)
        ahead = max(LEAST_BATCHES_AHEAD, wanted)
        queue: deque[_Made] = deque()
        try:
            for number in range(start, len(self), stride):
                queue.append(self._begin(epoch, number, tally))
                if len(queue) > ahead:
                    yield self._finish(queue.popleft())
            while queue:
                yield self._finish(queue.popleft())
        finally:
            for made in queue:
                for future in made.pending:
                    future.cancel()
        told = Tally()
        for one in self._gather(tally):
            told.add(one)
        self._decoded.tell_of(told.counts.pop(_NOT_KEPT, 0))
        for line in told.lines():
            log.warning("dropped %s; other training frames came in their place", line)

    def close(self) -> None:
        """End the threads; what they have not begun isn't waited for."""
        self._pool.shutdown(cancel_futures=True)

    def _begin(self, epoch: int, number: int, tally: Tally) -> _Made:
        """Have this process's part of batch `number` of the epoch made."""
        first = number * self.batch_size
        num_all = min(self.batch_size, len(self.frames) - first)
        rows = self.shard.of(num_all)
        places = range(first, first + num_all)[rows]
        width, height = self.size
        count = len(places)
        made = _Made(
            images=np.empty((count, height, width, 3), np.uint8),
            boxes=np.zeros((count, self.most_boxes, 4), np.float32),
            classes=np.zeros((count, self.most_boxes), np.int64),
            num_boxes=np.zeros(count, np.int64),
            indices=np.zeros(count, np.int64),
            rows=rows,
            num_all=num_all,
            pending=[],
        )
        frames = [self._window_and_place(epoch, place) for place in places]
        each = -(-count // self._num_threads) or 1
        for some in range(0, count, each):
            part = frames[some : some + each]
            made.pending.append(self._pool.submit(self._fill, made, some, part, tally))
        return made

    def _finish(self, made: _Made) -> Batch:
        for future in made.pending:
            future.result()
        images = torch.from_numpy(made.images)
        return Batch(
            # Only from pinned memory does a GPU copy while it computes.
            images=images.pin_memory() if self._pinned else images,
            boxes=torch.from_numpy(made.boxes),
            classes=torch.from_numpy(made.classes),
            num_boxes=torch.from_numpy(made.num_boxes),
            indices=made.indices,
            rows=made.rows,
            num_all=made.num_all,
        )

    def _window_and_place(self, epoch: int, place: int) -> tuple[_Window, int]:
        number, within = divmod(place, self._order.window)
        if (epoch, number) not in self._windows:
            order = self._order.window_of(epoch, number)
            held = {n: part for one in self._windows.values() for n, part in one.parts.items()}
            shards = np.unique(order[:, 0]).tolist()
            parts = {n: held.get(n) or self.frames.part(n) for n in shards}
            # A batch has frames of two windows at most, and those begun before hold their own.
            for old in list(self._windows)[:-1]:
                del self._windows[old]
            self._windows[epoch, number] = _Window(order, parts, self._rows_of(parts))
        return self._windows[epoch, number], within

    def _rows_of(self, parts: dict[int, ShardPart]) -> dict[int, RowFile]:
        files = {n: self._decoded.rows_of(self.frames.shards[n], part) for n, part in parts.items()}
        return {number: file for number, file in files.items() if file}

    def _fill(
        self, made: _Made, first: int, frames: Sequence[tuple[_Window, int]], tally: Tally
    ) -> None:
        """Put some frames into the rows of a batch from `first` on; run in a thread."""
        for row, (window, place) in enumerate(frames, first):
            part, at = self._read(window, place, made.images[row], tally)
            width, height = part.index.sizes[at].tolist()
            placed = placement_of((width, height), self.size, self.resize_mode)
            here = part.index.boxes_of(at)
            boxes, classes = part.index.boxes[here], part.classes[here]
            if len(boxes) > self.max_boxes:  # which were counted at the start
                largest = largest_boxes(boxes, self.max_boxes, "", Tally())
                boxes, classes = boxes[largest], classes[largest]
            made.boxes[row, : len(boxes)] = placed.to_input(boxes)
            made.classes[row, : len(boxes)] = classes
            made.num_boxes[row] = len(boxes)
            made.indices[row] = self.frames.firsts[part.number] + np.searchsorted(part.rows, at)

    def _read(
        self, window: _Window, place: int, image: NDArray[np.uint8], tally: Tally
    ) -> tuple[ShardPart, int]:
        """Put a frame into `image`, (H, W, 3): its shard's part, and its place in that one's index.

        It is the first in the window from `place` on, and then from its start, that can be decoded;
        if it isn't the one at `place`, that is counted.
        """
        count = len(window.order)
        for turn in range(count):
            number, within = window.order[(place + turn) % count].tolist()
            part = window.parts[number]
            at = int(part.rows[within])
            try:
                if (fault := self._unusable.get((number, at))) is None:
                    if not self._read_one(part, at, window.rows.get(number), image):
                        with self._lock:
                            tally.count(_NOT_KEPT, "")
                    return part, at
            except Unusable as unusable:
                fault = self._note(part, at, unusable)
            if turn == 0:
                with self._lock:
                    tally.count(*fault)
        raise UserError(
            f"{self.frames.root}: none of {count:,} pictures that lie together in its shards can "
            f"be decoded ({'; '.join(tally.lines())})"
        )

    def _read_one(
        self, part: ShardPart, at: int, rows: RowFile | None, image: NDArray[np.uint8]
    ) -> bool:
        """Put one frame into `image`: as it was kept, else decoded; False if it can't be kept.

        Raises Unusable for a picture that can't be decoded.
        """
        if rows and rows.read_into(at, image):
            return True
        picture = self.frames.picture(part, at).read()
        image[:], _ = resize_picture(picture, self.size, self.resize_mode)
        return rows is None or self._decoded.keep(rows, at, image)

    def _note(self, part: ShardPart, at: int, unusable: Unusable) -> _Fault:
        """Remember a picture that can't be decoded, and tell of the first ones.

        Raises UserError if that is asked for.
        """
        detail = f" ({unusable.detail})" if unusable.detail else ""
        told = f"{self.frames.picture(part, at).told_name()}{detail}"
        fault = f"frame: {unusable.reason}", told
        Tally(strict=self._strict).drop(*fault)
        with self._lock:
            if len(self._unusable) < EXAMPLES_KEPT:
                log.warning("%s: %s; another comes in its place", *fault)
            self._unusable[part.number, at] = fault
        return fault
