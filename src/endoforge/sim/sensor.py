"""The camera of a run: its lens's numbers, its lamps, its sensor and video processor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.display import PICTURE_ROWS
from endoforge.sim.light import LIGHT_ROWS, MOST_OVERSHARP, LightSettings
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.ranges.camera_ranges import CameraRanges
from endoforge.sim.ranges.values import draw, draw_nuisance
from endoforge.sim.streams import Stream, stream

LONGEST_EXPOSURE_S = 1 / 25
"""The exposure time at motion blur 1."""
WIDEST_APERTURE_MM = 0.2
"""The radius of the lens's opening at defocus 1."""
FOCUS_MM = 16.0
"""The distance that is in focus."""
MAX_LAMPS = 3
"""Rows of lamps that each scene has in the kernels' table."""
MOST_SHARPENING = 2.4
"""Share of a pixel's difference to its surroundings that is added at sharpening 1."""
CORING = 2.0 / 255
"""A difference d is sharpened as d^3 / (d^2 + this^2): small ones may be noise."""
BEST_QUALITY, WORST_QUALITY = 95.0, 20.0
"""JPEG's quality at `jpeg` just above 0 and at 1."""
JPEG_ROW, JPEG_COLUMN = 2, 1
"""Where `CameraSettings.table_rows` says whether there is JPEG."""
QUANTISATION_ROW = 3
"""The first row of the quantisation tables there: luma's, then chroma's."""
VEIL_ROW = QUANTISATION_ROW + 32
"""Where the light of haze and the strength of narrow-band imaging stand."""
LIGHT_ROW = VEIL_ROW + 1
"""The first row of `LightSettings.table_rows` there."""
PICTURE_ROW = LIGHT_ROW + LIGHT_ROWS
"""The first row that `packing.scene_arrays` fills: the recording, and insets of the screen."""
SENSOR_ROWS = PICTURE_ROW + PICTURE_ROWS
"""Rows of `CameraSettings.table_rows`: a few numbers, two 8 x 8 quantisation tables, the veil, the
light, and room for the picture's rows."""
HAZE = 0.18
"""Light of the veil at haze 1, where the brightest tissue has about 1."""
LUMA_STEPS = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMA_STEPS = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
)  # fmt: skip
"""Quantisation steps at quality 50, by rows (ITU-T T.81, tables K.1 and K.2)."""
LUMA_TOP = 4095
"""Steps from black to white between sensor and sharpening: 12 bits."""
CURVE_SHIFT, CURVE_FIRST, CURVE_LENGTH = 16, 111 << 7, 20 << 7
"""The response is tabled over the bits of a float32 from 2^-16 to 16, 128 steps an octave."""
GRAIN_STEPS = 102
"""Steps of the table of sensor noise that are one standard deviation."""
GRAIN_SIZE = 128
"""Pixels a side of the table of sensor noise, a power of two."""
MOST_TAPS = 32
"""Samples of a blurred pixel's light at most."""
LEAST_OF_RED = (0.22, 0.06)
"""The least shares of red that green and blue of bare mucosa have in a picture, in linear light."""
USUAL_OF_RED, USUAL_SATURATION = (0.25, 0.15), 1.2
"""More saturated than that, they are to be at least so much of it."""


PLAIN_LIGHT = LightSettings()
"""Light that falls, glints and is shown without any of `LightRanges`."""


@dataclass(frozen=True)
class CameraSettings:
    """A run's camera: what its lens, lamps, sensor and video processor do to the light.

    `fov_deg` across the picture's diagonal, `k1` of OpenCV's fisheye model; `lamps` (right, down)
    mm from the lens; `exposure` brightness aimed at (1 usual), `lag_s` of the automatic exposure,
    `exposure_s` the time in light; `white_balance` multiplies linear RGB; `saturation` 1 leaves
    colours alone; `shot_noise` and `read_noise` standard deviations in 0..1 of the display range;
    `vignette` share of light missing in the corners; `sharpening` of the unsharp mask; `jpeg`
    0 (none) to 1 (quality 20); `defocus` 0 to 1; `light` how the lamps' light falls, and the tone.
    """

    fov_deg: float
    k1: float
    lamps: tuple[tuple[float, float], ...]
    exposure: float
    lag_s: float
    exposure_s: float
    white_balance: tuple[float, float, float]
    saturation: float
    contrast: float
    haze: float
    narrow_band: float
    shot_noise: float
    read_noise: float
    vignette: float
    sharpening: float
    jpeg: float
    defocus: float
    light: LightSettings = PLAIN_LIGHT

    def table_rows(self) -> NDArray[np.float32]:
        """Make the (SENSOR_ROWS, 4) float32 in the order in which `kernels.develop` reads them.

        White balance, saturation | variances of read and shot noise, vignette per unit of
        1 - cosine off the axis, sharpening | radius of the aperture in mm, whether there is JPEG,
        exposure, contrast | quantisation steps of luma, row by row | and of chroma | light of the
        veil, strength of narrow-band imaging, 0, 0 | `LightSettings.table_rows` | zeros, where the
        size of frames decides.
        """
        corner = 1 - math.cos(math.radians(self.fov_deg / 2))
        # The two undo each other, and each costs a power a pixel: one of them is left.
        contrast = max(self.contrast - self.light.compression, 0.0)
        aperture_mm = WIDEST_APERTURE_MM * self.defocus
        rows = [
            [*self.white_balance, self.saturation],
            [
                self.read_noise**2,
                self.shot_noise**2,
                self.vignette / corner,
                MOST_SHARPENING * self.sharpening + MOST_OVERSHARP * self.light.oversharp,
            ],
            [aperture_mm, float(self.jpeg > 0), self.exposure, contrast],
        ]
        last = [[HAZE * self.haze, self.narrow_band, 0.0, 0.0]]
        tables = [quantisation_table(table, self.quality) for table in (LUMA_STEPS, CHROMA_STEPS)]
        steps = np.concatenate(tables).reshape(-1, 4)
        light = self.light.table_rows(self.fov_deg, self.contrast)
        picture = np.zeros((PICTURE_ROWS, 4))
        parts = [np.array(rows), steps, np.array(last), light, picture]
        return np.concatenate(parts).astype(np.float32)

    @property
    def quality(self) -> int:
        """JPEG's quality as encoders count it, from 95 down to 20."""
        return round(BEST_QUALITY + (WORST_QUALITY - BEST_QUALITY) * self.jpeg)


def quantisation_table(steps: Sequence[int], quality: int) -> NDArray[np.int64]:
    """Scale the standard's steps, of quality 50, to another (1 to 100) as IJG's encoder does."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    table: NDArray[np.int64] = np.clip((np.array(steps) * scale + 50) // 100, 1, 255)
    return table


def make_camera_settings(
    seed: int, ranges: CameraRanges, nuisances: Nuisances, light: LightSettings = PLAIN_LIGHT
) -> CameraSettings:
    """Draw the camera of a seed from the ranges and the nuisances; its `light` is given."""
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
        contrast=draw(stream(seed, Stream.PICTURE), ranges.contrast),
        haze=nuisances.haze,
        narrow_band=nuisances.narrow_band,
        light=light,
    )


def with_plausible_colours(
    camera: CameraSettings, mucosa: tuple[float, float, float]
) -> CameraSettings:
    """The camera, no more saturated than a processor would be at mucosa of that linear RGB.

    Each of the mucosa's hue, the light's temperature and the saturation may be extreme; all at once
    they would leave no blue, or nothing but red.
    """
    most = _most_saturated(camera, mucosa, LEAST_OF_RED)
    usual = max(_most_saturated(camera, mucosa, USUAL_OF_RED), USUAL_SATURATION)
    return replace(camera, saturation=min(camera.saturation, most, usual))


def _most_saturated(
    camera: CameraSettings, mucosa: tuple[float, float, float], least: tuple[float, float]
) -> float:
    """The saturation at which green or blue is the `least` share of red."""
    red, green, blue = (a * b for a, b in zip(mucosa, camera.white_balance, strict=True))
    grey = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    reach = [
        grey * (1 - share) / max(grey - colour + share * (red - grey), 1e-6)
        for colour, share in zip((green, blue), least, strict=True)
    ]
    return min(reach)


def _lamps(rng: np.random.Generator, ranges: CameraRanges) -> tuple[tuple[float, float], ...]:
    """Place lamps evenly around the lens, as a scope's light guides are, the first by chance."""
    number = int(rng.integers(ranges.lamps[0], ranges.lamps[1] + 1))
    offset, first = draw(rng, ranges.lamp_offset_mm), rng.uniform(0, 2 * np.pi)
    angles = [first + 2 * np.pi * k / number for k in range(number)]
    return tuple((float(offset * np.cos(a)), float(offset * np.sin(a))) for a in angles)
