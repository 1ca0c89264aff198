"""Measures training steps: images a second through augmentation, net, loss and AdamW."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from endoforge.backends.group import Group
from endoforge.backends.torch_backend import TorchBackend, has_bfloat16
from endoforge.bench.limits import NearLimit, count_operations, measure_near_limit
from endoforge.data.loader import Batch
from endoforge.detect.tinydet import TinyDetConfig

STEPS_AT_ONCE_GPU = 20
"""The steps that a GPU makes before its result is waited for, as in training between two lines
of the log."""


@dataclass(frozen=True)
class TrainSpeed:
    """Images a second of all processes together, and how near each of them is to its limit."""

    images_per_second: float
    near_limit: NearLimit


def measure_training(
    device: torch.device,
    *,
    size: tuple[int, int],
    batch_size: int,
    warm_up: int,
    repeats: int,
    config: TinyDetConfig | None = None,
    group: Group | None = None,
) -> TrainSpeed:
    """Measure a TinyDet; `size` is (width, height), `batch_size` that of each process of `group`.

    Data is in memory. Times are medians over `repeats` of one step, or on a GPU of 20 at once,
    after `warm_up` of them, in turn with the floor of the network's operations.
    """
    group = group or Group()
    config = config or TinyDetConfig()
    at_once = 1 if device.type == "cpu" else STEPS_AT_ONCE_GPU
    operations = count_operations(config, size, batch_size=batch_size, training=True)
    [near_limit] = measure_near_limit(
        [_steps(config, device, size, batch_size, group, at_once)],
        operations * at_once,
        device=device,
        dtype=torch.bfloat16 if has_bfloat16(device) else torch.float32,
        warm_up=warm_up,
        repeats=repeats,
    )
    return TrainSpeed(batch_size * group.size * at_once / near_limit.seconds, near_limit)


def _steps(
    config: TinyDetConfig,
    device: torch.device,
    size: tuple[int, int],
    batch_size: int,
    group: Group,
    at_once: int,
) -> Callable[[], float]:
    """Make a function that makes `at_once` training steps and waits for the last."""
    backend = TorchBackend(
        config, seed=0, device=device, batch_size=batch_size * group.size, group=group
    )
    batch = random_batch(batch_size, size, group, device)
    numbers = itertools.count()

    def make() -> float:
        for _ in range(at_once):
            result = backend.step(batch, lr=1e-3, epoch=0, step=next(numbers))
        return float(result.loss)

    return make


def random_batch(count: int, size: tuple[int, int], group: Group, device: torch.device) -> Batch:
    """Make `count` pictures of noise with two boxes each: the arithmetic takes as long as ever."""
    rng = np.random.default_rng(group.rank)
    corners = rng.uniform(0.05, 0.6, size=(count, 2, 2))
    boxes = np.concatenate([corners, corners + 0.2], axis=2).astype(np.float32)
    images = torch.from_numpy(
        rng.integers(0, 256, size=(count, size[1], size[0], 3), dtype=np.uint8)
    ).to(device)
    return Batch(
        images=images,
        boxes=torch.from_numpy(boxes),
        classes=torch.zeros(count, 2, dtype=torch.int64),
        num_boxes=torch.full((count,), 2),
        indices=np.arange(count),
        rows=slice(group.rank * count, (group.rank + 1) * count),
        num_all=count * group.size,
    )
