"""The loss of TinyDet: quality focal loss on the scores of the classes, CIoU on boxes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from endoforge.detect.assign import assign_cells
from endoforge.detect.boxes import boxes_from_raw, to_pixels
from endoforge.detect.tinydet import NUM_EDGES

QUALITY_FOCAL_POWER = 1.0
"""The paper's beta; it takes 2 for trainings of millions of pictures. 1 pushes harder where the net
is nearly right, which is worth more in one of ten thousand."""

BOX_LOSS_WEIGHT = 2.0
EPSILON = 1e-7


@dataclass(frozen=True)
class DetectionLoss:
    """Scalars on the device: `total` to go backward from, and `mean_iou` to look at.

    `total` is the share of these pictures in the loss of the whole batch: the shares of all its
    parts add up to it. `mean_iou` is that of the whole batch: the mean overlap of the positive
    cells' boxes with their truth, before the step; 0 for a batch without boxes.
    """

    total: Tensor
    mean_iou: Tensor


def detection_loss(
    raw: Tensor,
    boxes: Tensor,
    classes: Tensor,
    num_boxes: Tensor,
    stride: int,
    add_up: Callable[[Tensor], Tensor] = lambda own: own,
) -> DetectionLoss:
    """The loss of a batch.

    `raw` is (B, C + 4, H, W) from the net; `boxes` (B, M, 4) xyxy in 0..1 of the input, of which
    the first `num_boxes` (B,) count; `classes` (B, M) int64, each below C. Both terms are sums over
    the batch, divided by its number of positive cells. Where these pictures are a part of a batch,
    `add_up` gives the sum of a tensor over all its parts.
    """
    grid_hw = (raw.shape[2], raw.shape[3])
    targets = assign_cells(to_pixels(boxes, grid_hw, stride), num_boxes, grid_hw, stride)
    said = boxes_from_raw(raw, stride)
    # A cell that isn't positive is compared with its own box, where CIoU and its slope are finite.
    truth = torch.where(targets.positive[..., None], targets.boxes, said.detach())
    iou, ciou = complete_iou(said, truth)

    quality = torch.where(targets.positive, iou.detach(), 0.0)
    sums = add_up(torch.stack([quality.sum(), targets.positive.sum().to(quality.dtype)]))
    num_positive = sums[1].clamp(min=1)
    wanted = _by_class(quality, classes, targets.places, raw.shape[1] - NUM_EDGES)
    score_loss = quality_focal_loss(raw[:, :-NUM_EDGES].flatten(2), wanted).sum() / num_positive
    box_loss = torch.where(targets.positive, 1 - ciou, 0.0).sum() / num_positive
    total = score_loss + BOX_LOSS_WEIGHT * box_loss
    return DetectionLoss(total, sums[0] / num_positive)


def _by_class(quality: Tensor, classes: Tensor, places: Tensor, num_classes: int) -> Tensor:
    """Each cell's quality at the class of its box, 0 at the others: (B, H*W) to (B, C, H*W)."""
    if num_classes == 1:
        return quality[:, None]
    numbers = torch.arange(num_classes, device=quality.device)[:, None]
    return torch.where(classes.gather(1, places)[:, None] == numbers, quality[:, None], 0.0)


def quality_focal_loss(logits: Tensor, quality: Tensor) -> Tensor:
    """Quality focal loss (Li et al. 2020, "Generalized focal loss", equation 3), element-wise.

    Cross-entropy against `quality` in 0..1 (the IoU of a positive cell's box, 0 elsewhere), scaled
    by the distance between what was said and the quality, to the power QUALITY_FOCAL_POWER.
    """
    entropy = binary_cross_entropy_with_logits(logits, quality, reduction="none")
    scale = (quality - logits.sigmoid()).abs().pow(QUALITY_FOCAL_POWER)
    return scale * entropy


def complete_iou(boxes: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and complete IoU of (..., 4) boxes with as many truths (Zheng et al. 2020, equation 10).

    CIoU is the IoU, less the squared distance of the centres over the squared diagonal of the box
    around both, less a penalty for an aspect ratio that is off.
    """
    sizes, truth_sizes = _sizes(boxes), _sizes(truth)
    low = torch.maximum(boxes[..., :2], truth[..., :2])
    high = torch.minimum(boxes[..., 2:], truth[..., 2:])
    intersection = _area((high - low).clamp(min=0))
    union = _area(sizes) + _area(truth_sizes) - intersection
    iou = intersection / (union + EPSILON)

    around_low = torch.minimum(boxes[..., :2], truth[..., :2])
    around_high = torch.maximum(boxes[..., 2:], truth[..., 2:])
    diagonal_squared = (around_high - around_low).square().sum(dim=-1)
    offset = (boxes[..., :2] + boxes[..., 2:] - truth[..., :2] - truth[..., 2:]) / 2
    distance = offset.square().sum(dim=-1) / (diagonal_squared + EPSILON)

    angle_off = _angle(truth_sizes) - _angle(sizes)
    aspect = (4 / math.pi**2) * angle_off.square()
    with torch.no_grad():
        weight = aspect / (1 - iou + aspect + EPSILON)
    return iou, iou - distance - weight * aspect


def _sizes(boxes: Tensor) -> Tensor:
    """Widths and heights, (..., 2)."""
    return boxes[..., 2:] - boxes[..., :2]


def _area(sizes: Tensor) -> Tensor:
    """Width times height; the slope of `prod` looks at values, for which a GPU must stop."""
    return sizes[..., 0] * sizes[..., 1]


def _angle(sizes: Tensor) -> Tensor:
    """The angle whose tangent is width over height."""
    return torch.atan(sizes[..., 0] / (sizes[..., 1] + EPSILON))
