"""Polyps: what they are, where they grow, and the numbers that the kernel needs of them.

Kinds are those of the Paris classification (Gastrointest Endosc 2003;58:S3-43): Ip stands on a
stalk, Is sits on the wall, IIa is slightly raised.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.anatomy import LENGTH_MM, Anatomy
from endoforge.sim.streams import Stream, stream

Paris = Literal["Is", "Ip", "IIa"]
KINDS: tuple[Paris, ...] = ("Is", "Ip", "IIa")
KIND_SHARES = (0.5, 0.25, 0.25)

NUM_POLYPS = (6, 10)
"""Least and most polyps of a scene."""
MAX_POLYPS = 24
"""Rows of the kernel's table: a bit mask of 32 and a one-byte instance id hold them."""
POLYP_COLUMNS = 20
"""Numbers a polyp in the kernel's table: five rows of four."""
PLACE_TRIES = 200


@dataclass(frozen=True)
class Polyp:
    """One polyp, in world millimetres.

    A head, which is an ellipsoid of revolution about `axis` (away from the wall) with half-axes
    `half_height_mm` along it and `half_width_mm` across, and for Ip a stalk from `base` to
    `centre`. `blend_mm` is the width over which it merges into the wall. `tint` multiplies the
    mucosa's colour; `pattern` is the strength of its surface pattern, 0..1.
    """

    paris: Paris
    s_mm: float
    angle: float
    centre: tuple[float, float, float]
    axis: tuple[float, float, float]
    base: tuple[float, float, float]
    half_width_mm: float
    half_height_mm: float
    stalk_mm: float
    blend_mm: float
    tint: tuple[float, float, float]
    pattern: float

    @property
    def diameter_mm(self) -> float:
        """Largest width of the head, as an endoscopist gives it."""
        return 2 * max(self.half_width_mm, self.half_height_mm)

    @property
    def bound_mm(self) -> float:
        """Radius of the sphere about `centre` that holds all of it, its blended rim included."""
        to_base = float(np.linalg.norm(np.subtract(self.base, self.centre)))
        stalk = to_base + 1.5 * self.stalk_mm if self.stalk_mm > 0 else 0.0
        return 1.1 * max(self.half_width_mm, self.half_height_mm, stalk) + self.blend_mm

    def table_row(self) -> list[float]:
        """Its POLYP_COLUMNS numbers, in the order that `kernels.geometry.polyp_distance` reads."""
        return [
            *self.centre, self.half_height_mm,
            *self.axis, self.half_width_mm,
            *self.base, self.stalk_mm,
            *self.tint, self.pattern,
            self.blend_mm, self.bound_mm, 0.0, 0.0,
        ]  # fmt: skip


def polyp_table(polyps: tuple[Polyp, ...]) -> NDArray[np.float32]:
    """(MAX_POLYPS, POLYP_COLUMNS) float32; unused rows lie far away and have no size."""
    table = np.zeros((MAX_POLYPS, POLYP_COLUMNS), np.float32)
    table[:, 0] = 1e7
    for row, polyp in enumerate(polyps):
        table[row] = polyp.table_row()
    return table


def make_polyps(seed: int, anatomy: Anatomy) -> tuple[Polyp, ...]:
    """The polyps of a seed's colon, sorted along it; no two touch."""
    rng = stream(seed, Stream.POLYPS)
    wanted = int(rng.integers(NUM_POLYPS[0], NUM_POLYPS[1] + 1))
    # Each scene has every kind, whatever the draw.
    drawn = rng.choice(len(KINDS), size=wanted - len(KINDS), p=KIND_SHARES)
    kinds = [*KINDS, *(KINDS[index] for index in drawn)]
    placed: list[Polyp] = []
    for kind in kinds:
        for _ in range(PLACE_TRIES):
            polyp = _grow(rng, kind, anatomy)
            if all(_apart(polyp, other) for other in placed):
                placed.append(polyp)
                break
    return tuple(sorted(placed, key=lambda polyp: polyp.s_mm))


def _apart(one: Polyp, other: Polyp) -> bool:
    distance = float(np.linalg.norm(np.subtract(one.centre, other.centre)))
    return distance > one.bound_mm + other.bound_mm + 2.0


def _grow(rng: np.random.Generator, paris: Paris, anatomy: Anatomy) -> Polyp:
    s_mm = rng.uniform(30.0, LENGTH_MM - 30.0)
    angle = rng.uniform(-np.pi, np.pi)
    wall, away, along = _wall_at(anatomy, s_mm, angle)
    stalk = 0.0
    base = wall
    if paris == "Is":
        half_width = _skewed(rng, 2.0, 8.5)
        half_height = half_width * rng.uniform(0.7, 1.0)
        centre = wall + rng.uniform(0.1, 0.45) * half_height * away
        blend = rng.uniform(0.4, 0.9) * half_width
    elif paris == "Ip":
        half_width = _skewed(rng, 2.8, 7.0)
        half_height = half_width * rng.uniform(0.85, 1.15)
        length = rng.uniform(3.0, 6.5)
        lean = rng.uniform(-0.5, 0.5) * length
        centre = wall + (length + 0.5 * half_height) * away + lean * along
        stalk = rng.uniform(0.9, 1.5)
        base = wall - away
        blend = 1.2
    else:
        half_width = _skewed(rng, 4.0, 11.0)
        half_height = rng.uniform(1.1, 2.2)
        centre = wall + 0.25 * half_height * away
        blend = rng.uniform(1.2, 2.4)
    redness = rng.uniform(-0.06, 0.16)
    paleness = rng.uniform(0.88, 1.1)
    tint = (paleness, paleness * (1 - 1.2 * redness), paleness * (1 - redness))
    return Polyp(
        paris=paris,
        s_mm=s_mm,
        angle=angle,
        centre=_triple(centre),
        axis=_triple(away),
        base=_triple(base),
        half_width_mm=half_width,
        half_height_mm=half_height,
        stalk_mm=stalk,
        blend_mm=blend,
        tint=tint,
        pattern=rng.uniform(0.3, 1.0),
    )


def _skewed(rng: np.random.Generator, least: float, most: float) -> float:
    """Mostly small, as polyps are."""
    return least + (most - least) * float(rng.beta(1.3, 2.2))


def _wall_at(
    anatomy: Anatomy, s_mm: float, angle: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A place of the wall: its world position, the unit normal into the lumen, the tangent."""
    row = anatomy.centreline.row(s_mm)
    tangent = anatomy.centreline.tangents[row]
    normal, binormal = anatomy.centreline.normals[row], anatomy.centreline.binormals[row]
    outward = np.cos(angle) * normal + np.sin(angle) * binormal
    around = np.cos(angle) * binormal - np.sin(angle) * normal
    radius = anatomy.radius_at(s_mm, angle)
    slope_s, slope_a = anatomy.slopes_at(s_mm, angle)
    away = -outward + slope_s * tangent + slope_a * around
    away /= np.linalg.norm(away)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    return anatomy.centreline.to_world(s_mm, x, y), away, tangent


def _triple(vector: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in vector)
    return x, y, z
