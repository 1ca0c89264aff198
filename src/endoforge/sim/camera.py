"""The endoscope's camera: where it is, where it looks, and how it moves."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.anatomy import WAVE_S
from endoforge.sim.instruments import INSTRUMENT_ROWS

MOVE_ROW, WAVE_ROW, METER_ROW, INSTRUMENT_ROW = 4, 6, 7, 11
CAMERA_ROWS = INSTRUMENT_ROW + INSTRUMENT_ROWS
"""Rows of four numbers a camera, and the first of some of them: see `kernels.types.View`."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """The camera's pose: `position` (3,) mm, `axes` (3, 3) with rows right, down, forward.

    `s_mm` is its position along the centreline.
    """

    position: Array
    axes: Array
    s_mm: float

    def as_json(self) -> dict[str, object]:
        """The pose as a label file keeps it; its rotation takes camera axes to the world's."""
        return {
            "position_mm": self.position.tolist(),
            "world_from_camera": self.axes.T.tolist(),
            "s_mm": self.s_mm,
        }


@dataclass(frozen=True)
class CameraState:
    """The camera at one moment of a run: where it is, how it moves, and what it was exposed for.

    `velocity_mm_s` and `turn_rad_s` (3,) in the camera's axes (right, down, forward), of the
    camera against the wall; `metered` is the pose that the automatic exposure answers to.
    """

    time_s: float
    pose: Pose
    velocity_mm_s: Array
    turn_rad_s: Array
    metered: Pose

    @cached_property
    def rows(self) -> NDArray[np.float32]:
        """What `kernels.types.View.cameras` holds, (CAMERA_ROWS, 4), so far as the state says it.

        Movement is per second here: `packing.Movers.at` multiplies it by the exposure.
        """
        rows = np.zeros((CAMERA_ROWS, 4), np.float32)
        for first, pose in ((0, self.pose), (METER_ROW, self.metered)):
            rows[first, :3], rows[first, 3] = pose.position, pose.s_mm
            rows[first + 1 : first + 4, :3] = pose.axes
        rows[MOVE_ROW, :3], rows[MOVE_ROW + 1, :3] = self.velocity_mm_s, self.turn_rad_s
        rows[WAVE_ROW, 1:3] = (self.time_s / WAVE_S) % 1.0, self.time_s
        return rows


def orthonormal(axes: Array) -> Array:
    """Orthonormal axes of nearly orthonormal ones, (3, 3); forward keeps its direction."""
    forward = axes[2] / np.linalg.norm(axes[2])
    right = axes[0] - (axes[0] @ forward) * forward
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def look_at(position: Array, target: Array, down: Array, s_mm: float) -> Pose:
    """Make the pose at `position` that looks at `target`, `down` roughly down in the picture."""
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(down, forward)
    right /= np.linalg.norm(right)
    return Pose(position, np.stack([right, np.cross(forward, right), forward]), s_mm)
