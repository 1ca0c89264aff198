"""Boxes and the cells that say them: raw output to boxes, xyxy throughout."""

from dataclasses import dataclass

import torch
from torch import Tensor

NUM_BINS = 17
"""Distances that the net weighs for each edge of a box."""
FIRST_LOG2, LOG2_STEP = -3.0, 0.5
"""They are spaced evenly in the logarithm to base 2, from 1/8 stride to 32 strides: an equal step
is an equal proportion, for small and large polyps alike, and no width can be negative."""
NUM_EDGE_CHANNELS = 4 * NUM_BINS
"""The last channels of the raw output: left, top, right and bottom, each NUM_BINS logits."""

LEAST_SIDE_STRIDES, MOST_SIDE_STRIDES = 4.0, 9.0
"""A stride's cells find boxes of sides (the root of the area) in between; those of the smallest
stride all smaller ones too, those of the largest all larger ones."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The N cells of an input's output: stride by stride, in each row by row.

    `centres` (N, 2) in pixels of the input, x first; `strides` (N,); `least_side` and `most_side`
    (N,) in pixels, of the boxes that a cell is to find.
    """

    image_hw: tuple[int, int]
    centres: Tensor
    strides: Tensor
    least_side: Tensor
    most_side: Tensor


def make_cells(image_hw: tuple[int, int], strides: tuple[int, ...], device: torch.device) -> Cells:
    """The cells of an input of `image_hw` for rising `strides`; all float32."""
    parts = []
    for stride in strides:
        rows, columns = (
            torch.arange((side + stride - 1) // stride, dtype=torch.float32, device=device)
            for side in image_hw
        )
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        centres = (torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * stride
        least = LEAST_SIDE_STRIDES * stride if stride > strides[0] else 0.0
        most = MOST_SIDE_STRIDES * stride if stride < strides[-1] else torch.inf
        likewise = [torch.full_like(centres[:, 0], value) for value in (stride, least, most)]
        parts.append([centres, *likewise])
    return Cells(image_hw, *(torch.cat(column) for column in zip(*parts, strict=True)))


def to_pixels(boxes: Tensor, image_hw: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) xyxy in 0..1 of the input, in its pixels."""
    height, width = image_hw
    x0, y0, x1, y1 = boxes.unbind(-1)
    return torch.stack([x0 * width, y0 * height, x1 * width, y1 * height], dim=-1)


def bins(log2_distances: Tensor) -> Tensor:
    """Distances, as logarithms to base 2 of strides, on the scale of the bins: 0 is the first."""
    return (log2_distances - FIRST_LOG2) / LOG2_STEP


def log_weights(edges: Tensor) -> Tensor:
    """Logits (..., NUM_EDGE_CHANNELS) to the logarithms of the bins' weights (..., 4, NUM_BINS).

    The edge's distance as a distribution (Li et al. 2020, "Generalized focal loss", section 3.2).
    """
    return edges.reshape(*edges.shape[:-1], 4, NUM_BINS).log_softmax(dim=-1)


def to_boxes(log_weights: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """The boxes that cells say, (..., 4) xyxy in pixels of the input.

    `log_weights` is (..., 4, NUM_BINS), `centres` (..., 2) and `strides` (...). The logarithm of an
    edge's distance is the mean of the bins' by their weights.
    """
    numbers = torch.arange(NUM_BINS, dtype=torch.float32, device=log_weights.device)
    mean = (log_weights.exp() * numbers).sum(dim=-1)
    distances = (mean * LOG2_STEP + FIRST_LOG2).exp2() * strides[..., None]
    return torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1)


def boxes_from_raw(raw: Tensor, cells: Cells) -> Tensor:
    """Raw output (B, N, C + NUM_EDGE_CHANNELS) to each cell's box: (B, N, 4) xyxy, input pixels."""
    edges = log_weights(raw[..., -NUM_EDGE_CHANNELS:])
    return to_boxes(edges, cells.centres, cells.strides)
