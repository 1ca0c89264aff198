import pytest
import torch

from endoforge.detect.assign import assign_cells
from endoforge.detect.boxes import make_cells

STRIDE = 8
CPU = torch.device("cpu")


def assigned(boxes, grid_hw=(5, 6)):
    """{(row, column): box} of the positive cells for one picture."""
    cells = make_cells((grid_hw[0] * STRIDE, grid_hw[1] * STRIDE), (STRIDE,), CPU)
    given = torch.tensor([boxes], dtype=torch.float32), torch.tensor([len(boxes)])
    targets = assign_cells(*given, cells)
    positive = targets.positive[0].nonzero().flatten().tolist()
    return {divmod(cell, grid_hw[1]): targets.boxes[0, cell].tolist() for cell in positive}


def test_a_large_box_gets_the_nine_cells_around_its_centre():
    box = [0.0, 0.0, 40.0, 40.0]  # centre (20, 20): the cell of row 2, column 2
    cells = assigned([box])
    assert set(cells) == {(row, column) for row in (1, 2, 3) for column in (1, 2, 3)}
    assert all(value == box for value in cells.values())


def test_cells_must_have_their_centre_in_the_box():
    # 12 wide around x = 20, 30 high around y = 20: columns 1 and 3 (centres 12, 28) are outside.
    assert set(assigned([[14.0, 5.0, 26.0, 35.0]])) == {(1, 2), (2, 2), (3, 2)}


def test_a_box_that_misses_every_cell_centre_gets_the_cell_of_its_own_centre():
    assert set(assigned([[16.5, 8.5, 18.0, 10.0]])) == {(1, 2)}


def test_a_box_at_the_far_corner_stays_in_the_grid():
    assert set(assigned([[47.0, 39.0, 48.0, 40.0]])) == {(4, 5)}


def test_the_smallest_box_wins_a_contested_cell():
    large, small = [0.0, 0.0, 40.0, 40.0], [16.0, 16.0, 24.0, 24.0]
    for boxes in ([large, small], [small, large]):
        cells = assigned(boxes)
        assert cells[2, 2] == small
        assert cells[1, 1] == large
        assert len(cells) == 9


def test_padding_is_nobody_and_pictures_do_not_mix():
    boxes = torch.zeros(3, 2, 4)
    boxes[0, 0] = torch.tensor([0.0, 0.0, 40.0, 40.0])
    boxes[1, 1] = torch.tensor([0.0, 0.0, 40.0, 40.0])  # beyond num_boxes: padding
    targets = assign_cells(boxes, torch.tensor([1, 1, 0]), make_cells((40, 48), (STRIDE,), CPU))
    assert targets.positive.sum(dim=1).tolist() == [9, 1, 0]


@pytest.mark.parametrize(
    ("side", "strides"),
    [(6, {8}), (63, {8}), (64, {8, 16}), (71, {8, 16}), (72, {16}), (200, {16})],
)
def test_the_size_of_a_box_decides_which_strides_find_it(side, strides):
    cells = make_cells((256, 256), (8, 16), CPU)
    box = torch.tensor([[[20.0, 20.0, 20.0 + side, 20.0 + side]]])
    positive = assign_cells(box, torch.tensor([1]), cells).positive[0]
    assert set(cells.strides[positive].tolist()) == strides


def brute_force(boxes, grid_hw):
    """The rule, cell by cell."""
    best = {}
    for row in range(grid_hw[0]):
        for column in range(grid_hw[1]):
            x, y = (column + 0.5) * STRIDE, (row + 0.5) * STRIDE
            wanting = []
            for x0, y0, x1, y1 in boxes:
                middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
                inside = x0 < x < x1 and y0 < y < y1
                near = max(abs(x - middle_x), abs(y - middle_y)) <= 1.5 * STRIDE
                holds = (int(middle_y // STRIDE), int(middle_x // STRIDE)) == (row, column)
                if (inside and near) or holds:
                    wanting.append(((x1 - x0) * (y1 - y0), [x0, y0, x1, y1]))
            if wanting:
                best[row, column] = min(wanting)[1]
    return best


def test_assignment_agrees_with_the_rule_applied_cell_by_cell():
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        low = torch.rand(5, 2, generator=generator) * 40
        boxes = torch.cat([low, low + 0.5 + torch.rand(5, 2, generator=generator) * 40], dim=1)
        boxes = boxes.clamp(max=63.9)
        assert assigned(boxes.tolist(), (8, 8)) == brute_force(boxes.tolist(), (8, 8))
