"""Where the endoscope is, where it looks, and how it moves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
        """As a label file keeps it: the rotation takes camera axes to the world's."""
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


def look_at(position: Array, target: Array, down: Array, s_mm: float) -> Pose:
    """A pose at `position` that looks at `target`, with `down` roughly downward in the picture."""
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(down, forward)
    right /= np.linalg.norm(right)
    return Pose(position, np.stack([right, np.cross(forward, right), forward]), s_mm)
