"""The tables of a colon's wall and centreline: the part of a scene's that takes longest to make."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.centreline import ALONG_STEP_MM, NUM_ALONG, Centreline
from endoforge.sim.wall import COLUMN_ANGLES, NUM_AROUND, Grid

STEEPEST = 4.0
"""Slopes of the wall are taken as no steeper than this when steps are bounded."""


@dataclass(frozen=True, eq=False)
class Shell:
    """The float32 tables (rows, 4) of one colon: see `kernels.types.SceneArrays`."""

    centreline: NDArray[np.float32]
    wall: NDArray[np.float32]


def make_shell(line: Centreline, radius: Grid) -> Shell:
    """Make the tables of a centreline and of the wall around it, `radius` in mm."""
    return Shell(_centreline_table(line, radius), _wall_table(radius))


def _centreline_table(line: Centreline, radius: Grid) -> NDArray[np.float32]:
    rows = np.zeros((NUM_ALONG, 4, 4), np.float32)
    rows[:, 0, :3], rows[:, 0, 3] = line.points, line.curvature[:, 0]
    rows[:, 1, :3], rows[:, 1, 3] = line.tangents, line.curvature[:, 1]
    rows[:, 2, :3], rows[:, 2, 3] = line.normals, _narrowest_nearby(radius)
    rows[:, 3, :3] = line.binormals
    return rows.reshape(-1, 4)


def _narrowest_nearby(radius: Grid) -> Grid:
    """The least radius within 20 mm along the centreline, at every row of its table.

    That is 10 mm in space even where a bend shortens lengths by half.
    """
    reach = 2 * int(20.0 / ALONG_STEP_MM) + 1
    least = cv2.erode(radius.min(axis=1)[:, None], np.ones((reach, 1), np.uint8))
    return np.asarray(least[:, 0], np.float32)


def _wall_table(radius: Grid) -> NDArray[np.float32]:
    """The radius, safe step, dR/ds and dR/dangle / R at every sample of the wall."""
    table = np.empty((NUM_ALONG, NUM_AROUND, 4), np.float32)
    along, around = table[..., 2], table[..., 3]
    along[1:-1] = (radius[2:] - radius[:-2]) * np.float32(0.5 / ALONG_STEP_MM)
    along[0], along[-1] = along[1], along[-2]
    angle = np.unwrap(COLUMN_ANGLES)
    ends = np.concatenate([[angle[-1] - 2 * np.pi], angle, [angle[0] + 2 * np.pi]])
    per_rad = (1 / (ends[2:] - ends[:-2])).astype(np.float32)
    wrapped = np.concatenate([radius[:, -1:], radius, radius[:, :1]], axis=1)
    around[:] = (wrapped[:, 2:] - wrapped[:, :-2]) * per_rad / np.maximum(radius, 0.5)
    # Not cv2.magnitude: its last bits go by where in memory its result happens to lie.
    slope = np.sqrt(along * along + around * around)
    slope = np.clip(_steepest_nearby(radius, slope), 0.25, STEEPEST)
    table[..., 0] = radius
    table[..., 1] = 1 / np.sqrt(1 + slope * slope)
    return table.reshape(-1, 4)


def _steepest_nearby(radius: Grid, slope: Grid) -> Grid:
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
