"""Raw output to detections: scores, boxes, no two of one thing, and boxes that cells agree on."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoforge.detect.boxes import (
    NUM_EDGE_CHANNELS,
    Cells,
    log_weights,
    to_boxes,
)
from endoforge.detect.detections import Detections
from endoforge.detect.overlap import pairwise_iou

MIN_SCORE = 0.01
"""Detections below this score are never reported, not even for average precision."""

NMS_IOU = 0.5
"""Two detections that overlap more than this are taken for one polyp seen twice."""

MAX_DETECTIONS = 100
"""At most so many detections a picture, as COCO counts them."""

MAX_CANDIDATES = 400
"""At most so many cells a picture go into non-maximum suppression, the best ones."""

LEAST_VOTE = 0.5
"""A cell has a say on a detection's box from this share of the detection's score on, and of overlap
with it."""

VOTE_SPREAD = 0.02
"""The weight of a cell's say falls with the square of what its overlap lacks of 1, over this (He et
al. 2019, "Bounding box regression with uncertainty for accurate object detection", section 3.3)."""

OWN_VOTE = 1e-6
"""A detection's own box counts for so much beyond its say, which a box without area hasn't."""


def decode_batch(
    raw: Tensor,
    cells: Cells,
    *,
    score_threshold: float = MIN_SCORE,
    iou_threshold: float = NMS_IOU,
    max_detections: int = MAX_DETECTIONS,
) -> list[Detections]:
    """Raw output (B, N, C + NUM_EDGE_CHANNELS) to the detections of each picture, in 0..1.

    A cell is of its likeliest class; detections suppress others of their class only. A threshold
    above another gives the same detections, less those below it.
    """
    boxes, scores, classes = candidates(raw, cells, LEAST_VOTE * score_threshold)
    height, width = cells.image_hw
    boxes = boxes / torch.tensor([width, height], device=raw.device).repeat(2)
    arrays = (boxes.float().cpu().numpy(), scores.float().cpu().numpy(), classes.cpu().numpy())
    return [
        detections_of(picture, score_threshold, iou_threshold, max_detections)
        for picture in map(Detections, *arrays)
    ]


def candidates(
    raw: Tensor, cells: Cells, least_score: float | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """What detections are made of: the best K cells of each picture, best first.

    Raw output (B, N, C + NUM_EDGE_CHANNELS) to boxes (B, K, 4) xyxy in pixels, clipped to the
    input, scores (B, K) and classes (B, K). With `least_score` K is no more than the picture with
    most such cells needs; exported files, whose K may depend on no score, do without.
    """
    # Cells are chosen by score before their boxes are worked out: of thousands, some hundred count.
    logits, classes = raw[..., :-NUM_EDGE_CHANNELS].max(dim=2)
    scores = logits.sigmoid()
    # `min` would fix the number at that of the traced input, in a file for inputs of any size.
    count = torch.sym_min(MAX_CANDIDATES, scores.shape[1])  # type: ignore[no-untyped-call]
    if least_score is not None:
        enough = (scores >= least_score).sum(dim=1)
        count = min(count, max(enough.tolist(), default=0))
    best = scores.topk(count, dim=1)
    rows = best.indices[..., None].expand(-1, -1, NUM_EDGE_CHANNELS)
    edges = log_weights(raw[..., -NUM_EDGE_CHANNELS:].gather(1, rows))
    boxes = to_boxes(edges, cells.centres[best.indices], cells.strides[best.indices])
    x = boxes[..., 0::2].clamp(0, cells.image_hw[1])
    y = boxes[..., 1::2].clamp(0, cells.image_hw[0])
    clipped = torch.stack([x, y], dim=-1).flatten(-2)
    return clipped, best.values, classes.gather(1, best.indices)


def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int64],
    iou_threshold: float,
    max_kept: int = MAX_DETECTIONS,
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: indices of the first `max_kept` boxes kept, best score first.

    A box goes when it overlaps a better one of its class that is kept by more than `iou_threshold`.
    Of equal scores the earlier is the better.
    """
    left = np.argsort(-scores, kind="stable")
    kept: list[np.intp] = []
    while len(left) and len(kept) < max_kept:
        best, left = left[0], left[1:]
        kept.append(best)
        overlaps = pairwise_iou(boxes[best, None], boxes[left])[0]
        left = left[(overlaps <= iou_threshold) | (classes[left] != classes[best])]
    return np.array(kept, dtype=np.intp)


def suppress(
    found: Detections, score_threshold: float, iou_threshold: float, max_detections: int
) -> Detections:
    """Pick a picture's detections from its candidates: by score, then no two of one polyp."""
    found = found[found.scores >= score_threshold]
    return found[nms(found.boxes, found.scores, found.classes, iou_threshold, max_detections)]


def detections_of(
    found: Detections, score_threshold: float, iou_threshold: float, max_detections: int
) -> Detections:
    """A picture's detections, of all that was found in it: the best, their boxes by vote."""
    kept = suppress(found, score_threshold, iou_threshold, max_detections)
    return Detections(vote(kept, found), kept.scores, kept.classes)


def vote(kept: Detections, found: Detections) -> NDArray[np.float32]:
    """Boxes (N, 4) of the N `kept`: means of what all `found` near them say (box voting, Gidaris
    and Komodakis 2015), for what one cell has wrong, its neighbours have wrong in another way.

    Those of its class have a say, by their scores and overlaps.
    """
    overlaps = pairwise_iou(kept.boxes, found.boxes)
    votes = np.exp(-np.square(1 - overlaps) / VOTE_SPREAD) * found.scores
    votes *= (overlaps > LEAST_VOTE) & (found.classes == kept.classes[:, None])
    votes *= found.scores >= LEAST_VOTE * kept.scores[:, None]
    said = votes @ found.boxes + OWN_VOTE * kept.boxes
    boxes: NDArray[np.float32] = (said / (votes.sum(axis=1) + OWN_VOTE)[:, None]).astype(np.float32)
    return boxes
