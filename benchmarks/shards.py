"""What it takes to train from shards: memory beside the number of frames (`--memory N N`), and
images/s of the batches beside those of the same frames as a folder of runs (`--speed N`).

Memory: shards of tiny JPEGs with a box each, of 200 frames a run, written here; the source is
loaded by a process of its own, as `train` does, and an epoch of batches is read, as long as
`--most-steps` has it. Speed: pictures of smooth noise as PNG, 640x360, as runs and as shards that
`convert` makes of them; in turns, the seconds from the start to the end of the first epoch, and of
an epoch after that, without the steps that a training does meanwhile: of runs, of shards, and of
shards where the disk has no room for decoded frames. Seconds of the processor are told beside
them, since a machine that does other work too makes only the others longer."""

import argparse
import gc
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from endoforge import __version__

FRAMES_A_RUN, FRAMES_A_SHARD = 200, 1000
SIDE = 32
WIDTH, HEIGHT = 640, 360
CONFIG = {"target_size": "32x32", "batch_size": 256, "device": "cpu"}
REPEATS = 3


def label_of(number: int, suffix: str, size: tuple[int, int]) -> dict[str, Any]:
    """The label of a frame in a shard: one box."""
    polyp = {"center_world": [0, 0, 0], "bbox_norm": [0.25, 0.25, 0.75, 0.75], "label": "polyp"}
    return {
        "frame_id": number,
        "sim_time": number / 30,
        "unix_time": 0.0,
        "image": f"images/frame_{number:05d}{suffix}",
        "image_present": True,
        "camera_active": True,
        "polyp_seed": 0,
        "polyp_labels": [polyp],
        "width": size[0],
        "height": size[1],
    }


def write_tiny_shards(folder: Path, num_frames: int) -> None:
    """`num_frames` of 256 pictures over and over, in shards as `convert` writes them."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (256, 8, 8, 3), np.uint8)
    pictures = [cv2.imencode(".jpg", cv2.resize(one, (SIDE, SIDE)))[1].tobytes() for one in noise]
    labels = [
        json.dumps(label_of(number, ".jpg", (SIDE, SIDE))).encode()
        for number in range(FRAMES_A_RUN)
    ]
    folder.mkdir()
    for first in range(0, num_frames, FRAMES_A_SHARD):
        path = folder / f"all-{first // FRAMES_A_SHARD:06d}.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            for frame in range(first, min(first + FRAMES_A_SHARD, num_frames)):
                run, number = divmod(frame, FRAMES_A_RUN)
                name = f"run_{1764161446512 + run}/frame_{number:05d}"
                for suffix, data in ((".jpg", pictures[frame % 256]), (".json", labels[number])):
                    member = tarfile.TarInfo(name + suffix)
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))


def memory_mb(*keys: str) -> list[float]:
    """What the system says of this process under each of these keys, in MB."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    told = {line[0].rstrip(":"): int(line[1]) / 1024 for line in lines if line[-1:] == ["kB"]}
    return [round(told[key], 1) for key in keys]


def measure_memory(root: str, most_steps: int) -> dict[str, Any]:
    """Load a source and read batches, in this process; resident memory at each stage."""
    import torch

    from endoforge.backends.group import Group
    from endoforge.train.config import TrainConfig
    from endoforge.train.sources import training_source

    config = TrainConfig(input_root=root, **CONFIG)
    [before] = memory_mb("VmRSS")
    started = time.perf_counter()
    source = training_source(config, torch.device("cpu"), Group())
    load_s = time.perf_counter() - started
    gc.collect()
    [loaded] = memory_mb("VmRSS")
    batches = source.batches()
    steps = min(len(batches), most_steps)
    started = time.perf_counter()
    frames = sum(len(batch.images) for _, batch in zip(range(steps), batches.batches(0)))  # noqa: B905
    epoch_s = time.perf_counter() - started
    gc.collect()
    after, peak, own = memory_mb("VmRSS", "VmHWM", "RssAnon")
    batches.close()
    return {
        "validation_frames": len(source.val),
        "load_s": round(load_s, 1),
        "images_per_s": round(frames / epoch_s),
        "frames_read": frames,
        "rss_mb": {"before": before, "loaded": loaded, "after": after, "peak": peak, "own": own},
    }


def memory(counts: list[int], most_steps: int) -> Iterator[dict[str, Any]]:
    """For each number of frames, a start that reads the shards and one that knows them."""
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "shards"
            started = time.perf_counter()
            write_tiny_shards(root, count)
            written_s = time.perf_counter() - started
            time.sleep(3)  # what was written a moment ago isn't kept
            words = [sys.executable, __file__, "--measure", str(root)]
            words += ["--most-steps", str(most_steps)]
            environment = {**os.environ, "XDG_CACHE_HOME": str(Path(folder) / "cache")}
            starts = []
            for _ in range(2):
                done = subprocess.run(
                    words, env=environment, stdout=subprocess.PIPE, text=True, check=True
                )
                starts.append(json.loads(done.stdout.splitlines()[-1]))
            cache = sum(f.stat().st_size for f in (Path(folder) / "cache").rglob("*.index"))
            yield {
                "frames": count,
                "written_s": round(written_s, 1),
                "index_bytes_a_frame": round(cache / count, 1),
                "first": starts[0],
                "again": starts[1],
            }


def write_runs(root: Path, num_frames: int) -> None:
    """Runs of pictures no two of which are the same."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 200, (20, HEIGHT // 16, WIDTH // 16, 3), np.uint8)
    smooth = [cv2.resize(one, (WIDTH, HEIGHT)) for one in small]
    for frame in range(num_frames):
        number = frame % FRAMES_A_RUN
        run = root / f"run_{1764161446512 + frame // FRAMES_A_RUN}"
        for folder in ("images", "labels"):
            (run / folder).mkdir(parents=True, exist_ok=True)
        grain = rng.integers(0, 6, (HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(run / f"images/frame_{number:05d}.png"), smooth[frame % 20] + grain)
        text = json.dumps(label_of(number, ".png", (WIDTH, HEIGHT)))
        (run / f"labels/frame_{number:05d}.json").write_text(text)


def speed(num_frames: int, size: str) -> dict[str, Any]:
    """Seconds from a start to the end of its first epoch, and of a later epoch, both ways."""
    import torch

    from endoforge.backends.group import Group
    from endoforge.data import decoded_shards
    from endoforge.formats.config import ConvertConfig
    from endoforge.formats.converting import run_convert
    from endoforge.train.config import TrainConfig
    from endoforge.train.sources import training_source

    ways = ("runs", "shards", "shards without room")
    times: dict[str, list[float]] = {
        f"{way}{epoch}": [] for way in ways for epoch in (" first", "")
    }
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    left_free = decoded_shards.LEFT_FREE
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "own")
        root = Path(folder) / "captures"
        write_runs(root, num_frames)
        shards = Path(folder) / "shards"
        run_convert(ConvertConfig(format="webdataset", paths=(str(root), str(shards))))
        time.sleep(3)
        for turn in range(REPEATS):
            for name, where in zip(ways, (root, shards, shards), strict=True):
                os.environ["XDG_CACHE_HOME"] = str(Path(folder) / f"{name}{turn}")
                no_room = name == "shards without room"
                decoded_shards.LEFT_FREE = sys.maxsize if no_room else left_free
                config = TrainConfig(
                    input_root=str(where), target_size=size, batch_size=32, device="cpu"
                )
                started = time.perf_counter()
                source = training_source(config, torch.device("cpu"), Group())
                batches = source.batches()
                num_read = sum(len(batch.images) for batch in batches.batches(0))
                first, first_cpu = time.perf_counter(), time.process_time()
                assert num_read == sum(len(batch.images) for batch in batches.batches(1))
                times[f"{name} first"].append(first - started)
                times[name].append(time.perf_counter() - first)
                cpu[name].append(time.process_time() - first_cpu)
                batches.close()
    median = {name: statistics.median(some) for name, some in times.items()}
    return {
        "frames": num_frames,
        "size": size,
        "seconds": {name: [round(one, 2) for one in some] for name, some in times.items()},
        "first_epoch_runs_over_shards": round(median["runs first"] / median["shards first"], 2),
        "later_images_per_s": {way: round(num_read / median[way]) for way in ways},
        "later_cpu_ms_an_image": {
            way: round(statistics.median(some) / num_read * 1000, 3) for way, some in cpu.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", type=int, nargs="*", default=[])
    parser.add_argument("--speed", type=int, default=0)
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--most-steps", type=int, default=10**9)
    parser.add_argument("--measure", help="a folder of shards, for the process that is measured")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure_memory(arguments.measure, arguments.most_steps)))
        return
    result: dict[str, Any] = {
        "benchmark": "shards",
        "version": __version__,
        "cores": os.cpu_count(),
    }
    if arguments.memory:
        result["memory"] = list(memory(arguments.memory, arguments.most_steps))
    if arguments.speed:
        result["speed"] = speed(arguments.speed, arguments.size)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
