"""Boxes and the grid of cells: overlaps, and raw output to boxes. Boxes are xyxy throughout."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MIN_LOG_DISTANCE, MAX_LOG_DISTANCE = -4.0, 6.0
"""Bounds of the raw distances: exp of them, in strides, spans 0.15 to 3200 pixels at stride 8."""


def pairwise_iou(
    boxes_a: NDArray[np.floating], boxes_b: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Intersection over union of (N, 4) with (M, 4) boxes: (N, M), computed in float64."""
    a, b = boxes_a.astype(np.float64).T[:, :, None], boxes_b.astype(np.float64).T[:, None]
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0])
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    intersection = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    iou: NDArray[np.float64] = np.zeros_like(union)
    np.divide(intersection, union, out=iou, where=union > 0)
    return iou


def cell_centres(grid_hw: tuple[int, int], stride: int, device: torch.device) -> Tensor:
    """Centres of the cells in pixels of the input, row by row: (H*W, 2) float32, x first."""
    rows, columns = (torch.arange(n, dtype=torch.float32, device=device) for n in grid_hw)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return (torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * stride


def to_pixels(boxes: Tensor, grid_hw: tuple[int, int], stride: int) -> Tensor:
    """Boxes (..., 4) xyxy in 0..1 of the input, in its pixels."""
    height, width = (cells * stride for cells in grid_hw)
    x0, y0, x1, y1 = boxes.unbind(-1)
    return torch.stack([x0 * width, y0 * height, x1 * width, y1 * height], dim=-1)


def boxes_from_raw(raw: Tensor, stride: int) -> Tensor:
    """Raw output (B, C + 4, H, W) to the box that each cell says: (B, H*W, 4) xyxy, input pixels.

    An edge lies exp(raw) strides from the cell's centre. The exponential makes an equal step of the
    net an equal step in proportion, for small and large polyps alike, and no width can be negative.
    """
    centres = cell_centres((raw.shape[2], raw.shape[3]), stride, raw.device)
    logs = raw[:, -4:].flatten(2).transpose(1, 2).clamp(MIN_LOG_DISTANCE, MAX_LOG_DISTANCE)
    distances = logs.exp() * stride
    return torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1)
