"""What lies on the wall: pools of fluid, stool, foam, blood and dye."""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from endoforge.sim.centreline import ALONG_STEP_MM, NUM_ALONG, Centreline
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.residue import (
    CLEAN,
    FILM,
    MUCUS_MM,
    Residue,
    film_of_bile,
    flakes_of_mucus,
    soft_stool,
)
from endoforge.sim.wall import COLUMN_ANGLES, NUM_AROUND, Array, Grid, patches

POOL_REACH_MM = 75.0
"""A pool goes no farther from its middle than this."""
NO_POOL_MM = np.float32(5.0)
"""Pools' surfaces are taken to lie no farther than this below the wall."""
STOOL_FROM = 0.35
"""Amounts of stool up to this only stain."""
STOOL_MM = 1.3
"""Thickness of the thickest stool."""


@dataclass(frozen=True)
class Deposits:
    """Amounts on the wall, each (NUM_ALONG, NUM_AROUND).

    `fluid` depth in mm; `stool` and `foam` 0..1; `stain` 0..1 of what `stain_colour` (linear RGB
    that multiplies the mucosa's) says: blood or dye; dye gathers in grooves. `mucus` 0..1. `shore`
    is by how many mm the wall lies under the next pool's surface, below 0 where above it.
    """

    fluid: Grid
    stool: Grid
    foam: Grid
    stain: Grid
    stain_colour: tuple[float, float, float]
    in_grooves: float
    fluid_colour: tuple[float, float, float]
    mucus: Grid = field(default_factory=lambda: np.zeros((NUM_ALONG, NUM_AROUND), np.float32))
    shore: Grid = field(default_factory=lambda: np.full((NUM_ALONG, NUM_AROUND), -NO_POOL_MM))


def lay_deposits(
    rng: np.random.Generator,
    line: Centreline,
    radius: Grid,
    nuisances: Nuisances,
    residue: Residue = CLEAN,
    soft_rng: np.random.Generator | None = None,
) -> tuple[Grid, Deposits]:
    """Draw what lies on the wall; returns the wall's radius with it on top, and the amounts.

    What is soft (`Residue`) comes from `soft_rng`.
    """
    down = _down(rng)
    shade = rng.uniform(0.25, 0.75)
    fluid_colour = (0.66 * shade, rng.uniform(0.38, 0.52) * shade, rng.uniform(0.06, 0.2) * shade)
    low = _lowness(line, down)
    surface = _surfaces(rng, line, radius, down, nuisances.fluid)
    pooled: Grid = np.minimum(radius, surface)
    fluid = np.maximum(radius - pooled, 0)
    dry = fluid < 0.2
    if residue.soft and soft_rng is not None:
        stool = soft_stool(soft_rng, nuisances.stool, low, radius) * dry
    else:
        stool = _spots(rng, nuisances.stool, 3.2, low) * dry
    foam = _foam(rng, nuisances.bubbles, low, fluid)
    stain, colour, grooves = _stain(rng, nuisances)
    thick = np.maximum(stool - STOOL_FROM, 0) / (1 - STOOL_FROM)
    if residue.soft:
        thick = np.asarray(cv2.GaussianBlur(thick, (5, 5), 1.0) * dry, np.float32)
    covered = pooled - STOOL_MM * np.minimum(thick, 0.25 * pooled)
    deposits = Deposits(fluid, stool, foam, stain, colour, grooves, fluid_colour)
    deposits = replace(deposits, shore=radius - surface)
    if residue.soft and soft_rng is not None:
        covered, deposits = _lay_residue(soft_rng, low, dry, covered, deposits, residue)
    return covered, deposits


def _lay_residue(
    rng: np.random.Generator, low: Grid, dry: Grid, covered: Grid, bare: Deposits, residue: Residue
) -> tuple[Grid, Deposits]:
    """Draw bile and mucus over what there is."""
    bile = film_of_bile(rng, residue.bile, low) * dry
    stool = np.maximum(bare.stool, bile)
    mucus = flakes_of_mucus(rng, residue.mucus) * dry * (stool < FILM)
    raised = np.asarray(covered - MUCUS_MM * np.minimum(mucus, 0.25 * covered), np.float32)
    return raised, replace(bare, stool=stool, mucus=mucus)


def no_deposits() -> Deposits:
    """The deposits of a clean wall."""
    clean = np.zeros((NUM_ALONG, NUM_AROUND), np.float32)
    return Deposits(clean, clean, clean, clean, (1.0, 1.0, 1.0), 0.0, (1.0, 1.0, 1.0))


def _down(rng: np.random.Generator) -> Array:
    """The unit vector in which things fall: the patient lies on the back or on a side."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.asarray(np.array([np.cos(angle), -0.15, np.sin(angle)]) / np.hypot(1, 0.15))


def _lowness(line: Centreline, down: Array) -> Grid:
    """The cosine between each place's outward direction and down."""
    x, y = line.normals @ down, line.binormals @ down
    cosine = np.outer(x, np.cos(COLUMN_ANGLES)) + np.outer(y, np.sin(COLUMN_ANGLES))
    return np.asarray(cosine, np.float32)


def _surfaces(
    rng: np.random.Generator, line: Centreline, radius: Grid, down: Array, strength: float
) -> Grid:
    """The radius of level pools' surfaces: each is a horizontal plane that cuts the low side off.

    In the cross-section at s the plane lies `level` mm from the centreline, downwards.
    """
    surface = radius + NO_POOL_MM
    height = line.points @ down
    x, y = line.normals @ down, line.binormals @ down
    across = np.maximum(np.hypot(x, y), 0.05)
    room = cv2.blur(radius.min(axis=1)[:, None], (1, 2 * int(20 / ALONG_STEP_MM) + 1))[:, 0]
    to_low = np.arctan2(y, x)
    for _ in range(round(9 * strength)):
        middle_s = rng.uniform(60.0, line.length_mm - 30.0)
        row = int(line.row(middle_s))
        usual = float(np.median(radius[row]))
        if across[row] < 0.5:
            continue  # the colon runs downhill here: nothing stays
        # In its middle it is as deep as 5 to 60 per cent of the radius.
        deep = 0.05 + rng.random() * (0.1 + 0.45 * strength)
        level = height[row] + across[row] * usual * (1.0 - deep)
        first = max(row - int(POOL_REACH_MM / ALONG_STEP_MM), 0)
        rows = slice(first, min(row + int(POOL_REACH_MM / ALONG_STEP_MM), NUM_ALONG))
        away = (np.arange(rows.start, rows.stop) - row) * ALONG_STEP_MM / POOL_REACH_MM
        # Even a pool that fills the colon ends in a slope: at a cliff a march would overshoot.
        depth = np.maximum((level - height[rows]) / across[rows], 0.4 * room[rows]) + 20.0 * away**8
        cosine = np.cos(COLUMN_ANGLES[None, :] - to_low[rows, None])
        plane = depth[:, None] / np.maximum(cosine, 0.05)
        surface[rows] = np.minimum(surface[rows], plane.astype(np.float32))
    return surface


def _spots(rng: np.random.Generator, strength: float, size_mm: float, low: Grid) -> Grid:
    """Amounts 0..1 of what sticks in spots of about `size_mm`, in clusters, most of them low."""
    if strength == 0:
        return np.zeros((NUM_ALONG, NUM_AROUND), np.float32)
    columns = size_mm * NUM_AROUND / 120.0
    clusters = patches(rng, 45.0, 50.0) + 0.5 * low
    spots = patches(rng, size_mm, columns) + 0.5 * patches(rng, 0.45 * size_mm, 0.45 * columns)
    # The higher the strength, the lower the bar that noise must pass.
    amount = 0.7 * clusters + 0.9 * spots - (2.6 - 2.1 * strength)
    return np.asarray(np.clip(2.2 * amount, 0, 1), np.float32)


def _foam(rng: np.random.Generator, strength: float, low: Grid, fluid: Grid) -> Grid:
    """Amounts 0..1 of bubbles: they gather at the rims of pools and in patches of their own."""
    if strength == 0:
        return np.zeros((NUM_ALONG, NUM_AROUND), np.float32)
    rim = cv2.GaussianBlur((fluid > 0.2).astype(np.float32), (0, 0), 5)
    rim = 4 * rim * (1 - rim)
    clusters = patches(rng, 22.0, 24.0) + 0.4 * low + 1.2 * rim
    return np.asarray(np.clip(1.2 * (clusters - (2.3 - 1.7 * strength)), 0, 1), np.float32)


def _stain(
    rng: np.random.Generator, nuisances: Nuisances
) -> tuple[Grid, tuple[float, float, float], float]:
    """The stain, blood or dye, whichever is more: its amount, colour and share in grooves."""
    red, blue = (0.34, 0.04, 0.035), (0.22, 0.42, 0.95)
    strength = max(nuisances.blood, nuisances.dye)
    bleeding = nuisances.blood >= nuisances.dye
    if strength == 0:
        return np.zeros((NUM_ALONG, NUM_AROUND), np.float32), red, 0.0
    wide = patches(rng, 60.0, 60.0) if bleeding else patches(rng, 160.0, 200.0)
    fine = patches(rng, 5.0, 9.0) if bleeding else patches(rng, 14.0, 16.0)
    bar = 2.3 - 2.0 * strength if bleeding else 1.0 - 1.8 * strength
    amount = np.clip(1.5 * (wide + 0.7 * fine - bar), 0, 1)
    return np.asarray(amount, np.float32), red if bleeding else blue, 0.0 if bleeding else 1.0
