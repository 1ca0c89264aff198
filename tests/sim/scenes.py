"""Scenes and poses whose pictures can be worked out by hand: a straight, smooth tube."""

import math
from dataclasses import replace

import numpy as np

from endoforge.sim.anatomy import straight_anatomy
from endoforge.sim.camera import CameraState, Pose, look_at
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.polyps import Polyp
from endoforge.sim.scene import Scene, make_look
from endoforge.sim.sensor import CameraSettings
from tests.plain_ranges import PLAIN

CLEAN = Nuisances()
"""Nothing that fools detectors."""
SMOOTH = replace(
    PLAIN,
    mucosa=replace(PLAIN.mucosa, capillaries=(0.0, 0.0), mottling=(0.0, 0.0), pits=(0.0, 0.0)),
    camera=replace(PLAIN.camera, scattered=(1.0, 1.0)),
)
"""A wall without its fine surface, which passes all its light on."""
PLAIN_CAMERA = CameraSettings(
    fov_deg=140.0,
    k1=0.0,
    lamps=((3.0, 0.0), (-3.0, 0.0)),
    exposure=1.0,
    lag_s=0.3,
    exposure_s=0.0,
    white_balance=(1.0, 1.0, 1.0),
    saturation=1.0,
    shot_noise=0.0,
    read_noise=0.0,
    vignette=0.0,
    sharpening=0.0,
    jpeg=0.0,
    defocus=0.0,
    contrast=0.0,
    haze=0.0,
    narrow_band=0.0,
)
"""An equidistant lens of 140 degrees, two lamps, and a sensor without faults."""


def tube(*polyps: Polyp, radius_mm: float = 20.0, peristalsis: float = 0.0) -> Scene:
    """A straight tube along +z, 600 mm long, with these polyps and the plain camera."""
    return Scene(
        seed=1,
        ranges=SMOOTH,
        anatomy=replace(straight_anatomy(radius_mm), peristalsis=peristalsis),
        polyps=polyps,
        look=make_look(1, SMOOTH, CLEAN),
        nuisances=CLEAN,
        camera=PLAIN_CAMERA,
    )


def ball(z: float, y: float = 0.0, radius: float = 4.0) -> Polyp:
    """A polyp that hangs in the lumen of the straight tube, on its axis or below it."""
    return Polyp(
        paris="Is",
        s_mm=z,
        angle=math.pi / 2,
        centre=(0.0, y, z),
        axis=(0.0, -1.0, 0.0),
        base=(0.0, y, z),
        half_width_mm=radius,
        half_height_mm=radius,
        stalk_mm=0.0,
        blend_mm=0.5,
        tint=(1.0, 1.0, 1.0),
        pattern=0.5,
        lobes=1.0,
        mucus=0.0,
        vessels=0.5,
    )


def along_z(z: float = 100.0) -> Pose:
    """On the axis of the straight tube, looking along it, its binormal (+y) down."""
    here = np.array([0.0, 0.0, z])
    return look_at(here, here + np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0]), z)


def still(pose: Pose, time_s: float = 0.0) -> CameraState:
    """A camera that rests at `pose`, and always did."""
    return CameraState(time_s, pose, np.zeros(3), np.zeros(3), pose)


def without_overlay(scene: Scene) -> Scene:
    """The picture fills the frame."""
    return replace(scene, nuisances=replace(scene.nuisances, overlay=0.0))
