"""A scene: everything about one simulated colon, and the tables that the kernels read."""

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.anatomy import (
    ALONG_STEP_MM,
    LENGTH_MM,
    NUM_ALONG,
    NUM_AROUND,
    Anatomy,
    diamond_to_angle,
    make_anatomy,
)
from endoforge.sim.polyps import Polyp, make_polyps, polyp_table
from endoforge.sim.streams import Stream, stream

STEEPEST = 4.0
"""Slopes of the wall are taken as no steeper than this when steps are bounded."""


@dataclass(frozen=True)
class Look:
    """How a colon's mucosa and its camera look.

    `mucosa` linear RGB albedo; `vessels` strength of the vascular pattern, 0..1; `tone` patchiness
    of the colour; `gloss` of the wet surface; `bump` roughness; `noise` of the sensor (standard
    deviation about 0.41 of it, in 0..1 of the display range); `turn_u`, `turn_v` shift the
    texture, so that no two colons carry the same vessels in the same place.
    """

    mucosa: tuple[float, float, float]
    vessels: float
    tone: float
    gloss: float
    bump: float
    noise: float
    turn_u: float
    turn_v: float

    def table_rows(self) -> NDArray[np.float32]:
        """(3, 4) float32 in the order of `kernels.types.World.looks`."""
        rows = [
            [*self.mucosa, self.vessels],
            [self.tone, self.gloss, self.bump, self.noise],
            [self.turn_u, self.turn_v, 0.0, 0.0],
        ]
        return np.array(rows, np.float32)


@dataclass(frozen=True)
class SceneTables:
    """float32 tables of one scene, shaped (rows, 4) but for `crevice` (rows,)."""

    centreline: NDArray[np.float32]
    wall: NDArray[np.float32]
    crevice: NDArray[np.float32]
    polyps: NDArray[np.float32]
    looks: NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """One colon with its polyps."""

    seed: int
    anatomy: Anatomy
    polyps: tuple[Polyp, ...]
    look: Look

    def tables(self) -> SceneTables:
        """What the kernels read of it."""
        return SceneTables(
            centreline=_centreline_table(self.anatomy),
            wall=_wall_table(self.anatomy),
            crevice=_crevice_table(self.anatomy.radius),
            polyps=polyp_table(self.polyps).reshape(-1, 4),
            looks=self.look.table_rows(),
        )

    def parameters(self) -> dict[str, Any]:
        """What the manifest keeps of it; the tables follow from the seed."""
        return {
            "seed": self.seed,
            "length_mm": LENGTH_MM,
            "look": asdict(self.look),
            "polyps": [asdict(polyp) for polyp in self.polyps],
        }


def make_scene(seed: int) -> Scene:
    """The scene of a seed (any integer from 0): the same seed, the same scene."""
    anatomy = make_anatomy(seed)
    return Scene(seed, anatomy, make_polyps(seed, anatomy), make_look(seed))


def make_look(seed: int) -> Look:
    """The look of a seed's colon: from pale pink to salmon and orange, matt to very wet."""
    rng = stream(seed, Stream.APPEARANCE)
    red = rng.uniform(0.68, 0.9)
    green = red * rng.uniform(0.34, 0.52)
    return Look(
        mucosa=(red, green, green * rng.uniform(0.5, 0.82)),
        vessels=rng.uniform(0.25, 1.0),
        tone=rng.uniform(0.08, 0.24),
        gloss=rng.uniform(0.1, 0.6),
        bump=rng.uniform(0.05, 0.14),
        noise=rng.uniform(0.004, 0.022),
        turn_u=rng.uniform(0, 1),
        turn_v=rng.uniform(0, 1),
    )


def _centreline_table(anatomy: Anatomy) -> NDArray[np.float32]:
    line = anatomy.centreline
    rows = np.zeros((len(line.points), 4, 4), np.float32)
    rows[:, 0, :3], rows[:, 0, 3] = line.points, line.curvature[:, 0]
    rows[:, 1, :3], rows[:, 1, 3] = line.tangents, line.curvature[:, 1]
    rows[:, 2, :3], rows[:, 2, 3] = line.normals, _narrowest_nearby(anatomy)
    rows[:, 3, :3] = line.binormals
    return rows.reshape(-1, 4)


def _narrowest_nearby(anatomy: Anatomy) -> NDArray[np.float64]:
    """Least radius within 20 mm of the centreline, at every row of its table.

    That is 10 mm in space even where a bend shortens lengths by half.
    """
    reach = 2 * int(20.0 / ALONG_STEP_MM) + 1
    least = cv2.erode(anatomy.radius.min(axis=1)[:, None], np.ones((reach, 1), np.uint8))[:, 0]
    s = np.linspace(0, LENGTH_MM, len(anatomy.centreline.points))
    return np.interp(s, np.linspace(0, LENGTH_MM, NUM_ALONG), least)


def _wall_table(anatomy: Anatomy) -> NDArray[np.float32]:
    """Radius, safe step, dR/ds and dR/dangle / R at every sample of the wall."""
    radius = anatomy.radius
    along = np.gradient(radius, ALONG_STEP_MM, axis=0)
    angle = np.unwrap(diamond_to_angle(np.arange(-1, NUM_AROUND + 1) * 4.0 / NUM_AROUND))
    wrapped = np.concatenate([radius[:, -1:], radius, radius[:, :1]], axis=1)
    turn = (wrapped[:, 2:] - wrapped[:, :-2]) / (angle[2:] - angle[:-2])
    around = turn / np.maximum(radius, 0.5)
    slope = np.clip(_steepest_nearby(radius, np.hypot(along, around)), 0.25, STEEPEST)
    safe = 1 / np.sqrt(1 + slope**2)
    return np.stack([radius, safe, along, around], axis=-1).astype(np.float32).reshape(-1, 4)


def _steepest_nearby(
    radius: NDArray[np.float64], slope: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How steeply the wall falls from each place to any other one within 30 mm.

    As in cone-step mapping (Dummer 2006), on blocks of 4 x 4 samples: the least radius within
    growing square windows, over the distance to the window before, bounds the slope from above.
    """
    block = 4
    blocks = radius.reshape(NUM_ALONG // block, block, NUM_AROUND // block, block)
    high, low = blocks.max(axis=(1, 3)), blocks.min(axis=(1, 3))
    steepest = slope.reshape(blocks.shape).max(axis=(1, 3))
    along_mm = ALONG_STEP_MM * block
    around_mm = 2 * np.pi / high.shape[1] * 19.0
    wrapped = np.concatenate([low] * 3, axis=1)
    columns = slice(high.shape[1], 2 * high.shape[1])
    inner = 0.0
    for reach in (1.5, 3.0, 5.0, 8.0, 12.0, 18.0, 30.0):
        rows, cols = 2 * int(reach / along_mm) + 3, 2 * int(reach / around_mm) + 3
        lowest = cv2.erode(wrapped, np.ones((rows, cols), np.uint8))[:, columns]
        if inner > 0:
            steepest = np.maximum(steepest, (high - lowest) / inner)
        inner = reach
    return np.repeat(np.repeat(steepest, block, axis=0), block, axis=1)


def _crevice_table(radius: NDArray[np.float64]) -> NDArray[np.float32]:
    """Radius less its mean over about 7 mm: deep places get less of the scattered light."""
    pad = 48
    wrapped = np.concatenate([radius[:, -pad:], radius, radius[:, :pad]], axis=1)
    blurred = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=10, sigmaY=10)[:, pad:-pad]
    return (radius - blurred).astype(np.float32).reshape(-1)
