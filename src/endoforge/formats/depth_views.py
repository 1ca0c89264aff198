"""What a frame's label and its depth image say of its camera: pose, lens, and depth along the axis.

Axes are OpenCV's: right, down, forward. The middle of the top left pixel is (0, 0).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from endoforge.captures.schema import DEPTH_UNIT_MM
from endoforge.captures.tally import Unusable
from endoforge.formats.extra_pictures import extra_pixels
from endoforge.formats.writing import Converted

Array = NDArray[np.float64]

MOST_ANGLE = np.pi / 2
"""Off the axis: from here on nothing lies before the camera."""
ANGLES = 20_001
"""Samples of the lens's curve; between them it is a line, true to a millionth of a pixel."""
MOST_SKEW = 1e-3
"""How far a matrix may be from a rotation, in any of its products."""

# Beyond these bounds numbers mean something else, and arithmetic with them overflows.
Within = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Focal = Annotated[float, Field(ge=1e-3, le=1e6, allow_inf_nan=False)]
Coefficient = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]
Vector = tuple[Within, Within, Within]
Coefficients = tuple[Coefficient, Coefficient, Coefficient, Coefficient]


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class LabelPose(_Said):
    """The camera's place in mm, and the rotation that takes its axes to the world's."""

    position_mm: Vector
    world_from_camera: tuple[Vector, Vector, Vector]
    s_mm: Within | None = None

    @cached_property
    def matrix(self) -> Array:
        """(4, 4) that takes points of the camera's axes to the world's, in mm.

        Raises Unusable if its rotation is none.
        """
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = self.world_from_camera, self.position_mm
        turn = pose[:3, :3]
        is_rotation = np.abs(turn @ turn.T - np.eye(3)).max() < MOST_SKEW
        if not (is_rotation and np.linalg.det(turn) > 0):
            raise Unusable("a pose whose world_from_camera is no rotation")
        return pose


class FisheyeLens(_Said):
    """OpenCV's fisheye model (Kannala and Brandt 2006), in pixels.

    A ray at an angle off the axis meets the picture, in focal lengths from the middle, at
    angle + k1 angle^3 + k2 angle^5 + k3 angle^7 + k4 angle^9.
    """

    model: Literal["opencv_fisheye"]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    fx: Focal
    fy: Focal
    cx: Within
    cy: Within
    k: Coefficients

    @cached_property
    def curve(self) -> tuple[Array, Array]:
        """Angles off the axis up to a right one, and how far each is from the middle, as it grows.

        It ends where the model turns back on itself.
        """
        angles = np.linspace(0, MOST_ANGLE, ANGLES)[:-1]
        radii = self.distorted(angles)
        falls = np.flatnonzero(np.diff(radii) <= 0)
        end = int(falls[0]) + 1 if len(falls) else len(radii)
        return angles[:end], radii[:end]

    def distorted(self, angles: Array) -> Array:
        """How far from the middle rays at `angles` off the axis are, in focal lengths."""
        powers = angles[..., None] ** np.arange(1, 10, 2)
        return np.asarray(powers @ np.array([1.0, *self.k]))

    @cached_property
    def rays(self) -> Array:
        """(H, W, 3) unit directions of the pixels; NaN where none of less than 90 degrees fits."""
        y, x = np.mgrid[: self.height, : self.width].astype(np.float64)
        u, v = (x - self.cx) / self.fx, (y - self.cy) / self.fy
        radius = np.hypot(u, v)
        angles, radii = self.curve
        angle = np.interp(radius, radii, angles, right=np.nan)
        scale = np.sin(angle) / np.maximum(radius, 1e-12)
        return np.stack([u * scale, v * scale, np.cos(angle)], axis=-1)

    def project(self, points: Array) -> Array:
        """Where points (..., 3) in the camera's axes are in the picture, (..., 2) xy in pixels.

        NaN for those behind the camera, and where the model has turned back on itself.
        """
        across = np.hypot(points[..., 0], points[..., 1])
        angle = np.arctan2(across, points[..., 2])
        radius = np.where(angle <= self.curve[0][-1], self.distorted(angle), np.nan)
        scale = radius / np.maximum(across, 1e-12)
        return np.stack(
            [
                self.cx + self.fx * scale * points[..., 0],
                self.cy + self.fy * scale * points[..., 1],
            ],
            axis=-1,
        )


class LabelCamera(_Said):
    """The `camera` of a label, as `datagen` writes it."""

    pose: LabelPose
    intrinsics: FisheyeLens


def camera_of(said: dict[str, Any] | None) -> LabelCamera | None:
    """The `camera` of a label; None where there is none, or one of another form than ours."""
    try:
        return None if said is None else LabelCamera.model_validate(said)
    except ValidationError:
        return None


@dataclass(frozen=True, eq=False)
class DepthView:
    """What a frame shows where: `pose` is (4, 4), in mm, from the camera's axes to the world's.

    `along_ray_mm` is (H, W) float64, the distance to what each pixel shows; 0 where it isn't known.
    """

    pose: Array
    lens: FisheyeLens
    along_ray_mm: Array

    @property
    def depth_mm(self) -> Array:
        """(H, W) float64 mm along the camera's axis; 0 where it isn't known."""
        return np.nan_to_num(self.along_ray_mm * self.lens.rays[..., 2])


class DepthViews:
    """Views of frames, one after the other: what follows from a lens alone is worked out once."""

    def __init__(self) -> None:
        self._lens: FisheyeLens | None = None

    def view_of(self, frame: Converted) -> DepthView:
        """The view of a frame; raises Unusable if its label or its depth image doesn't tell it."""
        camera = camera_of(frame.label.camera)
        if camera is None:
            raise Unusable("no camera pose and lens in its label, as datagen writes them")
        if (camera.intrinsics.width, camera.intrinsics.height) != frame.size:
            raise Unusable("a lens of another size than its picture")
        if camera.intrinsics != self._lens:
            self._lens = camera.intrinsics
        steps = extra_pixels(frame.record, "depth", frame.size)
        return DepthView(camera.pose.matrix, self._lens, steps * DEPTH_UNIT_MM)
