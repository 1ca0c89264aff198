"""How the picture as a whole has moved since the frame before."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDTH_PX = 160
"""Frames are looked at so wide: folds and vessels stay, noise and blocks of a codec go."""
MOST_CORNERS = 60
CORNER_QUALITY = 0.02
CORNERS_APART_PX = 6
DARK = 24
"""Grey values below are the frame around the picture, or the depth of the lumen, where there is
nothing but noise to follow."""
EDGE_PX = 7
"""Corners keep so far from what is dark: the edge of the round picture, and letters beside it,
stand still whatever the scope does."""
WINDOW_PX, LEVELS = 11, 3
"""Of the optical flow; three halvings let it follow a quarter of the picture's width."""
OUTLIER_PX = 1.5
LEAST_INLIERS, LEAST_SHARE = 10, 0.5
"""So many corners, and so large a part of those followed, must agree on one motion."""
MOST_SHIFT, MOST_SCALE, MOST_TURN = 0.25, 1.25, 0.35
"""What is more, of the picture's width, as a factor, or in radians, between two frames is taken for
a mistake."""


@dataclass(frozen=True, eq=False)
class CameraMotion:
    """Where the points of one frame are in the next: `linear` (2, 2) times a point, plus `shift`
    (2,); points in 0..1 of the picture, x first."""

    linear: Array
    shift: Array

    @cached_property
    def scale(self) -> float:
        """The factor by which things grew."""
        return float(np.sqrt(abs(np.linalg.det(self.linear))))

    def moved(self, points: Array) -> Array:
        """Where the points (N, 2) have come to."""
        return np.asarray(points @ self.linear.T + self.shift)


class CameraFollower:
    """Measures the motion from frame to frame, as BoT-SORT does (Aharon et al. 2022, section 3.2):
    corners (Shi and Tomasi 1994), their optical flow (Lucas and Kanade 1981; Bouguet 2001), and a
    similarity by RANSAC."""

    def __init__(self) -> None:
        self._image: NDArray[np.uint8] | None = None
        self._before: NDArray[np.uint8] | None = None
        self._after: NDArray[np.uint8] | None = None
        self._is_measured = False
        self._motion: CameraMotion | None = None

    def follow(self, image: NDArray[np.uint8], *, wanted: bool) -> CameraMotion | None:
        """Tell how the picture moved since the one before, for `image`, (H, W, 3) uint8 RGB.

        None where that isn't sure (a blurred frame, a turn too large, another size), if there is no
        frame before, and if it isn't `wanted`, which saves most of the time. Several trackers of
        one video may ask, with the same array: it is measured once.
        """
        if image is not self._image:
            self._image = image
            self._before, self._after = self._after, small_grey(image)
            self._is_measured = False
        if wanted and not self._is_measured:
            self._motion = self._measured()
            self._is_measured = True
        return self._motion if wanted else None

    def _measured(self) -> CameraMotion | None:
        before, after = self._before, self._after
        if before is None or after is None or before.shape != after.shape:
            return None
        return measure_motion(before, after)


def small_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The green of `image`, (H, W, 3) uint8 RGB, about WIDTH_PX wide; vessels stand out in it."""
    height, width = image.shape[:2]
    # Four pixels do for the mean of many: copied first, for resizing wants a plane. Reading more of
    # a large frame, which isn't in the processor's memory, would take most of the time.
    step = max(1, width // (2 * WIDTH_PX))
    green = np.ascontiguousarray(image[::step, ::step, 1])
    size = (min(WIDTH_PX, width), max(1, round(min(WIDTH_PX, width) * height / width)))
    return np.asarray(cv2.resize(green, size, interpolation=cv2.INTER_AREA), np.uint8)


def measure_motion(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> CameraMotion | None:
    """The motion between two small grey pictures (H, W) uint8 of a size; None if it isn't sure."""
    bright = cv2.erode(np.asarray(before > DARK, np.uint8), _EDGE)
    corners = cv2.goodFeaturesToTrack(
        before, MOST_CORNERS, CORNER_QUALITY, CORNERS_APART_PX, mask=bright
    )
    if corners is None or len(corners) < LEAST_INLIERS:
        return None
    guess = np.zeros_like(corners)
    moved, followed, _ = cv2.calcOpticalFlowPyrLK(
        before, after, corners, guess, winSize=(WINDOW_PX, WINDOW_PX), maxLevel=LEVELS
    )
    there = followed[:, 0] == 1
    if there.sum() < LEAST_INLIERS:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        corners[there], moved[there], ransacReprojThreshold=OUTLIER_PX, maxIters=100
    )
    if matrix is None or inliers.sum() < max(LEAST_INLIERS, LEAST_SHARE * there.sum()):
        return None
    return _plausible(np.asarray(matrix, np.float64), before.shape)


_EDGE = np.ones((2 * EDGE_PX + 1, 2 * EDGE_PX + 1), np.uint8)


def _plausible(matrix: Array, shape: tuple[int, ...]) -> CameraMotion | None:
    """A similarity in pixels as one in 0..1; None if it is too large to be believed."""
    height, width = shape
    linear, size = matrix[:, :2], np.array([width, height])
    scale = float(np.hypot(linear[0, 0], linear[1, 0]))
    turn = float(np.arctan2(linear[1, 0], linear[0, 0]))
    middle = size / 2
    shift = np.linalg.norm(linear @ middle + matrix[:, 2] - middle) / width
    if not (1 / MOST_SCALE <= scale <= MOST_SCALE):
        return None
    if abs(turn) > MOST_TURN or shift > MOST_SHIFT:
        return None
    return CameraMotion(linear * size / size[:, None], matrix[:, 2] / size)
