"""Frames per second of `datagen`, from seeds to PNG and JSON on disk."""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from endoforge import __version__
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.datagen.report import DatagenReport

ROUNDS = 3


def record(root: Path, seed: int, flags: dict[str, Any]) -> DatagenReport:
    return generate(DatagenConfig(seed=seed, output_root=str(root / str(seed)), **flags))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--resolution", default="640x360")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--max-frames", type=int, default=100)
    parser.add_argument("--workers", type=int)
    flags = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder), 0, flags | {"runs": 1})  # compiles the kernels
        reports = [record(Path(folder), 1 + k, flags) for k in range(ROUNDS)]
    result = {
        "benchmark": "datagen",
        "version": __version__,
        **flags,
        "renderer": reports[0].renderer,
        "cpus": os.cpu_count(),
        "frames_per_s": round(statistics.median(r.frames / r.seconds for r in reports), 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
