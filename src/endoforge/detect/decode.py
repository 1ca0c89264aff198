"""Raw output to detections: scores, boxes, and no two detections of the same thing."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoforge.detect.boxes import boxes_from_raw, pairwise_iou
from endoforge.detect.detections import Detections
from endoforge.detect.tinydet import NUM_EDGES

MIN_SCORE = 0.01
"""Detections below this score are never reported, not even for average precision."""

NMS_IOU = 0.5
"""Two detections that overlap more than this are taken for one polyp seen twice."""

MAX_DETECTIONS = 100
"""At most so many detections a picture, as COCO counts them."""

MAX_CANDIDATES = 400
"""At most so many cells a picture go into non-maximum suppression, the best ones."""


def decode_batch(
    raw: Tensor,
    stride: int,
    *,
    score_threshold: float = MIN_SCORE,
    iou_threshold: float = NMS_IOU,
    max_detections: int = MAX_DETECTIONS,
) -> list[Detections]:
    """Raw output (B, C + 4, H, W) to the detections of each picture, in 0..1 of the input.

    A cell is of its likeliest class; detections suppress others of their class only.
    """
    logits, classes = raw[:, :-NUM_EDGES].flatten(2).max(dim=1)
    scores = logits.sigmoid()
    best = scores.topk(min(MAX_CANDIDATES, scores.shape[1]), dim=1)
    classes = classes.gather(1, best.indices)
    boxes = boxes_from_raw(raw, stride)
    boxes = boxes.gather(1, best.indices[..., None].expand(-1, -1, 4))
    size = torch.tensor([raw.shape[3], raw.shape[2]], device=raw.device).repeat(2) * stride
    boxes = (boxes / size).clamp(0, 1)
    arrays = (boxes.float().cpu().numpy(), best.values.float().cpu().numpy(), classes.cpu().numpy())
    pictures = map(Detections, *arrays)
    return [
        _suppress(picture[picture.scores >= score_threshold], iou_threshold)[:max_detections]
        for picture in pictures
    ]


def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int64],
    iou_threshold: float,
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: indices of the boxes kept, best score first.

    A box goes when it overlaps a better one of its class that is kept by more than `iou_threshold`.
    Of equal scores the earlier is the better.
    """
    order = np.argsort(-scores, kind="stable")
    boxes, classes = boxes[order], classes[order]
    overlaps = (pairwise_iou(boxes, boxes) > iou_threshold) & (classes[:, None] == classes)
    gone = np.zeros(len(order), dtype=bool)
    for rank in range(len(order)):
        if not gone[rank]:
            gone[rank + 1 :] |= overlaps[rank, rank + 1 :]
    return order[~gone]


def _suppress(found: Detections, iou_threshold: float) -> Detections:
    return found[nms(found.boxes, found.scores, found.classes, iou_threshold)]
