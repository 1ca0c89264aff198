"""How many labels simulation saves: learn from N frames of one hospital, measure on another's.

    endoforge import --format coco --images DIR --annotations FILE --output-root assets/few
    endoforge import --format coco --images DIR --annotations FILE --output-root assets/other
    python benchmarks/labels_saved.py assets/few assets/other --figure docs/images/labels-saved.png

Trains on N frames of the first root, drawn by the seed, from nothing and from the packaged weights,
and measures the last weights of each training on all frames of the second. One line a training.
"""

import argparse
import json
import logging
import multiprocessing
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from endoforge import EvalConfig, TrainConfig, __version__, evaluate_detector, train_detector
from endoforge.captures.index import index_root
from endoforge.captures.schema import MANIFEST_NAME
from endoforge.core.choices import DeviceName
from endoforge.core.errors import UserError

FIRST_RATES = {"nothing": 4e-3, "packaged": 1e-3}
"""What a training begins from, and its first learning rate: less where there is much to lose."""
VALIDATED = 3
"""Frames that a training reports on as it goes: it wants some, and none is chosen by them."""


@dataclass(frozen=True)
class Trial:
    """One training: on `labels` frames of `few`, drawn by `seed`, measured on `other`."""

    few: Path
    other: Path
    labels: int
    start: str
    seed: int
    epochs: int
    lr: float
    device: DeviceName


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("few", type=Path, help="capture runs to learn from")
    parser.add_argument("other", type=Path, help="capture runs of another hospital to measure on")
    parser.add_argument("--labels", type=int, nargs="+", default=[50, 100, 200, 0], help="0: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--starts", nargs="+", default=[*FIRST_RATES], choices=[*FIRST_RATES])
    parser.add_argument("--lr", type=float, help="instead of 4e-3 and 1e-3")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    parser.add_argument("--figure", type=Path, help="draw the curves to this file")
    asked = parser.parse_args()
    try:
        count = len(index_root(asked.few).frames)
        index_root(asked.other)
    except UserError as error:
        parser.error(str(error))
    if not 0 <= min(asked.labels) <= max(asked.labels) <= count:
        parser.error(f"--labels: {asked.few} has {count} frames; try 0, which is all of them")
    trials = [
        Trial(
            asked.few,
            asked.other,
            labels or count,
            start,
            seed,
            asked.epochs,
            asked.lr or FIRST_RATES[start],
            asked.device,
        )
        for start in asked.starts
        for labels in asked.labels
        for seed in asked.seeds
    ]
    results = [measured(Trial(asked.few, asked.other, 0, "packaged", 0, 0, 0.0, asked.device))]
    print(json.dumps(results[0]), flush=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.jobs, mp_context=context) as pool:
        for done in as_completed([pool.submit(measured, trial) for trial in trials]):
            results.append(done.result())
            print(json.dumps(results[-1]), flush=True)
    if asked.figure is not None:
        draw_curves(results, asked.figure)


def measured(trial: Trial) -> dict[str, Any]:
    """Train as `trial` says, and tell how well the weights do; no label: the start as it is."""
    logging.getLogger("endoforge").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        weights = "packaged" if trial.labels == 0 else trained(trial, Path(folder))
        config = EvalConfig(checkpoint=weights, input_root=str(trial.other), device=trial.device)
        metrics = evaluate_detector(config).metrics
    return {
        "benchmark": "labels_saved",
        "version": __version__,
        "start": trial.start,
        "labels": trial.labels,
        "seed": trial.seed,
        "epochs": trial.epochs,
        "lr": trial.lr,
        "ap50": round(metrics.ap50 or 0.0, 4),
        "ap": round(metrics.ap or 0.0, 4),
    }


def trained(trial: Trial, folder: Path) -> str:
    """The last weights of the training: none are chosen."""
    root, few = folder / "runs", folder / "validated"
    draw_frames(trial, root)
    draw_frames(replace(trial, labels=VALIDATED), few)
    train_detector(
        TrainConfig(
            input_root=str(root),
            real_val_dir=str(few),
            ckpt_dir=str(folder / "checkpoints"),
            demo_checkpoint="packaged" if trial.start == "packaged" else None,
            epochs=trial.epochs,
            batch_size=16,
            lr_start=trial.lr,
            lr_end=1e-5,
            scheduler="cosine",
            target_size="320x256",
            seed=trial.seed,
            device=trial.device,
        )
    )
    return str(folder / "checkpoints" / "tinydet.safetensors")


def draw_frames(trial: Trial, root: Path) -> None:
    """Copy as many frames as the trial has labels, drawn by its seed, into runs under `root`."""
    frames = index_root(trial.few).frames
    order = np.random.default_rng(trial.seed).permutation(len(frames))
    for place in order[: trial.labels]:
        frame = frames[place]
        run = frame.label_path.parents[1]
        for source in (frame.label_path, frame.image_path, run / MANIFEST_NAME):
            target = root / run.name / source.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def draw_curves(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw AP50 over the number of labels: a point a training, a line through a start's means."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    colours = {"nothing": "#c2703d", "packaged": "#2f7d6b"}
    names = {"nothing": "from nothing", "packaged": "from the packaged weights"}
    for start, colour in colours.items():
        own = [one for one in results if one["start"] == start]
        axes.scatter(
            [one["labels"] for one in own],
            [one["ap50"] for one in own],
            color=colour,
            s=16,
            alpha=0.6,
        )
        labels = sorted({one["labels"] for one in own})
        means = [
            np.mean([one["ap50"] for one in own if one["labels"] == count]) for count in labels
        ]
        axes.plot(labels, means, color=colour, label=names[start], linewidth=2)
    unlabelled = next(one["ap50"] for one in results if one["labels"] == 0)
    axes.axhline(unlabelled, color="#888888", linestyle=":", linewidth=1)
    axes.annotate(
        "no label at all",
        (axes.get_xlim()[1] * 0.7, unlabelled),
        xytext=(0, -12),
        textcoords="offset points",
        color="#666666",
        fontsize=9,
    )
    axes.set_xlabel("labelled frames of one hospital")
    axes.set_ylabel("AP50 on the frames of another")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eeeeee")
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path)


if __name__ == "__main__":
    main()
