"""Measures the simulator: frames a second of the renderer, seconds from a seed to a scene."""

import itertools
import statistics
import time

from endoforge.sim.engine import Engine
from endoforge.sim.flight import fly, thin
from endoforge.sim.randomization import load_randomization
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.scene import Scene, make_scene

POSITIONS, ROUNDS = 8, 3


def frames_per_second(
    scenes: list[Scene], size: tuple[int, int], engine: Engine, batch: int
) -> float:
    """Measure rendering, the median over batches, each of which mixes scenes and positions.

    `size` is (width, height).
    """
    flights = [thin(fly(scene), POSITIONS) for scene in scenes]
    shots = [
        CameraShot(flights[scene][position], scene, position)
        for position in range(POSITIONS)
        for scene in range(len(scenes))
    ]
    shots = (shots * (batch // len(shots) + 1))[: max(len(shots), batch)]
    renderer = Renderer(*size, engine, batch)
    renderer.load(scenes)
    batches = [shots[first : first + batch] for first in range(0, len(shots) - batch + 1, batch)]
    renderer.render(batches[0])
    rates = []
    for _, shots_at_once in itertools.product(range(ROUNDS), batches):
        started = time.perf_counter()
        renderer.render(shots_at_once)
        rates.append(batch / (time.perf_counter() - started))
    return statistics.median(rates)


def seconds_per_scene(seeds: range) -> float:
    """Measure the median time from a seed to the tables that the kernels read: plain worlds."""
    times, plain = [], load_randomization("plain")
    for seed in seeds:
        started = time.perf_counter()
        _ = make_scene(seed, plain).tables
        times.append(time.perf_counter() - started)
    return statistics.median(times)
