"""A classical detector: no training of a network, no checkpoint, nothing but OpenCV and NumPy.

A polyp is something round that stands out from the wall. So: find the endoscope's view, fill the
glints, undo the lamps' fall-off (`classical.view`); find what is round, bright or red against its
surrounding, at every size (`classical.blobs`); trace the closed contour around each such place
(`classical.contours`); measure what is in, on and around it (`classical.features`); and weigh that
into the probability that the contour is a polyp's (`classical.regression`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from endoforge.core.choices import DetectorKind
from endoforge.detect.classical.blobs import find_candidates, pyramid
from endoforge.detect.classical.contours import Contours, trace
from endoforge.detect.classical.features import Features, measure_contours
from endoforge.detect.classical.regression import probability
from endoforge.detect.classical.view import Plane, ScopeView, see
from endoforge.detect.decode import MAX_DETECTIONS, suppress
from endoforge.detect.detections import Detections, check_frame

OBJECTNESS = 0.3
"""Least score of a detection, unless `set_thresholds` says otherwise."""

OVERLAP = 0.35
"""Two detections that overlap more than this are one polyp, unless `set_thresholds` says so."""

NESTED = 0.8
"""A detection goes if so much of it, or of a better one, lies in the other."""

GROWTH = 1.12
"""How much larger than the contour a polyp's box is: the steepest edge lies within its outline."""


class HeuristicDetector:
    """Finds polyps by their shape, shading and colour, without weights that were trained.

    `objectness` is the least score of a detection, 0..1; of two detections that overlap by more
    than `iou`, 0..1, the better stays. Detecting from several threads is safe.
    """

    kind: DetectorKind = "heuristic"
    classes: tuple[str, ...] = ("polyp",)

    def __init__(self, *, objectness: float = OBJECTNESS, iou: float = OVERLAP) -> None:
        self.set_thresholds(objectness, iou)

    def set_thresholds(self, objectness: float, iou: float) -> None:
        """Set the least score of a detection, and the IoU from which two are one, both 0..1."""
        self.objectness, self.iou = objectness, iou

    def detect(self, frame: NDArray[np.uint8]) -> Detections:
        """Find polyps in `frame`, (H, W, 3) uint8 RGB; raises ValueError for anything else."""
        found = propose(check_frame(frame))
        if found is None:
            return NOTHING
        boxes, features = found
        return pick(boxes, probability(features), objectness=self.objectness, iou=self.iou)

    def detect_batch(self, frames: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """As `detect`, of several frames, (H, W, 3) uint8 RGB each, of any sizes."""
        return [self.detect(frame) for frame in frames]


NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


def propose(frame: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Features] | None:
    """Boxes (N, 4) in 0..1 that could be polyps, and the features of each; None without any."""
    view = see(frame)
    if view is None:
        return None
    levels = pyramid(view)
    candidates = find_candidates(levels)
    if not len(candidates):
        return None
    contours = trace(levels, candidates)
    return _boxes(view, contours), measure_contours(view, contours)


def pick(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    *,
    objectness: float,
    iou: float = OVERLAP,
) -> Detections:
    """Pick from boxes (N, 4) with scores (N,) those that are detections, no two of one polyp."""
    best = np.argsort(-scores, kind="stable")
    candidates = Detections(boxes[best], scores[best], np.zeros(len(best), np.int64))
    return _without_nested(suppress(candidates, objectness, iou, MAX_DETECTIONS))


def _boxes(view: ScopeView, contours: Contours) -> Plane:
    """The boxes of contours, a little larger than they: (N, 4) xyxy in 0..1 of the frame."""
    points = contours.points() + 0.5
    low, high = points.min(axis=1), points.max(axis=1)
    margin = (high - low) * ((GROWTH - 1) / 2)
    boxes = np.concatenate([low - margin, high + margin], axis=1)
    boxes = np.clip(boxes / np.tile(view.size, 2), 0, 1)
    scale, offset = (view.width, view.height), (view.left, view.top)
    in_frame = np.clip(boxes * np.tile(scale, 2) + np.tile(offset, 2), 0, 1)
    return np.asarray(in_frame, np.float32)


def _without_nested(found: Detections) -> Detections:
    """`found` without those of which, or in which, a better one lies for the greater part."""
    low = np.maximum(found.boxes[:, None, :2], found.boxes[None, :, :2])
    high = np.minimum(found.boxes[:, None, 2:], found.boxes[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    areas = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1)
    # By the smaller box's area: IoU, by which others go, is low for a small box in a large one.
    nested = shared > NESTED * np.minimum(areas[:, None], areas)
    kept: list[int] = []
    for place in range(len(found)):
        if not nested[place, kept].any():
            kept.append(place)
    return found[np.array(kept, dtype=np.intp)]
