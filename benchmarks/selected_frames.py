"""Whether `select` chooses better frames to label than chance: learn from each, measure elsewhere.

    endoforge import --format coco --images DIR --annotations FILE --output-root assets/few
    endoforge import --format coco --images DIR --annotations FILE --output-root assets/other
    python benchmarks/selected_frames.py assets/few assets/other
    python benchmarks/selected_frames.py assets/video

N frames of the first root are chosen without a look at their labels, by `select` or by chance. On
some of them the packaged weights are wrong: they miss a polyp, or show a box where none is. With a
second root they learn from the frames with their labels, and the last weights of each training are
measured on all frames of that root: another hospital's. One line a choice, as its training ends.
"""

import argparse
import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from endoforge import (
    EvalConfig,
    NeuralDetector,
    TrainConfig,
    __version__,
    evaluate_detector,
    load_detector,
    train_detector,
)
from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.schema import MANIFEST_NAME
from endoforge.core.choices import DeviceName
from endoforge.evaluate.matching import Truth, match_picture
from endoforge.select.config import SelectConfig
from endoforge.select.select_command import run_select

STEPS, BATCH_SIZE = 300, 10
"""As many for 50 frames as for 100, so that the frames alone differ; what else a training takes was
settled on frames of the first root that no training had seen."""
VALIDATED = 3
"""Frames of the first root that a training reports on as it goes: it wants some, none is chosen by
them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("few", type=Path, help="capture runs to learn from")
    parser.add_argument(
        "other",
        type=Path,
        nargs="?",
        help="runs of another hospital to measure on; else no training",
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[50, 100])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    asked = parser.parse_args()
    logging.getLogger("endoforge").setLevel(logging.ERROR)
    if asked.other is not None:
        tell({"frames": 0, **measured("packaged", asked.other, asked.device)})
    for count in asked.frames:
        for seed in asked.seeds:
            for way in ("chance", "select"):
                tell(trial(asked.few, asked.other, way, count, seed, asked.device))


def tell(result: dict[str, Any]) -> None:
    """Print a line."""
    named = {"benchmark": "selected_frames", "version": __version__, **result}
    print(json.dumps(named), flush=True)


def trial(
    few: Path, other: Path | None, way: str, count: int, seed: int, device: DeviceName
) -> dict[str, Any]:
    """Choose `count` frames of `few` by `way` and `seed`, learn from them, measure on `other`."""
    frames = index_root(few).frames
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if way == "select":
            chosen = chosen_by_select(frames, count, seed, device, folder)
        else:
            order = np.random.default_rng(seed).permutation(len(frames))
            chosen = [frames[place] for place in order[:count]]
        facts = {
            "way": way,
            "frames": count,
            "seed": seed,
            "boxes": sum(len(frame.boxes) for frame in chosen),
            "wrong": sum(is_wrong(frame, device) for frame in chosen),
        }
        if other is None:
            return facts
        keys = {frame.key for frame in chosen}
        copy_frames(chosen, folder / "chosen")
        unseen = [frame for frame in frames if frame.key not in keys]
        copy_frames(unseen[:VALIDATED], folder / "validated")
        weights = trained(folder, count, seed, device)
        return {**facts, **measured(weights, other, device)}


def is_wrong(frame: FrameRecord, device: DeviceName) -> bool:
    """Whether the packaged weights miss a box of a frame or show another, as `detect` uses them."""
    found = packaged_detector(device).detect(read_picture(frame.image_path))
    truth = Truth(frame.boxes, np.zeros(len(frame.boxes), np.int64))
    hits = np.count_nonzero(match_picture(found, truth, 0.5))
    return bool(hits < max(len(found), len(truth)))


@cache
def packaged_detector(device: DeviceName) -> NeuralDetector:
    """The detector that frames are chosen for, loaded once."""
    return load_detector("packaged", device)


def chosen_by_select(
    frames: Sequence[FrameRecord], count: int, seed: int, device: DeviceName, folder: Path
) -> list[FrameRecord]:
    """What `select` chooses of the frames' images alone, without their labels."""
    copy_frames(frames, folder / "bare", labels=False)
    report = run_select(
        SelectConfig(
            paths=(str(folder / "bare"),),
            frames=count,
            checkpoint="packaged",
            seed=seed,
            output=str(folder / "selected.json"),
            device=device,
        )
    )
    by_image = {(frame.run, frame.image): frame for frame in frames}
    return [by_image[one.run, one.image] for one in report.selection.frames]


def copy_frames(frames: Sequence[FrameRecord], root: Path, *, labels: bool = True) -> None:
    """Copy frames, with their labels or without, into runs under `root`."""
    for frame in frames:
        run = frame.run_path
        own = [frame.label_path] if labels else []
        for source in (*own, frame.image_path, run / MANIFEST_NAME):
            target = root / run.name / source.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def trained(folder: Path, count: int, seed: int, device: DeviceName) -> str:
    """The last weights of a training from the packaged ones, on the frames in `folder`."""
    train_detector(
        TrainConfig(
            input_root=str(folder / "chosen"),
            real_val_dir=str(folder / "validated"),
            ckpt_dir=str(folder / "checkpoints"),
            demo_checkpoint="packaged",
            epochs=STEPS // -(-count // BATCH_SIZE),
            batch_size=BATCH_SIZE,
            lr_start=1e-3,
            lr_end=1e-5,
            scheduler="cosine",
            target_size="320x256",
            seed=seed,
            device=device,
            ckpt_every_epochs=0,
        )
    )
    return str(folder / "checkpoints" / "tinydet.safetensors")


def measured(weights: str, other: Path, device: DeviceName) -> dict[str, float]:
    """AP50 and AP of weights on all frames of `other`."""
    config = EvalConfig(checkpoint=weights, input_root=str(other), device=device)
    metrics = evaluate_detector(config).metrics
    return {"ap50": round(metrics.ap50 or 0.0, 4), "ap": round(metrics.ap or 0.0, 4)}


if __name__ == "__main__":
    main()
