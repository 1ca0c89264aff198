"""Frames per second of `datagen`, from seeds to PNG and JSON on disk."""

import argparse
import json
import os

from endoforge import __version__
from endoforge.bench.record_speed import frames_per_second
from endoforge.datagen.config import DatagenConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--resolution", default="640x360")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--max-frames", type=int, default=100)
    parser.add_argument("--workers", type=int)
    flags = vars(parser.parse_args())
    renderer, rate = frames_per_second(DatagenConfig(randomization="plain", **flags))
    result = {
        "benchmark": "datagen",
        "version": __version__,
        **flags,
        "renderer": renderer,
        "cpus": os.cpu_count(),
        "frames_per_s": round(rate, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
