"""The loss of TinyDet on tinygrad: `detect.loss`, term by term."""

import math
from dataclasses import dataclass

from tinygrad import Tensor, dtypes

from endoforge.detect.boxes import MAX_LOG_DISTANCE, MIN_LOG_DISTANCE
from endoforge.detect.loss import BOX_LOSS_WEIGHT, EPSILON, QUALITY_FOCAL_POWER
from endoforge.detect.tinydet import NUM_EDGES


@dataclass(frozen=True, eq=False)
class Targets:
    """What a batch wants of each cell, as `detect.assign` says, cells row by row.

    `positive` is (B, H*W) float32, 0 or 1; `boxes` (B, H*W, 4) float32 in pixels; `classes`
    (B, H*W) int32, the class of the cell's box.
    """

    positive: Tensor
    boxes: Tensor
    classes: Tensor


def detection_loss(raw: Tensor, targets: Targets, stride: int) -> tuple[Tensor, Tensor]:
    """The loss and the mean IoU of a batch, scalars; `raw` is (B, C + 4, H, W)."""
    logits = raw[:, :-NUM_EDGES].flatten(2)
    positive = targets.positive
    said = boxes_from_raw(raw, stride)
    truth = positive.unsqueeze(-1).cast(dtypes.bool).where(targets.boxes, said.detach())
    iou, ciou = complete_iou(said, truth)

    quality = (iou.detach() * positive).contiguous()
    num_positive = positive.sum().maximum(1)
    wanted = _by_class(quality, targets.classes, logits.shape[1])
    score_loss = quality_focal_loss(logits, wanted).sum() / num_positive
    box_loss = ((1 - ciou) * positive).sum() / num_positive
    return score_loss + BOX_LOSS_WEIGHT * box_loss, quality.sum() / num_positive


def quality_focal_loss(logits: Tensor, quality: Tensor) -> Tensor:
    """As `detect.loss.quality_focal_loss`."""
    entropy = logits.relu() - logits * quality + (1 + (-logits.abs()).exp()).log()
    return (quality - logits.sigmoid()).abs().pow(QUALITY_FOCAL_POWER) * entropy


def boxes_from_raw(raw: Tensor, stride: int) -> Tensor:
    """As `detect.boxes.boxes_from_raw`: (B, C + 4, H, W) to (B, H*W, 4) xyxy in pixels."""
    height, width = raw.shape[2:]
    x = Tensor.arange(width).reshape(1, width).expand(height, width)
    y = Tensor.arange(height).reshape(height, 1).expand(height, width)
    centres = (Tensor.stack(x, y, dim=-1).reshape(-1, 2) + 0.5) * stride
    logs = raw[:, -NUM_EDGES:].flatten(2).transpose(1, 2)
    distances = logs.clip(MIN_LOG_DISTANCE, MAX_LOG_DISTANCE).exp() * stride
    low, high = centres - distances[..., :2], centres + distances[..., 2:]
    return low.cat(high, dim=-1).contiguous()


def complete_iou(boxes: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """As `detect.loss.complete_iou`."""
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
    """What `detect.loss.complete_iou` weighs the penalty of the aspect ratio by.

    GPUs divide inexactly: the IoU of a box with itself may be the next number above 1, which would
    make the divisor 0.
    """
    return aspect / ((1 - iou).relu() + aspect + EPSILON)


def _by_class(quality: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Each cell's quality at the class of its box, 0 at the others: (B, H*W) to (B, C, H*W)."""
    numbers = Tensor.arange(num_classes).reshape(1, -1, 1)
    return (classes.unsqueeze(1) == numbers).where(quality.unsqueeze(1), 0.0)


def _sizes(boxes: Tensor) -> Tensor:
    return boxes[..., 2:] - boxes[..., :2]


def _product(pairs: Tensor) -> Tensor:
    return pairs[..., 0] * pairs[..., 1]


def _angle(sizes: Tensor) -> Tensor:
    """The angle whose tangent is width over height, with its slope by the formula.

    tinygrad's own goes by the arc sine, which loses its last digits where a box is flat or tall.
    """
    ratio = sizes[..., 0] / (sizes[..., 1] + EPSILON)
    fixed = ratio.detach()
    return _arc_tangent(fixed) + (ratio - fixed) / (1 + fixed.square())


def _arc_tangent(x: Tensor) -> Tensor:
    """Of x >= 0 (Abramowitz and Stegun 1964, 4.4.49: off by 2e-8 at most for x <= 1)."""
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
