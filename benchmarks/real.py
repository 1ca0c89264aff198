"""How well detectors do on real frames: AP50, AP, AP75, and recall at one false positive a frame.

    endoforge import --format coco --images DIR --annotations FILE --output-root assets/real
    python benchmarks/real.py assets/real packaged checkpoints/tinydet.safetensors heuristic

One line for each detector. Frames are for measuring only: nothing is learned from them.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from endoforge import __version__
from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.detect.decode import MIN_SCORE, NMS_IOU
from endoforge.detect.detections import Detections, Detector
from endoforge.detect.heuristic import HeuristicDetector
from endoforge.detect.neural import NeuralDetector
from endoforge.evaluate.matching import Matches, Truth, match_all
from endoforge.evaluate.metrics import measure

CLASSES = ("polyp",)
IOU = 0.5


def recall_at(matches: Matches, false_positives: int) -> float:
    """Share of the true boxes that are found with at most so many false positives in all."""
    wrong = np.cumsum(matches.ious == 0)
    kept = int(np.count_nonzero(wrong <= false_positives))
    return float(np.count_nonzero(matches.ious[:kept])) / matches.num_truths


def detector(name: str) -> Detector:
    """The heuristic one, the packaged one, or that of a checkpoint, for every score."""
    if name == "heuristic":
        return HeuristicDetector(objectness=MIN_SCORE)
    neural = NeuralDetector(name)
    neural.set_thresholds(MIN_SCORE, NMS_IOU)
    return neural


def measured(root: Path, name: str) -> dict[str, Any]:
    """How well one detector does on all frames of the root."""
    frames = index_root(root).frames
    truths = [Truth(frame.boxes, np.zeros(len(frame.boxes), np.int64)) for frame in frames]
    asked = detector(name)
    found: list[Detections] = [asked.detect(read_picture(f.image_path)) for f in frames]
    metrics = measure(found, truths, class_names=CLASSES, obj_thresh=0.3, iou_threshs=[IOU])
    scores = {"ap50": metrics.ap50, "ap": metrics.ap, "ap75": metrics.ap75}
    recall = recall_at(match_all(found, truths, IOU), len(frames))
    return {
        "benchmark": "real",
        "version": __version__,
        "detector": Path(name).name,
        "frames": len(frames),
        "boxes": sum(map(len, truths)),
        **{key: value and round(value, 4) for key, value in scores.items()},
        "recall_at_1_fp_a_frame": round(recall, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="capture runs")
    parser.add_argument("detectors", nargs="+")
    arguments = parser.parse_args()
    for name in arguments.detectors:
        print(json.dumps(measured(arguments.root, name)), flush=True)


if __name__ == "__main__":
    main()
