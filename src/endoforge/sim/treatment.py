"""What an endoscopist does to the wall: lifts mucosa, leaves defects, scars, ink and clips.

Lifts, defects and scars change the wall's height field, and all but clips tint it, which is a
`Mark`. Polyps stay on the wall where it is raised. Nothing of this has a label.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from endoforge.sim.anatomy import Anatomy
from endoforge.sim.centreline import ALONG_STEP_MM
from endoforge.sim.instruments import Colour, Strengths
from endoforge.sim.polyps import Polyp
from endoforge.sim.streams import Stream, stream
from endoforge.sim.wall import COLUMN_ANGLES, MIN_RADIUS_MM, Array, Grid

MOST_LIFTS, MOST_ULCERS, MOST_SCARS, MOST_TATTOOS, MOST_CLIPS = 6, 5, 6, 5, 6
"""Of each, how many a run of strength 1 has."""
ENDS_MM = 45.0
"""None of it lies closer to either end of the colon."""
BESIDE_POLYPS, BESIDE_MM = 0.7, 35.0
"""Share of it that lies near some polyp, and how far off along the colon at most."""
PLACE_TRIES = 30
REACH = 3.5
"""Beyond so many of its radii nothing of a hill is left."""
DYES: tuple[Colour, ...] = (
    (0.05, 0.17, 0.42), (0.08, 0.25, 0.46), (0.04, 0.26, 0.36), (0.16, 0.30, 0.42),
    (0.28, 0.38, 0.48), (0.10, 0.14, 0.34), (0.40, 0.46, 0.48), (0.30, 0.38, 0.40),
    (0.50, 0.50, 0.44),
)  # fmt: skip
"""Linear RGB of lifted mucosa: indigo carmine and methylene blue, from strong to milky."""


@dataclass(frozen=True)
class Mark:
    """A round stain of the wall at (`s_mm`, `angle`), whose middle lies at `centre` in the world.

    Within `radius_mm` the mucosa has `amount` (0..1) of `colour` in place of its own, at its rim
    `rim_amount` of `rim`; the edge is `softness` radii wide, and `mottle` 0..1 makes it uneven.
    `star` 0..1 is how far rays reach out of it; `turn` in rad makes no two alike.
    """

    s_mm: float
    angle: float
    centre: tuple[float, float, float]
    radius_mm: float
    colour: Colour
    amount: float
    rim: Colour
    rim_amount: float
    softness: float
    mottle: float
    star: float
    turn: float


@dataclass(frozen=True)
class HaemoClip:
    """A clip on the wall at (`s_mm`, `angle`): its foot, the unit direction in which it stands,
    and the unit direction across its jaws; it is `length_mm` long and has a colour."""

    s_mm: float
    angle: float
    foot: tuple[float, float, float]
    axis: tuple[float, float, float]
    across: tuple[float, float, float]
    length_mm: float
    colour: Colour


@dataclass(frozen=True)
class Treatment:
    """What treatment left on the wall."""

    marks: tuple[Mark, ...] = ()
    clips: tuple[HaemoClip, ...] = ()


Place = tuple[float, float]
"""Where on the wall: s in mm, angle in rad."""


def treat(
    seed: int, strengths: Strengths, anatomy: Anatomy, polyps: tuple[Polyp, ...]
) -> tuple[Anatomy, tuple[Polyp, ...], Treatment]:
    """Draw what was done to the colon of a seed: the colon and its polyps now, and what was left.

    With all strengths 0 the two are returned as they are.
    """
    rng = stream(seed, Stream.TREATMENT)
    wall = _Wall(anatomy, polyps)
    number = _number(rng, strengths.lift, MOST_LIFTS)
    marks = [wall.lift(rng, strengths.lift) for _ in range(number)]
    marks += [wall.ulcer(rng) for _ in range(_number(rng, strengths.ulcers, MOST_ULCERS))]
    defects = [(mark.s_mm, mark.angle) for mark in marks[-1:] if strengths.ulcers > 0]
    marks += [wall.scar(rng) for _ in range(_number(rng, strengths.scars, MOST_SCARS))]
    number = _number(rng, strengths.tattoo, MOST_TATTOOS)
    marks += [wall.tattoo(rng, strengths.tattoo) for _ in range(number)]
    if not marks and strengths.clips == 0:
        return anatomy, polyps, Treatment()
    after = replace(anatomy, radius=wall.radius)
    num_clips = _number(rng, strengths.clips, MOST_CLIPS)
    carried = tuple(wall.carried(polyp) for polyp in polyps)
    clips = tuple(_clip(rng, after, wall, defects) for _ in range(num_clips))
    return after, carried, Treatment(tuple(_put(mark, after) for mark in marks), clips)


def _number(rng: np.random.Generator, strength: float, most: int) -> int:
    return 0 if strength == 0 else 1 + int(rng.binomial(most - 1, strength))


class _Wall:
    """The wall while it is treated: `raised` mm at every sample, by which it nears the axis."""

    def __init__(self, anatomy: Anatomy, polyps: Sequence[Polyp]) -> None:
        self.anatomy = anatomy
        self.polyps = polyps
        self.raised = np.zeros_like(anatomy.radius)

    @property
    def radius(self) -> Grid:
        low = np.minimum(self.anatomy.radius, MIN_RADIUS_MM)
        return np.asarray(np.maximum(self.anatomy.radius - self.raised, low), np.float32)

    def carried(self, polyp: Polyp) -> Polyp:
        """The polyp, moved towards the axis by as much as the wall below it."""
        anatomy = self.anatomy
        cell = anatomy._cell(polyp.s_mm, polyp.angle)
        up = float(anatomy.radius[cell] - self.radius[cell])
        if up == 0:
            return polyp
        row = anatomy.centreline.row(polyp.s_mm)
        line = anatomy.centreline
        out = np.cos(polyp.angle) * line.normals[row] + np.sin(polyp.angle) * line.binormals[row]
        x, y, z = (np.asarray(polyp.centre) - up * out).tolist()
        u, v, w = (np.asarray(polyp.base) - up * out).tolist()
        return replace(polyp, centre=(x, y, z), base=(u, v, w))

    def lift(self, rng: np.random.Generator, strength: float) -> Mark:
        """A cushion under the mucosa, half of them under a polyp."""
        on_polyp, chosen = rng.random() < 0.5, rng.random()
        place, least = self._free(rng, 12.0), 6.0
        polyp = self.polyps[int(chosen * len(self.polyps))] if on_polyp and self.polyps else None
        # No cushion is as wide as a mass around the lumen.
        if polyp and not polyp.band:
            place, least = (polyp.s_mm, polyp.angle), 1.3 * polyp.half_width_mm + 3.0
        wide = max(rng.uniform(6.0, 14.0), least)
        high = min(wide * rng.uniform(0.3, 0.7), 0.36 * self.anatomy.radius_at(*place))
        # Two or three hills that merge: no cushion is quite round.
        for _ in range(3):
            off = rng.normal(0, 0.25 * wide, 2)
            beside = (place[0] + off[0], place[1] + off[1] / self.anatomy.radius_at(*place))
            part = rng.uniform(0.7, 1.0)
            rows, x, y = self._plane(beside, part * wide)
            self._raise_to(rows, high * np.exp(-((x * x + y * y) ** 1.3)))
        dye = DYES[int(rng.integers(len(DYES)))]
        light = rng.uniform(0.8, 1.5)
        amount = float(np.clip(rng.uniform(0.2, 0.8) + 0.4 * strength, 0, 0.97))
        return _mark(
            rng, place, 1.25 * wide, (dye[0] * light, dye[1] * light, dye[2] * light), amount,
            softness=rng.uniform(0.3, 0.9), mottle=rng.uniform(0.1, 0.8),
        )  # fmt: skip

    def ulcer(self, rng: np.random.Generator) -> Mark:
        """A defect of the mucosa: its base is pale, bluish or yellow, its rim burnt or red."""
        wide = float(rng.uniform(3.0, 9.0))
        place = self._free(rng, wide + 6.0)
        rows, x, y = self._plane(place, wide)
        d2 = x * x + y * y
        swollen = 0.9 * np.exp(-(((np.sqrt(d2) - 1.1) / 0.3) ** 2))
        self.raised[rows] += swollen - rng.uniform(0.3, 1.0) * np.exp(-(d2**3))
        base = [(0.75, 0.66, 0.50), (0.80, 0.74, 0.66), (0.32, 0.42, 0.50), (0.62, 0.50, 0.22)]
        rim = [(0.06, 0.03, 0.02), (0.45, 0.05, 0.03), (0.80, 0.72, 0.62)]
        return _mark(
            rng, place, wide, base[int(rng.integers(4))], rng.uniform(0.6, 0.95),
            rim=rim[int(rng.integers(3))], rim_amount=rng.uniform(0.2, 0.9),
            softness=0.25, mottle=rng.uniform(0.2, 0.7),
        )  # fmt: skip

    def scar(self, rng: np.random.Generator) -> Mark:
        """A pale spot to which small folds run from all around."""
        wide = float(rng.uniform(2.0, 5.0))
        place = self._free(rng, wide + 6.0)
        rows, x, y = self._plane(place, wide)
        d, angle = np.hypot(x, y), np.arctan2(y, x)
        rays = np.cos(int(rng.integers(4, 7)) * angle + rng.uniform(0, 6))
        folds = rays * np.exp(-((d - 1.4) ** 2)) * np.minimum(d, 1)
        self.raised[rows] += rng.uniform(0.25, 0.6) * folds
        return _mark(
            rng, place, wide, (0.84, 0.66, 0.56), rng.uniform(0.3, 0.8),
            softness=0.7, mottle=0.5, star=rng.uniform(0.3, 1.0),
        )  # fmt: skip

    def tattoo(self, rng: np.random.Generator, strength: float) -> Mark:
        """Carbon ink that shines through the mucosa."""
        wide = float(rng.uniform(4.0, 12.0))
        place = self._free(rng, 4.0)
        ink = [(0.02, 0.03, 0.07), (0.03, 0.06, 0.12), (0.02, 0.02, 0.03)]
        amount = rng.uniform(0.3, 0.6) + 0.3 * strength
        return _mark(
            rng, place, wide, ink[int(rng.integers(3))], amount,
            softness=rng.uniform(0.5, 1.0), mottle=1.0,
        )  # fmt: skip

    def _free(self, rng: np.random.Generator, apart_mm: float) -> Place:
        """A place so far from every polyp, or the last of many that were tried."""
        length = self.anatomy.length_mm
        for _ in range(PLACE_TRIES):
            s_mm, angle = rng.uniform(ENDS_MM, length - ENDS_MM), rng.uniform(-np.pi, np.pi)
            beside, off = rng.random() < BESIDE_POLYPS, rng.uniform(-BESIDE_MM, BESIDE_MM)
            if beside and self.polyps:
                polyp = self.polyps[int(rng.integers(len(self.polyps)))]
                s_mm = np.clip(polyp.s_mm + off, ENDS_MM, length - ENDS_MM)
            place = (float(s_mm), float(angle))
            here = self.anatomy.wall_at(*place)[0]
            near = [polyp for polyp in self.polyps if abs(polyp.s_mm - place[0]) < 60]
            away = [np.linalg.norm(here - polyp.centre) - polyp.half_width_mm for polyp in near]
            if min(away, default=np.inf) > apart_mm and self.anatomy.fluid_at(*place) < 0.2:
                break
        return place

    def _plane(self, place: Place, unit_mm: float) -> tuple[slice, Array, Array]:
        """The rows of the table near a place, and where their samples lie seen from it.

        (n, 1) along and (1, NUM_AROUND) around the colon, in units.
        """
        middle, reach = place[0] / ALONG_STEP_MM, REACH * unit_mm / ALONG_STEP_MM
        rows = slice(max(int(middle - reach), 0), min(int(middle + reach) + 2, len(self.raised)))
        s_mm: Array = np.arange(rows.start, rows.stop)[:, None] * np.float64(ALONG_STEP_MM)
        turn = np.mod(COLUMN_ANGLES - place[1] + np.pi, 2 * np.pi) - np.pi
        around = turn[None, :] * self.anatomy.radius_at(*place)
        return rows, (s_mm - place[0]) / unit_mm, around / unit_mm

    def _raise_to(self, rows: slice, hill: Array) -> None:
        """Raise it with a hill: where hills overlap they merge, a little higher than each."""
        before = self.raised[rows]
        low, high = np.minimum(before, hill), np.maximum(before, hill)
        self.raised[rows] = high + 0.3 * low


def _mark(
    rng: np.random.Generator,
    place: Place,
    radius_mm: float,
    colour: Colour,
    amount: float,
    *,
    rim: Colour = (0.0, 0.0, 0.0),
    rim_amount: float = 0.0,
    softness: float,
    mottle: float,
    star: float = 0.0,
) -> Mark:
    nowhere = (0.0, 0.0, 0.0)
    return Mark(
        *place, nowhere, float(radius_mm), colour, float(amount), rim, float(rim_amount),
        float(softness), float(mottle), float(star), float(rng.uniform(0, 2 * np.pi)),
    )  # fmt: skip


def _put(mark: Mark, anatomy: Anatomy) -> Mark:
    x, y, z = anatomy.wall_at(mark.s_mm, mark.angle)[0].tolist()
    return replace(mark, centre=(x, y, z))


def _clip(
    rng: np.random.Generator, anatomy: Anatomy, wall: _Wall, defects: Sequence[Place]
) -> HaemoClip:
    """A clip on a defect if there is one, else anywhere."""
    s_mm, angle = wall._free(rng, 3.0)
    if defects and rng.random() < 0.7:
        s_mm, angle = defects[int(rng.integers(len(defects)))]
        off = rng.normal(0, 2.0, 2)
        s_mm, angle = s_mm + off[0], angle + off[1] / anatomy.radius_at(s_mm, angle)
    foot, away, along = anatomy.wall_at(s_mm, angle)
    lean = away + 0.45 * rng.normal(size=3)
    axis = lean / np.linalg.norm(lean)
    turn = rng.normal(size=3)
    across = np.cross(axis, turn + along)
    across /= np.linalg.norm(across)
    metal = [(0.50, 0.50, 0.52), (0.62, 0.52, 0.30), (0.78, 0.78, 0.78), (0.30, 0.30, 0.34)]
    fx, fy, fz = foot.tolist()
    ax, ay, az = axis.tolist()
    cx, cy, cz = across.tolist()
    return HaemoClip(
        float(s_mm), float(angle), (fx, fy, fz), (ax, ay, az), (cx, cy, cz),
        float(rng.uniform(5.0, 9.0)), metal[int(rng.integers(4))],
    )  # fmt: skip
