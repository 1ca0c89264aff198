"""Images per second of `train --simulate`: of the frames alone, and of training on them end to end,
with where the time goes.

Runs that were made before the clock starts last for some 16,000 frames: give enough steps.
`torchrun --nproc-per-node 2 benchmarks/simulate.py` measures several processes together; the batch
size is that of each, so that one of twice that size has the same frames and, but for rounding, the
same `last_loss`.
"""

import argparse
import json
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from endoforge import __version__
from endoforge.backends.devices import pick_device
from endoforge.backends.group import Group, joined
from endoforge.backends.torch_backend import TorchBackend
from endoforge.core.machine import cpu_cores
from endoforge.core.sizes import parse_size
from endoforge.data.loader import Batch
from endoforge.detect.tinydet import TinyDetConfig
from endoforge.sim.bakery import Recipe
from endoforge.sim.randomization import load_randomization
from endoforge.sim.timetable import RUNS_AT_ONCE, VIEWS_A_RUN
from endoforge.train.simulated import engine_on, num_workers
from endoforge.train.simulated_batches import SimulatedLoader, simulated_classes


class Clock:
    """Seconds by what was done; what is done inside of something else counts there only."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner = [0.0]

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Count the time inside."""
        started = time.perf_counter()
        self._inner.append(0.0)
        yield
        spent = time.perf_counter() - started
        self.seconds[name] += spent - self._inner.pop()
        self._inner[-1] += spent

    def timed(self, name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        """`do`, its time counted."""

        def timed_do(*args: Any, **others: Any) -> Any:
            with self.on(name):
                return do(*args, **others)

        return timed_do


def watched(loader: SimulatedLoader, clock: Clock) -> None:
    """Count where the loader's time goes. Rendering ends with a wait for it, so its time is true;
    training steps that were begun before it go on beside it."""
    stage: Any = loader.stage
    stage._put = clock.timed("load runs", stage._put)
    stage._bring_runs = clock.timed("wait for runs", stage._bring_runs)
    stage._begin_with = clock.timed("wait for runs", stage._begin_with)
    stage._settle = clock.timed("wait for the device", stage._settle)
    stage.renderer.render_rows = clock.timed("render", stage.renderer.render_rows)


def rate(
    loader: SimulatedLoader, epoch: int, clock: Clock, use: Callable[[Batch, int], object]
) -> dict[str, Any]:
    """Images per second of an epoch, each of its batches used: those of all processes together."""
    clock.seconds.clear()
    started = time.perf_counter()
    with clock.on("the rest"):
        for step, batch in enumerate(loader.batches(epoch)):
            with clock.on("start training steps"):
                use(batch, step)
        with clock.on("wait for the device"):
            wait_for_all(loader.stage.engine.device)
    spent = time.perf_counter() - started
    shares = {name: round(one / spent, 3) for name, one in clock.seconds.most_common()}
    return {
        "images_per_s": round(len(loader) * loader.batch_size / spent, 1),
        "shares_of_time": shares,
    }


def wait_for_all(device: torch.device) -> None:
    """Return when the device has ended all that was begun on it."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def seconds_a_run(recipe: Recipe) -> float:
    """Time of one CPU core that a run takes to make: the mean of those of four colons."""
    started = time.process_time()
    made = [footage for colon in range(4) for footage in recipe.make(colon)]
    return (time.process_time() - started) / len(made)


def measure(flags: argparse.Namespace, device: torch.device, group: Group) -> dict[str, Any]:
    """What the benchmark prints, but for what all processes are told together at its end."""
    size = parse_size(flags.size, "--size")
    recipe = Recipe(0, load_randomization(flags.randomization), size, VIEWS_A_RUN)
    workers = flags.workers or num_workers(group.board.count)
    loader = SimulatedLoader(
        engine_on(device),
        recipe,
        batch_size=flags.batch_size * group.size,
        batches_an_epoch=flags.steps,
        max_boxes=32,
        class_names=simulated_classes("label"),
        runs_at_once=RUNS_AT_ONCE,
        workers=workers,
        shard=group.shard,
        board=group.board,
    )
    core_s_a_run = seconds_a_run(recipe)
    backend = TorchBackend(
        TinyDetConfig(), seed=0, device=device, batch_size=loader.batch_size, group=group
    )
    started = time.perf_counter()
    first = next(loader.batches(0))
    wait_for_all(device)
    first_batch_s = time.perf_counter() - started
    loss = backend.step(first, lr=1e-3, epoch=0, step=0).loss
    wait_for_all(device)
    first_step_s = time.perf_counter() - started - first_batch_s
    for step in range(1, 8):  # what is captured on the way
        backend.step(first, lr=1e-3, epoch=0, step=step)
    clock = Clock()
    watched(loader, clock)
    with_box = torch.zeros((), dtype=torch.int64, device=device)

    def look(batch: Batch, _step: int) -> None:
        with_box.add_((batch.num_boxes > 0).sum())

    def learn(batch: Batch, step: int) -> None:
        nonlocal loss
        loss = backend.step(batch, lr=1e-3, epoch=1, step=step).loss

    source = rate(loader, 0, clock, look)
    training = rate(loader, 1, clock, learn)
    loader.close()
    frames = flags.steps * loader.batch_size
    return {
        "benchmark": "simulate",
        "version": __version__,
        "device": backend.device,
        "processes": group.size,
        "input": flags.size,
        "randomization": flags.randomization,
        "batch_size": flags.batch_size,
        "steps": flags.steps,
        "cores": cpu_cores(),
        "workers": workers,
        "core_s_a_run": round(core_s_a_run, 3),
        "first_batch_s": round(first_batch_s, 2),
        "first_step_s": round(first_step_s, 2),
        "share_with_boxes": round(sum(group.gather(int(with_box))) / frames, 3),
        "worker_core_s": round(sum(group.gather(children_s())), 1),
        "source": source,
        "training": training,
        "last_loss": round(float(loss), 5),
    }


def children_s() -> float:
    """The time of CPU cores that processes took which this one started, and which have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--randomization", default="plain", help="a name or a file of ranges")
    parser.add_argument("--workers", type=int, help="processes that make runs, for each process")
    flags = parser.parse_args()
    device = pick_device(flags.device)
    with joined(device) as group:
        result = measure(flags, device, group)
        if group.is_main:
            print(json.dumps(result))


if __name__ == "__main__":
    main()
