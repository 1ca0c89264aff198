"""Which instruments a run has: drawn once, like its camera; `tool_shapes` says how they lie.

They come out of the working channel, which opens beside the lens, and stay with the scope: their
numbers are millimetres in the camera's axes (right, down, forward).
"""

import math
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.ranges.instruments_ranges import InstrumentRanges
from endoforge.sim.ranges.values import draw_nuisance
from endoforge.sim.streams import Stream, stream

ToolKind = Literal["snare", "forceps", "needle"]
TOOL_KINDS: tuple[ToolKind, ...] = ("snare", "forceps", "needle")
Colour = tuple[float, float, float]

TOOL_PARTS, CLIP_PARTS, JET_PARTS = 18, 9, 5
"""Capsules that a tool, the clips in sight and a jet have at most."""
MATERIALS = 4
"""Colours of a frame's capsules: sheath, tip, metal of the tool, metal of the clips."""
MOST_MARKS = 3
"""Marks of the wall that a frame shows at most."""
COUNT_ROW, CAP_ROW, MATERIAL_ROW = 2, 3, 5
PART_ROW = MATERIAL_ROW + MATERIALS
MARK_ROW = PART_ROW + 2 * (TOOL_PARTS + CLIP_PARTS + JET_PARTS)
INSTRUMENT_ROWS = MARK_ROW + 4 * MOST_MARKS
"""Rows of four numbers a frame, and the first of some of them: see `instrument_rows`."""

SHEATHS: tuple[Colour, ...] = (
    (0.82, 0.82, 0.80), (0.55, 0.58, 0.60), (0.76, 0.73, 0.64), (0.10, 0.22, 0.55),
    (0.62, 0.72, 0.80), (0.22, 0.37, 0.38), (0.66, 0.52, 0.38), (0.30, 0.31, 0.33),
)  # fmt: skip
"""Linear RGB of plastic tubes: white, clear, yellowish, blue, bluish, green, brown, grey."""
TIPS: tuple[Colour, ...] = (
    (0.82, 0.82, 0.80), (0.05, 0.05, 0.06), (0.08, 0.18, 0.55), (0.66, 0.60, 0.42),
)  # fmt: skip
"""Linear RGB of the ring at a tube's end: white, black, blue, brass."""
QUICKNESS = 10.0
"""How steeply a tool comes out once its time has come: within about half a second."""


@dataclass(frozen=True)
class Rhythm:
    """When something happens: three waves of `periods_s` with `phases` in rad, drawn by chance."""

    periods_s: tuple[float, float, float]
    phases: tuple[float, float, float]

    def share(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """A smooth random number 0..1, about evenly spread over time, at times (N,)."""
        turns = 2 * np.pi * times_s[:, None] / np.array(self.periods_s) + np.array(self.phases)
        # The sum of the three has a variance of 3/2; 1.702 makes a logistic of a normal law.
        normal = np.sin(turns).sum(axis=1) / math.sqrt(1.5)
        return np.asarray(1 / (1 + np.exp(-1.702 * normal)))

    def out(self, times_s: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far out it is, 0..1, at times (N,), if it is to be so for `shares` (N,) of them."""
        return np.clip(QUICKNESS * (shares - self.share(times_s)), 0.0, 1.0)


@dataclass(frozen=True)
class Tool:
    """An instrument in the working channel.

    `share` of the time near polyps for which it is out; `channel` (right, down) mm from the lens
    to the channel's mouth, `reach_mm` how far it comes out where it is free, `lean` how it bends
    off the way ahead then. Its tube has `radius_mm` and the colour `sheath`, `coil` if it is wound
    of wire; `tip` is the colour of its end, `opening` 0..1 of loop or cups, `loop_mm` the loop's
    radius where it is free, `roll` in rad about the tube.
    """

    kind: ToolKind
    share: float
    rhythm: Rhythm
    channel: tuple[float, float]
    reach_mm: float
    lean: tuple[float, float]
    radius_mm: float
    sheath: Colour
    coil: bool
    tip: Colour
    opening: float
    loop_mm: float
    roll: float


@dataclass(frozen=True)
class Cap:
    """A transparent cap: a short tube before the lens.

    `strength` 0..1; its inner `radius_mm`, how far it stands out of the tip (`height_mm`), and
    where its axis lies (right, down) mm from the lens; `rim` is the brightness of its edge, below
    0 dark, and `veil` the light of its wall; `fog` 0..1 of drops on it.
    """

    strength: float
    radius_mm: float
    height_mm: float
    axis: tuple[float, float]
    rim: float
    veil: float
    fog: float


@dataclass(frozen=True)
class Jet:
    """A jet of water from a nozzle beside the lens, at (right, down) mm from it.

    `share` of the time for which it runs; it leaves by `lean` off the way ahead, as wide as
    `radius_mm`.
    """

    share: float
    rhythm: Rhythm
    nozzle: tuple[float, float]
    lean: tuple[float, float]
    radius_mm: float


@dataclass(frozen=True)
class Shaft:
    """The scope's own shaft, black with white rings, of a run in which the tip looks back.

    `radius_mm` is its thickness halved, `bend_mm` the radius by which it bends.
    """

    radius_mm: float
    bend_mm: float
    colour: Colour


@dataclass(frozen=True)
class Strengths:
    """How much a run has of each, from 0, nothing, to 1; `InstrumentRanges` says of what."""

    snare: float = 0.0
    forceps: float = 0.0
    needle: float = 0.0
    cap: float = 0.0
    jet: float = 0.0
    lift: float = 0.0
    ulcers: float = 0.0
    scars: float = 0.0
    tattoo: float = 0.0
    clips: float = 0.0


@dataclass(frozen=True)
class Instruments:
    """What a run's scope carries; by default nothing."""

    tools: tuple[Tool, ...] = ()
    cap: Cap | None = None
    jet: Jet | None = None
    shaft: Shaft | None = None


def make_strengths(seed: int, ranges: InstrumentRanges) -> Strengths:
    """Draw the strengths of a seed from the ranges, 0 for what the run is spared."""
    rng = stream(seed, Stream.INSTRUMENTS)
    names = [field.name for field in fields(Strengths)]
    return Strengths(**{name: draw_nuisance(rng, getattr(ranges, name)) for name in names})


def make_instruments(seed: int, strengths: Strengths, retroflexion: float = 0.0) -> Instruments:
    """Draw the instruments of a seed that have a strength above 0.

    Its own shaft is seen in the share `retroflexion` of the runs.
    """
    rng = stream(seed, Stream.TOOLS)
    # A scope has one channel, at its lower right or lower left.
    side = rng.choice([-1.0, 1.0])
    clock = rng.uniform(0.7, 1.25)
    away = rng.uniform(3.6, 5.2)
    channel = (float(side * away * np.cos(clock)), float(away * np.sin(clock)))
    tools = [_tool(rng, kind, getattr(strengths, kind), channel) for kind in TOOL_KINDS]
    return Instruments(
        tools=tuple(tool for tool in tools if tool.share > 0),
        cap=_cap(seed, strengths.cap) if strengths.cap > 0 else None,
        jet=_jet(seed, strengths.jet) if strengths.jet > 0 else None,
        shaft=_shaft(seed, retroflexion),
    )


def _tool(
    rng: np.random.Generator, kind: ToolKind, share: float, channel: tuple[float, float]
) -> Tool:
    coil = bool(rng.random() < (0.45 if kind == "forceps" else 0.0))
    sheath = SHEATHS[int(rng.integers(len(SHEATHS)))]
    shade = rng.uniform(0.75, 1.1)
    return Tool(
        kind=kind,
        share=share,
        rhythm=_rhythm(rng, 9.0),
        channel=channel,
        reach_mm=float(rng.uniform(8.0, 26.0)),
        lean=(float(rng.normal(0, 0.12)), float(rng.normal(0, 0.12))),
        radius_mm=float(rng.uniform(0.75, 1.2)),
        sheath=_scaled((0.45, 0.45, 0.46) if coil else sheath, shade),
        coil=coil,
        tip=TIPS[int(rng.integers(len(TIPS)))] if rng.random() < 0.6 else _scaled(sheath, shade),
        opening=float(rng.uniform(0.0, 1.0)),
        loop_mm=float(rng.uniform(4.0, 11.0)),
        roll=float(rng.uniform(0, 2 * np.pi)),
    )


def _cap(seed: int, strength: float) -> Cap:
    rng = stream(seed, Stream.CAP)
    radius = rng.uniform(5.2, 6.6)
    # The rim appears where the picture ends at its sides, or somewhat inside.
    height = radius / np.tan(np.radians(rng.uniform(42.0, 62.0)))
    return Cap(
        strength=strength,
        radius_mm=float(radius),
        height_mm=float(height),
        axis=(float(rng.normal(0, 0.7)), float(rng.normal(0, 0.7))),
        rim=float(rng.uniform(-0.8, 1.0)),
        veil=float(rng.uniform(0.1, 1.0)),
        fog=float(rng.uniform(0, 1) * (rng.random() < 0.4)),
    )


def _jet(seed: int, share: float) -> Jet:
    rng = stream(seed, Stream.JET)
    clock = rng.uniform(0, 2 * np.pi)
    return Jet(
        share=share,
        rhythm=_rhythm(rng, 5.0),
        nozzle=(float(4.5 * np.cos(clock)), float(4.5 * np.sin(clock))),
        lean=(float(rng.normal(0, 0.08)), float(rng.normal(0, 0.08))),
        radius_mm=float(rng.uniform(0.25, 0.5)),
    )


def _shaft(seed: int, share: float) -> Shaft | None:
    rng = stream(seed, Stream.SHAFT)
    if rng.random() >= share:
        return None
    grey = float(rng.uniform(0.012, 0.05))
    return Shaft(
        radius_mm=float(rng.uniform(4.8, 6.3)),
        bend_mm=float(rng.uniform(8.5, 11.0)),
        colour=(grey, grey, 1.1 * grey),
    )


def _rhythm(rng: np.random.Generator, period_s: float) -> Rhythm:
    first, second, third = (float(period_s * f * rng.uniform(0.8, 1.25)) for f in (1.0, 1.7, 2.9))
    one, two, three = rng.uniform(0, 2 * np.pi, 3).tolist()
    return Rhythm((first, second, third), (one, two, three))


def _scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = (float(min(factor * part, 0.95)) for part in colour)
    return red, green, blue
