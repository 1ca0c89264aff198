"""How well detectors do on real frames: AP50, AP, AP75, and recall at one false positive a frame.

    endoforge import --format coco --images DIR --annotations FILE --output-root assets/real
    python benchmarks/real.py assets/real packaged checkpoints/tinydet.safetensors heuristic

One line for each detector, which also says how many boxes there are by their share of the picture
(up to so much of it), and which part of them is found at a score of 0.3; of which frames (`--of`),
and of which weights, by the digest of their file, so that `endoforge card --report` can tell them
apart. Frames are for measuring only: nothing is learned from them.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from endoforge import __version__
from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.core.errors import UserError
from endoforge.detect.decode import MIN_SCORE, NMS_IOU
from endoforge.detect.detections import Detections, Detector
from endoforge.detect.heuristic import HeuristicDetector
from endoforge.detect.neural import NeuralDetector
from endoforge.detect.packaged import weights_digest
from endoforge.evaluate.matching import Matches, Truth, assign_picture, match_all
from endoforge.evaluate.metrics import measure

CLASSES = ("polyp",)
IOU = 0.5
SHOWN_SCORE = 0.3
UP_TO = (0.01, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
"""Shares of the picture that boxes are sorted by."""


def recall_at(matches: Matches, false_positives: int) -> float:
    """Share of the true boxes that are found with at most so many false positives in all."""
    wrong = np.cumsum(matches.ious == 0)
    kept = int(np.count_nonzero(wrong <= false_positives))
    return float(np.count_nonzero(matches.ious[:kept])) / matches.num_truths


def found_by_share(found: list[Detections], truths: list[Truth]) -> dict[str, list[float]]:
    """Number of boxes, and share of them found, by their share of the picture."""
    seen: list[bool] = []
    for one, truth in zip(found, truths, strict=True):
        shown = one.scores >= SHOWN_SCORE
        kept = Detections(one.boxes[shown], one.scores[shown], one.classes[shown])
        places = assign_picture(kept, truth, IOU)[1].tolist()
        seen += [place in places for place in range(len(truth))]
    boxes = np.concatenate([truth.boxes for truth in truths])
    shares = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    bins = np.searchsorted(UP_TO[:-1], shares)
    return {
        str(limit): [int(there.sum()), round(float(np.mean(np.array(seen)[there])), 2)]
        for k, limit in enumerate(UP_TO)
        if (there := bins == k).any()
    }


def detector(name: str) -> Detector:
    """The heuristic one, the packaged one, or that of a checkpoint, for every score."""
    if name == "heuristic":
        return HeuristicDetector(objectness=MIN_SCORE)
    neural = NeuralDetector(name)
    neural.set_thresholds(MIN_SCORE, NMS_IOU)
    return neural


def measured(root: Path, name: str, of: str) -> dict[str, Any]:
    """How well one detector does on all frames of the root; `of` says in words which they are."""
    frames = index_root(root).frames
    truths = [Truth(frame.boxes, np.zeros(len(frame.boxes), np.int64)) for frame in frames]
    asked = detector(name)
    digest = weights_digest(asked.path) if isinstance(asked, NeuralDetector) else None
    found: list[Detections] = [asked.detect(read_picture(f.image_path)) for f in frames]
    metrics = measure(found, truths, class_names=CLASSES, obj_thresh=0.3, iou_threshs=[IOU])
    scores = {"ap50": metrics.ap50, "ap": metrics.ap, "ap75": metrics.ap75}
    recall = recall_at(match_all(found, truths, IOU), len(frames))
    return {
        "benchmark": "real",
        "version": __version__,
        "detector": Path(name).name,
        "weights_sha256": digest,
        "of": of,
        "frames": len(frames),
        "boxes": sum(map(len, truths)),
        **{key: value and round(value, 4) for key, value in scores.items()},
        "recall_at_1_fp_a_frame": round(recall, 4),
        "found_by_share": found_by_share(found, truths),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="capture runs")
    parser.add_argument("detectors", nargs="+", help="checkpoints, packaged, or heuristic")
    parser.add_argument("--of", help="what the frames are (default: the name of the root)")
    arguments = parser.parse_args()
    try:
        for name in arguments.detectors:
            print(
                json.dumps(measured(arguments.root, name, arguments.of or arguments.root.name)),
                flush=True,
            )
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
