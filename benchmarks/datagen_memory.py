"""Memory of `datagen` over 10,000 frames: it must not grow.

The resident memory of this process is sampled while it records. `grown_mb` is the largest sample of
the last quarter less that of the second quarter: the first warms up.
"""

import argparse
import json
import tempfile
import threading
from pathlib import Path

from endoforge import __version__
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate

SAMPLE_EVERY_S = 0.25


def resident_mb() -> float:
    """Of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


class Sampler(threading.Thread):
    """Samples the resident memory until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[float] = []
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(SAMPLE_EVERY_S):
            self.samples.append(resident_mb())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--resolution", default="640x360")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--max-frames", type=int, default=200)
    arguments = parser.parse_args()
    sampler = Sampler()
    sampler.start()
    with tempfile.TemporaryDirectory() as folder:
        config = DatagenConfig(seed=0, randomization="plain", output_root=folder, **vars(arguments))
        report = generate(config)
    sampler.done.set()
    sampler.join()
    count = len(sampler.samples)
    tenths = [round(sampler.samples[count * part // 10]) for part in range(1, 10)]
    second, last = sampler.samples[count // 4 : count // 2], sampler.samples[3 * count // 4 :]
    result = {
        "benchmark": "datagen_memory",
        "version": __version__,
        "renderer": report.renderer,
        "resolution": arguments.resolution,
        "frames": report.frames,
        "runs": len(report.run_dirs),
        "rss_mb_by_tenths": tenths,
        "grown_mb": round(max(last) - max(second), 1),
        "frames_per_s": round(report.frames / report.seconds, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
