"""Seconds until `train` and `eval` have a root's frames as inputs: the first time, then from the
cache, then after a picture has changed; and the first epoch's read of them all. The root's pictures
are those that `datagen` wrote once, again and again, by links."""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from endoforge import __version__
from endoforge.captures.index import CaptureIndex, index_root
from endoforge.captures.schema import MANIFEST_NAME, image_name, label_name
from endoforge.core.sizes import parse_size
from endoforge.data.frame_cache import SETTLED_S
from endoforge.data.pack import Pack, pack_frames
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.generate import generate

SAMPLE_FRAMES, REPEATS, READ_AT_ONCE = 40, 3, 256


def record_sample(root: Path) -> Path:
    """A short run of 640x360 pictures, of the CPU."""
    config = DatagenConfig(
        seed=0,
        renderer="cpu",
        randomization="plain",
        max_frames=SAMPLE_FRAMES,
        output_root=str(root),
        resolution="640x360",
    )
    return generate(config).run_dirs[0]


def write_root(root: Path, sample: Path, num_frames: int, num_runs: int) -> None:
    """`num_frames` frames in `num_runs` runs, the sample's over and over."""
    labels = [json.loads((sample / label_name(k)).read_text()) for k in range(SAMPLE_FRAMES)]
    for number in range(num_runs):
        run = root / f"run_{1764161446512 + number}"
        (run / "images").mkdir(parents=True)
        (run / "labels").mkdir()
        (run / MANIFEST_NAME).write_bytes((sample / MANIFEST_NAME).read_bytes())
        first, last = (num_frames * n // num_runs for n in (number, number + 1))
        for k in range(last - first):
            of_sample = k % SAMPLE_FRAMES
            label = labels[of_sample] | {"frame_id": k, "image": image_name(k)}
            (run / image_name(k)).hardlink_to(sample / image_name(of_sample))
            (run / label_name(k)).write_text(json.dumps(label))


def timed_pack(index: CaptureIndex, size: tuple[int, int]) -> tuple[Pack, float]:
    """All frames, and the seconds that it took."""
    started = time.perf_counter()
    pack = pack_frames(
        index.frames,
        class_names=("polyp",),
        size=size,
        resize_mode="letterbox",
        max_boxes=32,
        strict=True,
        label="all",
    )
    return pack, time.perf_counter() - started


def seconds_to_read(pack: Pack) -> float:
    """Every picture once, in order."""
    started = time.perf_counter()
    for first in range(0, len(pack), READ_AT_ONCE):
        pack.images[first : first + READ_AT_ONCE]
    return time.perf_counter() - started


def change_a_picture(index: CaptureIndex) -> None:
    """Other bytes in place of the first, which leave the picture as it is."""
    path = index.frames[0].image_path
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data + b"\0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--size", default="256x256")
    arguments = parser.parse_args()
    size = parse_size(arguments.size, "--size")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        root = Path(folder) / "captures"
        write_root(root, record_sample(Path(folder) / "sample"), arguments.frames, arguments.runs)
        time.sleep(SETTLED_S + 1)  # what was written a moment ago isn't kept
        index = index_root(root)
        _, first_s = timed_pack(index, size)
        again = [timed_pack(index, size) for _ in range(REPEATS)]
        read_s = seconds_to_read(again[-1][0])
        cache = Path(folder) / "cache/endoforge/frames"
        num_bytes = sum(path.stat().st_size for path in cache.glob("*/*"))
        change_a_picture(index)
        _, changed_s = timed_pack(index, size)
    result = {
        "benchmark": "pack",
        "version": __version__,
        "cores": os.cpu_count(),
        "frames": arguments.frames,
        "runs": arguments.runs,
        "size": arguments.size,
        "first_s": round(first_s, 2),
        "again_s": round(statistics.median(seconds for _, seconds in again), 2),
        "one_picture_changed_s": round(changed_s, 2),
        "read_all_s": round(read_s, 2),
        "bytes_on_disk": num_bytes,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
