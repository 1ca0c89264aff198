"""Images per second of training steps (augmentation, forward, loss, backward, AdamW), data in
memory, and of prediction.

`torchrun --nproc-per-node 2 benchmarks/train.py` measures several processes together; the batch
size is that of each, so that N times the images per second of one process is perfect.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from endoforge import __version__
from endoforge.backends.devices import pick_device
from endoforge.backends.group import Group, joined
from endoforge.backends.torch_backend import TorchBackend
from endoforge.core.sizes import parse_size
from endoforge.data.loader import Batch
from endoforge.detect.tinydet import TinyDet, TinyDetConfig

WARM_UP, STEPS = 8, 40


def random_batch(count: int, size: tuple[int, int], group: Group, device: torch.device) -> Batch:
    """Noise with two boxes a picture: the arithmetic doesn't care."""
    rng = np.random.default_rng(group.rank)
    corners = rng.uniform(0.05, 0.6, size=(count, 2, 2))
    boxes = np.concatenate([corners, corners + 0.2], axis=2).astype(np.float32)
    images = torch.from_numpy(
        rng.integers(0, 256, size=(count, size[1], size[0], 3), dtype=np.uint8)
    ).to(device)
    rows = slice(group.rank * count, (group.rank + 1) * count)
    two_each = np.full(count, 2, np.int64)
    classes = np.zeros((count, 2), np.int64)
    return Batch(images, boxes, classes, two_each, np.arange(count), rows, count * group.size)


def images_per_second(do: Callable[[int], object], batch_size: int) -> float:
    """Median over single calls of `do`, which must wait for its result."""
    rates = []
    for step in range(WARM_UP + STEPS):
        started = time.perf_counter()
        do(step)
        if step >= WARM_UP:
            rates.append(batch_size / (time.perf_counter() - started))
    return statistics.median(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--size", default="320x192")
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    with joined(device) as group:
        result = measure(arguments, device, group)
        if group.is_main:
            print(json.dumps(result))


def measure(
    arguments: argparse.Namespace, device: torch.device, group: Group
) -> dict[str, str | int | float]:
    batch_size = arguments.batch_size * group.size
    backend = TorchBackend(
        TinyDetConfig(), seed=0, device=device, batch_size=batch_size, group=group
    )
    size = parse_size(arguments.size, "--size")
    batch = random_batch(arguments.batch_size, size, group, device)
    one = random_batch(1, size, group, device)

    def train(step: int) -> float:
        return float(backend.step(batch, lr=1e-3, epoch=0, step=step).loss)

    return {
        "benchmark": "train",
        "version": __version__,
        "device": backend.device,
        "processes": group.size,
        "input": arguments.size,
        "batch_size": arguments.batch_size,
        "parameters": sum(p.numel() for p in TinyDet(TinyDetConfig()).parameters()),
        "train_images_per_s": round(images_per_second(train, batch.num_all), 1),
        "predict_images_per_s": round(
            images_per_second(lambda _: backend.predict(one.images), 1), 1
        ),
    }


if __name__ == "__main__":
    main()
