"""Which cells must find which truth box: centre sampling (FCOS, Tian et al. 2019 and 2022)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from endoforge.detect.boxes import cell_centres

CENTRE_RADIUS_STRIDES = 1.5


@dataclass(frozen=True)
class Assignment:
    """The targets of a batch, cells row by row.

    `positive` is (B, H*W) bool; `boxes` is (B, H*W, 4) float32 in pixels, and `places` (B, H*W)
    int64 says which of the picture's boxes that is; both meaningless where a cell isn't positive.
    """

    positive: Tensor
    boxes: Tensor
    places: Tensor


def assign_cells(
    boxes: Tensor, num_boxes: Tensor, grid_hw: tuple[int, int], stride: int
) -> Assignment:
    """Give each truth box the cells around its centre.

    `boxes` is (B, M, 4) xyxy in pixels of the input, of which the first `num_boxes` (B,) of each
    picture count. A cell is positive for a box when the cell's centre lies inside the box and no
    further than 1.5 strides from the box's centre, each way; the cell that holds the box's centre
    always is, so that boxes smaller than a cell are learned too. Of several boxes that want a cell,
    the smallest has it.
    """
    centres = cell_centres(grid_hw, stride, boxes.device)
    wanted = _inside(boxes, centres) & _near(boxes, centres, stride)
    wanted |= _holds_centre(boxes, grid_hw, stride)
    counted = torch.arange(boxes.shape[1], device=boxes.device) < num_boxes[:, None]
    wanted &= counted[..., None]
    areas = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    rivals = torch.where(wanted, areas[..., None], torch.inf)
    smallest = rivals.argmin(dim=1)
    winners = boxes.gather(1, smallest[..., None].expand(-1, -1, 4))
    return Assignment(wanted.any(dim=1), winners, smallest)


def _inside(boxes: Tensor, centres: Tensor) -> Tensor:
    """(B, M, H*W): is the cell's centre inside the box?"""
    low = (centres > boxes[:, :, None, :2]).all(dim=-1)
    high = (centres < boxes[:, :, None, 2:]).all(dim=-1)
    return low & high


def _near(boxes: Tensor, centres: Tensor, stride: int) -> Tensor:
    """(B, M, H*W): is the cell's centre near the box's centre?"""
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2
    offsets = (centres - middles[:, :, None]).abs()
    return (offsets <= CENTRE_RADIUS_STRIDES * stride).all(dim=-1)


def _holds_centre(boxes: Tensor, grid_hw: tuple[int, int], stride: int) -> Tensor:
    """(B, M, H*W): does the cell hold the box's centre?"""
    height, width = grid_hw
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2
    column = (middles[..., 0] / stride).long().clamp(0, width - 1)
    row = (middles[..., 1] / stride).long().clamp(0, height - 1)
    cells = torch.arange(height * width, device=boxes.device)
    return cells == (row * width + column)[..., None]
