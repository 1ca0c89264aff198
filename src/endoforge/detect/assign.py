"""Which cells must find which truth box: centre sampling (FCOS, Tian et al. 2019 and 2022)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from endoforge.detect.boxes import Cells

CENTRE_RADIUS_STRIDES = 1.5
"""As in FCOS; 1 and 2.5 made no difference beyond that of seeds (docs/log.md)."""


@dataclass(frozen=True)
class Assignment:
    """The targets of a batch.

    `positive` is (B, N) bool, of the N cells; `boxes` is (B, N, 4) float32 in pixels; `places`
    (B, N) int64 says which of the picture's boxes that is; both meaningless where a cell isn't
    positive.
    """

    positive: Tensor
    boxes: Tensor
    places: Tensor


def assign_cells(boxes: Tensor, num_boxes: Tensor, cells: Cells) -> Assignment:
    """Give each truth box the cells around its centre, of the strides that suit its size.

    `boxes` is (B, M, 4) xyxy in pixels of the input, of which the first `num_boxes` (B,) of each
    picture count. A cell is positive for a box when the cell's centre lies inside the box and no
    further than 1.5 strides from the box's centre, each way; the cell that holds the box's centre
    always is, so that boxes smaller than a cell are learned too. Of several boxes that want a cell,
    the smallest has it.
    """
    # All boxes against all cells, (B, M, N), and nothing is picked out: shapes depend on no values,
    # so that a GPU can record the step and a CPU loses little, for M is small.
    areas = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    wanted = _inside(boxes, cells) & _near(boxes, cells) | _holds_centre(boxes, cells)
    sides = areas.sqrt()[..., None]
    wanted &= (sides >= cells.least_side) & (sides < cells.most_side)
    # The rest of a row is padding: boxes of zeros, whose centre would be in the first cell.
    counted = torch.arange(boxes.shape[1], device=boxes.device) < num_boxes[:, None]
    wanted &= counted[..., None]
    # The smallest wins, since a large box has other cells to be found by.
    rivals = torch.where(wanted, areas[..., None], torch.inf)
    smallest = rivals.min(dim=1).indices
    winners = boxes.gather(1, smallest[..., None].expand(-1, -1, 4))
    return Assignment(wanted.any(dim=1), winners, smallest)


def _inside(boxes: Tensor, cells: Cells) -> Tensor:
    """(B, M, N): is the cell's centre inside the box?"""
    low = (cells.centres > boxes[:, :, None, :2]).all(dim=-1)
    high = (cells.centres < boxes[:, :, None, 2:]).all(dim=-1)
    return low & high


def _near(boxes: Tensor, cells: Cells) -> Tensor:
    """(B, M, N): is the cell's centre near the box's centre?"""
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2
    offsets = (cells.centres - middles[:, :, None]).abs()
    return (offsets <= CENTRE_RADIUS_STRIDES * cells.strides[:, None]).all(dim=-1)


def _holds_centre(boxes: Tensor, cells: Cells) -> Tensor:
    """(B, M, N): does the cell hold the box's centre?"""
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2
    low = cells.centres - cells.strides[:, None] / 2
    inside = middles[:, :, None] - low
    # Half-open, so that a centre on an edge is in one cell of a stride, not in two or none.
    return ((inside >= 0) & (inside < cells.strides[:, None])).all(dim=-1)
