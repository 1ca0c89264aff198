"""The light of a run and what its video processor makes of it, as numbers for the kernels."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.ranges.camera_ranges import CameraRanges
from endoforge.sim.ranges.lens_ranges import LensRanges
from endoforge.sim.ranges.light_ranges import LightRanges
from endoforge.sim.ranges.values import draw, draw_nuisance
from endoforge.sim.streams import Stream, stream

LIGHT_ROWS = 12
"""Rows of `LightSettings.table_rows`."""
SCATTER_ROW, GLINT_ROW, TONE_ROW, DRIFT_ROW, MODE_ROW, HAZE_ROW = 0, 1, 2, 3, 4, 7
LENS_ROW, FILM_ROW, SHADE_ROW, LEVEL_ROW = 8, 9, 10, 11
"""The first of some of them."""
FALLOFF_MM = 35.0
"""The distance at which falloff 1 leaves half of the light."""
FAINTEST_GLINT = 1e-3
"""The share of its peak at which a glint ends."""
RIPPLE_MM = 1.3
"""From one ripple to the next where they repeat as often as the detail's texture."""
MOST_DROPS = 6
"""Drops and smudges of one film on the lens."""
MURK = 0.35
"""What a film at 1 takes of the picture's light, and gives back as an even veil."""
CURVES = 9
"""Responses that are tabled, of evenly spaced hardness from 0 to 1."""
MOST_OVERSHARP = 4.0
"""Share of a pixel's difference to its surroundings that is added at oversharp 1."""
WHITE_HAZE, SALMON_HAZE = (1.0, 0.96, 0.92), (1.0, 0.66, 0.46)
NOISE_SEEDS = 1 << 20

Matrix = tuple[tuple[float, float, float], ...]
SAME: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
COLOUR_MODES: dict[str, Matrix] = {
    "narrow bands": ((0.0, 1.60, 0.0), (0.0, 0.55, 0.85), (0.0, 0.15, 0.80)),
    "narrow bands, green": ((0.0, 1.30, 0.0), (0.0, 0.70, 0.85), (0.0, 0.25, 0.75)),
    "blue light": ((0.10, 1.05, 0.0), (0.0, 0.50, 1.25), (0.0, 0.20, 1.40)),
    "linked colour": ((1.25, -0.25, 0.0), (-0.12, 1.25, 0.0), (-0.06, -0.06, 1.35)),
    "tone enhanced": ((0.80, 0.20, 0.0), (0.0, 1.25, 0.0), (0.0, 0.25, 1.20)),
}
"""Linear RGB in white light to what a mode shows, by rows; set by eye after recordings.

Narrow bands (NBI) show the light of 540 nm, which green sees, as red, and that of 415 nm, seen by
blue, as green and blue; blue light (BLI) keeps a little red; linked colour (LCI) spreads the
colours about that of the mucosa; tone enhancement (i-scan) cools them.
"""


@dataclass(frozen=True)
class LightSettings:
    """A run's light and tone; what nothing is said of is as a plain camera has it.

    The fields are those of `LightRanges`, from `exposure_error` on of `CameraRanges`, and from
    `bloom` on of `LensRanges`; `mode` has the colour matrix's rows, and `mode_strength` the share
    of it; `seed` is that of the exposure's error and of the films on the lens.
    """

    falloff: float = 0.0
    bounces: float = 0.0
    crevices: float = 0.0
    shadows: float = 0.0
    foot: float = 0.0
    ripples: float = 0.0
    ripple_mm: float = 2.0
    glint_deg: float = 3.0
    wet_patches: float = 0.0
    exposure_error: float = 0.0
    exposure_drift_s: float = 2.0
    metered: float = 1.0
    hardness: float = 0.0
    black_level: float = 0.0
    steadiness: float = 0.0
    compression: float = 0.0
    softness: float = 0.0
    oversharp: float = 0.0
    colour_noise: float = 0.0
    haze_colour: float = 0.0
    bloom: float = 0.0
    ghosts: float = 0.0
    drops: float = 0.0
    fog: float = 0.0
    film_blur_deg: float = 1.5
    film_change_s: float = 4.0
    mode: Matrix = SAME
    mode_strength: float = 0.0
    seed: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether light falls and glints as it does without any of this."""
        strengths = (
            *(self.falloff, self.bounces, self.crevices, self.shadows, self.foot),
            *(self.ripples, self.wet_patches),
        )
        return max(strengths) == 0.0 and self.glint_deg == 3.0

    def table_rows(self, fov_deg: float, contrast: float = 0.0) -> NDArray[np.float32]:
        """Make the (LIGHT_ROWS, 4) float32 in the order in which the kernels read them.

        `fov_deg` is across the picture's diagonal; `contrast` takes its like off compression.

        Falloff per mm^2, bounces, crevices, 1 unless it is plain | ripples, repeats of the ripples
        in one of the detail, exponent of the glint on the squared cosine, wet patches | number of
        the response's curve, black level, softness in rad, colour noise | exposure's error in
        stops, changes of it a second, seed, least cosine of
        the rays that are metered | three rows of the colour
        matrix, with its strength in the first | haze RGB, least squared cosine of a glint |
        bloom, ghosts, drops, fog | changes of the film a second, radius of its blur in rad, seed, 1
        if there is any of these | shadows, foot, 0, 0 | steadiness, compression, 0, 0.
        """
        half_power = 0.5 * math.log(0.5) / math.log(math.cos(math.radians(self.glint_deg)))
        haze = np.array(WHITE_HAZE) * (1 - self.haze_colour) + self.haze_colour * np.array(
            SALMON_HAZE
        )
        # All rays are metered then, those beyond the picture's corners too.
        whole = self.metered == 1.0
        least = -1.0 if whole else math.cos(math.radians(self.metered * fov_deg / 2))
        strays = self.bloom, self.ghosts, self.drops, self.fog
        rows = [
            [self.falloff / FALLOFF_MM**2, self.bounces, self.crevices, float(not self.is_plain)],
            [self.ripples, RIPPLE_MM / self.ripple_mm, half_power, self.wet_patches],
            [
                round(self.hardness * (CURVES - 1)),
                self.black_level,
                math.radians(self.softness),
                self.colour_noise,
            ],
            [self.exposure_error, 1 / self.exposure_drift_s, self.seed, least],
            *([*row, self.mode_strength] for row in self.mode),
            [*haze, FAINTEST_GLINT ** (1 / half_power)],
            [*strays],
            [
                1 / self.film_change_s,
                math.radians(self.film_blur_deg),
                self.seed,
                float(max(strays) > 0),
            ],
            [self.shadows, self.foot, 0.0, 0.0],
            [self.steadiness, max(self.compression - contrast, 0.0), 0.0, 0.0],
        ]
        return np.array(rows, np.float32)


def make_light_settings(
    seed: int, light: LightRanges, camera: CameraRanges, lens: LensRanges
) -> LightSettings:
    """Draw the light, the tone and what is on the lens of a seed from the ranges."""
    rng, processor = stream(seed, Stream.LIGHT), stream(seed, Stream.PROCESSOR)
    modes, strays = stream(seed, Stream.COLOUR_MODE), stream(seed, Stream.LENS)
    mode_strength = draw_nuisance(modes, camera.colour_mode)
    names = list(COLOUR_MODES)
    return LightSettings(
        falloff=draw(rng, light.falloff),
        bounces=draw(rng, light.bounces),
        crevices=draw(rng, light.crevices),
        shadows=draw(rng, light.shadows),
        foot=draw(rng, light.foot),
        ripples=draw(rng, light.ripples),
        ripple_mm=draw(rng, light.ripple_mm),
        glint_deg=draw(rng, light.glint_deg),
        wet_patches=draw(rng, light.wet_patches),
        exposure_error=draw(processor, camera.exposure_error),
        exposure_drift_s=draw(processor, camera.exposure_drift_s),
        metered=draw(processor, camera.metered),
        hardness=draw(processor, camera.hardness),
        black_level=draw(processor, camera.black_level),
        steadiness=draw(processor, camera.steadiness),
        compression=draw(processor, camera.compression),
        softness=draw(processor, camera.softness),
        oversharp=draw(processor, camera.oversharp),
        colour_noise=draw(processor, camera.colour_noise),
        haze_colour=draw(processor, camera.haze_colour),
        bloom=draw(strays, lens.bloom),
        ghosts=draw(strays, lens.ghosts),
        drops=draw(strays, lens.drops),
        fog=draw(strays, lens.fog),
        film_blur_deg=draw(strays, lens.film_blur_deg),
        film_change_s=draw(strays, lens.film_change_s),
        mode=COLOUR_MODES[names[int(modes.integers(len(names)))]],
        mode_strength=mode_strength,
        seed=int(processor.integers(NOISE_SEEDS)),
    )
