"""Which detection found which truth box."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.detect.detections import Detections
from endoforge.detect.overlap import pairwise_iou


@dataclass(frozen=True)
class Truth:
    """The true boxes of one picture: `boxes` (K, 4) float32 xyxy in 0..1, `classes` (K,) int64."""

    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.classes), 4):
            shapes = f"{self.boxes.shape} and {self.classes.shape}"
            raise ValueError(f"boxes and classes must be (K, 4) and (K,), got {shapes}")

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True)
class Matches:
    """Every detection of a set of pictures, best score first, at one IoU threshold.

    `ious` is the overlap of each detection with the truth box that it found, 0 where it found
    none: then it is a false positive.
    """

    scores: NDArray[np.float32]
    ious: NDArray[np.float64]
    num_truths: int

    def above(self, score: float) -> "Matches":
        """Keep only the detections that score at least this much, and their matches.

        Since better detections choose first, this is what matching only those would give.
        """
        kept = int(np.count_nonzero(self.scores >= score))
        return Matches(self.scores[:kept], self.ious[:kept], self.num_truths)

    @property
    def true_positives(self) -> int:
        return int(np.count_nonzero(self.ious))

    @property
    def false_positives(self) -> int:
        return len(self.ious) - self.true_positives

    @property
    def false_negatives(self) -> int:
        return self.num_truths - self.true_positives

    @property
    def precision(self) -> float:
        """Share of the detections that are right; 0 where there are none."""
        return self.true_positives / max(len(self.ious), 1)

    @property
    def recall(self) -> float:
        """Share of the truth boxes that were found; 0 where there are none."""
        return self.true_positives / max(self.num_truths, 1)

    @property
    def mean_iou(self) -> float:
        """Mean over the truth boxes of the overlap with their detection, 0 for a missed one."""
        return float(self.ious.sum()) / max(self.num_truths, 1)


def match_all(
    detections: Sequence[Detections], truths: Sequence[Truth], iou_threshold: float
) -> Matches:
    """Match the detections of each picture with its truth boxes."""
    pairs = zip(detections, truths, strict=True)
    ious = [match_picture(found, truth, iou_threshold) for found, truth in pairs]
    all_ious = np.concatenate([np.zeros(0), *ious])
    all_scores = np.concatenate([np.zeros(0, np.float32), *(found.scores for found in detections)])
    order = np.argsort(-all_scores, kind="stable")
    return Matches(all_scores[order], all_ious[order], sum(map(len, truths)))


def match_picture(
    detections: Detections, truth: Truth, iou_threshold: float
) -> NDArray[np.float64]:
    """The overlap of each detection with the truth box that it found, 0 for none."""
    return assign_picture(detections, truth, iou_threshold)[0]


def assign_picture(
    detections: Detections, truth: Truth, iou_threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The overlap of each detection with the truth box that it found, 0 for none; and which, or -1.

    As COCO matches: the detections choose in order of their scores, each the truth box of its class
    not yet taken that it overlaps most (the last of equals), by at least the threshold.
    """
    overlaps = pairwise_iou(detections.boxes, truth.boxes)
    overlaps[detections.classes[:, None] != truth.classes] = -1.0
    least = min(iou_threshold, 1 - 1e-10)
    found = np.zeros(len(detections))
    places = np.full(len(detections), -1, dtype=np.int64)
    for row in range(len(detections) if len(truth) else 0):
        best = len(truth) - 1 - int(np.argmax(overlaps[row, ::-1]))
        if overlaps[row, best] >= least:
            found[row], places[row] = overlaps[row, best], best
            overlaps[:, best] = -1.0
    return found, places
