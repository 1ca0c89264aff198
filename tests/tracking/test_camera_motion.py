"""The camera's motion, told from pictures that were moved by known amounts."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.tracking.camera_motion import (
    CameraFollower,
    CameraMotion,
    measure_motion,
    small_grey,
)

SIZE_HW = (360, 640)


def wall() -> NDArray[np.uint8]:
    """Folds and vessels, as far as corners go: smooth noise, larger than a frame."""
    noise = np.random.default_rng(5).uniform(0, 255, (600, 900)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 8)
    grey = cv2.normalize(smooth, smooth, 40, 230, cv2.NORM_MINMAX).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def warped(matrix: Sequence[Sequence[float]]) -> NDArray[np.uint8]:
    """A frame of the wall, whose points have moved by the (2, 3) `matrix` in pixels."""
    centred = np.array([*matrix, [0, 0, 1]], float) @ [[1, 0, -130], [0, 1, -120], [0, 0, 1]]
    height, width = SIZE_HW
    frame = cv2.warpAffine(wall(), centred[:2], (width, height))
    return np.asarray(frame, np.uint8)


def motion_between(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> CameraMotion | None:
    follower = CameraFollower()
    assert follower.follow(first, wanted=True) is None
    return follower.follow(second, wanted=True)


STILL = ((1, 0, 0), (0, 1, 0))


def test_a_shift_is_told():
    motion = motion_between(warped(STILL), warped([[1, 0, 32], [0, 1, -18]]))
    assert motion is not None
    assert motion.linear == pytest.approx(np.eye(2), abs=0.01)
    # 32 of 640 and 18 of 360 pixels.
    assert motion.moved(np.array([[0.5, 0.5]])) == pytest.approx(np.array([[0.55, 0.45]]), abs=3e-3)


def test_coming_nearer_is_told():
    # 1.1 times as large, about the middle.
    motion = motion_between(warped(STILL), warped([[1.1, 0, -32], [0, 1.1, -18]]))
    assert motion is not None
    assert motion.scale == pytest.approx(1.1, abs=0.01)
    assert motion.moved(np.array([[0.5, 0.5]])) == pytest.approx(np.array([[0.5, 0.5]]), abs=5e-3)
    assert motion.moved(np.array([[0.0, 0.5]])) == pytest.approx(np.array([[-0.05, 0.5]]), abs=0.01)


def test_a_turn_is_told_in_pixels_that_are_square():
    # 10 degrees about the corner: (640, 0) comes to (640 cos, 640 sin), here in parts of 640, 360.
    c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
    motion = motion_between(warped(STILL), warped([[c, -s, 0], [s, c, 0]]))
    assert motion is not None
    expected = np.array([[c, 640 * s / 360]])
    assert motion.moved(np.array([[1.0, 0.0]])) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(
    "after",
    [
        np.full((*SIZE_HW, 3), 128, np.uint8),
        np.zeros((*SIZE_HW, 3), np.uint8),
        np.random.default_rng(1).integers(0, 255, (*SIZE_HW, 3)).astype(np.uint8),
        warped([[1, 0, 300], [0, 1, 0]]),
        warped([[1.6, 0, -192], [0, 1.6, -108]]),
        warped(STILL)[:200],
    ],
    ids=["grey", "black", "noise", "half a picture", "much larger", "another size"],
)
def test_what_isnt_sure_is_none(after):
    assert motion_between(warped(STILL), after) is None


def test_a_black_frame_before_is_none():
    assert motion_between(np.zeros((*SIZE_HW, 3), np.uint8), warped(STILL)) is None


def test_letters_beside_the_picture_dont_count():
    def screen(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        shown = frame.copy()
        shown[:, :200] = 0
        for row in range(20, 360, 20):
            cv2.putText(shown, "12:34:56", (5, row), 0, 0.8, (255, 255, 255), 2)
        return shown

    motion = motion_between(screen(warped(STILL)), screen(warped([[1, 0, 16], [0, 1, 0]])))
    assert motion is not None
    assert motion.moved(np.array([[0.5, 0.5]])) == pytest.approx(np.array([[0.525, 0.5]]), abs=3e-3)


def test_a_motion_that_nobody_wants_isnt_told_but_the_frame_is_kept():
    follower = CameraFollower()
    follower.follow(warped([[1, 0, 100], [0, 1, 0]]), wanted=True)
    assert follower.follow(warped(STILL), wanted=False) is None
    motion = follower.follow(warped([[1, 0, 32], [0, 1, 0]]), wanted=True)
    assert motion is not None
    assert motion.shift == pytest.approx(np.array([0.05, 0]), abs=5e-3)


def test_frames_are_made_small_and_tiny_ones_stay():
    assert small_grey(np.zeros((720, 1280, 3), np.uint8)).shape == (90, 160)
    assert small_grey(np.full((7, 9, 3), 50, np.uint8)).tolist() == [[50] * 9] * 7


def test_trackers_of_one_video_share_what_is_measured(monkeypatch):
    asked = []

    def counted(before, after):
        asked.append(after)
        return measure_motion(before, after)

    monkeypatch.setattr("endoforge.tracking.camera_motion.measure_motion", counted)
    follower = CameraFollower()
    follower.follow(warped(STILL), wanted=False)
    moved = warped([[1, 0, 32], [0, 1, 0]])
    assert follower.follow(moved, wanted=False) is None
    first, second = (follower.follow(moved, wanted=True) for _ in range(2))
    assert first is second
    assert first is not None
    assert first.shift == pytest.approx(np.array([0.05, 0]), abs=5e-3)
    assert len(asked) == 1
