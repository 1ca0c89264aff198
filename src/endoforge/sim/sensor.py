"""The camera of a run: its lens's numbers, its lamps, its sensor and video processor."""

from dataclasses import dataclass

import numpy as np

from endoforge.sim.nuisances import Nuisances
from endoforge.sim.randomization import CameraRanges, draw, draw_nuisance
from endoforge.sim.streams import Stream, stream

LONGEST_EXPOSURE_S = 1 / 25
"""Exposure time at motion blur 1."""


@dataclass(frozen=True)
class CameraSettings:
    """What a run's camera is and does.

    `fov_deg` across the picture's diagonal, `k1` of OpenCV's fisheye model; `lamps` (right, down)
    mm from the lens; `exposure` brightness aimed at (1 usual), `lag_s` of the automatic exposure,
    `exposure_s` the time in light; `white_balance` multiplies linear RGB; `saturation` 1 leaves
    colours alone; `shot_noise` and `read_noise` standard deviations in 0..1 of the display range;
    `vignette` share of light missing in the corners; `sharpening` of the unsharp mask; `jpeg`
    0 (none) to 1 (quality 20); `defocus` 0 to 1.
    """

    fov_deg: float
    k1: float
    lamps: tuple[tuple[float, float], ...]
    exposure: float
    lag_s: float
    exposure_s: float
    white_balance: tuple[float, float, float]
    saturation: float
    shot_noise: float
    read_noise: float
    vignette: float
    sharpening: float
    jpeg: float
    defocus: float


def make_camera_settings(seed: int, ranges: CameraRanges, nuisances: Nuisances) -> CameraSettings:
    """The camera of a seed."""
    rng = stream(seed, Stream.SENSOR)
    temperature, tint = draw(rng, ranges.temperature), draw(rng, ranges.tint)
    return CameraSettings(
        fov_deg=draw(rng, ranges.fov_deg),
        k1=draw(rng, ranges.distortion),
        lamps=_lamps(rng, ranges),
        exposure=draw(rng, ranges.exposure),
        lag_s=draw(rng, ranges.exposure_lag_s),
        exposure_s=LONGEST_EXPOSURE_S * nuisances.motion_blur,
        white_balance=(1 + temperature + tint, 1 - tint, 1 - temperature + tint),
        saturation=draw(rng, ranges.saturation),
        shot_noise=draw(rng, ranges.shot_noise),
        read_noise=draw(rng, ranges.read_noise),
        vignette=draw(rng, ranges.vignette),
        sharpening=draw(rng, ranges.sharpening),
        jpeg=draw_nuisance(rng, ranges.jpeg),
        defocus=nuisances.defocus,
    )


def _lamps(rng: np.random.Generator, ranges: CameraRanges) -> tuple[tuple[float, float], ...]:
    """Evenly around the lens, as the light guides of a scope are, from a random first one."""
    number = int(rng.integers(ranges.lamps[0], ranges.lamps[1] + 1))
    offset, first = draw(rng, ranges.lamp_offset_mm), rng.uniform(0, 2 * np.pi)
    angles = [first + 2 * np.pi * k / number for k in range(number)]
    return tuple((float(offset * np.cos(a)), float(offset * np.sin(a))) for a in angles)
