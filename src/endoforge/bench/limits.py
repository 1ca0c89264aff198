"""How near the work comes to the machine's limit, the rate at which it multiplies matrices.

A network's additions and multiplications can hardly go faster than those of large products of
matrices, so as many of these, measured in turn with the work, are the floor of its time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from endoforge.bench.timing import medians_in_turn
from endoforge.detect.tinydet import TinyDet, TinyDetConfig

SIDE_CPU, SIDE_GPU = 512, 8192
"""Rows and columns of the matrices: of 192 to 1024, a CPU's cache likes those of 384 and 512 best,
and a GPU is full only with large ones."""


@dataclass(frozen=True)
class NearLimit:
    """The time that some work takes, and the floor: as many operations as products of matrices."""

    operations: int
    """Additions and multiplications."""
    seconds: float
    floor_seconds: float

    @property
    def share(self) -> float:
        """The share of the limit that the work reaches: 1 is no slower than the floor."""
        return self.floor_seconds / self.seconds

    @property
    def limit(self) -> float:
        """The operations a second of the products."""
        return self.operations / self.floor_seconds


def count_operations(
    config: TinyDetConfig, size: tuple[int, int], *, batch_size: int = 1, training: bool = False
) -> int:
    """Count the additions and multiplications of a TinyDet's convolutions for a batch.

    Inputs are of `size`, (width, height); `training` counts the way back, too. All else that a
    network does is not counted.
    """
    with torch.device("meta"):  # shapes alone: nothing is computed
        model = TinyDet(config).train(training)
        images = torch.empty(batch_size, 3, size[1], size[0])
    counter = FlopCounterMode(display=False)
    with counter, torch.set_grad_enabled(training):
        raw = model(images)
        if training:
            raw.sum().backward()
    return int(counter.get_total_flops())


def measure_near_limit(
    works: Sequence[Callable[[], object]],
    operations: int,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    warm_up: int,
    repeats: int,
) -> list[NearLimit]:
    """Time works of so many operations each, which wait for their results, in turn with the floor.

    The floor's products are of `dtype` on `device`, by as many threads as torch has.
    """
    floor, made = _products(operations, device, dtype)
    *seconds, whole = medians_in_turn([*works, floor], warm_up=warm_up, repeats=repeats)
    floor_seconds = whole * operations / made
    return [NearLimit(operations, own, floor_seconds) for own in seconds]


def _products(
    operations: int, device: torch.device, dtype: torch.dtype
) -> tuple[Callable[[], float], int]:
    """Make a function that multiplies matrices with about so many operations; say how many."""
    side = SIDE_CPU if device.type == "cpu" else SIDE_GPU
    first, second = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    product = torch.empty_like(first)
    each = 2 * side**3
    count = max(1, round(operations / each))

    def multiply() -> float:
        for _ in range(count):
            torch.mm(first, second, out=product)
        return float(product[0, 0])  # which waits for a GPU

    return multiply, count * each
