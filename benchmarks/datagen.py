"""Frames per second of `datagen`, from seeds to PNG and JSON on disk; --compare: and on Ray;
--sizes: what a frame and its label take on disk, in the default world.

`--compare` takes turns between datagen alone and a Ray of this machine with one and with two
workers, and gives of each the seconds until every worker has a frame on disk, and the frames a
second from then on.
"""

import argparse
import json
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from endoforge import __version__
from endoforge.bench.record_speed import ROUNDS, frames_per_second
from endoforge.core.folders import scratch_folder
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate

WAYS: dict[str, dict[str, Any]] = {
    "alone": {},
    "ray_1": {"ray": "local", "workers": 1},
    "ray_2": {"ray": "local", "workers": 2},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--resolution", default="640x360")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--max-frames", type=int, default=100)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of --compare")
    parser.add_argument("--sizes", action="store_true")
    flags = vars(parser.parse_args())
    compare, rounds, sizes = flags.pop("compare"), flags.pop("rounds"), flags.pop("sizes")
    config = DatagenConfig(randomization=None if sizes else "plain", **flags)
    result = {
        "benchmark": "datagen_sizes" if sizes else "datagen_on_ray" if compare else "datagen",
        "version": __version__,
        **flags,
        "cpus": os.cpu_count(),
    }
    if sizes:
        result["kb_a_frame"] = round(frame_bytes(config) / 1000)
    elif compare:
        result |= compared(config, rounds)
    else:
        renderer, rate = frames_per_second(config)
        result |= {"renderer": renderer, "frames_per_s": round(rate, 1)}
    print(json.dumps(result))


def frame_bytes(config: DatagenConfig) -> float:
    """Bytes of an image with its label, the mean of those that seed 4 makes."""
    with scratch_folder() as folder:
        made = generate(replace(config, seed=4, output_root=str(folder)))
        files = [path for kind in ("images", "labels") for path in folder.glob(f"run_*/{kind}/*")]
        return sum(path.stat().st_size for path in files) / made.frames


def compared(config: DatagenConfig, rounds: int) -> dict[str, Any]:
    """Of each way the median over rounds: frames/s, seconds before, and the rate by `alone`'s."""
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    before: dict[str, list[float]] = {way: [] for way in WAYS}
    with scratch_folder() as folder:
        for way, settings in WAYS.items():  # compiles the kernels
            first = replace(config, runs=1, max_frames=4, seed=0, **settings)
            generate(replace(first, output_root=str(folder / f"first_{way}")))
        for k in range(rounds):
            for way, settings in WAYS.items():
                root = folder / f"{way}_{k}"
                started = time.time()
                generate(replace(config, seed=1 + k, output_root=str(root), **settings))
                rate, first_at = _pace(root, settings.get("workers", 1))
                rates[way].append(rate)
                before[way].append(first_at - started)
    return {
        "frames_per_s": {way: round(statistics.median(rates[way]), 2) for way in WAYS},
        "seconds_before": {way: round(statistics.median(before[way]), 1) for way in WAYS},
        "ratio": {
            way: round(
                statistics.median(
                    mine / alone for mine, alone in zip(rates[way], rates["alone"], strict=True)
                ),
                2,
            )
            for way in WAYS
        },
    }


def _pace(root: Path, workers: int) -> tuple[float, float]:
    """Frames a second once each of the first runs, one a worker, has a frame; and when it had."""
    runs = sorted(
        sorted(path.stat().st_mtime for path in run.glob("labels/*.json"))
        for run in root.glob("run_*")
    )
    begun = runs[workers - 1][0]
    after = [moment for run in runs for moment in run if moment > begun]
    return len(after) / (max(after) - begun), begun


if __name__ == "__main__":
    main()
