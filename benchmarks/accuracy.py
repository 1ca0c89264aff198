"""AP of TinyDet and of Ultralytics' YOLO11n on unseen simulated runs, each trained from scratch on
the same runs, for as many epochs.

    endoforge datagen --randomization plain --seed 1 --runs 40 --output-root assets/seen
    endoforge datagen --randomization plain --seed 2 --runs 12 --output-root assets/unseen
    python benchmarks/accuracy.py assets/seen assets/unseen --detectors tinydet yolo11n

With `--real ROOT` on real frames too, of which neither learns anything.

Frames without a polyp are left out of the training of both, and count in the measuring of both. The
peer is trained by its own trainer with its own augmentation, in batches as large and so as many
steps, and asked with its own NMS; one function measures both. On CPUs with AMX it computes in
bfloat16, channels-last, as ours does. It is no dependency of EndoForge: `pip install ultralytics
polars` beside it.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch

from endoforge import __version__
from endoforge.backends.devices import describe_device, pick_device
from endoforge.backends.torch_backend import has_bfloat16
from endoforge.captures.config import PruneConfig
from endoforge.captures.index import index_root
from endoforge.captures.prune import prune_empty
from endoforge.captures.run_frames import FrameRecord
from endoforge.core.machine import cpu_cores
from endoforge.detect.detections import Detections
from endoforge.detect.tinydet import MODELS
from endoforge.evaluate.config import EvalConfig
from endoforge.evaluate.matching import Truth
from endoforge.evaluate.metrics import Metrics, measure
from endoforge.report.eval_command import run_eval
from endoforge.train.config import ModelName, TrainHpConfig
from endoforge.train.loop import train

PEER_MIN_SCORE = 0.001
"""What Ultralytics' own validation takes."""
CLASSES = ("polyp",)


def own_metrics(
    name: str, arguments: argparse.Namespace, pruned: Path, folder: Path
) -> list[Metrics]:
    """Of one of ours, trained on all but one run (a training must validate on something)."""
    config = TrainHpConfig(
        input_root=str(pruned),
        ckpt_dir=str(folder / name),
        model=cast(ModelName, name),
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        lr_start=arguments.lr_start,
        seed=arguments.seed,
        val_ratio=0.01,
        target_size=f"{arguments.width}x{arguments.height}",
        status_file=None,
        log_every=0,
    )
    checkpoint = train(config).checkpoint
    configs = [EvalConfig(checkpoint=str(checkpoint), input_root=root) for root in arguments.roots]
    return [run_eval(config).metrics for config in configs]


def peer_metrics(
    name: str, arguments: argparse.Namespace, pruned: Path, folder: Path
) -> list[Metrics]:
    """Of the peer, trained on all of the runs."""
    from ultralytics import YOLO

    data = write_for_peer(index_root(pruned).frames, folder / f"{name}_data")
    model = YOLO(f"{name}.yaml")
    device = pick_device("auto")
    if device.type == "cpu" and has_bfloat16(device):
        make_bfloat16(model)
    model.train(
        data=str(data),
        epochs=arguments.epochs,
        batch=arguments.batch_size,
        nbs=arguments.batch_size,  # else it adds up gradients of batches until they are 64 pictures
        imgsz=arguments.width,
        pretrained=False,
        amp=False,  # its check would download weights
        val=False,
        plots=False,
        workers=min(8, cpu_cores()),
        seed=arguments.seed,
        project=str(folder),
        name=name,
    )
    model = YOLO(folder / name / "weights" / "last.pt")
    return [peer_on(model, Path(root), arguments.width) for root in arguments.roots]


def make_bfloat16(model: Any) -> None:
    """Have the peer's trainer compute in bfloat16 on a CPU, which it offers on GPUs alone."""
    from ultralytics.engine import trainer

    trainer.autocast = lambda *_, **__: torch.autocast("cpu", torch.bfloat16)
    model.add_callback(
        "on_pretrain_routine_end",
        lambda training: training.model.to(memory_format=torch.channels_last),
    )


def peer_on(model: Any, root: Path, side: int) -> Metrics:
    """Of the peer, on all frames of a root."""
    frames = index_root(root).frames
    found, truths = [], []
    for frame in frames:
        picture = cv2.imread(str(frame.image_path))
        [result] = model.predict(
            picture, imgsz=side, conf=PEER_MIN_SCORE, max_det=100, verbose=False
        )
        boxes = result.boxes.xyxyn.cpu().numpy().astype(np.float32)
        scores = result.boxes.conf.cpu().numpy().astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        found.append(Detections(boxes[order], scores[order], np.zeros(len(order), np.int64)))
        truths.append(Truth(frame.boxes, np.zeros(len(frame.boxes), np.int64)))
    return measure(found, truths, class_names=CLASSES, obj_thresh=0.3, iou_threshs=[0.5])


def write_for_peer(frames: list[FrameRecord], folder: Path) -> Path:
    """Links to the pictures, and labels as the peer wants them: class, centre and size in 0..1."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number, frame in enumerate(frames):
        picture = folder / "images" / f"{number:06d}{frame.image_path.suffix}"
        picture.symlink_to(frame.image_path.resolve())
        low, high = frame.boxes[:, :2], frame.boxes[:, 2:]
        rows = np.concatenate([(low + high) / 2, high - low], axis=1)
        lines = [" ".join(["0", *(f"{value:.6f}" for value in row)]) for row in rows]
        (folder / "labels" / f"{number:06d}.txt").write_text("\n".join(lines))
    data = folder / "data.yaml"
    data.write_text(f"path: {folder}\ntrain: images\nval: images\nnames:\n  0: polyp\n")
    return data


def scores(metrics: Metrics) -> dict[str, Any]:
    """What the line of results says of a detector on a root."""
    named = {"ap50": metrics.ap50, "ap": metrics.ap, "ap75": metrics.ap75}
    return {name: value and round(value, 4) for name, value in named.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seen")
    parser.add_argument("unseen")
    parser.add_argument("--real", help="real capture runs, to be measured on too")
    parser.add_argument("--detectors", nargs="+", default=["tinydet", "yolo11n"])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--lr-start", type=float, default=4e-3, help="of ours")
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=192)
    arguments = parser.parse_args()
    arguments.roots = [arguments.unseen, *([arguments.real] if arguments.real else [])]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pruned = folder / "pruned"
        prune_empty(PruneConfig(input=arguments.seen, output=str(pruned)))
        results = {}
        for name in arguments.detectors:
            started = time.monotonic()
            make = own_metrics if name in MODELS else peer_metrics
            on_unseen, *on_real = make(name, arguments, pruned, folder)
            results[name] = scores(on_unseen) | {"seconds": round(time.monotonic() - started, 1)}
            if on_real:
                results[name]["real"] = scores(on_real[0])
            print(name, results[name], flush=True)
        frames = index_root(pruned).frames
    result = {
        "benchmark": "accuracy",
        "version": __version__,
        "torch": torch.__version__,
        "device": describe_device(pick_device("auto")),
        "runs": len({frame.run for frame in frames}),
        "images_seen": arguments.epochs * len(frames),
        "unseen_runs": len(index_root(Path(arguments.unseen)).runs),
        "input": f"{arguments.width}x{arguments.height}",
        "batch_size": arguments.batch_size,
        "seed": arguments.seed,
        "results": results,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
