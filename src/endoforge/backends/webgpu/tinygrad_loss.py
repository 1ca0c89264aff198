"""Computes the loss of TinyDet on tinygrad: `detect.loss`, term by term."""

import math
from dataclasses import dataclass

from tinygrad import Tensor, dtypes

from endoforge.detect.boxes import FIRST_LOG2, LOG2_STEP, NUM_BINS, NUM_EDGE_CHANNELS
from endoforge.detect.loss import (
    BOX_LOSS_WEIGHT,
    EDGE_LOSS_WEIGHT,
    EPSILON,
    QUALITY_FOCAL_POWER,
)


@dataclass(frozen=True, eq=False)
class Targets:
    """What a batch wants of each of the N cells, as `detect.assign` says.

    `positive` is (B, N) float32, 0 or 1; `boxes` (B, N, 4) float32 in pixels; `classes` (B, N)
    int32, the class of the cell's box.
    """

    positive: Tensor
    boxes: Tensor
    classes: Tensor


@dataclass(frozen=True, eq=False)
class CellTensors:
    """What the loss needs of `detect.boxes.Cells`: `centres` (N, 2), `strides` (N,), in pixels."""

    centres: Tensor
    strides: Tensor


def detection_loss(raw: Tensor, targets: Targets, cells: CellTensors) -> tuple[Tensor, Tensor]:
    """Compute the loss and the mean IoU of a batch; `raw` is (B, N, C + NUM_EDGE_CHANNELS)."""
    logits, edges = raw[..., :-NUM_EDGE_CHANNELS], raw[..., -NUM_EDGE_CHANNELS:]
    positive = targets.positive
    is_positive = positive.cast(dtypes.bool)
    weights = edges.reshape(*edges.shape[:2], 4, NUM_BINS).log_softmax(-1).contiguous()
    predicted = to_boxes(weights, cells)
    # A cell that isn't positive is compared with itself, where CIoU and its gradient are finite.
    truth = is_positive.unsqueeze(-1).where(targets.boxes, predicted.detach())
    iou, ciou = complete_iou(predicted, truth)

    quality = (iou.detach() * positive).contiguous()
    num_positive = positive.sum().maximum(1)
    target_quality = _by_class(quality, targets.classes, logits.shape[-1])
    score_loss = quality_focal_loss(logits, target_quality).sum() / num_positive
    edge_loss = EDGE_LOSS_WEIGHT * distribution_focal_loss(weights, targets.boxes, cells)
    box_loss = BOX_LOSS_WEIGHT * (1 - ciou) + edge_loss
    box_loss = is_positive.where(box_loss, 0.0).sum() / num_positive
    return score_loss + box_loss, quality.sum() / num_positive


def quality_focal_loss(logits: Tensor, quality: Tensor) -> Tensor:
    """Compute `detect.loss.quality_focal_loss`, element by element."""
    entropy = logits.relu() - logits * quality + (1 + (-logits.abs()).exp()).log()
    return (quality - logits.sigmoid()).abs().pow(QUALITY_FOCAL_POWER) * entropy


def to_boxes(log_weights: Tensor, cells: CellTensors) -> Tensor:
    """Take (B, N, 4, NUM_BINS) to (B, N, 4) xyxy in pixels, as `detect.boxes.to_boxes`."""
    mean = (log_weights.exp() * Tensor.arange(NUM_BINS)).sum(-1)
    distances = (mean * LOG2_STEP + FIRST_LOG2).exp2() * cells.strides.unsqueeze(-1)
    low, high = cells.centres - distances[..., :2], cells.centres + distances[..., 2:]
    return low.cat(high, dim=-1).contiguous()


def distribution_focal_loss(log_weights: Tensor, truth: Tensor, cells: CellTensors) -> Tensor:
    """Compute `detect.loss.distribution_focal_loss`, (B, N)."""
    low, high = cells.centres - truth[..., :2], truth[..., 2:] - cells.centres
    strides = (low.cat(high, dim=-1) / cells.strides.unsqueeze(-1)).maximum(EPSILON)
    place = ((strides.log2() - FIRST_LOG2) / LOG2_STEP).clip(0, NUM_BINS - 1).unsqueeze(-1)
    nearness = (1 - (place - Tensor.arange(NUM_BINS)).abs()).relu()
    return -(nearness * log_weights).sum(-1).mean(-1)


def complete_iou(boxes: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Compute IoU and CIoU, (B, N) each, as `detect.loss.complete_iou`."""
    sizes, truth_sizes = _sizes(boxes), _sizes(truth)
    low = boxes[..., :2].maximum(truth[..., :2])
    high = boxes[..., 2:].minimum(truth[..., 2:])
    intersection = _product((high - low).relu())
    union = _product(sizes) + _product(truth_sizes) - intersection
    iou = intersection / (union + EPSILON)

    around_low = boxes[..., :2].minimum(truth[..., :2])
    around_high = boxes[..., 2:].maximum(truth[..., 2:])
    diagonal_squared = (around_high - around_low).square().sum(-1)
    offset = (boxes[..., :2] + boxes[..., 2:] - truth[..., :2] - truth[..., 2:]) / 2
    distance = offset.square().sum(-1) / (diagonal_squared + EPSILON)

    aspect = (4 / math.pi**2) * (_angle(truth_sizes) - _angle(sizes)).square()
    weight = aspect_weight(iou, aspect).detach()
    return iou, iou - distance - weight * aspect


def aspect_weight(iou: Tensor, aspect: Tensor) -> Tensor:
    """Weigh the penalty of the aspect ratio, as `detect.loss.complete_iou`.

    GPUs divide inexactly: the IoU of a box with itself may be the next number above 1, which would
    make the divisor 0.
    """
    return aspect / ((1 - iou).relu() + aspect + EPSILON)


def _by_class(quality: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Put each cell's quality at the class of its box, 0 at the others: (B, N) to (B, N, C)."""
    is_it = classes.unsqueeze(-1) == Tensor.arange(num_classes)
    return is_it.where(quality.unsqueeze(-1), 0.0)


def _sizes(boxes: Tensor) -> Tensor:
    return boxes[..., 2:] - boxes[..., :2]


def _product(pairs: Tensor) -> Tensor:
    return pairs[..., 0] * pairs[..., 1]


def _angle(sizes: Tensor) -> Tensor:
    """Compute the angle whose tangent is width over height, with its gradient by the formula.

    tinygrad's own goes by the arc sine, which loses its last digits where a box is flat or tall.
    """
    ratio = sizes[..., 0] / (sizes[..., 1] + EPSILON)
    fixed = ratio.detach()
    # The second term is 0 but for its gradient, which is that of the arc tangent.
    return _arc_tangent(fixed) + (ratio - fixed) / (1 + fixed.square())


def _arc_tangent(x: Tensor) -> Tensor:
    """Compute the arc tangent of x >= 0, off by 2e-8 at most for x <= 1.

    A polynomial (Abramowitz and Stegun 1964, 4.4.49), and above 1 that of the inverse.
    """
    below = x <= 1
    small = below.where(x, 1 / x.maximum(1))
    square = small.square()
    series = Tensor.full_like(square, ARC_TANGENT[-1])
    for coefficient in reversed(ARC_TANGENT[:-1]):
        series = series * square + coefficient
    angle = small * (1 + square * series)
    return below.where(angle, math.pi / 2 - angle)


ARC_TANGENT = (
    -0.3333314528, 0.1999355085, -0.1420889944, 0.1065626393,
    -0.0752896400, 0.0429096138, -0.0161657367, 0.0028662257,
)  # fmt: skip
