"""Which detection continues which track."""

import numpy as np
from numpy.typing import NDArray

from endoforge.detect.overlap import pairwise_iou

MARGIN_SIDES = 0.3
"""By this part of its sides a box is made larger at each end before overlaps are measured."""
MARGIN = 0.01
"""And by this part of the picture, by which a small lesion easily moves between two frames."""


def likeness(tracks: NDArray[np.floating], found: NDArray[np.floating]) -> NDArray[np.float64]:
    """How near boxes (N, 4) and (M, 4), xyxy in 0..1, are: (N, M), 1 for the same, 0 for far.

    The overlap of enlarged boxes, which small boxes that just miss each other have too (C-BIoU,
    Yang et al. 2023, "Hard to track objects with irregular motions and similar appearances?").
    """
    return pairwise_iou(_enlarged(tracks), _enlarged(found))


def best_pairs(likeness: NDArray[np.float64], least: float) -> list[tuple[int, int]]:
    """Pair rows with columns, the most alike first, none twice and none less alike than `least`.

    Where lesions don't overlap that is the best assignment, too; they seldom do, and are few.
    """
    pairs: list[tuple[int, int]] = []
    left = np.where(likeness >= least, likeness, -1.0)
    while left.size and left.max() >= 0:
        row, column = divmod(int(left.argmax()), left.shape[1])
        pairs.append((row, column))
        left[row], left[:, column] = -1.0, -1.0
    return pairs


def _enlarged(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    margin = (boxes[:, 2:] - boxes[:, :2]) * MARGIN_SIDES + MARGIN
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)
