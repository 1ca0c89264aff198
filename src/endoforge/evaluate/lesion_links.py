"""Detections, each frame's by itself, as what was shown: numbered while they stay in place."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from endoforge.detect.detections import Detections
from endoforge.detect.overlap import pairwise_iou
from endoforge.evaluate.lesion_outcomes import LESION_IOU
from endoforge.evaluate.lesion_sequences import LesionSequence
from endoforge.tracking.tracker import Tracked


def frame_by_frame(
    sequence: LesionSequence, detections: Sequence[Detections], threshold: float
) -> list[Tracked]:
    """What is shown of each frame without a tracker: its detections of at least `threshold`.

    One that overlaps one of its class of the frame just before by LESION_IOU has the number of
    that, the best scores first, each number once a frame; any other has a new one. So a box that
    stays where it was is one alarm, and one that is gone for a frame is another one after it.
    """
    shown: list[Tracked] = []
    count = 0
    for follows, found in zip(sequence.follows, detections, strict=True):
        found = found.above(threshold)
        ids = _taken_over(shown[-1], found) if follows else np.zeros(len(found), np.int64)
        new = ids == 0
        ids[new] = np.arange(count + 1, count + 1 + np.count_nonzero(new))
        count += int(np.count_nonzero(new))
        every = np.ones(len(found), np.bool_)
        shown.append(Tracked(ids, found.boxes, found.scores, found.classes, every))
    return shown


def _taken_over(before: Tracked, found: Detections) -> NDArray[np.int64]:
    """The number (N,) that each detection has of those before; 0 for none."""
    overlaps = pairwise_iou(found.boxes, before.boxes)
    overlaps[found.classes[:, None] != before.classes] = 0.0
    ids = np.zeros(len(found), np.int64)
    for row in range(len(found) if len(before) else 0):
        best = int(np.argmax(overlaps[row]))
        if overlaps[row, best] >= LESION_IOU:
            ids[row] = before.ids[best]
            overlaps[:, best] = 0.0
    return ids
