"""The colon of a seed: its course, its wall, and what lies on the wall.

A point of the lumen has the curve coordinates (s, x, y): position along the centreline, from the
rectum to the cecum, and offset in the plane across it.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.centreline import (
    ALONG_STEP_MM,
    NUM_ALONG,
    SEGMENTS,
    Centreline,
    make_centreline,
    make_course,
    straight_centreline,
)
from endoforge.sim.deposits import Deposits, lay_deposits, no_deposits
from endoforge.sim.lookalikes import NO_LOOKALIKES, Lookalikes, add_lookalikes
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.ranges.anatomy_ranges import AnatomyRanges
from endoforge.sim.ranges.values import draw
from endoforge.sim.relief import relax
from endoforge.sim.residue import CLEAN, Residue
from endoforge.sim.shell import Shell, make_shell
from endoforge.sim.streams import Stream, stream
from endoforge.sim.wall import NUM_AROUND, Array, Grid, angle_to_diamond, make_calibre, make_wall

WAVE_MM, WAVE_S = 120.0, 9.0
"""Length and period of the waves of peristalsis: one passes any place every 9 s."""


@dataclass(frozen=True)
class Anatomy:
    """A centreline and the wall around it: `radius` (NUM_ALONG, NUM_AROUND) mm, deposits and all.

    `segment_ends` (6,) mm along the centreline, in the order of SEGMENTS. `peristalsis` is the
    share of the radius by which waves narrow and widen the colon. `blush`, of the radius's shape,
    is the share by which places are paler than the wall, below 0 redder.
    """

    centreline: Centreline
    radius: Grid
    segment_ends: Array
    deposits: Deposits
    peristalsis: float = 0.0
    blush: Grid = field(default_factory=lambda: np.zeros((NUM_ALONG, NUM_AROUND), np.float32))

    @cached_property
    def shell(self) -> Shell:
        """The tables that the kernels read of it, made when first asked for."""
        return make_shell(self.centreline, self.radius)

    @property
    def length_mm(self) -> float:
        """Length of the centreline in mm, from the rectum to the cecum's end."""
        return self.centreline.length_mm

    def segment(self, s_mm: float) -> str:
        """The name in SEGMENTS of the part of the colon at a position in mm."""
        part = int(np.searchsorted(self.segment_ends, s_mm))
        return SEGMENTS[min(part, len(SEGMENTS) - 1)]

    def swelling(self, s_mm: float | Array, time_s: float) -> Array:
        """The share by which peristalsis makes the wall wider than its table at a place and time.

        Below 0 it is narrower. The wave travels towards the rectum.
        """
        turns = np.asarray(s_mm) / WAVE_MM + time_s / WAVE_S
        return np.asarray(self.peristalsis * np.sin(2 * np.pi * turns))

    def radius_at(self, s_mm: float, angle: float) -> float:
        """The distance in mm from the centreline to the wall at rest, of the nearest sample."""
        return float(self.radius[self._cell(s_mm, angle)])

    def fluid_at(self, s_mm: float, angle: float) -> float:
        """The depth in mm of the pool over a place, 0 where there is none."""
        return float(self.deposits.fluid[self._cell(s_mm, angle)])

    def _cell(self, s_mm: float, angle: float) -> tuple[int, int]:
        along = int(np.clip(round(s_mm / ALONG_STEP_MM), 0, NUM_ALONG - 1))
        around = int(angle_to_diamond(angle) * NUM_AROUND / 4) % NUM_AROUND
        return along, around

    def slopes_at(self, s_mm: float, angle: float) -> tuple[float, float]:
        """The wall's slopes dR/ds and dR/dangle / R, by central differences over about 2 mm."""
        step = 1.0
        along = self.radius_at(s_mm + step, angle) - self.radius_at(s_mm - step, angle)
        turn = step / self.radius_at(s_mm, angle)
        around = self.radius_at(s_mm, angle + turn) - self.radius_at(s_mm, angle - turn)
        return along / (2 * step), around / (2 * step)

    def crest_at(self, s_mm: float, angle: float) -> float:
        """How far in mm the wall stands out at a place: its radius there is less than around."""
        beside = [self.radius_at(s_mm + off, angle) for off in (-7.0, -3.5, 3.5, 7.0)]
        return sum(beside) / len(beside) - self.radius_at(s_mm, angle)

    def wall_at(
        self, s_mm: float, angle: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """A place of the wall: its position (3,) mm, unit normal into the lumen, and tangent."""
        line, row = self.centreline, self.centreline.row(s_mm)
        tangent, normal, binormal = line.tangents[row], line.normals[row], line.binormals[row]
        outward = np.cos(angle) * normal + np.sin(angle) * binormal
        around = np.cos(angle) * binormal - np.sin(angle) * normal
        radius = self.radius_at(s_mm, angle)
        slope_s, slope_a = self.slopes_at(s_mm, angle)
        away = -outward + slope_s * tangent + slope_a * around
        away /= np.linalg.norm(away)
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        return line.to_world(s_mm, x, y), away, tangent


def make_anatomy(
    seed: int,
    ranges: AnatomyRanges,
    nuisances: Nuisances,
    lookalikes: Lookalikes = NO_LOOKALIKES,
    residue: Residue = CLEAN,
) -> Anatomy:
    """Draw the colon of a seed from the ranges: its course, its wall, and what lies on the wall."""
    rng = stream(seed, Stream.ANATOMY)
    length_mm = draw(rng, ranges.length_mm)
    points, ends = make_course(rng, length_mm)
    calibre = make_calibre(rng, ranges, ends)
    line = make_centreline(points, length_mm, 1.2 * calibre)
    wall, cecum = make_wall(rng, ranges, calibre, ends, length_mm, nuisances.diverticula, seed)
    peristalsis = draw(rng, ranges.peristalsis)
    wall = relax(seed, ranges, wall)
    wall, blush = add_lookalikes(seed, wall, cecum, length_mm, lookalikes)
    radius, deposits = lay_deposits(
        stream(seed, Stream.DEPOSITS), line, wall, nuisances, residue, stream(seed, Stream.RESIDUE)
    )
    return Anatomy(line, radius, ends, deposits, peristalsis, blush)


def straight_anatomy(radius_mm: float, length_mm: float = 600.0) -> Anatomy:
    """Make a smooth straight tube along +z, clean and at rest, for tests and worked examples."""
    wall = np.full((NUM_ALONG, NUM_AROUND), radius_mm, np.float32)
    ends = np.linspace(0, length_mm, len(SEGMENTS) + 1)[1:]
    return Anatomy(straight_centreline(length_mm), wall, ends, no_deposits())
