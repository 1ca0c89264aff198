"""Frames per second of `datagen`, from a seed to PNG and JSON on disk, at 640x360."""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from endoforge import __version__
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate
from endoforge.datagen.report import DatagenReport

FRAMES, ROUNDS = 100, 3


def record(root: Path, renderer: str, seed: int) -> DatagenReport:
    config = DatagenConfig(
        seed=seed,
        max_frames=FRAMES,
        output_root=str(root / str(seed)),
        renderer=renderer,  # type: ignore[arg-type]
    )
    return generate(config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", default="auto")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder), arguments.renderer, seed=0)  # compiles the kernels
        reports = [record(Path(folder), arguments.renderer, seed=1 + k) for k in range(ROUNDS)]
    rates = [report.frames / report.seconds for report in reports]
    result = {
        "benchmark": "datagen",
        "version": __version__,
        "renderer": reports[0].renderer,
        "frames_per_s": round(statistics.median(rates), 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
