"""Frames per second of the renderer: medians over scenes and positions, by size and batch."""

import argparse
import json
import statistics
import time

from endoforge import __version__
from endoforge.sim.engine import Engine, start_engine
from endoforge.sim.flight import fly, thin
from endoforge.sim.renderer import Renderer, Shot
from endoforge.sim.scene import Scene, make_scene

SIZES = ((640, 360), (256, 256))
NUM_SCENES, POSITIONS, ROUNDS = 8, 8, 3


def frames_per_second(
    scenes: list[Scene], size: tuple[int, int], engine: Engine, batch: int
) -> float:
    """Median over the batches; every batch mixes scenes and positions."""
    flights = [thin(fly(scene), POSITIONS) for scene in scenes]
    shots = [
        Shot(flights[scene][position], scene, position)
        for position in range(POSITIONS)
        for scene in range(len(scenes))
    ]
    shots = (shots * (batch // len(shots) + 1))[: max(len(shots), batch)]
    renderer = Renderer(*size, engine, batch)
    renderer.load(scenes)
    batches = [shots[first : first + batch] for first in range(0, len(shots) - batch + 1, batch)]
    renderer.render(batches[0])
    rates = []
    for _ in range(ROUNDS):
        for shots_at_once in batches:
            started = time.perf_counter()
            renderer.render(shots_at_once)
            rates.append(batch / (time.perf_counter() - started))
    return statistics.median(rates)


def seconds_per_scene(seeds: range) -> float:
    """Median time from a seed to the tables that the kernels read."""
    times = []
    for seed in seeds:
        started = time.perf_counter()
        _ = make_scene(seed).tables
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    arguments = parser.parse_args()
    engine = start_engine(arguments.renderer)
    scenes = [make_scene(seed) for seed in range(1, NUM_SCENES + 1)]
    rates = {
        f"{width}x{height} batch {batch}": round(
            frames_per_second(scenes, (width, height), engine, batch), 1
        )
        for width, height in SIZES
        for batch in arguments.batch
    }
    result = {
        "benchmark": "render",
        "version": __version__,
        "renderer": engine.name,
        "scene_s": round(seconds_per_scene(range(20, 30)), 3),
        "frames_per_s": rates,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
