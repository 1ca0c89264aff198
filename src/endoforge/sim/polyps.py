"""Polyps: what they are, and the numbers that the kernel needs of them. `growth` makes them.

Kinds are those of the Paris classification (Gastrointest Endosc 2003;58:S3-43): Ip stands on a
stalk, Isp on a short broad neck, Is sits on the wall, IIa is slightly raised, IIb level with the
wall, IIc sunk, IIa+IIc raised and sunk in the middle. Beside them stand laterally spreading tumours
(LST), granular (G) and not (NG), and masses of several heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.anatomy import WAVE_MM, WAVE_S, Anatomy
from endoforge.sim.polyp_surface import PLAIN, PolypSurface
from endoforge.sim.ranges.polyps_ranges import MOST_POLYPS
from endoforge.sim.shapes import MOST_HEADS, SMOOTH, STEEP, Band, Flat, Uneven, grown_by

Paris = Literal["Ip", "Isp", "Is", "IIa", "IIb", "IIc", "IIa+IIc", "LST-G", "LST-NG", "mass"]
KINDS: tuple[Paris, ...] = get_args(Paris)
"""Never sorted anew: a polyp's kind is its place in this."""

MAX_POLYPS = MOST_POLYPS
"""Rows of the kernel's table."""
POLYP_COLUMNS = 44 + 4 * MOST_HEADS
"""Numbers a polyp in the kernel's table: rows of four."""
FIRST_HEAD_COLUMN = 44
"""Where the heads of a mass begin, or the profile of a flat lesion."""
LABELLED_STALK = 0.3
"""What of a stalk is labelled with its polyp: so much from the head, in half-widths of that.

Clinicians box the head: the stalk is mucosa drawn out, and no lesion.
"""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Polyp:
    """One polyp, in world millimetres.

    A head, which is an ellipsoid of revolution about `axis` (away from the wall) with half-axes
    `half_height_mm` along it and `half_width_mm` across, and for Ip and Isp a stalk of radius
    `stalk_mm` from `base` to `centre`. `blend_mm` is the width over which it merges into the wall.
    `tint` multiplies the mucosa's colour; `pattern` (of pits), `lobes`, `mucus` and `vessels` are
    strengths 0..1. `surface` is what it looks like from near. One that is `like_wall` has the
    colour and the surface of the wall instead. `group` counts, from 1, the groups of small ones
    that stand close together, 0 is for one by itself. `uneven` says how the head differs from that
    ellipsoid. One that is `flat` has no body: its head only cuts out the region of the wall that it
    is.
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
    group: int = 0
    surface: PolypSurface = PLAIN
    uneven: Uneven = SMOOTH
    flat: Flat | None = None

    @property
    def band(self) -> Band | None:
        """The region that it is if it goes around the lumen."""
        return self.flat.band if self.flat else None

    @property
    def diameter_mm(self) -> float:
        """The largest width of the head, as an endoscopist gives it."""
        return 2 * max(self.half_width_mm * self.uneven.stretch, self.half_height_mm)

    @property
    def bound_mm(self) -> float:
        """The radius of the sphere that holds all of it and of what it bends.

        Its centre lies `towards_base` of the way from the head's centre to the base.
        """
        if self.uneven == SMOOTH:
            return self._bare_bound_mm + 2 * self.lobe_mm + self.blend_mm
        return self._bare_bound_mm + self._bends_mm

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
        return max(self._bare_bound_mm - self._head_mm, 0.0) / self._to_base_mm

    @property
    def _bare_bound_mm(self) -> float:
        head = self._head_mm
        if self.stalk_mm > 0:
            return max(0.5 * (head + self._to_base_mm + 1.5 * self.stalk_mm), head)
        # First-order distances are short of the true ones beside the axes.
        return 1.06 * head if self.uneven == SMOOTH else head

    @property
    def _head_mm(self) -> float:
        if self.band:
            return self.band.bound_mm
        half = self.diameter_mm / 2
        return half if self.uneven == SMOOTH else half + self._grown_mm - self._bends_mm

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
            self.half_width_mm**-2, self.half_height_mm**-2,
            0.67 * self.uneven.crowded / self.half_width_mm, self.towards_base,
            *self._shape_columns(),
        ]  # fmt: skip

    def _shape_columns(self) -> list[float]:
        uneven = self.uneven
        egg_or_join = uneven.join_mm if uneven.heads else uneven.egg
        bends = [
            *uneven.along, uneven.stretch**-2 - 1,
            egg_or_join, uneven.crease_mm, uneven.crater_mm, self.form,
        ]  # fmt: skip
        rest = [number for head in uneven.heads for number in head]
        if self.flat:
            flat = self.flat
            rest = [flat.height_mm, flat.margin_mm, flat.hollow, flat.nodule_mm]
            rest += [flat.nodules_per_mm, 1 / (1 + flat.slope)]
        if self.band:
            band = self.band
            rest += [band.round_mm, 0.0]
            rest += [band.half_length_mm, band.turn, band.middle_mm, band.radius_mm]
        unused = [0.0] * (POLYP_COLUMNS - FIRST_HEAD_COLUMN - len(rest))
        return [*bends, *self.surface.table_rows(), *rest, *unused]

    @property
    def form(self) -> float:
        """What it is: see `packing`."""
        if self.flat:
            return -2.0 if self.band else -1.0
        return float(len(self.uneven.heads) or self.uneven != SMOOTH)

    @property
    def _bends_mm(self) -> float:
        """How far beyond the bare head it bends the surface, by the kernel's distance.

        That is taken shorter across lobes and creases.
        """
        uneven = self.uneven
        # As in `kernels.lesion_shapes.uneven_distance`, which shortens distances by as much.
        per_mm = 0.67 * uneven.crowded / self.half_width_mm
        steep = 1 + STEEP * per_mm * (self.lobe_mm + uneven.crease_mm)
        bulges = 2 * self.lobe_mm + uneven.crease_mm + 0.5 * uneven.join_mm
        return self.blend_mm * steep + bulges

    @property
    def shell_mm(self) -> float:
        """How much larger than the head an ellipsoid is that holds all of what the head bends.

        Added to both half-axes; 0 for a polyp with a stalk, or around the lumen, which a sphere
        bounds. Measured by the kernel's first-order distance, which is short of the true one off
        the axes.
        """
        if self.stalk_mm > 0 or self.band:
            return 0.0
        wide, high = self.half_width_mm, self.half_height_mm
        if self.uneven != SMOOTH:
            # A shell is added to both half-axes, though stretching widens one only.
            return self._grown_mm + (self.uneven.stretch - 1) * wide
        needed = self.blend_mm + 2 * self.lobe_mm
        grown = needed * np.linspace(1.0, 4.0, 25)[:, None]
        turn = np.linspace(0, np.pi / 2, 24)[None, :]
        x2, y2 = ((wide + grown) * np.sin(turn)) ** 2, ((high + grown) * np.cos(turn)) ** 2
        k0 = np.sqrt(x2 / wide**2 + y2 / high**2)
        k1 = np.sqrt(x2 / wide**4 + y2 / high**4)
        enough = (k0 * (k0 - 1) / k1).min(axis=1) >= needed
        return float(grown[enough.argmax() if enough.any() else -1, 0])

    @cached_property
    def _grown_mm(self) -> float:
        long = self.half_width_mm * self.uneven.stretch
        half_axes = long, self.half_width_mm, self.half_height_mm
        return grown_by(half_axes, self.uneven.egg, self._bends_mm)

    @property
    def lobe_mm(self) -> float:
        """The height of the lobes on its surface."""
        share = 0.06 * self.lobes + self.uneven.lobed
        return share * min(self.half_width_mm, self.half_height_mm)


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
