"""Seconds until `train` and `eval` know a root's frames: first with nothing of them in the system's
memory, as after a start of the machine, then with all of them there. The root holds what `datagen`
wrote once, again and again."""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from endoforge import __version__
from endoforge.captures.index import index_root
from endoforge.captures.schema import MANIFEST_NAME, image_name, label_name
from endoforge.data.split import fingerprint
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate

SAMPLE_FRAMES, REPEATS = 40, 3
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def record_sample(root: Path) -> Path:
    """A short run of small pictures, of the CPU."""
    config = DatagenConfig(
        seed=0,
        renderer="cpu",
        randomization="plain",
        resolution="96x64",
        max_frames=SAMPLE_FRAMES,
        output_root=str(root),
    )
    return generate(config).run_dirs[0]


def write_root(root: Path, sample: Path, num_frames: int, num_runs: int) -> None:
    """`num_frames` frames in `num_runs` runs, the sample's over and over, renumbered."""
    manifest = (sample / MANIFEST_NAME).read_bytes()
    labels = [json.loads((sample / label_name(k)).read_text()) for k in range(SAMPLE_FRAMES)]
    images = [(sample / image_name(k)).read_bytes() for k in range(SAMPLE_FRAMES)]
    for number in range(num_runs):
        run = root / f"run_{1764161446512 + number}"
        (run / "images").mkdir(parents=True)
        (run / "labels").mkdir()
        (run / MANIFEST_NAME).write_bytes(manifest)
        first, last = (num_frames * n // num_runs for n in (number, number + 1))
        for k in range(last - first):
            renumbered = {"frame_id": k, "image": image_name(k)}
            label = labels[k % SAMPLE_FRAMES] | renumbered
            (run / image_name(k)).write_bytes(images[k % SAMPLE_FRAMES])
            (run / label_name(k)).write_text(json.dumps(label, indent=2) + "\n")


def forget_files(root: Path) -> str:
    """Have the system forget what it holds of all files; without the right to, of these files.

    Gives the name of the way. By the second one it may still know where the files lie.
    """
    os.sync()
    try:
        DROP_CACHES.write_text("3")
    except OSError:
        for path in root.rglob("*.*"):
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return "posix_fadvise"
    return "drop_caches"


def seconds_to_start(root: Path, num_frames: int) -> float:
    """Index and fingerprint, as a training starts."""
    started = time.perf_counter()
    index = index_root(root)
    fingerprint(index.frames)
    seconds = time.perf_counter() - started
    if len(index.frames) != num_frames:
        raise SystemExit(f"{len(index.frames)} of {num_frames} frames were found")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "captures"
        sample = record_sample(Path(folder) / "sample")
        write_root(root, sample, arguments.frames, arguments.runs)
        cold: list[float] = []
        for _ in range(REPEATS):
            forgotten_by = forget_files(root)
            cold.append(seconds_to_start(root, arguments.frames))
        warm = [seconds_to_start(root, arguments.frames) for _ in range(REPEATS)]
    result = {
        "benchmark": "index",
        "version": __version__,
        "cores": os.cpu_count(),
        "frames": arguments.frames,
        "runs": arguments.runs,
        "forgotten_by": forgotten_by,
        "cold_s": round(statistics.median(cold), 2),
        "warm_s": round(statistics.median(warm), 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
