"""How much boxes overlap."""

import numpy as np
from numpy.typing import NDArray


def pairwise_iou(
    boxes_a: NDArray[np.floating], boxes_b: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Intersection over union of (N, 4) with (M, 4) boxes: (N, M), computed in float64."""
    a, b = boxes_a.astype(np.float64).T[:, :, None], boxes_b.astype(np.float64).T[:, None]
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0])
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    intersection = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    # In float64, as pycocotools has it: float32 would round some overlaps across a threshold.
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    iou: NDArray[np.float64] = np.zeros_like(union)
    np.divide(intersection, union, out=iou, where=union > 0)
    return iou
