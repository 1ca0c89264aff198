"""What looks like a polyp but is none, and has no label: parts of the wall itself.

Each is raised on the wall's height field, and some are redder or paler than the wall around them.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import cv2
import numpy as np

from endoforge.sim.centreline import ALONG_STEP_MM, NUM_ALONG
from endoforge.sim.ranges.lookalikes_ranges import LookalikeRanges
from endoforge.sim.ranges.values import draw_nuisance
from endoforge.sim.streams import Stream, stream
from endoforge.sim.wall import COLUMN_ANGLES, MIN_RADIUS_MM, NUM_AROUND, Cecum, Grid, patches

FOLLICLE_MM = 1.6
"""Height of the highest follicles."""
VILLI_MM = 0.45


@dataclass(frozen=True)
class Lookalikes:
    """Strengths from 0 (none) to 1 (as many, and as marked, as is ever seen) of what
    `LookalikeRanges` says."""

    knobs: float = 0.0
    follicles: float = 0.0
    suction: float = 0.0
    valve: float = 0.0
    appendix: float = 0.0
    cushions: float = 0.0
    inverted: float = 0.0
    villi: float = 0.0


NO_LOOKALIKES = Lookalikes()


def make_lookalikes(seed: int, ranges: LookalikeRanges) -> Lookalikes:
    """Draw the lookalikes of a seed from the ranges, 0 for those that the run is spared."""
    rng = stream(seed, Stream.LOOKALIKES)
    names = [field.name for field in fields(Lookalikes)]
    return Lookalikes(**{name: draw_nuisance(rng, getattr(ranges, name)) for name in names})


class Relief:
    """A wall under work: its `radius` in mm, and its `blush`, both (NUM_ALONG, NUM_AROUND).

    The blush is the share by which a place is paler than the wall, below 0 redder.
    """

    def __init__(self, radius: Grid) -> None:
        self.radius = radius.copy()
        self.blush: Grid = np.zeros_like(radius)

    def raise_lump(
        self,
        s_mm: float,
        angle: float,
        half_mm: tuple[float, float],
        height_mm: float,
        *,
        turn: float = 0.0,
        steep: float = 1.3,
        blush: float = 0.0,
    ) -> None:
        """Raise a hill of half-widths along and around the colon, turned by `turn` rad, in place.

        The steeper, the flatter its top. Below 0 the height is a pit's depth.
        """
        reach = 2.2 * max(half_mm)
        first = max(int((s_mm - reach) / ALONG_STEP_MM), 0)
        last = min(int((s_mm + reach) / ALONG_STEP_MM) + 2, NUM_ALONG)
        if first >= last:
            return
        along = np.arange(first, last)[:, None] * ALONG_STEP_MM - s_mm
        offset = np.mod(COLUMN_ANGLES - angle + np.pi, 2 * np.pi) - np.pi
        around = offset * self.radius_at(s_mm, angle)
        (columns,) = np.nonzero(np.abs(around) < reach)
        around = around[columns]
        u = (along * np.cos(turn) + around * np.sin(turn)) / half_mm[0]
        v = (around * np.cos(turn) - along * np.sin(turn)) / half_mm[1]
        share = np.exp(-np.power(u * u + v * v, steep))
        here = np.ix_(np.arange(first, last), columns)
        # Nothing rises where the tube is closed, nor into the way of a scope.
        before = self.radius[here]
        least = np.minimum(before, MIN_RADIUS_MM - 2.0)
        self.radius[here] = np.maximum(before - height_mm * share, least)
        self.blush[here] += (blush * share).astype(np.float32)

    def radius_at(self, s_mm: float, angle: float) -> float:
        """The radius in mm at the nearest sample."""
        row = min(max(round(s_mm / ALONG_STEP_MM), 0), NUM_ALONG - 1)
        offset = np.mod(COLUMN_ANGLES - angle + np.pi, 2 * np.pi) - np.pi
        return float(self.radius[row, np.abs(offset).argmin()])


def add_lookalikes(
    seed: int, radius: Grid, cecum: Cecum, length_mm: float, lookalikes: Lookalikes
) -> tuple[Grid, Grid]:
    """Draw the lookalikes of a seed on its wall; returns the radius with them, and the blush."""
    relief = Relief(radius)
    if lookalikes == NO_LOOKALIKES:
        return radius, relief.blush
    rng = stream(seed, Stream.CECUM)
    if lookalikes.valve > 0:
        kind = VALVES[int(rng.integers(len(VALVES)))]
        kind(rng, relief, cecum, lookalikes.valve)
    if lookalikes.appendix > 0:
        _add_appendix(rng, relief, cecum, lookalikes.appendix)
    rng = stream(seed, Stream.LOOKALIKES)
    for _ in range(round(70 * lookalikes.knobs)):
        _add_knob(rng, relief, length_mm)
    for _ in range(round(8 * lookalikes.suction)):
        _add_suction(rng, relief, length_mm)
    for _ in range(round(6 * lookalikes.inverted)):
        _add_inverted(rng, relief, length_mm)
    if lookalikes.cushions > 0:
        _add_cushions(rng, relief, lookalikes.cushions)
    if lookalikes.follicles > 0:
        _add_follicles(rng, relief, lookalikes.follicles)
    if lookalikes.villi > 0:
        _add_villi(rng, relief, cecum, lookalikes.villi)
    return relief.radius, relief.blush


def _add_knob(rng: np.random.Generator, relief: Relief, length_mm: float) -> None:
    """A short thick piece of a fold: of some places that are drawn, on what stands out most."""
    places = [
        (rng.uniform(40.0, length_mm - 25.0), rng.uniform(-np.pi, np.pi))
        for _ in range(int(rng.integers(1, 6)))
    ]
    s_mm, angle = min(places, key=lambda place: relief.radius_at(*place))
    thick = rng.uniform(2.2, 4.8)
    relief.raise_lump(
        s_mm,
        angle,
        (thick, thick * rng.uniform(1.3, 3.2)),
        thick * rng.uniform(0.45, 1.1),
        turn=rng.normal(0, 0.5),
        steep=rng.uniform(1.3, 2.4),
        blush=rng.normal(0, 0.06),
    )


def _add_suction(rng: np.random.Generator, relief: Relief, length_mm: float) -> None:
    """A row of red marks as the scope's suction leaves them: raised spots, some of them rings."""
    s_mm, angle = rng.uniform(30.0, length_mm - 60.0), rng.uniform(-np.pi, np.pi)
    half, red = rng.uniform(2.0, 4.0), -rng.uniform(0.25, 0.7)
    for _ in range(int(rng.integers(1, 6))):
        relief.raise_lump(s_mm, angle, (half, half), rng.uniform(0.3, 1.3), steep=1.6, blush=red)
        if rng.random() < 0.6:
            inner = 0.6 * half
            relief.raise_lump(s_mm, angle, (inner, inner), -0.4, steep=1.6, blush=-0.6 * red)
        s_mm += rng.normal(0, 12.0)
        angle += rng.normal(0, 0.35)


def _add_inverted(rng: np.random.Generator, relief: Relief, length_mm: float) -> None:
    """A diverticulum turned inside out: a dome as the wall is, with a dimple on its top."""
    s_mm, angle = rng.uniform(60.0, 0.6 * length_mm), rng.uniform(-np.pi, np.pi)
    half = rng.uniform(1.8, 4.0)
    relief.raise_lump(s_mm, angle, (half, half), half * rng.uniform(0.5, 0.9), steep=1.4)
    relief.raise_lump(s_mm, angle, (0.4 * half, 0.4 * half), -0.35 * half, blush=-0.15)


def _add_cushions(rng: np.random.Generator, relief: Relief, strength: float) -> None:
    """Cushions side by side around the rectum's end, dark red."""
    start = rng.uniform(-np.pi, np.pi)
    number = int(rng.integers(3, 7))
    for place in range(number):
        angle = start + 2 * np.pi * place / number + rng.normal(0, 0.15)
        half = (rng.uniform(6.0, 12.0), rng.uniform(3.5, 6.5))
        height = strength * rng.uniform(2.5, 6.0)
        red = -strength * rng.uniform(0.05, 0.35)
        relief.raise_lump(rng.uniform(12.0, 26.0), angle, half, height, steep=1.3, blush=red)


def _add_follicles(rng: np.random.Generator, relief: Relief, strength: float) -> None:
    """Domes of 1.5 to 3 mm close to each other, in patches, paler than the wall; red between."""
    domes = _domes(rng)
    there = np.clip(1.5 * patches(rng, 55.0, 80.0) + 2.2 * strength - 1.9, 0, 1)
    there *= np.clip(relief.radius / MIN_RADIUS_MM - 1, 0, 1)
    pale = rng.uniform(0.1, 0.5)
    relief.radius -= (FOLLICLE_MM * (0.4 + 0.6 * strength) * there * domes).astype(np.float32)
    relief.blush += (there * (pale * domes - rng.uniform(0.0, 0.12))).astype(np.float32)


def _domes(rng: np.random.Generator) -> Grid:
    """Domes from 0 to 1 about every 4 mm, none where another is."""
    rows, columns = np.meshgrid(
        np.arange(3, NUM_ALONG - 3, 5), np.arange(0, NUM_AROUND, 8), indexing="ij"
    )
    rows = rows + rng.integers(-2, 3, rows.shape)
    columns = (columns + rng.integers(-3, 4, columns.shape)) % NUM_AROUND
    seeds = np.zeros((NUM_ALONG, NUM_AROUND), np.float32)
    seeds[rows, columns] = rng.uniform(0.3, 1.0, rows.shape) * (rng.random(rows.shape) < 0.8)
    along, around = 1.25, 2.2
    wrapped = np.concatenate([seeds[:, -8:], seeds, seeds[:, :8]], axis=1)
    blurred = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=around, sigmaY=along)[:, 8:-8]
    return np.asarray(2 * np.pi * along * around * blurred, np.float32)


def _add_villi(rng: np.random.Generator, relief: Relief, cecum: Cecum, strength: float) -> None:
    """Fine bumps around the ileocecal valve, as fine as the wall's table shows."""
    reach = rng.uniform(14.0, 30.0)
    first, last = (int((cecum.valve_s + 1.6 * side * reach) / ALONG_STEP_MM) for side in (-1, 1))
    s_mm = np.arange(first, min(last, NUM_ALONG))[:, None] * ALONG_STEP_MM
    offset = np.mod(COLUMN_ANGLES - cecum.valve_angle + np.pi, 2 * np.pi) - np.pi
    around = offset * relief.radius_at(cecum.valve_s, cecum.valve_angle)
    rows = slice(first, first + len(s_mm))
    there = np.exp(-((np.hypot(s_mm - cecum.valve_s, around) / reach) ** 4))
    there *= np.clip(relief.radius[rows] / MIN_RADIUS_MM - 1, 0, 1)
    bumps = np.abs(patches(rng, 2.0, 3.5)[rows]) * there
    relief.radius[rows] -= (VILLI_MM * (1 + strength) * bumps).astype(np.float32)
    relief.blush[rows] += (0.08 * strength * (bumps - 0.5 * there)).astype(np.float32)


def _labial(rng: np.random.Generator, relief: Relief, cecum: Cecum, strength: float) -> None:
    """Two thick smooth lips, one more than the other."""
    lip = cecum.lip_mm * (0.8 + 0.5 * strength)
    for side in (-1, 1):
        half = (lip * rng.uniform(0.7, 1.0), lip * rng.uniform(1.4, 2.4))
        height = strength * lip * rng.uniform(0.15, 0.6)
        place = cecum.valve_s + side * 0.8 * lip
        relief.raise_lump(place, cecum.valve_angle, half, height, steep=2.0, blush=0.06)


def _papillary(rng: np.random.Generator, relief: Relief, cecum: Cecum, strength: float) -> None:
    """A dome with a small opening in its middle."""
    half = cecum.lip_mm * rng.uniform(1.3, 2.0)
    place = cecum.valve_s, cecum.valve_angle
    relief.raise_lump(*place, (half, half), half * (0.15 + 0.3 * strength), steep=2.2, blush=0.06)
    relief.raise_lump(*place, (1.5, 2.2), -3.0, steep=1.5, blush=-0.25)


def _lipomatous(rng: np.random.Generator, relief: Relief, cecum: Cecum, strength: float) -> None:
    """Fat under the mucosa: one or two large smooth bulges, paler than the wall."""
    for _ in range(int(rng.integers(1, 3))):
        half = (rng.uniform(6.0, 10.0), rng.uniform(8.0, 13.0))
        place = cecum.valve_s + rng.normal(0, 4.0), cecum.valve_angle + rng.normal(0, 0.2)
        height = rng.uniform(4.0, 8.0) * strength
        relief.raise_lump(*place, half, height, steep=1.8, blush=rng.uniform(0.05, 0.2))


VALVES: tuple[Callable[[np.random.Generator, Relief, Cecum, float], None], ...] = (
    _labial,
    _papillary,
    _lipomatous,
)


def _add_appendix(rng: np.random.Generator, relief: Relief, cecum: Cecum, strength: float) -> None:
    """A ring that bulges around the orifice, or the appendix turned inside out: a finger."""
    place = cecum.appendix_s, cecum.appendix_angle
    if rng.random() < 0.5:
        half = rng.uniform(2.2, 3.6)
        relief.raise_lump(*place, (half, half), 6.0 + 5.0 * strength, steep=2.0, blush=-0.08)
        return
    half = rng.uniform(3.0, 5.0)
    relief.raise_lump(*place, (half, 1.3 * half), 3.5 * strength, steep=1.6)
    turn = rng.uniform(-np.pi, np.pi)
    relief.raise_lump(*place, (0.8, 0.45 * half), -3.0, turn=turn, steep=1.3, blush=-0.2)
