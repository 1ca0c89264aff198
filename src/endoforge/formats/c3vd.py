"""C3VD's layout (Bobrow et al. 2023, Medical Image Analysis): depth and poses of video, for SLAM.

By the data set's page and by the code that wrote it (https://github.com/DurrLab/C3VD: index.html,
RenderingModule.cpp, render/Render.cu, python/exampleDataLoader.py).
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from endoforge.captures.pictures import decode_picture, encode_png
from endoforge.captures.tally import Unusable
from endoforge.formats.depth_views import Array, DepthView, DepthViews, FisheyeLens
from endoforge.formats.sequences import uneven_note
from endoforge.formats.writing import ALL, Converted, Writer

FAR_MM, MOST_STEPS = 100.0, 2**16 - 1
"""Depth that the largest number stands for, and that number: what is farther has it too."""
FIT_SAMPLES = 2000
AS_IT_IS = 1
"""TIFF's number of no compression: C3VD's files have none."""


@dataclass
class _C3vdSequence:
    """A run that is being written: the lens of all its frames, their poses and times."""

    lens: FisheyeLens
    poses: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class C3vdWriter(Writer):
    """`<run>/0000_color.png`, `0000_depth.tiff`, `pose.txt`, `config.ini` and `camera.json`.

    A side is a folder. Depth is along the camera's axis, 0 to 100 mm as 0 to 65535, and 0 where it
    isn't known. A line of pose.txt is a frame's pose by columns, in mm, from the camera's axes
    (right, down, forward) to the world's.
    """

    has_boxes = False

    def __init__(self, out: Path, class_names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        super().__init__(out, class_names, sides)
        self._sequences: dict[str, _C3vdSequence] = {}
        self._views = DepthViews()
        self._known, self._far = 0, 0

    def add(self, frame: Converted, side: str) -> None:
        view = self._views.view_of(frame)
        folder = frame.run if side == ALL else f"{side}/{frame.run}"
        run = self._sequences.setdefault(folder, _C3vdSequence(view.lens))
        if view.lens != run.lens:
            raise Unusable("another lens than the run's first frame, and C3VD has one a sequence")
        run.seconds.append(frame.record.seconds)
        number = len(run.poses)
        run.poses.append(_pose_line(view.pose))
        is_png = frame.suffix == ".png"
        picture = frame.data if is_png else encode_png(decode_picture(frame.data))
        self.write(f"{folder}/{number:04d}_color.png", picture)
        self.write(f"{folder}/{number:04d}_depth.tiff", self._depth(view))

    def _depth(self, view: DepthView) -> bytes:
        depth_mm = view.depth_mm
        self._known += int((depth_mm > 0).sum())
        self._far += int((depth_mm >= FAR_MM).sum())
        steps = np.rint(depth_mm.clip(0, FAR_MM) / FAR_MM * MOST_STEPS).astype(np.uint16)
        _, data = cv2.imencode(".tiff", steps, [cv2.IMWRITE_TIFF_COMPRESSION, AS_IT_IS])
        return data.tobytes()

    def finish(self) -> list[str]:
        for folder, run in self._sequences.items():
            self.write(f"{folder}/pose.txt", "".join(run.poses).encode())
            polynomial = fitted(run.lens)
            self.write(f"{folder}/config.ini", polynomial.text(run.lens).encode())
            camera = {
                **run.lens.model_dump(),
                "farthest_of_config_ini_deg": round(polynomial.farthest_deg, 6),
            }
            self.write(f"{folder}/camera.json", f"{json.dumps(camera, indent=2)}\n".encode())
        share = 100 * self._far / max(self._known, 1)
        notes = [
            "the lens is config.ini's, by C3VD's polynomial, and exactly that of camera.json; "
            f"{share:.1f} % of depth is beyond {FAR_MM:g} mm and clamped"
        ]
        times = (run.seconds for run in self._sequences.values())
        return notes + uneven_note(times, "C3VD has no times, so its frames count as even")


def _pose_line(pose: Array) -> str:
    """By columns, as C3VD's renderer writes them: the place is in numbers 13 to 15."""
    return ",".join(f"{number:.9g}" for number in pose.T.ravel()) + "\n"


@dataclass(frozen=True)
class OmnidirectionalLens:
    """Scaramuzza's model (2006), as C3VD has it, in pixels.

    The ray of a pixel that is (c u, v) away from the middle is (u, v, a0 + a2 r^2 + a3 r^3 +
    a4 r^4), where r is the length of (u, v).

    `farthest_deg` is how far its rays are at most from those that they stand for.
    """

    a0: float
    a2: float
    a3: float
    a4: float
    c: float
    farthest_deg: float

    def text(self, lens: FisheyeLens) -> str:
        """What config.ini says of it, by the names of C3VD's README."""
        numbers = {
            "width": lens.width,
            "height": lens.height,
            "cx": lens.cx,
            "cy": lens.cy,
            "a0": self.a0,
            "a1": 0.0,
            "a2": self.a2,
            "a3": self.a3,
            "a4": self.a4,
            "c": self.c,
            "d": 0.0,
            "e": 0.0,
        }
        return "".join(f"{name} = {number:.12g}\n" for name, number in numbers.items())


def fitted(lens: FisheyeLens) -> OmnidirectionalLens:
    """The polynomial whose rays are nearest to those of `lens`, by least squares of their angles.

    For radii that its picture has, of rays less than 90 degrees off the axis.
    """
    corner = np.hypot(
        max(lens.cx, lens.width - 1 - lens.cx) / lens.fx,
        max(lens.cy, lens.height - 1 - lens.cy) / lens.fy,
    )
    angles, radii = lens.curve
    farthest = np.clip(corner, radii[1], radii[-1])
    radius = np.linspace(0, farthest, FIT_SAMPLES + 1)[1:]
    angle = np.interp(radius, radii, angles)
    forward = radius / np.tan(angle)
    weight = np.sin(angle) ** 2 / radius  # of an angle's change with `forward`
    powers = radius[:, None] ** np.array([0, 2, 3, 4])
    found, *_ = np.linalg.lstsq(powers * weight[:, None], forward * weight, rcond=None)
    apart = np.abs(np.arctan2(radius, powers @ found) - angle).max()
    a0, a2, a3, a4 = (found * lens.fy ** (1.0 - np.array([0, 2, 3, 4]))).tolist()
    return OmnidirectionalLens(a0, a2, a3, a4, lens.fx / lens.fy, float(np.degrees(apart)))
