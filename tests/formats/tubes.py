"""A world of spheres whose every ray is known in closed form, and runs of cameras in it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, image_name
from endoforge.datagen.extras import depth_picture
from endoforge.sim.camera import Pose, look_at
from endoforge.sim.optics import Lens

Array = NDArray[np.float64]

ROOM_MM = 55.0
"""The radius of the sphere around the origin, within which cameras are."""
BALLS = ((12.0, 4.0, 30.0, 7.0), (-14.0, -9.0, 22.0, 5.0))
"""Place and radius of those that stand in it."""
LENS = Lens(120, 96, 150.0, -0.02, (12, 0, 120, 96), 1.15)
"""Of a picture with a mask at its left, shown too wide."""


def poses(number: int) -> list[Pose]:
    """Cameras that go forward, aside and down, and turn about all three axes."""
    return [
        look_at(
            np.array([1.5 * step, -1.0 * step, 2.0 * step - 8]),
            np.array([3.0 - step, 2.0 * step, 40.0]),
            np.array([0.05 * step + 0.3, 1.0, 0.2]),
            s_mm=100.0 + step,
        )
        for step in range(number)
    ]


def seen_from(pose: Pose, lens: Lens) -> Array:
    """(H, W) mm: how far along its ray each pixel's surface is; 0 under the mask."""
    rays = lens.rays(lens.height, lens.width) @ pose.axes
    distance = _hits(pose.position, rays, ROOM_MM, outward=True)
    for *place, radius in BALLS:
        hit = _hits(pose.position - np.array(place), rays, radius, outward=False)
        distance = np.minimum(distance, hit)
    x0, y0, x1, y1 = lens.picture
    shown = np.zeros_like(distance)
    shown[y0:y1, x0:x1] = distance[y0:y1, x0:x1]
    return shown


def _hits(start: Array, rays: Array, radius: float, *, outward: bool) -> Array:
    """Where rays meet a sphere around the origin: leaving it, or entering; else infinitely far."""
    along = rays @ start
    under = along**2 - start @ start + radius**2
    root = np.sqrt(under.clip(0))
    hit = -along + root if outward else -along - root
    return np.where((under > 0) & (hit > 0), hit, np.inf)


def colour_at(places: Array) -> Array:
    """The colour of surfaces at places (..., 3) of the world, 0..255."""
    return np.asarray(127.5 + 90 * np.sin(places / (9.0, 11.0, 14.0)))


def record(
    root: Path,
    seconds: Sequence[float],
    lens: Lens = LENS,
    *,
    depth: bool = True,
) -> tuple[Path, list[Pose]]:
    """The run of a camera that takes pictures at these times, and its poses."""
    recorder = RunRecorder.create(root, seed=7, max_frames=None, extra={})
    course = poses(len(seconds))
    for number, (pose, second) in enumerate(zip(course, seconds, strict=True)):
        distance = seen_from(pose, lens)
        rays = lens.rays(lens.height, lens.width) @ pose.axes
        places = pose.position + rays * distance[..., None]
        image = np.where(distance[..., None] > 0, colour_at(places), 0)
        label = FrameLabel(
            frame_id=number,
            sim_time=second,
            unix_time=second,
            image=image_name(number),
            image_present=True,
            camera_active=True,
            polyp_seed=7,
            polyp_labels=[],
            camera={"pose": pose.as_json(), "intrinsics": lens.intrinsics()},
        )
        pictures = {"depth": depth_picture(distance.astype(np.float32))} if depth else {}
        recorder.write(np.rint(image).astype(np.uint8), label, pictures)
    recorder.finish()
    return recorder.run_dir, course
