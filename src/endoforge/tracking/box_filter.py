"""Where boxes are and how they move: a Kalman filter for each number of a box."""

import numpy as np
from numpy.typing import NDArray

from endoforge.tracking.camera_motion import CameraMotion

Array = NDArray[np.float64]

MEASURED_SIDES = 0.08
"""Standard deviation of a detected edge, in sides (the root of the area) of the box: the detector's
boxes of one lesion in frames that hardly differ differ by so much."""
CHANGE_SIDES_S = 4.0
"""By how many sides a second a box's speed changes within a second: scopes turn and stop fast."""
FIRST_SIDES_S = 3.0
"""Standard deviation of the unknown speed of a new box, in sides a second."""
COASTING_S = 0.6
"""Time in which an unseen box's speed falls to 1 / e: a scope that sweeps on seldom sweeps far."""
LEAST_SIDE = 1e-3
"""No box is narrower than this part of the picture."""


class BoxFilter:
    """Boxes with a nearly constant velocity, as SORT has them (Bewley et al. 2016, "Simple online
    and realtime tracking"), for frames any time apart.

    Centre x, centre y, width and height, in 0..1 of the picture, are filtered each by itself. The
    speed falls off by itself with COASTING_S (Singer 1970), and is disturbed by white noise
    (Bar-Shalom, Li and Kirubarajan 2001, section 6.2.2), so that two steps give nearly what one
    gives.
    """

    def __init__(self) -> None:
        self._place = np.zeros((0, 4))
        self._speed = np.zeros((0, 4))
        # Of place and speed: variance, covariance and variance.
        self._pp, self._ps, self._ss = (np.zeros((0, 4)) for _ in range(3))

    def __len__(self) -> int:
        return len(self._place)

    @property
    def boxes(self) -> Array:
        """Where the boxes are, (N, 4) xyxy in 0..1; they may lie outside of the picture."""
        centre, half = self._place[:, :2], self._place[:, 2:] / 2
        return np.concatenate([centre - half, centre + half], axis=1)

    def predict(self, seconds: float) -> None:
        """Let time pass."""
        left = np.exp(-seconds / COASTING_S)
        way = COASTING_S * (1 - left)
        self._place += way * self._speed
        self._bound()
        self._speed *= left
        noise = (CHANGE_SIDES_S * self._sides()) ** 2
        self._pp += way * (2 * self._ps + way * self._ss) + noise * seconds**3 / 3
        self._ps = left * (self._ps + way * self._ss) + noise * seconds**2 / 2
        self._ss = left**2 * self._ss + noise * seconds

    def follow(self, camera: CameraMotion) -> None:
        """Move all boxes as the picture has moved."""
        scale = camera.scale
        self._place[:, :2] = camera.moved(self._place[:, :2])
        self._speed[:, :2] = self._speed[:, :2] @ camera.linear.T
        self._place[:, 2:] *= scale
        self._speed[:, 2:] *= scale
        for variance in (self._pp, self._ps, self._ss):
            variance *= scale**2
        self._bound()

    def correct(self, rows: NDArray[np.intp], boxes: NDArray[np.floating]) -> None:
        """Take in where the boxes of `rows` were seen, (K, 4) xyxy in 0..1."""
        variance = (MEASURED_SIDES * self._sides()[rows]) ** 2
        total = self._pp[rows] + variance
        gain, gain_speed = self._pp[rows] / total, self._ps[rows] / total
        off = _centred(boxes) - self._place[rows]
        self._place[rows] += gain * off
        self._speed[rows] += gain_speed * off
        self._ss[rows] -= gain_speed * self._ps[rows]
        self._ps[rows] *= 1 - gain
        self._pp[rows] *= 1 - gain
        self._bound()

    def add(self, boxes: NDArray[np.floating]) -> None:
        """Begin with new boxes, (K, 4) xyxy in 0..1, of unknown speed, after all others."""
        place = _centred(boxes)
        sides = np.sqrt(np.maximum(place[:, 2:].prod(axis=1), LEAST_SIDE**2))[:, None]
        still = np.zeros_like(place)
        self._place = np.concatenate([self._place, place])
        self._speed = np.concatenate([self._speed, still])
        self._pp = np.concatenate([self._pp, still + (MEASURED_SIDES * sides) ** 2])
        self._ps = np.concatenate([self._ps, still])
        self._ss = np.concatenate([self._ss, still + (FIRST_SIDES_S * sides) ** 2])
        self._bound()

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Forget all boxes but those of the mask `rows`, (N,)."""
        self._place, self._speed = self._place[rows], self._speed[rows]
        self._pp, self._ps, self._ss = self._pp[rows], self._ps[rows], self._ss[rows]

    def _sides(self) -> Array:
        sides: Array = np.sqrt(self._place[:, 2:].prod(axis=1))[:, None]
        return sides

    def _bound(self) -> None:
        np.maximum(self._place[:, 2:], LEAST_SIDE, out=self._place[:, 2:])


def _centred(boxes: NDArray[np.floating]) -> Array:
    """Boxes (K, 4) xyxy as centre x, centre y, width and height."""
    low, high = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    return np.concatenate([(low + high) / 2, high - low], axis=1)
