"""The colon's course: a curved line from the rectum to the cecum, and a frame along it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.streams import smooth_noise

ALONG_STEP_MM = 0.75
"""Distance between the rows of all tables along the colon."""
NUM_ALONG = 2176
"""Rows of those tables, 1,631 mm; those beyond a shorter colon's end are closed."""
MOST_BENT = 0.75
"""Curvature times calibre at most: at 1 the inner side of a bend would fold over itself."""

SEGMENTS = ("rectum", "sigmoid", "descending", "transverse", "ascending", "cecum")
# Left, up and forward in mm from the anus, in a colon of about 1.4 m; one list a segment.
COURSE = (
    ((0, 0, 0), (0, 45, -25), (0, 90, -42), (0, 125, -30)),
    ((-25, 150, 5), (-62, 150, 42), (-60, 205, 60), (5, 215, 50), (55, 180, 25), (95, 200, -15)),
    ((128, 250, -38), (138, 310, -42), (140, 375, -40), (135, 440, -28)),
    ((88, 452, 20), (55, 385, 52), (10, 345, 62), (-45, 350, 60), (-88, 395, 42), (-118, 440, 8)),
    ((-148, 405, -28), (-150, 345, -38), (-146, 290, -38)),
    ((-138, 245, -30), (-128, 205, -20)),
)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Centreline:
    """A curve with a frame that doesn't twist (Bishop, 1975), a row every ALONG_STEP_MM.

    `points` (N, 3) mm; `tangents`, `normals`, `binormals` (N, 3) unit vectors; `curvature` (N, 2)
    per mm, its components along normal and binormal. Beyond `length_mm` it goes on straight.
    """

    length_mm: float
    points: Array
    tangents: Array
    normals: Array
    binormals: Array
    curvature: Array

    def row(self, s_mm: float | Array) -> NDArray[np.intp]:
        """The row(s) nearest to the position(s) `s_mm`."""
        rows = np.rint(np.asarray(s_mm) / ALONG_STEP_MM)
        return np.clip(rows, 0, NUM_ALONG - 1).astype(np.intp)

    def to_world(self, s_mm: float | Array, x_mm: float | Array, y_mm: float | Array) -> Array:
        """The world position(s) (..., 3) in mm of curve coordinates (...)."""
        row = self.row(s_mm)
        along = np.asarray(s_mm - row * ALONG_STEP_MM)[..., None]
        point: Array = (
            self.points[row]
            + along * self.tangents[row]
            + np.asarray(x_mm)[..., None] * self.normals[row]
            + np.asarray(y_mm)[..., None] * self.binormals[row]
        )
        return point


def make_course(rng: np.random.Generator, length_mm: float) -> tuple[Array, Array]:
    """Draw a colon's course: (N, 3) points mm, and the arc lengths at which its six segments end.

    The points are even to the eye, not to the number: `make_centreline` samples them anew.
    """
    waypoints = np.array([point for part in COURSE for point in part], np.float64)
    waypoints[1:] += rng.normal(0, 1, (len(waypoints) - 1, 3)) * (9.0, 9.0, 7.0)
    ends = np.cumsum([len(part) for part in COURSE]) - 0.5
    arc = _arc_lengths(waypoints)
    scale = length_mm / arc[-1]
    s = np.linspace(0, arc[-1], 2000)
    points = np.stack([np.interp(s, arc, waypoints[:, k]) for k in range(3)], axis=1)
    # Corners of the polyline rounded off, and the gentle waves of a tube on its mesentery.
    points = _blurred(points, 16.0 / (s[1] - s[0]))
    waves = [smooth_noise(rng, len(s), 45.0 / (s[1] - s[0])) for _ in range(3)]
    points = (points + 3.5 * np.stack(waves, axis=1)) * scale
    last = len(waypoints) - 1
    return points, np.interp(np.minimum(ends, last), np.arange(last + 1), arc) * scale


def make_centreline(points: Array, length_mm: float, calibre: Array) -> Centreline:
    """Make the centreline through `points`, of `length_mm`, with bends that `calibre` allows.

    `calibre` (NUM_ALONG,) mm: where curvature times calibre exceeds MOST_BENT the course is
    smoothed until it doesn't.
    """
    rows = int(length_mm / ALONG_STEP_MM) + 1
    s = np.arange(rows, dtype=np.float64) * ALONG_STEP_MM
    line = _even(points, s)
    for _ in range(200):
        tangents = np.gradient(line, ALONG_STEP_MM, axis=0)
        bend = np.linalg.norm(np.gradient(tangents, ALONG_STEP_MM, axis=0), axis=1)
        excess = bend * calibre[:rows] / MOST_BENT
        if excess.max() < 1:
            break
        near = cv2.dilate((excess > 0.9).astype(np.float64)[:, None], np.ones((61, 1)))
        weight = cv2.GaussianBlur(near, (1, 0), 0, sigmaY=20)
        line = _even(line + weight * (_blurred(line, 14.0) - line), s)
    return _framed(line, length_mm)


def straight_centreline(length_mm: float) -> Centreline:
    """Make a centreline along +z from the origin, its normal +x and its binormal +y."""
    s = np.arange(int(length_mm / ALONG_STEP_MM) + 1) * ALONG_STEP_MM
    return _framed(np.stack([0 * s, 0 * s, s], axis=1), length_mm)


def _framed(line: Array, length_mm: float) -> Centreline:
    """The centreline of a line: its normals are carried along without twisting (Bishop's frame)."""
    steps = np.diff(line, axis=0)
    forward = steps[-1] / np.linalg.norm(steps[-1])
    beyond = np.arange(1, NUM_ALONG - len(line) + 1)[:, None] * ALONG_STEP_MM * forward
    points = np.concatenate([line, line[-1] + beyond])
    tangents = np.gradient(points, ALONG_STEP_MM, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    turns = np.cross(tangents[:-1], tangents[1:])
    carried = _running_product(_rotations(turns))
    first = _any_normal(tangents[0])
    normals = np.concatenate([first[None], carried @ first])
    # Rounding leaves them a hair off: make each exactly square to its tangent.
    normals -= (normals * tangents).sum(1, keepdims=True) * tangents
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    binormals = np.cross(tangents, normals)
    bend = np.gradient(tangents, ALONG_STEP_MM, axis=0)
    curvature = np.stack([(bend * normals).sum(1), (bend * binormals).sum(1)], axis=1)
    return Centreline(length_mm, points, tangents, normals, binormals, curvature)


def _any_normal(tangent: Array) -> Array:
    """A unit vector square to the tangent: from +x, or +y if the tangent is near +x."""
    guess = np.array([1.0, 0, 0]) if abs(tangent[0]) < 0.8 else np.array([0, 1.0, 0])
    normal = guess - guess @ tangent * tangent
    return np.asarray(normal / np.linalg.norm(normal))


def _arc_lengths(points: Array) -> Array:
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _even(points: Array, s: Array) -> Array:
    """The curve through `points`, its length stretched to the last of `s`, sampled at `s`."""
    arc = _arc_lengths(points)
    even = np.stack([np.interp(s, arc * s[-1] / arc[-1], points[:, k]) for k in range(3)], axis=1)
    return np.asarray(even * (s[-1] / arc[-1]))


def _blurred(points: Array, sigma: float) -> Array:
    """The curve under a Gaussian along it; beyond its ends it is taken to go on straight."""
    pad = int(3 * sigma) + 1
    before = 2 * points[0] - points[pad:0:-1]
    after = 2 * points[-1] - points[-2 : -pad - 2 : -1]
    padded = np.concatenate([before, points, after])
    return np.asarray(cv2.GaussianBlur(padded, (1, 0), 0, sigmaY=sigma)[pad:-pad])


def _rotations(turns: Array) -> Array:
    """Rotation matrices (N, 3, 3) of axes (N, 3) whose length is sin(angle) (Rodrigues)."""
    sine = np.linalg.norm(turns, axis=1)[:, None, None]
    cosine = np.sqrt(np.maximum(1 - sine**2, 0))
    x, y, z = turns.T
    o = np.zeros_like(x)
    cross = np.stack([o, -z, y, z, o, -x, -y, x, o], axis=1).reshape(-1, 3, 3)
    matrices: Array = np.eye(3) + cross + (cross @ cross) / (1 + cosine)
    return matrices


def _running_product(matrices: Array) -> Array:
    """The products M0, M1 M0, M2 M1 M0, ... (N, 3, 3), by doubling in log2 N rounds."""
    products = matrices.copy()
    reach = 1
    while reach < len(products):
        products[reach:] = products[reach:] @ products[:-reach]
        reach *= 2
    return products
