"""The loss of TinyDet: quality focal loss on the scores of the classes, CIoU and the distribution
focal loss on boxes."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from endoforge.detect.assign import assign_cells
from endoforge.detect.boxes import (
    NUM_BINS,
    NUM_EDGE_CHANNELS,
    Cells,
    bins,
    log_weights,
    to_boxes,
    to_pixels,
)

QUALITY_FOCAL_POWER = 1.0
"""The paper's beta; it takes 2 for trainings of millions of pictures. 1 pushes harder where the net
is nearly right, which is worth more in one of ten thousand."""

BOX_LOSS_WEIGHT, EDGE_LOSS_WEIGHT = 4.0, 0.5
"""Of the weights tried, 2.5 to 8 and 0.5 to 3, these gave the best detector (docs/log.md)."""
EPSILON = 1e-7
"""Keeps quotients finite; small beside any area or distance in pixels."""


@dataclass(frozen=True)
class DetectionLoss:
    """What a batch's loss is made of, scalars on the device; sums, which those of parts add up to.

    `loss_sum` is of all cells, to go backward from; `overlap_sum` of the positive cells' boxes with
    their truth; `num_positive` says how many these are.
    """

    loss_sum: Tensor
    overlap_sum: Tensor
    num_positive: Tensor

    @property
    def total(self) -> Tensor:
        """The loss: a positive cell's share, so that it doesn't depend on their number."""
        return self.loss_sum / self.num_positive.clamp(min=1)

    @property
    def mean_iou(self) -> Tensor:
        """The mean overlap of positive cells' boxes with their truth; 0 if there is none."""
        return self.overlap_sum / self.num_positive.clamp(min=1)


def detection_loss(
    raw: Tensor,
    boxes: Tensor,
    classes: Tensor,
    num_boxes: Tensor,
    cells: Cells,
) -> DetectionLoss:
    """The loss of a batch, or of a part of one.

    `raw` is (B, N, C + NUM_EDGE_CHANNELS) from the net, of N `cells`; `boxes` (B, M, 4) xyxy in
    0..1 of the input, of which the first `num_boxes` (B,) count; `classes` (B, M) int64, each below
    C.
    """
    logits, edges = raw.tensor_split([-NUM_EDGE_CHANNELS], dim=-1)
    targets = assign_cells(to_pixels(boxes, cells.image_hw), num_boxes, cells)
    chosen = _chosen(targets.positive)

    def rows(values: Tensor) -> Tensor:
        """(B, N, ...) to (R, ...), of the chosen cells."""
        flat = values.flatten(0, 1)
        return flat if chosen is None else flat.index_select(0, chosen)

    positive = rows(targets.positive)
    centres = rows(cells.centres.expand(len(raw), -1, -1))
    strides = rows(cells.strides.expand(len(raw), -1))
    weights = log_weights(rows(edges))
    said = to_boxes(weights, centres, strides)
    # A cell that isn't positive is compared with its own box: there CIoU has a finite gradient,
    # and a NaN would get through `where` backwards, though its value isn't taken.
    truth = torch.where(positive[..., None], rows(targets.boxes), said.detach())
    iou, ciou = complete_iou(said, truth)
    # The quality is a target, not an output: detached, for else a cell could lower its loss by
    # making its box worse.
    iou_there = torch.where(positive, iou.detach(), 0.0)
    quality = iou_there
    if chosen is not None:
        quality = iou_there.new_zeros(targets.positive.numel()).index_copy(0, chosen, iou_there)
    wanted = _by_class(quality.view_as(targets.positive), classes, targets.places, logits.shape[-1])
    score_loss = quality_focal_loss(logits, wanted).sum()
    # Every cell has a score to learn, those without a box that it is 0; only positive ones a box.
    off = BOX_LOSS_WEIGHT * (1 - ciou)
    off = off + EDGE_LOSS_WEIGHT * distribution_focal_loss(weights, truth, centres, strides)
    loss_sum = score_loss + torch.where(positive, off, 0.0).sum()
    return DetectionLoss(loss_sum, iou_there.sum(), positive.sum().to(iou.dtype))


def _chosen(positive: Tensor) -> Tensor | None:
    """Which of the B * N cells the loss of boxes looks at: the positive ones, which are few.

    On a GPU all of them, as None: it would have to wait for their number.
    """
    return positive.flatten().nonzero().squeeze(1) if positive.device.type == "cpu" else None


def _by_class(quality: Tensor, classes: Tensor, places: Tensor, num_classes: int) -> Tensor:
    """Put each cell's quality at the class of its box, and 0 at the others: (B, N, C)."""
    if num_classes == 1:  # as nearly all trainings: spares the comparison
        return quality[..., None]
    numbers = torch.arange(num_classes, device=quality.device)
    return torch.where(classes.gather(1, places)[..., None] == numbers, quality[..., None], 0.0)


def quality_focal_loss(logits: Tensor, quality: Tensor) -> Tensor:
    """Quality focal loss (Li et al. 2020, "Generalized focal loss", equation 3), element-wise.

    Cross-entropy against `quality` in 0..1 (the IoU of a positive cell's box, 0 elsewhere), scaled
    by the distance between what was said and the quality, to the power QUALITY_FOCAL_POWER.
    """
    entropy = binary_cross_entropy_with_logits(logits, quality, reduction="none")
    scale = (quality - logits.sigmoid()).abs().pow(QUALITY_FOCAL_POWER)
    return scale * entropy


def distribution_focal_loss(
    log_weights: Tensor, truth: Tensor, centres: Tensor, strides: Tensor
) -> Tensor:
    """Distribution focal loss (Li et al. 2020, equation 6), mean of a cell's four edges: (...).

    Cross-entropy of the bins' weights, `log_weights` (..., 4, NUM_BINS), against the two bins next
    to the true distance, each in proportion to its nearness. `truth` (..., 4) and the cells'
    `centres` (..., 2) and `strides` (...) are in pixels.
    """
    distances = torch.cat([centres - truth[..., :2], truth[..., 2:] - centres], dim=-1)
    in_strides = (distances / strides[..., None]).clamp(min=EPSILON)
    # A distance beyond the bins, as of a polyp that fills the picture, is learned as the last one.
    place = bins(in_strides.log2()).clamp(0, NUM_BINS - 1)[..., None]
    numbers = torch.arange(NUM_BINS, dtype=torch.float32, device=truth.device)
    # Weights of the two bins beside `place`, written for all bins: indices would be slower.
    nearness = (1 - (place - numbers).abs()).clamp(min=0)
    return -(nearness * log_weights).sum(dim=-1).mean(dim=-1)


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
    with torch.no_grad():  # GPUs may round the IoU of a box with itself above 1
        weight = aspect / ((1 - iou).clamp(min=0) + aspect + EPSILON)
    return iou, iou - distance - weight * aspect


def _sizes(boxes: Tensor) -> Tensor:
    """Widths and heights, (..., 2)."""
    return boxes[..., 2:] - boxes[..., :2]


def _area(sizes: Tensor) -> Tensor:
    """Width times height; the gradient of `prod` looks at values, for which a GPU must stop."""
    return sizes[..., 0] * sizes[..., 1]


def _angle(sizes: Tensor) -> Tensor:
    """The angle whose tangent is width over height."""
    return torch.atan(sizes[..., 0] / (sizes[..., 1] + EPSILON))
