"""Ranges of lens, lamps and sensor."""

from typing import Annotated

from pydantic.dataclasses import dataclass

from endoforge.sim.ranges.values import STRICT, IntRange, Nuisance, Range, ShareRange, within


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CameraRanges:
    """Lens, lamps and sensor."""

    fov_deg: Annotated[Range, within(60, 170)] = (100.0, 170.0)
    """across the diagonal of the picture"""
    distortion: Annotated[Range, within(-0.05, 0.05)] = (-0.03, 0.02)
    """k1 of OpenCV's fisheye model: below 0 squeezes the rim"""
    lamps: Annotated[IntRange, within(2, 3)] = (2, 3)
    """beside the lens"""
    lamp_offset_mm: Annotated[Range, within(1e-3, 20)] = (2.5, 4.2)
    """from the lens"""
    exposure: Annotated[Range, within(1e-3, 10)] = (0.7, 1.3)
    """brightness that the automatic exposure aims at; 1 is usual"""
    exposure_lag_s: Annotated[Range, within(0, 10)] = (0.05, 0.5)
    """the automatic exposure answers to what was seen this long ago"""
    temperature: Annotated[Range, within(-0.5, 0.5)] = (-0.12, 0.12)
    """white balance: below 0 bluish, above 0 yellowish"""
    tint: Annotated[Range, within(-0.5, 0.5)] = (-0.05, 0.05)
    """white balance: below 0 greenish, above 0 magenta"""
    saturation: Annotated[Range, within(1e-3, 10)] = (0.85, 1.35)
    """1 leaves colours as they are"""
    contrast: ShareRange = (0.0, 0.3)
    """what is bright burns out and what is dark sinks into black: 0 is the light as it falls"""
    scattered: ShareRange = (0.4, 1.0)
    """light that the walls pass on into what the lamps don't reach: 1 is all of it"""
    shot_noise: Annotated[Range, within(0, 1)] = (0.0, 0.012)
    """standard deviation at full brightness, grows with the root of the light"""
    read_noise: Annotated[Range, within(0, 1)] = (0.0, 0.007)
    """standard deviation in the dark"""
    vignette: ShareRange = (0.0, 0.6)
    """share of the light that is missing in the corners"""
    sharpening: ShareRange = (0.0, 0.9)
    """unsharp mask of the video processor"""
    jpeg: Nuisance = Nuisance(probability=0.5, strength=(0.1, 0.8))
    """block and chroma artefacts: 0 none, 1 quality 20"""
    exposure_error: Annotated[Range, within(0, 3)] = (0.0, 0.25)
    """by how many stops the automatic exposure strays, now too bright, now too dark: deviation"""
    exposure_drift_s: Annotated[Range, within(0.1, 60)] = (2.0, 6.0)
    """how long it stays on one side"""
    metered: Annotated[Range, within(0.05, 1)] = (0.6, 1.0)
    """share of the half diagonal, from the middle, that the automatic exposure looks at"""
    hardness: ShareRange = (0.0, 0.5)
    """highlights: 0 roll off softly into white, 1 clip, each colour by itself"""
    black_level: Annotated[Range, within(0, 0.3)] = (0.0, 0.03)
    """share of white that black is shown as"""
    steadiness: ShareRange = (0.2, 0.8)
    """how well the processor keeps the brightness that each picture is shown with: 1 exactly"""
    compression: ShareRange = (0.0, 0.2)
    """the reverse of `contrast`: what is dark is lifted, and what is bright held back"""
    softness: Annotated[Range, within(0, 3)] = (0.0, 0.25)
    """radius in degrees of a blur that all of the picture has: cheap optics"""
    oversharp: ShareRange = (0.0, 0.25)
    """halos of a processor that sharpens too much, beyond `sharpening`"""
    colour_noise: Annotated[Range, within(0, 0.3)] = (0.0, 0.006)
    """standard deviation of red and of blue by themselves"""
    colour_mode: Nuisance = Nuisance(probability=0.03, strength=(0.8, 1.0))
    """one of the processor's modes (`sim.light.COLOUR_MODES`), in place of white light"""
    haze_colour: ShareRange = (0.1, 0.8)
    """how salmon the veil of haze is, as walls light it: 0 is white as smoke"""
