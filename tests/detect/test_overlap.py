import numpy as np
import pytest

from endoforge.detect.overlap import pairwise_iou


def test_pairwise_iou_by_hand():
    a = np.array([[0, 0, 2, 2], [0, 0, 1, 1]], np.float32)
    b = np.array([[1, 0, 3, 2], [0, 0, 2, 2], [5, 5, 6, 6]], np.float32)
    expected = [[2 / 6, 1, 0], [0, 1 / 4, 0]]
    assert pairwise_iou(a, b) == pytest.approx(np.array(expected))


def test_boxes_without_area_overlap_nothing():
    point = np.array([[1, 1, 1, 1]], np.float32)
    assert pairwise_iou(point, point) == pytest.approx(0)
    assert pairwise_iou(np.zeros((0, 4)), point).shape == (0, 1)
