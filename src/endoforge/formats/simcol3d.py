"""SimCol3D's layout (Rau et al. 2023, arXiv:2307.11261): depth and poses of video in Unity's axes.

By the code of those who made it (https://github.com/anitarau/simcol: evaluation/
eval_synthetic_depth.py, eval_synthetic_pose.py, bimodal_camera_pose/datasets/
sequence_folders_quat.py).
"""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import decode_picture, encode_png
from endoforge.captures.poses import quaternion_xyzw
from endoforge.formats.depth_views import Array, DepthView, DepthViews, FisheyeLens
from endoforge.formats.sequences import uneven_note
from endoforge.formats.writing import ALL, Converted, Writer

SIDE, FOCAL_PX = 475, 237.5
"""Of its pictures, which are square and 90 degrees wide: readers have these numbers in them."""
CENTRE_PX = (SIDE - 1) / 2
FAR_CM, MOST_STEPS = 20.0, 255 * 256
"""Depth that the largest number stands for, and that number, by which readers divide."""
MM_A_CM = 10.0
MOST_STEP = 1.1
"""Between neighbours: where depths differ by more, an edge lies between them, and none is mixed."""

DOWN_IS_UP = np.diag([1.0, -1.0, 1.0])
"""From axes right, down, forward to Unity's, right, up, forward, and back."""

Maps = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass
class _SimCol3dSequence:
    """A run that is being written: its name here, the poses and the times of its frames."""

    name: str
    positions: list[str] = field(default_factory=list)
    rotations: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class SimCol3dWriter(Writer):
    """`cam.txt`, and of run k `Frames_S<k>/FrameBuffer_0000.png` and `Depth_0000.png`,
    `SavedPosition_S<k>.txt` and `SavedRotationQuaternion_S<k>.txt`; `runs.txt` names the runs.

    A side is a folder. Pictures are those of a pinhole camera, 475x475 pixels. Depth is along its
    axis, 0 to 20 cm as 0 to 65280, and 0 where it isn't known. Poses are Unity's: cm, left-handed,
    from the camera's axes (right, up, forward) to the world's; quaternions are x y z w.
    """

    has_boxes = False

    def __init__(self, out: Path, class_names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        super().__init__(out, class_names, sides)
        self._sequences: dict[str, dict[str, _SimCol3dSequence]] = {side: {} for side in sides}
        self._views = DepthViews()
        self._lens: FisheyeLens | None = None
        self._maps: Maps
        self._pixels, self._known, self._far = 0, 0, 0

    def add(self, frame: Converted, side: str) -> None:
        view = self._views.view_of(frame)
        if view.lens is not self._lens:
            self._lens, self._maps = view.lens, _maps(view.lens)
        runs = self._sequences[side]
        run = runs.setdefault(frame.run, _SimCol3dSequence(f"S{len(runs) + 1}"))
        number = len(run.seconds)
        run.seconds.append(frame.record.seconds)
        position, rotation = _unity_pose(view.pose)
        run.positions.append(position)
        run.rotations.append(rotation)
        rgb = cv2.remap(decode_picture(frame.data), *self._maps, cv2.INTER_LINEAR)
        folder = f"{_folder(side)}Frames_{run.name}"
        picture = encode_png(np.asarray(rgb, np.uint8))
        self.write(f"{folder}/FrameBuffer_{number:04d}.png", picture)
        self.write(f"{folder}/Depth_{number:04d}.png", encode_png(self._depth(view)))

    def _depth(self, view: DepthView) -> NDArray[np.uint16]:
        depth_cm = resampled(view.along_ray_mm, self._maps) * _forward() / MM_A_CM
        self._pixels += depth_cm.size
        self._known += int((depth_cm > 0).sum())
        self._far += int((depth_cm >= FAR_CM).sum())
        return np.rint(depth_cm.clip(0, FAR_CM) / FAR_CM * MOST_STEPS).astype(np.uint16)

    def finish(self) -> list[str]:
        for side, runs in self._sequences.items():
            folder = _folder(side)
            self.write(f"{folder}cam.txt", _cam_text().encode())
            names = "".join(f"{run.name} {name}\n" for name, run in runs.items())
            self.write(f"{folder}runs.txt", names.encode())
            for run in runs.values():
                positions, rotations = "".join(run.positions), "".join(run.rotations)
                self.write(f"{folder}SavedPosition_{run.name}.txt", positions.encode())
                self.write(f"{folder}SavedRotationQuaternion_{run.name}.txt", rotations.encode())
        known, far = 100 * self._known / self._pixels, 100 * self._far / max(self._known, 1)
        notes = [
            f"pictures are resampled to a pinhole camera of {SIDE}x{SIDE}: {100 - known:.1f} % of "
            f"pixels have no depth, {far:.1f} % of depth is beyond {FAR_CM:g} cm and clamped"
        ]
        times = (run.seconds for runs in self._sequences.values() for run in runs.values())
        return notes + uneven_note(times, "SimCol3D has no times, so its frames count as even")


def _folder(side: str) -> str:
    return "" if side == ALL else f"{side}/"


def _cam_text() -> str:
    rows = (FOCAL_PX, 0, CENTRE_PX), (0, FOCAL_PX, CENTRE_PX), (0, 0, 1)
    return "".join(" ".join(f"{number:g}" for number in row) + "\n" for row in rows)


def _unity_pose(pose: Array) -> tuple[str, str]:
    """The lines of a pose's place and of its rotation, both sides of which change their axes."""
    place = DOWN_IS_UP @ pose[:3, 3] / MM_A_CM
    rotation = quaternion_xyzw(DOWN_IS_UP @ pose[:3, :3] @ DOWN_IS_UP)
    position_line, rotation_line = (
        " ".join(f"{number:.9g}" for number in numbers) + "\n" for numbers in (place, rotation)
    )
    return position_line, rotation_line


def _directions() -> Array:
    """(SIDE, SIDE, 3): where the pixels of the pinhole camera look, with 1 along its axis."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    return np.stack(
        [(x - CENTRE_PX) / FOCAL_PX, (y - CENTRE_PX) / FOCAL_PX, np.ones_like(x)], axis=-1
    )


def _forward() -> Array:
    """(SIDE, SIDE): the share of a distance along each pixel's ray that is along the axis."""
    return np.asarray(1 / np.linalg.norm(_directions(), axis=-1))


def _maps(lens: FisheyeLens) -> Maps:
    """Where in a picture of `lens` the pinhole camera's pixels are: x and y; -1 beyond it."""
    places = lens.project(_directions())
    limits = np.array([lens.width - 1, lens.height - 1])
    inside = np.all((places >= 0) & (places <= limits), axis=-1, keepdims=True)
    x, y = np.moveaxis(np.where(inside, places, -1), -1, 0).astype(np.float32)
    return x, y


def resampled(distance: Array, maps: Maps) -> Array:
    """Distances along rays at the places of `maps`; 0 beyond the picture, and where one is 0.

    Between four pixels of one surface it is theirs by nearness; where an edge lies between them, or
    one of them isn't known, the nearest pixel's, so that no distance is of neither side.
    """
    height, width = distance.shape
    x, y = (places.clip(0).astype(np.float64) for places in maps)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = x - left, y - top
    four = distance[[top, top, bottom, bottom], [left, right, left, right]]
    shares = np.stack(
        [
            (1 - across) * (1 - down),
            across * (1 - down),
            (1 - across) * down,
            across * down,
        ]
    )
    nearest = np.take_along_axis(four, shares.argmax(axis=0)[None], axis=0)[0]
    nearer, farther = four.min(axis=0), four.max(axis=0)
    is_one_surface = (nearer > 0) & (farther < nearer * MOST_STEP)
    there = np.where(is_one_surface, (shares * four).sum(axis=0), nearest)
    return np.where(maps[0] < 0, 0, there)
