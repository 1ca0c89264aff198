"""The colon's wall: its radius around the centreline, segment by segment.

The wall is a height field R(s, a): its distance in mm from the centreline. `a` is the *diamond
angle* of the offset (x, y), a pseudo-angle in [0, 4) which needs no arc tangent.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.centreline import ALONG_STEP_MM, NUM_ALONG, SEGMENTS
from endoforge.sim.ranges.anatomy_ranges import AnatomyRanges
from endoforge.sim.ranges.values import draw
from endoforge.sim.streams import Stream, smooth_noise, stream

NUM_AROUND = 256
"""Samples of the wall's table around the centreline: a power of two, kernels wrap by a mask."""
MIN_RADIUS_MM = 7.0
"""The wall comes no nearer to the centreline, mounds aside."""
CAP_MM = 15.0
"""Length over which both ends of the tube are rounded off."""

Array = NDArray[np.float64]
Grid = NDArray[np.float32]
"""A number for every sample of the wall: (NUM_ALONG, NUM_AROUND) float32."""


@dataclass(frozen=True)
class Segment:
    """What the wall of a part of the colon is like, as in an insufflated adult colon.

    `calibre_mm` mean radius; `triangle` how far three taeniae pull the cross-section into a
    triangle; `fold_mm` height of its folds, `spacing` multiplies the distance between them,
    `extent` half the angle that one spans (rad; 1.05 is a third of the circle), `missing` the
    share that isn't there; `diverticula` its share of those.
    """

    calibre_mm: float
    triangle: float
    fold_mm: float
    spacing: float
    extent: float
    missing: float
    diverticula: float


ANATOMY: dict[str, Segment] = {
    "rectum": Segment(20.5, 0.02, 9.0, 1.9, 1.15, 0.6, 0.0),
    "sigmoid": Segment(15.5, 0.03, 5.0, 0.85, 1.10, 0.15, 1.0),
    "descending": Segment(17.0, 0.05, 5.5, 1.0, 1.05, 0.15, 0.45),
    "transverse": Segment(20.5, 0.13, 8.5, 1.05, 0.95, 0.08, 0.1),
    "ascending": Segment(24.0, 0.09, 10.0, 1.25, 1.0, 0.1, 0.15),
    "cecum": Segment(27.0, 0.05, 7.0, 1.3, 1.0, 0.3, 0.05),
}


def angle_to_diamond(angle: float | Array) -> Array:
    """The diamond angle in [0, 4) of an angle in radians."""
    x, y = np.cos(angle), np.sin(angle)
    a = y / (np.abs(x) + np.abs(y))
    return np.asarray(np.where(x < 0, 2 - a, a) % 4.0)


def diamond_to_angle(a: float | Array) -> Array:
    """The angle in radians, (-pi, pi], of a diamond angle."""
    a = np.mod(a, 4.0)
    y = np.where(a < 1, a, np.where(a < 3, 2 - a, a - 4))
    x = np.where(a < 2, 1 - a, a - 3)
    return np.arctan2(y, x)


COLUMN_ANGLES = diamond_to_angle(np.arange(NUM_AROUND) * 4.0 / NUM_AROUND)
"""The angle in radians of every column, (NUM_AROUND,)."""


def along_segments(values: dict[str, float], ends: Array, blur_mm: float = 14.0) -> Array:
    """The number of each segment along the colon (NUM_ALONG,), with soft passages between."""
    s = np.arange(NUM_ALONG) * ALONG_STEP_MM
    part = np.minimum(np.searchsorted(ends, s), len(SEGMENTS) - 1)
    steps = np.array([values[name] for name in SEGMENTS])[part]
    soft = cv2.GaussianBlur(
        steps[:, None], (1, 0), 0, sigmaY=blur_mm / ALONG_STEP_MM, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(soft[:, 0], np.float64)


def make_calibre(rng: np.random.Generator, ranges: AnatomyRanges, ends: Array) -> Array:
    """Draw the mean radius (NUM_ALONG,) mm: narrower at flexures, and never quite even."""
    calibre = along_segments({k: v.calibre_mm for k, v in ANATOMY.items()}, ends)
    s = np.arange(NUM_ALONG) * ALONG_STEP_MM
    for flexure_s in (ends[0], ends[2], ends[3]):
        calibre *= 1 - 0.14 * np.exp(-(((s - flexure_s) / 22.0) ** 2))
    calibre *= draw(rng, ranges.calibre)
    return calibre * (1 + 0.05 * smooth_noise(rng, NUM_ALONG, 50.0 / ALONG_STEP_MM))


@dataclass(frozen=True)
class Cecum:
    """Where the ileocecal valve stands, and how long its lips are; where the appendix opens."""

    valve_s: float
    valve_angle: float
    lip_mm: float
    appendix_s: float
    appendix_angle: float

    def add_to(self, radius: Grid) -> None:
        """Add the valve, two lips, and the appendix's orifice, in place."""
        lip = self.lip_mm
        for side in (-1, 1):
            place = self.valve_s + side * 0.75 * lip
            mound(radius, place, self.valve_angle, (0.7 * lip, 1.7 * lip), lip)
        pit(radius, self.valve_s, self.valve_angle, 1.6, depth_mm=3.0)
        mound(radius, self.appendix_s, self.appendix_angle, (4.5, 5.5), 1.6)
        pit(radius, self.appendix_s, self.appendix_angle, 1.8, depth_mm=6.0)


def draw_cecum(rng: np.random.Generator, length_mm: float) -> Cecum:
    """Draw where a cecum's parts are."""
    angle, valve_s = rng.uniform(-np.pi, np.pi), length_mm - rng.uniform(52.0, 64.0)
    lip = rng.uniform(4.5, 6.5)
    appendix_s, across = length_mm - rng.uniform(14.0, 19.0), angle + rng.uniform(1.5, 4.5)
    return Cecum(valve_s, angle, lip, appendix_s, across)


def make_wall(
    rng: np.random.Generator,
    ranges: AnatomyRanges,
    calibre: Array,
    ends: Array,
    length_mm: float,
    diverticula: float,
    seed: int = 0,
) -> tuple[Grid, Cecum]:
    """Draw the wall of a colon with this calibre: its radius in mm at every sample, and its cecum.

    What makes its folds thick, round and many comes from a stream of `seed`.
    """
    twist = 0.3 * smooth_noise(rng, NUM_ALONG, 110.0 / ALONG_STEP_MM)
    triangle = along_segments({k: v.triangle for k, v in ANATOMY.items()}, ends)
    triangle *= rng.uniform(0.7, 1.3)
    pulled = np.cos(3 * (COLUMN_ANGLES[None, :] - twist[:, None]))
    radius = (calibre[:, None] * (1 - triangle[:, None] * pulled)).astype(np.float32)
    style = draw_fold_style(stream(seed, Stream.FOLDS), ranges)
    radius -= _folds(rng, ranges, ends, calibre, twist, style)
    radius += 0.2 * patches(rng, 9.0, 9.0)
    np.maximum(radius, MIN_RADIUS_MM, out=radius)
    _add_diverticula(rng, radius, ends, diverticula)
    cecum = draw_cecum(rng, length_mm)
    cecum.add_to(radius)
    return close_ends(radius, length_mm), cecum


def patches(rng: np.random.Generator, along_mm: float, columns: float) -> Grid:
    """Draw noise of about unit variance, in patches of about that size, seamless around."""
    return _fine_patches(_coarse_patches(rng, along_mm, columns))


def no_patches(rng: np.random.Generator, along_mm: float, columns: float) -> None:
    """Draw what `patches` draws, where nothing comes of it: what is drawn next stays as it is."""
    _coarse_patches(rng, along_mm, columns)


def _coarse_patches(rng: np.random.Generator, along_mm: float, columns: float) -> Array:
    rows = int(NUM_ALONG * ALONG_STEP_MM / along_mm) + 1
    return rng.normal(size=(rows, int(NUM_AROUND / columns)))


def _fine_patches(drawn: Array) -> Grid:
    coarse = drawn.astype(np.float32)
    around = coarse.shape[1]
    wrapped = np.pad(coarse, ((0, 0), (3, 3)), mode="wrap")
    factor = NUM_AROUND / around
    width = round(wrapped.shape[1] * factor)
    fine = cv2.resize(wrapped, (width, NUM_ALONG), interpolation=cv2.INTER_CUBIC)
    start = round(3 * factor)
    return np.asarray(1.3 * fine[:, start : start + NUM_AROUND], np.float32)


def close_ends(radius: Grid, length_mm: float) -> Grid:
    """The radius with both ends of the tube rounded off, and 0 beyond them."""
    s = np.arange(NUM_ALONG, dtype=np.float32) * ALONG_STEP_MM
    to_end = np.clip(np.minimum(s, length_mm - s) / CAP_MM, 0, 1)
    return np.asarray(radius * np.sqrt(to_end * (2 - to_end))[:, None], np.float32)


@dataclass(frozen=True)
class FoldStyle:
    """What the folds of a run have in common.

    `thickness` multiplies their widths; `roundness` 0..1 from narrow crests to round ones; `extra`
    the share of folds with another one beside them. `rng` draws what each has of its own.
    """

    thickness: float
    roundness: float
    extra: float
    rng: np.random.Generator


def draw_fold_style(rng: np.random.Generator, ranges: AnatomyRanges) -> FoldStyle:
    """Draw the style of a run's folds from the ranges."""
    return FoldStyle(
        thickness=draw(rng, ranges.fold_thickness),
        roundness=draw(rng, ranges.fold_roundness),
        extra=draw(rng, ranges.extra_folds),
        rng=rng,
    )


def _folds(
    rng: np.random.Generator,
    ranges: AnatomyRanges,
    ends: Array,
    calibre: Array,
    twist: Array,
    style: FoldStyle,
) -> Grid:
    """Draw the height in mm of the haustral (semilunar) folds, between the three taeniae."""
    height = np.zeros((NUM_ALONG, NUM_AROUND), np.float32)
    steepness = draw(rng, ranges.fold_height)
    ring_s = rng.uniform(20.0, 34.0)
    while ring_s < ends[-1] - 12.0:
        segment = ANATOMY[SEGMENTS[min(int(np.searchsorted(ends, ring_s)), len(SEGMENTS) - 1)]]
        row = int(ring_s / ALONG_STEP_MM)
        highest = steepness * min(segment.fold_mm, 0.5 * calibre[row])
        for third in range(3):
            crescent = _crescent(rng, third, highest, segment.extent)
            if rng.random() > segment.missing:
                crescent = _styled(crescent, style)
                crescent.raise_on(height, ring_s, float(twist[row]))
                if style.rng.random() < style.extra:
                    _beside(crescent, style.rng).raise_on(height, ring_s, float(twist[row]))
        ring_s += draw(rng, ranges.fold_spacing_mm) * segment.spacing
    return height


@dataclass(frozen=True)
class _Crescent:
    """One fold: where its middle is against its ring (mm, rad), how high, thick (mm) and wide
    (rad) it is, how its crest leans and waves along the colon (mm), and how round it is (0..1)."""

    shift: float
    middle: float
    peak: float
    width: float
    extent: float
    tilt: float
    phase: float
    roundness: float = 0.0

    def raise_on(self, height: Grid, ring_s: float, twist: float) -> None:
        """Raise the fold on `height`, in place; where folds meet, they merge."""
        offset = np.mod(COLUMN_ANGLES - self.middle - twist + np.pi, 2 * np.pi) - np.pi
        position = ring_s + self.shift
        crest = position + 1.8 * np.sin(2 * offset + self.phase) + self.tilt * offset
        reach = max(14.0, 4.7 * self.width)
        first = max(int((position - reach) / ALONG_STEP_MM), 0)
        last = min(int((position + reach) / ALONG_STEP_MM), NUM_ALONG)
        s = np.arange(first, last, dtype=np.float32)[:, None] * ALONG_STEP_MM
        span = (self.peak * np.exp(-((offset / self.extent) ** 4))).astype(np.float32)
        rows = height[first:last]
        if self.roundness > 0:
            (wide,) = np.nonzero(span > 0.02)
            x2 = ((s - crest[wide].astype(np.float32)) / np.float32(self.width)) ** 2
            fold = self._narrow(x2, span[wide])
            fold += np.float32(self.roundness) * (
                span[wide] * np.exp(-x2 * (0.12 + 0.25 * x2)) - fold
            )
            before = rows[:, wide]
            rows[:, wide] = np.maximum(before, fold) + 0.25 * np.minimum(before, fold)
            return
        fold = self._narrow(((s - crest.astype(np.float32)) / self.width) ** 2, span)
        rows[:] = np.maximum(rows, fold) + 0.25 * np.minimum(rows, fold)

    @staticmethod
    def _narrow(x2: Grid, span: Grid) -> Grid:
        """Heights of a fold with a narrow crest at squared distances from it, over its widths."""
        # Nothing is left at the window's edge, where it would leave a step.
        return np.asarray(
            np.maximum(span / (1 + x2 * (1 + 0.25 * x2)) - 0.004 * span, 0), np.float32
        )


def _crescent(rng: np.random.Generator, third: int, highest: float, extent: float) -> _Crescent:
    return _Crescent(
        shift=2.8 * rng.normal(),
        middle=np.pi / 3 + third * 2 * np.pi / 3 + 0.12 * rng.normal(),
        peak=highest * rng.uniform(0.55, 1.15),
        width=rng.uniform(1.7, 3.0),
        extent=extent * rng.uniform(0.75, 1.2),
        tilt=2.0 * rng.normal(),
        phase=rng.uniform(0, 2 * np.pi),
    )


def _styled(crescent: _Crescent, style: FoldStyle) -> _Crescent:
    """The fold as thick and as round as those of its run, more or less."""
    thickness = style.thickness ** style.rng.uniform(0.6, 1.3)
    return replace(crescent, width=crescent.width * thickness, roundness=style.roundness)


def _beside(crescent: _Crescent, rng: np.random.Generator) -> _Crescent:
    """A fold that goes with another one: beside it as its double, off it as a branch, or a part
    of one anywhere around."""
    side = rng.choice([-1.0, 1.0])
    kind = rng.integers(3)
    if kind == 0:
        shift, turn, extent, tilt = side * rng.uniform(4.5, 8.0), 0.1 * rng.normal(), 0.8, 0.0
    elif kind == 1:
        shift, turn, extent, tilt = side * 3.5, 0.35 * rng.normal(), 0.6, 5.0 * side
    else:
        shift, turn, extent, tilt = side * 6.0, rng.uniform(-np.pi, np.pi), 0.35, 4.0 * rng.normal()
    return replace(
        crescent,
        shift=crescent.shift + shift,
        middle=crescent.middle + turn,
        peak=crescent.peak * rng.uniform(0.35, 0.8),
        width=crescent.width * rng.uniform(0.6, 1.0),
        extent=crescent.extent * extent,
        tilt=crescent.tilt + tilt,
    )


def _add_diverticula(rng: np.random.Generator, radius: Grid, ends: Array, strength: float) -> None:
    """Push pouches out of the wall, in place: round mouths of 3 to 7 mm, deeper than wide."""
    shares = np.array([ANATOMY[name].diverticula for name in SEGMENTS])
    shares = shares * np.diff(ends, prepend=0.0)
    for _ in range(round(60 * strength)):
        part = int(rng.choice(len(SEGMENTS), p=shares / shares.sum()))
        s_mm = rng.uniform(ends[part - 1] if part else 0.0, ends[part])
        angle, mouth = rng.uniform(-np.pi, np.pi), rng.uniform(1.5, 3.4)
        pit(radius, s_mm, angle, mouth, depth_mm=mouth * rng.uniform(1.4, 2.4))


def pit(radius: Grid, s_mm: float, angle: float, mouth_mm: float, depth_mm: float) -> None:
    """Push a round pouch with a mouth of that radius out of the wall, in place."""
    _bulge(radius, s_mm, angle, (mouth_mm, mouth_mm), depth_mm, flat=6)


def mound(
    radius: Grid, s_mm: float, angle: float, half_mm: tuple[float, float], height_mm: float
) -> None:
    """Raise a rounded hill of half-widths along and around the colon, in place."""
    _bulge(radius, s_mm, angle, half_mm, -height_mm, flat=2)


def _bulge(
    radius: Grid,
    s_mm: float,
    angle: float,
    half_mm: tuple[float, float],
    out_mm: float,
    flat: int,
) -> None:
    reach = 2.4 * half_mm[0]
    first = max(int((s_mm - reach) / ALONG_STEP_MM), 0)
    last = min(int((s_mm + reach) / ALONG_STEP_MM) + 2, NUM_ALONG)
    rows = radius[first:last]
    if not len(rows):
        return
    s = np.arange(first, last)[:, None] * ALONG_STEP_MM
    offset = np.mod(COLUMN_ANGLES - angle + np.pi, 2 * np.pi) - np.pi
    middle = radius[min(int(s_mm / ALONG_STEP_MM), NUM_ALONG - 1)]
    around = offset * middle[np.abs(offset).argmin()]
    d2 = ((s - s_mm) / half_mm[0]) ** 2 + (around / half_mm[1]) ** 2
    rows += (out_mm * np.exp(-np.power(d2, flat / 2))).astype(np.float32)
    np.maximum(rows, MIN_RADIUS_MM - 2.0, out=rows)
