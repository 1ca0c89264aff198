"""Where the endoscope is, where it looks, and the path that it flies."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.anatomy import LENGTH_MM
from endoforge.sim.polyps import Polyp
from endoforge.sim.scene import Scene
from endoforge.sim.streams import Stream, smooth_noise, stream

CAPTURE_INTERVAL_S = 0.33
"""Simulated time between two recorded frames."""
FIRST_MM, LAST_MM = 28.0, LENGTH_MM - 45.0
LAMP_OFFSET_MM = 3.2
LOOK_AHEAD_MM = 32.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """The camera's pose: `position` (3,) mm, `axes` (3, 3) with rows right, down, forward.

    `s_mm` is its position along the centreline; `gain` multiplies the exposure.
    """

    position: Array
    axes: Array
    s_mm: float
    gain: float = 1.0

    def as_json(self) -> dict[str, object]:
        """As a label file keeps it: the rotation takes camera axes to the world's."""
        return {
            "position_mm": self.position.tolist(),
            "world_from_camera": self.axes.T.tolist(),
            "s_mm": self.s_mm,
        }

    def table_rows(self, scene_index: int, frame_seed: int) -> NDArray[np.float32]:
        """(5, 4) float32 in the order of `kernels.types.View.cameras`."""
        right, down, forward = self.axes
        rows = [
            [*self.position, self.s_mm],
            [*right, scene_index],
            [*down, frame_seed],
            [*forward, self.gain],
            [LAMP_OFFSET_MM, 0.4 * LAMP_OFFSET_MM, 0.0, 0.0],
        ]
        return np.array(rows, np.float32)


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


def look_at(position: Array, target: Array, down: Array, s_mm: float, gain: float = 1.0) -> Pose:
    """A pose at `position` that looks at `target`, with `down` roughly downward in the picture."""
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(down, forward)
    right /= np.linalg.norm(right)
    return Pose(position, np.stack([right, np.cross(forward, right), forward]), s_mm, gain)


def fly(scene: Scene, num_frames: int) -> Iterator[Pose]:
    """The poses of a run of `num_frames` from one end of the scene to the other.

    The scope goes forward at a changing speed and wanders off the centreline, away from polyps
    that stand in its way. It looks ahead, around, and for a while at polyps that come near.
    """
    path = _Path(scene, num_frames)
    for frame in range(num_frames):
        yield path.pose(frame)


class _Path:
    """One flight, drawn once: its smooth courses, sampled at every frame."""

    def __init__(self, scene: Scene, num_frames: int) -> None:
        rng = stream(scene.seed, Stream.CAMERA)
        self.scene = scene
        # The stretch before each polyp over which the scope looks at it, or 0: it misses it.
        self.inspects = [
            rng.uniform(8.0, 28.0) if rng.random() < 0.85 else 0.0 for _ in scene.polyps
        ]
        self.s_mm = self._progress(np.exp(-0.4 * smooth_noise(rng, 512, 30)), num_frames)
        # Courses are drawn along the scene, not in time: more frames make a finer flight.
        self.wander = np.stack([smooth_noise(rng, 512, 24) for _ in range(2)], axis=1)
        self.glance = np.stack([smooth_noise(rng, 512, 14) for _ in range(2)], axis=1)
        self.roll = 0.5 * smooth_noise(rng, 512, 60)
        self.gain = np.exp(0.16 * smooth_noise(rng, 512, 10))

    def _progress(self, dwell: Array, num_frames: int) -> Array:
        """(num_frames,) positions along the scene: slow where `dwell` is high and at polyps."""
        s_mm = np.linspace(FIRST_MM, LAST_MM, len(dwell))
        for polyp, stretch in zip(self.scene.polyps, self.inspects, strict=True):
            dwell = dwell + [8.0 * _inspection_weight(polyp, stretch, s) for s in s_mm]
        time = np.concatenate([[0.0], np.cumsum(dwell[:-1])])
        return np.interp(np.linspace(0, time[-1], num_frames), time, s_mm)

    def _course(self, course: Array, s_mm: float) -> Array:
        """Value of a course at a place along the scene."""
        place = s_mm / LENGTH_MM * (len(course) - 1)
        low = int(place)
        part = place - low
        value: Array = course[low] * (1 - part) + course[min(low + 1, len(course) - 1)] * part
        return value

    def pose(self, frame: int) -> Pose:
        s_mm = float(self.s_mm[frame])
        line = self.scene.anatomy.centreline
        row = line.row(s_mm)
        across = np.stack([line.normals[row], line.binormals[row]])
        position = line.to_world(s_mm, *self._offset(s_mm))
        ahead = line.to_world(s_mm + LOOK_AHEAD_MM, 0.0, 0.0)
        direction = _unit(ahead - position) + 0.34 * self._course(self.glance, s_mm) @ across
        direction = self._towards_polyps(s_mm, position, _unit(direction))
        roll = float(self._course(self.roll, s_mm))
        down = np.cos(roll) * across[1] + np.sin(roll) * across[0]
        gain = float(self._course(self.gain, s_mm))
        return look_at(position, position + direction, down, s_mm, gain)

    def _offset(self, s_mm: float) -> Array:
        """(x, y) in mm off the centreline: a slow wander, pushed away from polyps close by."""
        room = self.scene.anatomy.narrowest(s_mm)
        offset = 0.22 * room * np.tanh(self._course(self.wander, s_mm))
        for polyp in self.scene.polyps:
            near = np.exp(-(((s_mm - polyp.s_mm) / 12.0) ** 2))
            offset -= 0.42 * room * near * np.array([np.cos(polyp.angle), np.sin(polyp.angle)])
        return offset * min(1.0, 0.5 * room / max(float(np.linalg.norm(offset)), 1e-9))

    def _towards_polyps(self, s_mm: float, position: Array, direction: Array) -> Array:
        """Turn the view to the polyps that are being inspected, the more the nearer they are."""
        pull = np.zeros(3)
        for polyp, stretch in zip(self.scene.polyps, self.inspects, strict=True):
            weight = _inspection_weight(polyp, stretch, s_mm)
            if weight > 0:
                pull += weight * _unit(np.asarray(polyp.centre) - position)
        return _unit(direction + pull)


def _inspection_weight(polyp: Polyp, stretch: float, s_mm: float) -> float:
    """Rises from 0 as the scope comes within `stretch`, and falls as it passes by."""
    ahead = polyp.s_mm - s_mm
    if stretch == 0 or not -2.0 < ahead < stretch + 16.0:
        return 0.0
    return 3.5 * min(1.0, (stretch + 16.0 - ahead) / 16.0) * min(1.0, (ahead + 2.0) / 10.0)


def _unit(vector: Array) -> Array:
    unit: Array = vector / np.linalg.norm(vector)
    return unit
