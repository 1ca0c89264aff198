"""Batches in an order that only the seed and the epoch decide."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoforge.core.errors import UserError
from endoforge.data.images import Images
from endoforge.data.pack import LabelledInputs

log = logging.getLogger(__name__)

T = TypeVar("T", bound=np.generic)

MOST_OF_FREE_MEMORY = 0.5
"""The share of a GPU's free memory that frames may take; the rest is for the training step."""
UPLOADED_AT_ONCE = 256
"""Pictures that are copied to a GPU together, so that the host never holds all of them at once."""


@dataclass(frozen=True)
class Shard:
    """One of several parts, by number: what each of `count` processes takes of a batch.

    Rows are shared in groups of `together`, which no two parts divide.
    """

    number: int = 0
    count: int = 1
    together: int = 1

    def of(self, length: int) -> slice:
        """The rows of `length` that are in this part; the parts follow each other without gaps.

        The last group takes the rest. Of fewer groups than parts, some parts have no row.
        """
        groups = max(1, length // self.together)
        first, end = (groups * place // self.count for place in (self.number, self.number + 1))
        return slice(
            min(first * self.together, length), length if end == groups else end * self.together
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """B inputs with at most M boxes each: the rows `rows` of a batch of `num_all`.

    `images` (B, H, W, 3) uint8 RGB; `boxes` (B, M, 4) float32 xyxy in
    0..1, the first `num_boxes[b]` of each row are boxes and the rest zeros; `classes` (B, M) int64,
    the boxes' places among the pack's class names; `num_boxes` (B,) int64; `indices` (B,) int64,
    the inputs' places in the pack. Tensors may lie on an accelerator.
    """

    images: Tensor
    boxes: Tensor
    classes: Tensor
    num_boxes: Tensor
    indices: NDArray[np.int64]
    rows: slice
    num_all: int


class BatchSource(Protocol):
    """Where the batches of a training come from."""

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        ...

    def batches(self, epoch: int, start: int = 0, stride: int = 1) -> Iterator[Batch]:
        """The batches of `epoch` with the numbers `start`, `start + stride` and so on.

        They are the same whatever was asked before.
        """
        ...

    def close(self) -> None:
        """Hear that nothing more is asked for, and end what makes batches."""
        ...


class Loader:
    """Batches of a pack: shuffled anew each epoch, or in the pack's order if `seed` is None.

    Of each batch it gives the part that is `shard`; `batch_size` is that of the whole. Where the
    pack fits into the memory of `device`, an accelerator, its pictures lie there from the start;
    else each batch is gathered in pinned memory, from which it can go there while that computes.
    """

    def __init__(
        self,
        pack: LabelledInputs,
        batch_size: int,
        *,
        seed: int | None,
        drop_last: bool = False,
        shard: Shard | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.pack = pack
        self._device = device or torch.device("cpu")
        self._resident = _upload(pack.images, self._device)
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last
        self.shard = shard or Shard()
        self.num_boxes = np.array([len(boxes) for boxes in pack.boxes], dtype=np.int64)
        # One width for all batches: a step that is compiled or recorded has one shape.
        most = max(1, int(self.num_boxes.max()))
        self.boxes = _pad(pack.boxes, np.zeros((len(pack), most, 4), np.float32))
        self.classes = _pad(pack.classes, np.zeros((len(pack), most), np.int64))
        check_any_batch(len(self), batch_size, len(pack))

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        whole, rest = divmod(len(self.pack), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def batches(self, epoch: int, start: int = 0, stride: int = 1) -> Iterator[Batch]:
        """The batches of `epoch` with the numbers `start`, `start + stride` and so on.

        They are the same whatever was asked before.
        """
        order = self._order(epoch)
        for step in range(start, len(self), stride):
            yield self._batch(order[step * self.batch_size : (step + 1) * self.batch_size])

    def num_frames(self, first: int, end: int) -> int:
        """How many frames are in the batches from number `first` up to `end`."""
        return min(end * self.batch_size, len(self.pack)) - first * self.batch_size

    def close(self) -> None:
        """Do nothing, for a Loader holds nothing that must be given back."""

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if self.seed is None:
            return np.arange(len(self.pack))
        # From seed and epoch alone, not from the epoch before: a training resumes anywhere.
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.pack))

    def _batch(self, whole: NDArray[np.int64]) -> Batch:
        rows = self.shard.of(len(whole))
        indices = whole[rows]
        return Batch(
            images=self._images(indices),
            boxes=torch.from_numpy(self.boxes[indices]),
            classes=torch.from_numpy(self.classes[indices]),
            num_boxes=torch.from_numpy(self.num_boxes[indices]),
            indices=indices,
            rows=rows,
            num_all=len(whole),
        )

    def _images(self, indices: NDArray[np.int64]) -> Tensor:
        if self._resident is not None:
            # Picked there: a batch costs the bus its numbers, not its pixels.
            wanted = torch.from_numpy(indices).to(self._device, non_blocking=True)
            return self._resident[wanted]
        images = torch.from_numpy(self.pack.images[indices])
        # Only from pinned memory does a GPU copy while it computes.
        return images.pin_memory() if self._device.type == "cuda" else images


def check_any_batch(num_batches: int, batch_size: int, num_frames: int) -> None:
    """Raise UserError if an epoch has no batch."""
    if num_batches == 0:
        raise UserError(
            f"--batch-size {batch_size} with --drop-last leaves no batch of {num_frames} "
            "frames: lower --batch-size or leave out --drop-last"
        )


def _upload(images: Images, device: torch.device) -> Tensor | None:
    """All pictures on a GPU, where they take less than half of its free memory; else None."""
    if device.type != "cuda":
        return None
    num_bytes = int(np.prod(images.shape))
    if num_bytes > torch.cuda.mem_get_info(device)[0] * MOST_OF_FREE_MEMORY:
        log.info("%.1f GB of frames stay on the disk: too large for the GPU", num_bytes / 1e9)
        return None
    resident = torch.empty(images.shape, dtype=torch.uint8, device=device)
    for first in range(0, len(images), UPLOADED_AT_ONCE):
        some = slice(first, first + UPLOADED_AT_ONCE)
        resident[some] = torch.from_numpy(images[some]).to(device)
    return resident


def _pad(parts: Sequence[NDArray[T]], zeros: NDArray[T]) -> NDArray[T]:
    """`zeros`, (N, M, ...), with each of the N parts, (K, ...), at the start of its row."""
    for row, own in zip(zeros, parts, strict=True):
        row[: len(own)] = own
    return zeros
