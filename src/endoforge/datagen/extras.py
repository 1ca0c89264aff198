"""More ground truth beside the images: what `--save` writes, and in which units."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.poses import quaternion_xyzw
from endoforge.captures.schema import DEPTH_UNIT_MM
from endoforge.sim.camera import CameraState
from endoforge.sim.kernels.types import FAR_MM

DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "instance": {
        "path": "instance/frame_XXXXX.png",
        "format": "8-bit PNG, one channel",
        "values": "0: no polyp; k: the polyp whose label has polyp_id k",
    },
    "depth": {
        "path": "depth/frame_XXXXX.png",
        "format": "16-bit PNG, one channel",
        "unit_mm": DEPTH_UNIT_MM,
        "values": "distance along the pixel's ray; 0: none (under the mask, or beyond "
        f"{FAR_MM:g} mm)",
    },
    "normals": {
        "path": "normals/frame_XXXXX.png",
        "format": "8-bit PNG, RGB",
        "values": "(n + 1) / 2 * 255 of the unit normal in camera axes (right, down, forward); "
        "0 0 0: none, where depth is",
    },
    "pose": {
        "path": "poses.txt",
        "format": "TUM: timestamp tx ty tz qx qy qz qw, one line a frame",
        "values": "seconds of simulated time, mm, and the rotation world_from_camera",
    },
}
"""What the manifest says of each kind of ground truth."""


def depth_picture(depth_mm: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Turn depth in mm into (H, W) uint16 in units of 0.01 mm; 0 where nothing is measured."""
    measured = _measured(depth_mm)
    steps = np.rint(np.where(measured, depth_mm, 0) / DEPTH_UNIT_MM)
    return steps.astype(np.uint16)


def normals_picture(
    normals: NDArray[np.float32], depth_mm: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Turn unit vectors (H, W, 3) into uint8; 0 0 0 where nothing is measured."""
    steps = np.rint((normals + 1) * 127.5).clip(0, 255)
    return np.where(_measured(depth_mm)[..., None], steps, 0).astype(np.uint8)


def _measured(depth_mm: NDArray[np.float32]) -> NDArray[np.bool_]:
    measured: NDArray[np.bool_] = (depth_mm > 0) & (depth_mm < FAR_MM)
    return measured


def poses_text(states: Sequence[CameraState]) -> str:
    """Write the camera's course in the TUM RGB-D benchmark's format: mm, world_from_camera."""
    lines = ["# timestamp tx ty tz qx qy qz qw: s, mm, world_from_camera"]
    for state in states:
        numbers = [*state.pose.position, *quaternion_xyzw(state.pose.axes.T)]
        lines.append(f"{state.time_s:.6f} " + " ".join(f"{number:.9g}" for number in numbers))
    return "\n".join(lines) + "\n"
