"""Images per second of training steps (augmentation, forward, loss, backward, AdamW), data in
memory, and of prediction."""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from endoforge import __version__
from endoforge.backends.devices import pick_device
from endoforge.backends.torch_backend import TorchBackend
from endoforge.data.loader import Batch
from endoforge.detect.tinydet import TinyDet, TinyDetConfig

SIZE = (320, 192)
WARM_UP, STEPS = 4, 24


def random_batch(size: int) -> Batch:
    """Noise with two boxes a picture: the arithmetic doesn't care."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0.05, 0.6, size=(size, 2, 2))
    boxes = np.concatenate([corners, corners + 0.2], axis=2).astype(np.float32)
    images = rng.integers(0, 256, size=(size, SIZE[1], SIZE[0], 3), dtype=np.uint8)
    counts = np.full(size, 2, np.int64)
    return Batch(images, boxes, counts, np.arange(size), slice(0, size), size)


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
    arguments = parser.parse_args()
    backend = TorchBackend(TinyDetConfig(), seed=0, device=pick_device(arguments.device))
    batch = random_batch(arguments.batch_size)
    one = random_batch(1)

    def train(step: int) -> float:
        return float(backend.step(batch, lr=1e-3, epoch=0, step=step).loss)

    result = {
        "benchmark": "train",
        "version": __version__,
        "device": backend.device,
        "input": f"{SIZE[0]}x{SIZE[1]}",
        "batch_size": arguments.batch_size,
        "parameters": sum(p.numel() for p in TinyDet(TinyDetConfig()).parameters()),
        "train_images_per_s": round(images_per_second(train, arguments.batch_size), 1),
        "predict_images_per_s": round(
            images_per_second(lambda _: backend.predict(one.images), 1), 1
        ),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
