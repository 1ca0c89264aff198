"""Frames per second of the renderer: medians over scenes and positions, by size and batch."""

import argparse
import json

from endoforge import __version__
from endoforge.bench.render_speed import frames_per_second, seconds_per_scene
from endoforge.sim.engine import start_engine
from endoforge.sim.randomization import load_randomization
from endoforge.sim.scene import make_scene

SIZES = ((640, 360), (256, 256))
NUM_SCENES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--randomization", default="plain", help="a name or a file of ranges")
    arguments = parser.parse_args()
    engine = start_engine(arguments.renderer)
    ranges = load_randomization(arguments.randomization)
    scenes = [make_scene(seed, ranges) for seed in range(1, NUM_SCENES + 1)]
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
        "randomization": arguments.randomization,
        "scene_s": round(seconds_per_scene(range(20, 30)), 3),
        "frames_per_s": rates,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
