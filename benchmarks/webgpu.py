"""Training steps on WebGPU beside torch: images per second, and how far the two are apart.

A step is all of it: augmentation, forward, loss, backward, AdamW, moving average, from a batch in
memory. Both train the same steps from the same seed, in turn; a software adapter computes on the
same cores as torch. `--skip-torch` where only WebGPU is to be measured.
"""

import argparse
import itertools
import json
import time

import torch

from endoforge import __version__
from endoforge.backends.base import Backend
from endoforge.backends.compute import Compute, pick_compute
from endoforge.backends.group import Group
from endoforge.bench.timing import median_seconds
from endoforge.bench.train_speed import STEPS_AT_ONCE_GPU, random_batch
from endoforge.core.sizes import parse_size
from endoforge.data.loader import Batch
from endoforge.detect.tinydet import TinyDetConfig

WARM_UP = 2
"""Rounds, beside the first step: tinygrad records a step the second time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapter", help="as of train")
    parser.add_argument("--device", default="cpu", help="torch's")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip-torch", action="store_true")
    flags = parser.parse_args()
    batch = random_batch(
        flags.batch_size, parse_size(flags.size, "--size"), Group(), torch.device("cpu")
    )
    computes = {"webgpu": pick_compute("webgpu", "auto", flags.adapter)}
    if not flags.skip_torch:
        computes["torch"] = pick_compute("torch", flags.device, None)
    result = {
        "benchmark": "webgpu",
        "version": __version__,
        "adapter": computes["webgpu"].describe(),
        "software_adapter": computes["webgpu"].on_cpu,
        "torch": computes["torch"].describe() if "torch" in computes else None,
        "input": flags.size,
        "batch_size": flags.batch_size,
    }
    losses = {}
    for name, compute in computes.items():
        figures, losses[name] = measure(compute, batch, flags.repeats)
        result |= {f"{name}_{figure}": value for figure, value in figures.items()}
    if len(losses) == 2:
        result["first_loss_difference"] = abs(losses["webgpu"] - losses["torch"])
    print(json.dumps(result))


def measure(compute: Compute, batch: Batch, repeats: int) -> tuple[dict[str, float], float]:
    """Seconds of the first step and images per second; and the first loss."""
    backend: Backend = compute.backend(
        TinyDetConfig(), seed=0, batch_size=batch.num_all, group=Group()
    )
    numbers = itertools.count()

    def step() -> object:
        return backend.step(batch, lr=1e-3, epoch=0, step=next(numbers)).loss

    started = time.perf_counter()
    first_loss = float(step())  # type: ignore[arg-type]
    first = time.perf_counter() - started
    at_once = 1 if compute.on_cpu else STEPS_AT_ONCE_GPU

    def steps() -> float:
        for _ in range(at_once):
            loss = step()
        return float(loss)  # type: ignore[arg-type]

    seconds = median_seconds(steps, warm_up=WARM_UP, repeats=repeats)
    rate = batch.num_all * at_once / seconds
    return {"first_step_s": round(first, 1), "images_per_s": round(rate, 1)}, first_loss


if __name__ == "__main__":
    main()
