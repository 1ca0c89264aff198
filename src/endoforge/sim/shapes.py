"""How a polyp differs from a smooth ellipsoid: uneven heads, masses of several, flat lesions."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MOST_HEADS = 9
"""Heads of one mass at most: each has a row in the kernel's table."""
STEEP = 5.0
"""Slope of lobes and creases of 1 mm that come once a mm: distances are shortened for it."""

RIM = 0.8
"""Margins from a flat lesion's outline to where its hollow begins."""
BEYOND = 1.5
"""A mass around the lumen ends so many of its radii off the lumen's middle."""

Triple = tuple[float, float, float]
Vector = NDArray[np.float64]


def triple(vector: Vector) -> Triple:
    """A vector (3,) as three numbers."""
    x, y, z = (float(value) for value in vector)
    return x, y, z


@dataclass(frozen=True)
class Uneven:
    """What makes a head uneven; as it stands, nothing does.

    `stretch` (from 1) widens it along the unit vector `along`, which is at right angles to its
    axis. `egg` is by which share it is wider at its top than at its middle; below 0, narrower.
    `lobed` is the height of lobes beyond those of `Polyp.lobes`, over the smaller half-axis;
    `crease_mm` the depth of creases between bulges; both come `crowded` times as close as lobes
    else do. `crater_mm` is the radius of a ball that is cut out of the top. In place of one head a
    mass has `heads`: balls of (x, y, z, radius) mm about the polyp's centre, merged over `join_mm`.
    """

    stretch: float = 1.0
    along: Triple = (0.0, 0.0, 0.0)
    egg: float = 0.0
    lobed: float = 0.0
    crease_mm: float = 0.0
    crowded: float = 1.0
    crater_mm: float = 0.0
    heads: tuple[tuple[float, float, float, float], ...] = ()
    join_mm: float = 0.0


SMOOTH = Uneven()


@dataclass(frozen=True)
class Band:
    """The region of a mass that goes around the lumen, as it lies about the polyp's centre.

    The middle of the lumen lies `middle_mm` up the polyp's axis, the wall about `radius_mm` off
    that. The region reaches `half_length_mm` either way along `Uneven.along`, and around as far as
    the angle off the axis whose cosine is below `turn`, seen from the middle: above 1 it closes to
    a ring. Its corners are cut round over `round_mm`.
    """

    half_length_mm: float
    turn: float
    middle_mm: float
    radius_mm: float
    round_mm: float

    @property
    def bound_mm(self) -> float:
        """The radius of the ball about the polyp's centre that holds it."""
        farthest = BEYOND * self.radius_mm
        top = min(self.turn, 1.0) * farthest
        across2 = farthest**2 + self.middle_mm**2 + 2 * self.middle_mm * top
        return float(np.hypot(self.half_length_mm, np.sqrt(across2)))

    def distance(self, from_centre: Vector, along: Vector, axis: Vector) -> Vector:
        """The distance (N,) mm of places (N, 3) off the polyp's centre to it, below 0 inside."""
        out = from_centre - self.middle_mm * axis
        ahead = out @ along
        off = np.linalg.norm(out - ahead[:, None] * along, axis=1)
        length, side = np.abs(ahead) - self.half_length_mm, out @ axis - self.turn * off
        corner = np.maximum(self.round_mm - np.abs(length - side), 0)
        within = np.maximum(length, side) + corner**2 / (4 * self.round_mm)
        distance: Vector = np.maximum(within, off - BEYOND * self.radius_mm)
        return distance


@dataclass(frozen=True)
class Flat:
    """A lesion that is but a region of the wall, raised by up to `height_mm`.

    The region is what of the wall lies in the polyp's head. It rises over `margin_mm` from its
    outline inwards, and behind such a rim falls again by the share `hollow`. `nodule_mm` is the
    height of a carpet of nodules on it, `nodules_per_mm` their number along a mm, halved. With a
    `band` it is a mass around the lumen, whose region that is; `encircling` has raised the wall.
    """

    height_mm: float
    margin_mm: float
    hollow: float = 0.0
    nodule_mm: float = 0.0
    nodules_per_mm: float = 0.13
    band: Band | None = None

    @property
    def slope(self) -> float:
        """About the steepest it is, in mm per mm of wall."""
        rise = 1.5 * (self.height_mm + self.nodule_mm) / self.margin_mm
        return rise + 12.0 * self.nodule_mm * self.nodules_per_mm


@lru_cache(maxsize=256)
def grown_by(half_axes: Triple, egg: float, needed_mm: float) -> float:
    """How much longer an ellipsoid's half-axes are that holds all within `needed_mm` of an egg.

    The egg's half-axes are (along its stretching, across that, along its axis). Measured by the
    kernel's first-order distance, which is short of the true one off the axes. Kept for polyps
    that differ in their colours alone: it takes a millisecond.
    """
    grown = needed_mm * np.linspace(1.0, 6.0, 41)[:, None, None] + np.zeros(3)
    turn, lift = np.meshgrid(np.linspace(0, np.pi / 2, 9), np.linspace(0, np.pi, 25))
    ball = np.stack([np.sin(lift) * np.cos(turn), np.sin(lift) * np.sin(turn), np.cos(lift)], -1)
    half = np.asarray(half_axes)
    points = (half + grown) * ball.reshape(-1, 3)
    taper = 1 + egg * np.clip(points[..., 2:] / half[2], -1.2, 1.2)
    widths = half * np.concatenate([taper, taper, np.ones_like(taper)], axis=-1)
    k0 = np.linalg.norm(points / widths, axis=-1)
    k1 = np.linalg.norm(points / widths**2, axis=-1)
    enough = (k0 * (k0 - 1) / k1 * (1 - 0.4 * abs(egg))).min(axis=1) >= needed_mm
    return float(grown[enough.argmax() if enough.any() else -1, 0, 0])


def half_axes_around(heads: NDArray[np.float64], axis: Vector) -> tuple[float, float]:
    """The half-axes (across, along `axis`) mm of an ellipsoid about 0 that holds balls (N, 4)."""
    turn, lift = np.meshgrid(np.linspace(0, 2 * np.pi, 24), np.linspace(0, np.pi, 13))
    ball = np.stack([np.sin(lift) * np.cos(turn), np.sin(lift) * np.sin(turn), np.cos(lift)], -1)
    points = heads[:, None, :3] + heads[:, None, 3:] * ball.reshape(-1, 3)
    along = points @ axis
    across = np.sqrt(np.maximum((points**2).sum(axis=-1) - along**2, 0))
    wide, high = across.max(), np.abs(along).max()
    grown = np.hypot(across / wide, along / high).max()
    return float(wide * grown), float(high * grown)


def heads_distance(heads: NDArray[np.float64], from_centre: Vector) -> Vector:
    """The distance (N,) mm of places (N, 3) to balls (M, 4), joins between them left open."""
    away = np.linalg.norm(from_centre[:, None] - heads[:, :3], axis=-1) - heads[:, 3]
    nearest: Vector = away.min(axis=1)
    return nearest
