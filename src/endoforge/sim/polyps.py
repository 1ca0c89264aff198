"""Polyps: what they are, where they grow, and the numbers that the kernel needs of them.

Kinds are those of the Paris classification (Gastrointest Endosc 2003;58:S3-43): Ip stands on a
stalk, Isp on a short broad neck, Is sits on the wall, IIa is slightly raised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.anatomy import WAVE_MM, WAVE_S, Anatomy
from endoforge.sim.polyp_surface import PLAIN, PolypSurface
from endoforge.sim.ranges.polyps import MOST_POLYPS, PolypRanges
from endoforge.sim.ranges.values import draw
from endoforge.sim.streams import Stream, stream

Paris = Literal["Ip", "Isp", "Is", "IIa"]
KINDS: tuple[Paris, ...] = ("Ip", "Isp", "Is", "IIa")
LEAST_MM: dict[Paris, float] = {"Ip": 6.0, "Isp": 5.0, "Is": 3.0, "IIa": 4.0}
"""Smaller ones of a kind aren't told apart from Is."""

MAX_POLYPS = MOST_POLYPS
"""Rows of the kernel's table."""
POLYP_COLUMNS = 44
"""Numbers a polyp in the kernel's table: eleven rows of four."""
MOST_BLEND_MM = 2.0
"""Width over which a polyp merges into the wall at most, flat ones aside."""
PLACE_TRIES = 200
"""Places that a polyp is tried at before it is left out: a colon may have no room for it."""
LEE_TRIES = 24
"""Places of which the one with the steepest wall counts as the lee of a fold."""
MARGIN_MM = 35.0
"""No polyp grows closer to either end of the colon."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Polyp:
    """One polyp, in world millimetres.

    A head, which is an ellipsoid of revolution about `axis` (away from the wall) with half-axes
    `half_height_mm` along it and `half_width_mm` across, and for Ip and Isp a stalk of radius
    `stalk_mm` from `base` to `centre`. `blend_mm` is the width over which it merges into the wall.
    `tint` multiplies the mucosa's colour; `pattern` (of pits), `lobes`, `mucus` and `vessels` are
    strengths 0..1. `surface` is what it looks like from near. One that is `like_wall` has the
    colour and the surface of the wall instead.
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
    lobes: float
    mucus: float
    vessels: float
    like_wall: bool = False
    surface: PolypSurface = PLAIN

    @property
    def diameter_mm(self) -> float:
        """The largest width of the head, as an endoscopist gives it."""
        return 2 * max(self.half_width_mm, self.half_height_mm)

    @property
    def bound_mm(self) -> float:
        """The radius of the sphere that holds all of it and of what it bends.

        Its centre lies `towards_base` of the way from the head's centre to the base.
        """
        return self._bare_bound_mm + 2 * self.lobe_mm + self.blend_mm

    @property
    def bound_centre(self) -> Vector:
        """The centre (3,) mm of the sphere of `bound_mm`."""
        centre: Vector = np.asarray(self.centre)
        return centre + self.towards_base * (np.asarray(self.base) - centre)

    @property
    def towards_base(self) -> float:
        """The sphere's place on the way from head to base, 0..1; 0 for a polyp without a stalk."""
        if self.stalk_mm == 0:
            return 0.0
        return max(self._bare_bound_mm - self.diameter_mm / 2, 0.0) / self._to_base_mm

    @property
    def _bare_bound_mm(self) -> float:
        head = self.diameter_mm / 2
        if self.stalk_mm == 0:
            # First-order distances are short of the true ones beside the axes.
            return 1.06 * head
        return max(0.5 * (head + self._to_base_mm + 1.5 * self.stalk_mm), head)

    @property
    def _to_base_mm(self) -> float:
        return float(np.linalg.norm(np.subtract(self.base, self.centre)))

    def table_row(self) -> list[float]:
        """Its POLYP_COLUMNS numbers, in the order that `kernels.geometry.polyp_distance` reads."""
        return [
            *self.centre, self.half_height_mm,
            *self.axis, self.half_width_mm,
            *self.base, self.stalk_mm,
            *self.tint, self.pattern,
            self.blend_mm, self.bound_mm, self.s_mm, self.lobe_mm,
            self.vessels, self.mucus, self.shell_mm, float(self.like_wall),
            self.half_width_mm**-2, self.half_height_mm**-2, 0.67 / self.half_width_mm,
            self.towards_base,
            *[0.0] * 8,
            *self.surface.table_rows(),
        ]  # fmt: skip

    @property
    def shell_mm(self) -> float:
        """How much larger than the head an ellipsoid is that holds all of what the head bends.

        Added to both half-axes; 0 for a polyp with a stalk, which a sphere bounds. Measured by the
        kernel's first-order distance, which is short of the true one off the axes.
        """
        if self.stalk_mm > 0:
            return 0.0
        wide, high = self.half_width_mm, self.half_height_mm
        needed = self.blend_mm + 2 * self.lobe_mm
        grown = needed * np.linspace(1.0, 4.0, 25)[:, None]
        turn = np.linspace(0, np.pi / 2, 24)[None, :]
        x2, y2 = ((wide + grown) * np.sin(turn)) ** 2, ((high + grown) * np.cos(turn)) ** 2
        k0 = np.sqrt(x2 / wide**2 + y2 / high**2)
        k1 = np.sqrt(x2 / wide**4 + y2 / high**4)
        enough = (k0 * (k0 - 1) / k1).min(axis=1) >= needed
        return float(grown[enough.argmax() if enough.any() else -1, 0])

    @property
    def lobe_mm(self) -> float:
        """The height of the lobes on its surface."""
        return 0.06 * self.lobes * min(self.half_width_mm, self.half_height_mm)


def polyp_table(polyps: tuple[Polyp, ...]) -> NDArray[np.float32]:
    """The kernel's table (MAX_POLYPS, POLYP_COLUMNS) float32; unused rows are far and sizeless."""
    table = np.zeros((MAX_POLYPS, POLYP_COLUMNS), np.float32)
    table[:, 0] = 1e7
    for row, polyp in enumerate(polyps):
        table[row] = polyp.table_row()
    return table


class OnWall(Protocol):
    """What sits on the wall at a place along and around the colon."""

    @property
    def s_mm(self) -> float: ...
    @property
    def angle(self) -> float: ...


def swells(polyps: Sequence[OnWall], anatomy: Anatomy) -> NDArray[np.float64]:
    """How peristalsis carries each of P polyps, (P, 5).

    Its shift (3,) mm per unit of the wave's sine, and cosine and sine of the wave's phase at time 0
    at its place.
    """
    rows = np.zeros((len(polyps), 5))
    for row, polyp in zip(rows, polyps, strict=True):
        line, at = anatomy.centreline, anatomy.centreline.row(polyp.s_mm)
        outward = np.cos(polyp.angle) * line.normals[at] + np.sin(polyp.angle) * line.binormals[at]
        radius = anatomy.radius_at(polyp.s_mm, polyp.angle)
        phase = 2 * np.pi * polyp.s_mm / WAVE_MM
        row[:3] = anatomy.peristalsis * radius * outward
        row[3:] = np.cos(phase), np.sin(phase)
    return rows


def polyp_shifts(
    rows: NDArray[np.float64], time_s: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far peristalsis has carried polyps at times (...): (..., P, 3) mm.

    `rows` (..., P, 5) are those of `swells`.
    """
    turn = 2 * np.pi * np.asarray(time_s)[..., None] / WAVE_S
    wave = np.sin(turn) * rows[..., 3] + np.cos(turn) * rows[..., 4]
    shifts: NDArray[np.float64] = rows[..., :3] * wave[..., None]
    return shifts


def make_polyps(seed: int, anatomy: Anatomy, ranges: PolypRanges) -> tuple[Polyp, ...]:
    """Draw the polyps of a seed's colon, sorted along it; no two touch.

    Those that no place is found for are left out.
    """
    rng = stream(seed, Stream.POLYPS)
    wanted = int(rng.integers(ranges.count[0], ranges.count[1] + 1))
    shares = np.array([ranges.share_ip, ranges.share_isp, ranges.share_is, ranges.share_iia])
    placed: list[Polyp] = []
    for kind in rng.choice(len(KINDS), size=wanted, p=shares / shares.sum()):
        diameter = _skewed(rng, *ranges.diameter_mm, LEAST_MM[KINDS[kind]])
        for _ in range(PLACE_TRIES):
            polyp = _grow(rng, KINDS[kind], diameter, anatomy, ranges)
            if polyp is not None and all(_apart(polyp, other) for other in placed):
                placed.append(polyp)
                break
    placed.sort(key=lambda polyp: polyp.s_mm)
    alike = stream(seed, Stream.POLYP_SURFACE).random(len(placed)) < ranges.like_wall
    return tuple(
        replace(polyp, like_wall=bool(like)) for polyp, like in zip(placed, alike, strict=True)
    )


def _apart(one: Polyp, other: Polyp) -> bool:
    distance = float(np.linalg.norm(one.bound_centre - other.bound_centre))
    return distance > one.bound_mm + other.bound_mm + 2.0


def _skewed(rng: np.random.Generator, least: float, most: float, least_of_kind: float) -> float:
    """Draw a diameter, mostly a small one as polyps have: of 3 to 25 mm, half below about 7."""
    diameter = least + (most - least) * float(rng.beta(0.85, 3.3))
    return min(max(diameter, least_of_kind), max(most, least))


def _place(rng: np.random.Generator, anatomy: Anatomy, in_lee: bool) -> tuple[float, float]:
    """Draw a position and an angle; `in_lee`, where the wall falls away behind a fold's crest."""

    def anywhere() -> tuple[float, float]:
        return (
            rng.uniform(MARGIN_MM, anatomy.length_mm - MARGIN_MM),
            rng.uniform(-np.pi, np.pi),
        )

    if not in_lee:
        return anywhere()
    tries = [anywhere() for _ in range(LEE_TRIES)]
    return max(tries, key=lambda place: anatomy.slopes_at(*place)[0])


def _grow(
    rng: np.random.Generator, paris: Paris, diameter: float, anatomy: Anatomy, ranges: PolypRanges
) -> Polyp | None:
    """Draw a polyp somewhere, or None if it would fill the lumen there or drown in a pool."""
    s_mm, angle = _place(rng, anatomy, rng.random() < ranges.behind_folds)
    wall, away, along = anatomy.wall_at(s_mm, angle)
    half_width, stalk, base = diameter / 2, 0.0, wall
    if paris == "Is":
        half_height = half_width * rng.uniform(0.5, 1.0)
        centre = wall + rng.uniform(-0.1, 0.35) * half_height * away
        blend = min(rng.uniform(0.35, 0.9) * half_width, MOST_BLEND_MM)
    elif paris == "IIa":
        half_height = min(rng.uniform(0.22, 0.36) * half_width + 0.4, 2.8)
        centre = wall + 0.3 * half_height * away
        blend = rng.uniform(0.5, 1.0) * half_height + 0.3
    else:
        half_height = half_width * rng.uniform(0.85, 1.15)
        long = (0.7, 1.5) if paris == "Ip" else (0.05, 0.3)
        length = rng.uniform(*long) * half_width + 0.6
        lean = rng.uniform(-0.5, 0.5) * length
        centre = wall + (length + 0.55 * half_height) * away + lean * along
        stalk = half_width * (rng.uniform(0.28, 0.42) if paris == "Ip" else rng.uniform(0.5, 0.7))
        base = wall - away
        blend = min(0.25 * half_width + 0.6, MOST_BLEND_MM)
    polyp = Polyp(
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
        **_appearance(rng, ranges),
    )
    drowned = anatomy.fluid_at(s_mm, angle) > 0.3
    return None if drowned or _fills_lumen(polyp, anatomy) else polyp


def _appearance(rng: np.random.Generator, ranges: PolypRanges) -> dict[str, Any]:
    redness, paleness = draw(rng, ranges.redness), draw(rng, ranges.paleness)
    return {
        "tint": (paleness, paleness * (1 - 1.2 * redness), paleness * (1 - redness)),
        "pattern": draw(rng, ranges.pattern),
        "lobes": draw(rng, ranges.lobes),
        "mucus": draw(rng, ranges.mucus),
        "vessels": rng.uniform(0.1, 0.8),
    }


def _fills_lumen(polyp: Polyp, anatomy: Anatomy) -> bool:
    """Whether a scope of 10 mm couldn't pass beside a polyp."""
    line, row = anatomy.centreline, anatomy.centreline.row(polyp.s_mm)
    offset = np.subtract(polyp.centre, line.points[row])
    offset = offset - offset @ line.tangents[row] * line.tangents[row]
    reach = polyp.diameter_mm / 2 - float(np.linalg.norm(offset))
    across = anatomy.radius_at(polyp.s_mm, polyp.angle + np.pi)
    return across - reach < 11.0


def _triple(vector: Vector) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in vector)
    return x, y, z
