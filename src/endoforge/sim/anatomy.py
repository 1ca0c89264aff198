"""The colon's tube: a curved centreline, and a wall given by its radius around it.

A point of the lumen has the curve coordinates (s, x, y): position along the centreline and offset
in the plane across it. The wall is a height field R(s, a): its distance from the centreline. `a` is
the *diamond angle* of (x, y), a pseudo-angle in [0, 4) which needs no arc tangent.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.streams import Stream, smooth_noise, stream

LENGTH_MM = 600.0
NUM_CENTRELINE = 1024
"""Rows of the centreline table."""
NUM_ALONG = 1024
NUM_AROUND = 256
"""The wall's table: samples along the centreline and around it."""

ALONG_STEP_MM = LENGTH_MM / (NUM_ALONG - 1)
MAX_CURVATURE = 0.03
"""Per mm: with the widest lumen (about 27 mm) the inner side of a bend never folds over itself."""
MIN_RADIUS_MM = 7.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Centreline:
    """A curve with a frame that doesn't twist (Bishop, 1975), sampled evenly from 0 to LENGTH_MM.

    `points` (N, 3) mm; `tangents`, `normals`, `binormals` (N, 3) unit vectors; `curvature` (N, 2)
    per mm, its components along normal and binormal.
    """

    points: Array
    tangents: Array
    normals: Array
    binormals: Array
    curvature: Array

    def row(self, s_mm: float | Array) -> NDArray[np.intp]:
        """Nearest row(s) to the position(s) `s_mm`."""
        rows = np.rint(np.asarray(s_mm) * (len(self.points) - 1) / LENGTH_MM)
        return np.clip(rows, 0, len(self.points) - 1).astype(np.intp)

    def to_world(self, s_mm: float, x_mm: float, y_mm: float) -> Array:
        """World position (3,) mm of curve coordinates."""
        row = self.row(s_mm)
        along = s_mm - row * LENGTH_MM / (len(self.points) - 1)
        point: Array = (
            self.points[row]
            + along * self.tangents[row]
            + x_mm * self.normals[row]
            + y_mm * self.binormals[row]
        )
        return point


@dataclass(frozen=True)
class Anatomy:
    """A centreline and the wall around it: `radius` (NUM_ALONG, NUM_AROUND) mm."""

    centreline: Centreline
    radius: Array

    def radius_at(self, s_mm: float, angle: float) -> float:
        """Distance in mm from centreline to wall (nearest sample)."""
        along = int(np.clip(round(s_mm / ALONG_STEP_MM), 0, NUM_ALONG - 1))
        around = int(angle_to_diamond(angle) * NUM_AROUND / 4) % NUM_AROUND
        return float(self.radius[along, around])

    def slopes_at(self, s_mm: float, angle: float) -> tuple[float, float]:
        """dR/ds and dR/dangle / R at a place, by central differences over about 2 mm."""
        step = 1.0
        along = self.radius_at(s_mm + step, angle) - self.radius_at(s_mm - step, angle)
        turn = step / self.radius_at(s_mm, angle)
        around = self.radius_at(s_mm, angle + turn) - self.radius_at(s_mm, angle - turn)
        return along / (2 * step), around / (2 * step)

    def narrowest(self, s_mm: float, within_mm: float = 4.0) -> float:
        """Least radius in mm near a position: what a camera on the centreline has around it."""
        first = max(int((s_mm - within_mm) / ALONG_STEP_MM), 0)
        last = int((s_mm + within_mm) / ALONG_STEP_MM) + 2
        return float(self.radius[first:last].min())


def make_anatomy(seed: int) -> Anatomy:
    """The colon of a seed."""
    rng = stream(seed, Stream.ANATOMY)
    return Anatomy(_make_centreline(rng), _make_wall(rng))


def straight_anatomy(radius_mm: float) -> Anatomy:
    """A smooth straight tube along +z, for tests and worked examples."""
    curvature = np.zeros((NUM_CENTRELINE, 2))
    wall = np.full((NUM_ALONG, NUM_AROUND), radius_mm)
    return Anatomy(_integrate(curvature), wall)


def angle_to_diamond(angle: float | Array) -> Array:
    """Diamond angle in [0, 4) of an angle in radians."""
    x, y = np.cos(angle), np.sin(angle)
    a = y / (np.abs(x) + np.abs(y))
    return np.asarray(np.where(x < 0, 2 - a, a) % 4.0)


def diamond_to_angle(a: float | Array) -> Array:
    """Angle in (-pi, pi] of a diamond angle."""
    a = np.mod(a, 4.0)
    y = np.where(a < 1, a, np.where(a < 3, 2 - a, a - 4))
    x = np.where(a < 2, 1 - a, a - 3)
    return np.arctan2(y, x)


def _make_centreline(rng: np.random.Generator) -> Centreline:
    # Bends of about 4 cm, softly limited to MAX_CURVATURE in size.
    correlation = 40.0 / LENGTH_MM * NUM_CENTRELINE
    bends = [smooth_noise(rng, NUM_CENTRELINE, correlation) for _ in range(2)]
    wanted = 0.03 * np.stack(bends, axis=1)
    size = np.linalg.norm(wanted, axis=1, keepdims=True)
    return _integrate(wanted / np.sqrt(1 + (size / MAX_CURVATURE) ** 2))


def _integrate(curvature: Array) -> Centreline:
    """The curve with this curvature (N, 2), starting at the origin along +z."""
    step = LENGTH_MM / (len(curvature) - 1)
    # In the moving frame (normal, binormal, tangent) each step turns by (-k2, k1, 0) ds.
    turns = np.stack([-curvature[:, 1], curvature[:, 0], 0 * curvature[:, 0]], axis=1) * step
    frames = _running_product(_rotations(turns[:-1]))
    frames = np.concatenate([np.eye(3)[None], frames])
    normals, binormals, tangents = frames[:, :, 0], frames[:, :, 1], frames[:, :, 2]
    steps = 0.5 * step * (tangents[:-1] + tangents[1:])
    points = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    return Centreline(points, tangents, normals, binormals, curvature)


def _rotations(vectors: Array) -> Array:
    """(N, 3) rotation vectors to (N, 3, 3) matrices (Rodrigues)."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    x, y, z = vectors.T
    o = np.zeros_like(x)
    cross = np.stack([o, -z, y, z, o, -x, -y, x, o], axis=1).reshape(-1, 3, 3)
    small = np.maximum(angle, 1e-9)
    once, twice = np.sin(small) / small, (1 - np.cos(small)) / small**2
    matrices: Array = np.eye(3) + once * cross + twice * (cross @ cross)
    return matrices


def _running_product(matrices: Array) -> Array:
    """(N, 3, 3): the products M0, M0 M1, M0 M1 M2, ... by doubling (log2 N rounds)."""
    products = matrices.copy()
    reach = 1
    while reach < len(products):
        products[reach:] = products[:-reach] @ products[reach:]
        reach *= 2
    return products


def _make_wall(rng: np.random.Generator) -> Array:
    s = np.linspace(0, LENGTH_MM, NUM_ALONG)[:, None]
    angle = diamond_to_angle(np.arange(NUM_AROUND) * 4.0 / NUM_AROUND)[None, :]
    twist = 0.3 * smooth_noise(rng, NUM_ALONG, 150)[:, None]
    calibre = rng.uniform(19.0, 23.0) + 1.6 * smooth_noise(rng, NUM_ALONG, 60)[:, None]
    # Three taeniae pull the tube into a rounded triangle.
    triangle = rng.uniform(0.03, 0.09)
    radius = calibre * (1 - triangle * np.cos(3 * (angle - twist)))
    radius = radius - _folds(rng, s, angle, twist) + _unevenness(rng)
    return _close_ends(np.maximum(radius, MIN_RADIUS_MM), s)


def _folds(rng: np.random.Generator, s: Array, angle: Array, twist: Array) -> Array:
    """Height in mm of the haustral (semilunar) folds: crescents between the three taeniae."""
    height = np.zeros((NUM_ALONG, NUM_AROUND))
    ring_s = rng.uniform(8.0, 20.0)
    while ring_s < LENGTH_MM - 10.0:
        for third in range(3):
            if rng.random() < 0.12:
                continue
            _add_fold(rng, height, s, angle, ring_s, third, twist)
        ring_s += rng.uniform(16.0, 32.0)
    return height


def _add_fold(
    rng: np.random.Generator,
    height: Array,
    s: Array,
    angle: Array,
    ring_s: float,
    third: int,
    twist: Array,
) -> None:
    """Raise one crescent on `height`, in place; where folds meet, they merge."""
    position = ring_s + 2.8 * rng.normal()
    peak, width = rng.uniform(4.5, 10.5), rng.uniform(1.6, 2.8)
    extent = rng.uniform(0.75, 1.2)
    tilt, wave, phase = 2.0 * rng.normal(), 1.8, rng.uniform(0, 2 * np.pi)
    middle = np.pi / 3 + third * 2 * np.pi / 3 + 0.1 * rng.normal()

    row = int(position / ALONG_STEP_MM)
    reach = int(30.0 / ALONG_STEP_MM)
    rows = slice(max(row - reach, 0), max(row + reach, 0))
    centre = middle + twist[rows]
    offset = np.mod(angle - centre + np.pi, 2 * np.pi) - np.pi
    crest = position + wave * np.sin(2 * offset + phase) + tilt * offset
    across = np.abs(s[rows] - crest) / width
    fold = peak * np.exp(-((offset / extent) ** 4)) / (1 + across**2.6)
    before = height[rows]
    height[rows] = np.maximum(before, fold) + 0.25 * np.minimum(before, fold)


def _unevenness(rng: np.random.Generator) -> Array:
    """Gentle lumps of the wall, a few tenths of a millimetre high over about a centimetre."""
    coarse = rng.normal(size=(NUM_ALONG // 12, NUM_AROUND // 12 + 1))
    around = np.concatenate([coarse[:, -4:], coarse, coarse[:, :4]], axis=1)
    factor = NUM_AROUND / coarse.shape[1]
    width = round(around.shape[1] * factor)
    fine = cv2.resize(around, (width, NUM_ALONG), interpolation=cv2.INTER_CUBIC)
    start = round(4 * factor)
    return 0.22 * np.asarray(fine[:, start : start + NUM_AROUND], np.float64)


def _close_ends(radius: Array, s: Array) -> Array:
    """Round both ends of the tube off over 15 mm."""
    to_end = np.clip(np.minimum(s, LENGTH_MM - s) / 15.0, 0, 1)
    return radius * np.sqrt(to_end * (2 - to_end))
