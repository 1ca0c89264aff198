"""What is left of the bowel's contents where it is soft: clumps, films, threads, in many colours.

Amounts of stool up to FILM are a film that only tints; above it are clumps, which have thickness.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from endoforge.sim.centreline import NUM_ALONG
from endoforge.sim.ranges.residue_ranges import ResidueRanges
from endoforge.sim.ranges.values import draw, draw_nuisance
from endoforge.sim.streams import Stream, stream
from endoforge.sim.wall import NUM_AROUND, Array, Grid, patches

FILM = 0.35
"""Amounts of stool up to this are a film; `deposits.STOOL_FROM` is the same for hard stool."""
MUCUS = 0.15
"""The most mucus is -MUCUS of cover to the kernels, and fluid lies below that: in this order the
edge of a pool, where covers are interpolated, passes for a little froth, or nothing, and not for
stool."""
MUCUS_MM = 0.5
"""Thickness of the thickest mucus."""
Colour = tuple[float, float, float]
STOOL_COLOURS = (
    (0.75, 1.18, 0.20), (0.80, 1.30, 0.42), (0.62, 0.90, 0.18), (0.42, 0.95, 0.22),
    (0.24, 1.05, 0.35), (0.18, 0.85, 0.40), (0.75, 1.38, 0.90),
)  # fmt: skip
"""Yellow, pale yellow, orange, ochre, olive, brown, cream: red, and how much green and blue there
is to it over what the mucosa has to its red. Cameras differ in colour, which both share."""
FLUID_COLOURS = (
    (0.36, 0.90, 0.22), (0.40, 1.12, 0.38), (0.26, 0.80, 0.25), (0.18, 0.98, 0.35),
    (0.38, 1.22, 0.85), (0.24, 0.70, 0.42),
)  # fmt: skip
"""Amber, straw, brown, olive, milky, red-brown: as those of stool."""


@dataclass(frozen=True)
class Residue:
    """What a run's residue is like: see `ResidueRanges`.

    `soft` says that there is any of this; `bile`, `mucus` strengths 0..1; `clarity` of the fluid;
    colours as `STOOL_COLOURS` has them.
    """

    soft: bool = False
    bile: float = 0.0
    mucus: float = 0.0
    clarity: float = 0.0
    stool_colour: Colour = STOOL_COLOURS[0]
    fluid_colour: Colour = FLUID_COLOURS[0]


CLEAN = Residue()
"""Stool and fluid as the nuisances alone have them."""


def make_residue(seed: int, ranges: ResidueRanges) -> Residue:
    """Draw the residue of a seed from the ranges."""
    rng = stream(seed, Stream.RESIDUE)
    soft = rng.random() < ranges.soft
    bile, mucus = draw_nuisance(rng, ranges.bile), draw_nuisance(rng, ranges.mucus)
    return Residue(
        soft=soft or bile > 0 or mucus > 0,
        bile=bile,
        mucus=mucus,
        clarity=draw(rng, ranges.clarity),
        stool_colour=_colour(rng, STOOL_COLOURS),
        fluid_colour=_colour(rng, FLUID_COLOURS),
    )


def beside(mucosa: Colour, colour: Colour) -> Colour:
    """The linear RGB of a colour of `STOOL_COLOURS` on mucosa of that linear RGB."""
    red, green, blue = colour
    return red, red * green * mucosa[1] / mucosa[0], red * blue * mucosa[2] / mucosa[0]


def soft_stool(rng: np.random.Generator, strength: float, low: Grid, radius: Grid) -> Grid:
    """Amounts 0..1 of stool in clusters of clumps, seeds and threads, low and on folds."""
    if strength == 0:
        return np.zeros((NUM_ALONG, NUM_AROUND), np.float32)
    size = rng.uniform(0.7, 1.8)
    wide = cv2.resize(cv2.blur(radius, (15, 15)), (NUM_AROUND, NUM_ALONG))
    on_folds = np.clip(wide - radius, 0, 3)
    clusters = patches(rng, 40.0, 44.0) + 0.5 * low + 0.35 * on_folds
    clumps = 0.8 * patches(rng, 4.5 * size, 10.0 * size) + 0.4 * patches(rng, 2.0, 4.5)
    raw = 0.75 * clusters + clumps - (2.6 - 2.0 * strength)
    raw = np.maximum(raw, _threads(rng, 26.0, 5.0) * np.clip(clusters - 0.4, 0, 0.6) - 0.2)
    film = FILM * np.clip(1 + raw / 1.1, 0, 1) ** 2
    thick = (1 - FILM) * (1 - np.exp(-1.5 * np.maximum(raw, 0)))
    return np.asarray(cv2.GaussianBlur(film + thick, (3, 3), 0.8), np.float32)


def film_of_bile(rng: np.random.Generator, strength: float, low: Grid) -> Grid:
    """Amounts up to FILM of a film in wide patches, most of them low."""
    if strength == 0:
        return np.zeros((NUM_ALONG, NUM_AROUND), np.float32)
    wide = patches(rng, 45.0, 40.0) + 0.35 * patches(rng, 10.0, 12.0) + 0.6 * low
    return np.asarray(0.98 * FILM * np.clip(0.7 * (wide + 2.2 * strength - 1.3), 0, 1), np.float32)


def flakes_of_mucus(rng: np.random.Generator, strength: float) -> Grid:
    """Amounts 0..1 of mucus: threads, and a few flakes, in places."""
    if strength == 0:
        return np.zeros((NUM_ALONG, NUM_AROUND), np.float32)
    there = np.clip(patches(rng, 35.0, 40.0) + 1.6 * strength - 1.0, 0, 1)
    flakes = np.clip(patches(rng, 6.0, 9.0) + 0.5 * patches(rng, 2.5, 5.0) - 1.3, 0, 1)
    return np.asarray(there * np.maximum(_threads(rng, 20.0, 8.0), flakes), np.float32)


def _threads(rng: np.random.Generator, along_mm: float, columns: float) -> Grid:
    """0..1 along thin winding lines: where a noise of that grain passes through 0."""
    noise = np.abs(patches(rng, along_mm, columns) + 0.5 * patches(rng, 6.0, 20.0))
    whole = np.clip(patches(rng, 14.0, 16.0) - 0.3, 0, 1)
    return np.asarray(np.clip(1 - noise / 0.14, 0, 1) * whole, np.float32)


def _colour(rng: np.random.Generator, palette: tuple[Colour, ...]) -> Colour:
    """A colour between two of a palette, lighter or darker."""
    one, other = rng.integers(len(palette), size=2)
    share, light = 0.5 * rng.random(), rng.uniform(0.6, 1.15)
    mixed: Array = np.asarray(palette[one]) * (1 - share) + np.asarray(palette[other]) * share
    red, green, blue = mixed.tolist()
    return light * red, green, blue
