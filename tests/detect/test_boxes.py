import numpy as np
import pytest
import torch

from endoforge.detect.boxes import boxes_from_raw, cell_centres, pairwise_iou


def test_pairwise_iou_by_hand():
    a = np.array([[0, 0, 2, 2], [0, 0, 1, 1]], np.float32)
    b = np.array([[1, 0, 3, 2], [0, 0, 2, 2], [5, 5, 6, 6]], np.float32)
    expected = [[2 / 6, 1, 0], [0, 1 / 4, 0]]
    assert pairwise_iou(a, b) == pytest.approx(np.array(expected))


def test_boxes_without_area_overlap_nothing():
    point = np.array([[1, 1, 1, 1]], np.float32)
    assert pairwise_iou(point, point) == pytest.approx(0)
    assert pairwise_iou(np.zeros((0, 4)), point).shape == (0, 1)


def test_cells_run_row_by_row():
    centres = cell_centres((2, 3), 8, torch.device("cpu"))
    assert centres.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


def test_raw_distances_are_logarithms_of_strides():
    raw = torch.zeros(1, 5, 2, 2)
    raw[0, 1:, 1, 0] = torch.log(torch.tensor([0.5, 1.0, 2.0, 3.0]))
    boxes = boxes_from_raw(raw, 8)[0]
    assert boxes[0].tolist() == pytest.approx([4 - 8, 4 - 8, 4 + 8, 4 + 8])
    assert boxes[2].tolist() == pytest.approx([4 - 4, 12 - 8, 4 + 16, 12 + 24])


def test_wild_raw_distances_stay_finite():
    boxes = boxes_from_raw(torch.full((1, 5, 1, 1), 1e9), 8)
    assert torch.isfinite(boxes).all()
