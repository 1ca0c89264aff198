"""The slow twin of `kernels.develop` and `kernels.jpeg`: one frame, whole arrays, float64."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.darkroom import disk_table
from endoforge.sim.sensor import (
    CORING,
    FOCUS_MM,
    HAZE,
    MOST_SHARPENING,
    MOST_TAPS,
    CameraSettings,
)
from tests.sim.glare_reference import smooth_glare, tiled_glare

Array = NDArray[np.float64]
SPREAD = 0.1664


def respond(light: Array) -> Array:
    """Linear light to the display, not yet clipped."""
    x = light + 0.5 * light**2
    bright = np.sqrt(x / (1 + x))
    return np.asarray(bright * (0.64 + 0.43 * bright))


def respond_hard(light: Array) -> Array:
    """The same of a processor that clips: a power that is white from 1.6."""
    return np.asarray((light / 1.6) ** 0.507)


def filtered(values: Array, weights: tuple[float, ...]) -> Array:
    """Separable filter; the edge repeats."""
    kernel = np.array(weights)
    return np.asarray(cv2.sepFilter2D(values, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE))


def path_of(rays: Array, distance: Array, movement: Array, rotation: Array) -> Array:
    """(H, W, 2) pixels of motion, by where each point goes, on the rays' own local basis."""
    right, down = np.gradient(rays, axis=1), np.gradient(rays, axis=0)
    point = rays * distance[..., None]
    moved = -movement - np.cross(rotation, point)
    across = (moved - (moved * rays).sum(-1, keepdims=True) * rays) / distance[..., None]
    basis = np.stack([right, down], axis=-1)
    return np.asarray((np.linalg.pinv(basis) @ across[..., None])[..., 0])


@dataclass(frozen=True)
class Exposure:
    """What one frame is developed from: `radiance` (H, W, 4), `rays` (H, W, 3)."""

    radiance: Array
    rays: Array
    gain: float = 1.0
    movement: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)


def blurred(frame: Exposure, focal_px: float, aperture_mm: float, softness_rad: Array) -> Array:
    """(H, W, 3) linear light after lens and motion; `softness_rad` (H, W) blurs all distances."""
    distance = frame.radiance[..., 3]
    is_open = (distance > 0).astype(np.float64)
    psf = (SPREAD, 1 - 2 * SPREAD, SPREAD)
    parts = [filtered(frame.radiance[..., k] * is_open, psf) for k in range(3)]
    light = np.stack([*parts, filtered(is_open, psf)], axis=-1)
    out = np.zeros((*light.shape[:2], 3))
    paths = path_of(
        frame.rays, np.maximum(distance, 1e-9), np.array(frame.movement), np.array(frame.rotation)
    )
    height, width = distance.shape
    disk = disk_table()
    for y, x in np.argwhere(is_open > 0):
        circle = focal_px * aperture_mm * abs(1 / distance[y, x] - 1 / FOCUS_MM)
        circle += focal_px * softness_rad[y, x]
        path = paths[y, x]
        length = float(np.hypot(*path))
        total = light[y, x]
        if length**2 + 4 * circle**2 >= 1.3**2:
            size = math.sqrt(length**2 + 4 * circle**2)
            taps = 4 if size <= 3 else 8 if size <= 7 else 16 if size <= 10 else MOST_TAPS
            circle = min(circle, 6.0)
            total = np.zeros(4)
            for k in range(taps):
                at = np.array([x, y]) + 0.5 + path * ((k + 0.5) / taps - 0.5)
                at += (circle if circle >= 0.4 else 0.0) * disk[k, :2]
                j, i = np.clip(np.floor(at).astype(int), 0, [width - 1, height - 1])
                total = total + light[i, j]
        out[y, x] = total[:3] / total[3]
    return out


def developed(
    frame: Exposure,
    settings: CameraSettings,
    focal_px: float,
    aperture_mm: float,
    time_s: float = 0.0,
) -> Array:
    """(H, W, 3) float RGB 0..255 without noise and JPEG; 0 where the screen covers it."""
    corner = 1 - np.cos(np.radians(settings.fov_deg / 2))
    dim = 1 - settings.vignette * (1 - frame.rays[..., 2:]) / corner
    processor = settings.light
    tiles = tiled_glare(frame.radiance, frame.gain, processor, time_s)
    glare = smooth_glare(tiles, *frame.radiance.shape[:2])
    soft = np.radians(processor.softness) + np.radians(processor.film_blur_deg) * glare[..., 3]
    light = blurred(frame, focal_px, aperture_mm, soft) * frame.gain * dim
    light = light * (1 - 0.35 * glare[..., 3:]) + glare[..., :3]
    colour = light * np.array(settings.white_balance)
    grey = np.clip(colour @ np.array([0.2126, 0.7152, 0.0722]), 1e-3, 1)
    colour = colour * (4 * grey[..., None]) ** -max(processor.compression - settings.contrast, 0.0)
    share = processor.mode_strength
    colour = (1 - share) * colour + share * colour @ np.array(processor.mode).T
    grey = colour @ np.array([0.2126, 0.7152, 0.0722])
    contrast = settings.contrast - processor.compression
    if contrast > 0:
        factor = np.minimum((np.maximum(grey, 1e-4) / 0.25) ** contrast, 2.0)
        colour, grey = colour * factor[..., None], grey * factor
    colour = grey[..., None] + settings.saturation * (colour - grey[..., None])
    _, green, blue = np.moveaxis(colour, -1, 0)
    bands = np.stack([1.35 * green, 1.5 * blue, 1.25 * blue], axis=-1)
    colour = (1 - settings.narrow_band) * colour + settings.narrow_band * bands
    white, salmon = np.array([1.0, 0.96, 0.92]), np.array([1.0, 0.66, 0.46])
    veil = (1 - processor.haze_colour) * white + processor.haze_colour * salmon
    colour = np.maximum(colour + HAZE * settings.haze * veil, 0)
    hard = round(8 * processor.hardness) / 8
    shown = (1 - hard) * np.minimum(respond(colour), 1)
    shown = shown + hard * np.minimum(respond_hard(colour), 1)
    shown = shown + processor.black_level * (1 - shown)
    is_open = (frame.radiance[..., 3] > 0).astype(np.float64)
    luma = shown @ np.array([0.299, 0.587, 0.114])
    binomial = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
    weight = np.maximum(filtered(is_open, binomial), 1e-9)
    mean = filtered(luma * is_open, binomial) / weight
    apart = (luma - mean) ** 3 / ((luma - mean) ** 2 + CORING**2)
    amount = MOST_SHARPENING * settings.sharpening + 4 * processor.oversharp
    sharp = np.clip(luma + amount * apart, 0, 1)
    rgb = shown + (sharp - luma)[..., None]
    return np.asarray(np.clip(rgb, 0, 1) * 255 * is_open[..., None])
