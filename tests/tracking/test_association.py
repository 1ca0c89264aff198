"""Pairs of tracks and detections, worked out by hand."""

import numpy as np
import pytest

from endoforge.tracking.association import best_pairs, likeness


def test_a_box_is_most_like_itself():
    box = np.array([[0.2, 0.2, 0.4, 0.6]])
    assert likeness(box, box) == pytest.approx(1.0)


def test_small_boxes_that_miss_each_other_are_still_alike():
    # Sides 0.02 are enlarged by 0.3 * 0.02 + 0.01 = 0.016 at each end, to 0.052; of two that lie
    # 0.026 apart half overlaps: a third of what both cover.
    first, second = np.array([[0.5, 0.5, 0.52, 0.52]]), np.array([[0.526, 0.5, 0.546, 0.52]])
    assert likeness(first, second) == pytest.approx(1 / 3)


def test_the_most_alike_are_paired_first():
    alike = np.array([[0.8, 0.9, 0.0], [0.0, 0.7, 0.1]])
    # The best pair takes column 1 from row 1, for which 0.1 is too little.
    assert best_pairs(alike, 0.2) == [(0, 1)]
    assert best_pairs(alike, 0.1) == [(0, 1), (1, 2)]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nothing_is_paired_with_nothing(shape):
    assert best_pairs(np.zeros(shape), 0.2) == []
