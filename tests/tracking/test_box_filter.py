"""Boxes that move: by themselves, with the camera, and to where they are seen."""

import numpy as np
import pytest

from endoforge.tracking.box_filter import COASTING_S, BoxFilter
from endoforge.tracking.camera_motion import CameraMotion

SQUARE = np.array([[0.4, 0.4, 0.6, 0.6]])
ONLY = np.array([0])


def with_box(box: np.ndarray) -> BoxFilter:
    boxes = BoxFilter()
    boxes.add(box)
    return boxes


def moving() -> BoxFilter:
    """A box that moved by 0.1 to the right each 0.1 s, ten times, from 0 on: one a second."""
    boxes = with_box(np.array([[-0.1, 0.4, 0.1, 0.6]]))
    for step in range(1, 11):
        boxes.predict(0.1)
        boxes.correct(ONLY, np.array([[step / 10 - 0.1, 0.4, step / 10 + 0.1, 0.6]]))
    return boxes


def test_a_box_seen_twice_at_once_is_in_the_middle():
    # Both times are as unsure as each other, so each counts for half.
    boxes = with_box(SQUARE)
    boxes.correct(ONLY, SQUARE + 0.02)
    assert boxes.boxes == pytest.approx(SQUARE + 0.01)


def test_a_third_time_counts_for_a_third():
    boxes = with_box(SQUARE)
    boxes.correct(ONLY, SQUARE)
    boxes.correct(ONLY, SQUARE + 0.03)
    assert boxes.boxes == pytest.approx(SQUARE + 0.01, abs=1e-4)


def test_a_still_box_stays():
    boxes = with_box(SQUARE)
    boxes.predict(0.5)
    assert boxes.boxes == pytest.approx(SQUARE)


def test_a_moving_box_moves_on():
    boxes = moving()
    assert boxes.boxes[0, 0] == pytest.approx(0.9, abs=0.02)
    before = boxes.boxes[0, 0]
    boxes.predict(0.1)
    # Somewhat less than it moved before: its speed falls off.
    assert 0.08 < boxes.boxes[0, 0] - before < 0.1
    assert boxes.boxes[0, 2] - boxes.boxes[0, 0] == pytest.approx(0.2, abs=1e-6)


def test_an_unseen_box_comes_to_rest():
    # The way of a speed v that falls off with the time constant T ends at v T; v is about 1.
    boxes, slow = moving(), moving()
    before = boxes.boxes[0, 0]
    boxes.predict(100.0)
    way = boxes.boxes[0, 0] - before
    assert way == pytest.approx(COASTING_S, rel=0.2)
    slow.predict(COASTING_S)
    assert slow.boxes[0, 0] - before == pytest.approx(way * (1 - np.exp(-1)))


def test_two_steps_go_as_far_as_one():
    boxes, other = moving(), moving()
    boxes.predict(0.3)
    other.predict(0.1)
    other.predict(0.2)
    assert boxes.boxes == pytest.approx(other.boxes)


def test_boxes_go_with_the_camera():
    # Twice as large about the origin, then a tenth to the right.
    boxes = with_box(np.array([[0.1, 0.2, 0.2, 0.3]]))
    boxes.follow(CameraMotion(2 * np.eye(2), np.array([0.1, 0.0])))
    assert boxes.boxes == pytest.approx(np.array([[0.3, 0.4, 0.5, 0.6]]))


def test_boxes_are_kept_by_mask_and_added_at_the_end():
    boxes = with_box(np.concatenate([SQUARE, SQUARE + 0.1, SQUARE + 0.2]))
    boxes.keep(np.array([True, False, True]))
    boxes.add(SQUARE - 0.3)
    assert len(boxes) == 3
    expected = np.concatenate([SQUARE, SQUARE + 0.2, SQUARE - 0.3])
    assert boxes.boxes == pytest.approx(expected)


def test_a_box_without_extent_is_one_of_a_thousandth():
    boxes = with_box(np.array([[0.5, 0.5, 0.5, 0.5]]))
    boxes.predict(0.04)
    boxes.correct(ONLY, np.array([[0.5, 0.5, 0.5, 0.5]]))
    assert boxes.boxes == pytest.approx(np.array([[0.4995, 0.4995, 0.5005, 0.5005]]))
