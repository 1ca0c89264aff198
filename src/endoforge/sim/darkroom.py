"""Puts together what `kernels.develop` works on, and runs it: from linear light to 8 bits."""

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.sim.kernels import develop, glare, jpeg, picture, sharpening, tone
from endoforge.sim.kernels.types import PER_BLOCK, DarkroomBuffers, FrameSize
from endoforge.sim.light import CURVES
from endoforge.sim.needs import Needs
from endoforge.sim.sensor import (
    CURVE_FIRST,
    CURVE_LENGTH,
    CURVE_SHIFT,
    GRAIN_SIZE,
    GRAIN_STEPS,
    LUMA_TOP,
    MOST_TAPS,
)

Array = NDArray[np.float64]


class Darkroom:
    """Develops up to `batch_size` frames of a renderer's arrays, on their device.

    It reads `scenes.sensors`, `scenes.screens`, `scenes.rays`, `view.cameras`, `target.radiance`
    and `target.gain`, and writes `target.image`. Without `with_jpeg`, no scene gets its JPEG.
    """

    def __init__(
        self,
        scenes: Any,
        view: Any,
        target: Any,
        batch_size: int,
        height: int,
        width: int,
        *,
        with_jpeg: bool,
    ) -> None:
        self.size: Any = FrameSize.of(height, width)
        self.with_jpeg = with_jpeg
        device = target.image.device
        pixels = batch_size * height * width
        tiles = batch_size * self.size.tiles_y * self.size.tiles_x
        planes = batch_size * PER_BLOCK * self.size.blocks_y * self.size.blocks_x
        self.room: Any = DarkroomBuffers(
            cameras=view.cameras,
            rays=scenes.rays,
            sensors=scenes.sensors,
            screens=scenes.screens,
            radiance=target.radiance,
            gain=target.gain,
            image=target.image,
            flow=torch.zeros(2 * tiles, 4, device=device),
            light=torch.zeros(pixels, 4, device=device),
            coded=torch.zeros(pixels, dtype=torch.int32, device=device),
            grain=torch.from_numpy(grain_table()).to(device),
            curve=torch.from_numpy(response_table()).to(device),
            disk=torch.from_numpy(disk_table()).to(device),
            shown=torch.zeros(tone.SHOWN * batch_size, dtype=torch.int32, device=device),
            bright=torch.zeros(2 * tiles, 4, device=device),
            glare=torch.zeros(tiles, 4, device=device),
            planes=torch.zeros(planes if with_jpeg else 1, device=device),
        )

    def develop(self, count: int, needs: Needs) -> None:
        """Develop the first `count` frames of `target`, by the passes that they need."""
        room, size = self.room, self.size
        develop.let_light_in(room, size, count)
        if needs.stray_light:
            room.shown.zero_()
            glare.lead_astray(room, size, count)
        develop.expose(room, size, count)
        if needs.insets:
            picture.repeat_picture(room, size, count)
        if needs.recorder:
            picture.record_screen(room, size, count)
        sharpening.sharpen(room, size, count)
        if self.with_jpeg:
            jpeg.lose(room, size, count)


def respond(light: Array) -> Array:
    """Turn linear light into 0..1 of the display: gamma 1.8, a soft shoulder, white from 3.5."""
    x = light + 0.5 * light**2
    bright = np.sqrt(x / (1 + x))
    return np.minimum(bright * (0.64 + 0.43 * bright), 1.0)


def respond_hard(light: Array) -> Array:
    """Turn linear light into 0..1 of the display: a power, as bright at 0.25, white from 1.6."""
    return np.minimum((light / 1.6) ** 0.507, 1.0)


@cache
def response_table() -> NDArray[np.int32]:
    """Table responses over the steps of a float's bits: (CURVES * CURVE_LENGTH,), 0..LUMA_TOP.

    One after another they go from `respond` to `respond_hard`. Taken in the middle of the steps:
    half a step is 0.4 % of the light, a quarter of a grey level. The first step is black.
    """
    steps = np.arange(CURVE_FIRST, CURVE_FIRST + CURVE_LENGTH, dtype=np.int32)
    bits = (steps << CURVE_SHIFT) + (1 << (CURVE_SHIFT - 1))
    light = bits.view(np.float32).astype(np.float64)
    light[0] = 0.0
    soft, hard = respond(light), respond_hard(light)
    curves = [soft + k / (CURVES - 1) * (hard - soft) for k in range(CURVES)]
    return np.rint(LUMA_TOP * np.concatenate(curves)).astype(np.int32)


@cache
def grain_table() -> NDArray[np.int32]:
    """Noise of a Bayer sensor after bilinear demosaicing: (GRAIN_SIZE^2,) int32, unit variance.

    Most of it is common to the channels, as video processors take colour noise out. R, G and B,
    10 bits each, GRAIN_STEPS a standard deviation about 512. It tiles: its edges meet.
    """
    rng = np.random.default_rng(20_250_101)
    white = rng.normal(size=(GRAIN_SIZE, GRAIN_SIZE))
    y, x = np.mgrid[0:GRAIN_SIZE, 0:GRAIN_SIZE] % 2
    common = _smooth(rng.normal(size=white.shape)) + 0.5 * rng.normal(size=white.shape)
    common /= common.std()
    packed = np.zeros((GRAIN_SIZE, GRAIN_SIZE), np.int64)
    for channel, sites in enumerate(((y == 0) & (x == 0), (y + x) == 1, (y == 1) & (x == 1))):
        noise = _smooth(np.where(sites, white, 0.0)) / _smooth(sites.astype(np.float64))
        noise = noise / noise.std() + 2.0 * common
        steps = np.rint(noise / noise.std() * GRAIN_STEPS)
        packed |= (np.clip(steps, -512, 511).astype(np.int64) + 512) << (10 * channel)
    return packed.astype(np.int32).reshape(-1)


def _smooth(values: Array) -> Array:
    """Values under a 3 x 3 binomial filter, edges wrapped: bilinear interpolation of sites."""
    for axis in (0, 1):
        values = (np.roll(values, 1, axis) + 2 * values + np.roll(values, -1, axis)) / 4
    return values


@cache
def disk_table() -> NDArray[np.float32]:
    """Points of the unit disk in opposite pairs, (MOST_TAPS, 4) float32 x, y, 0, 0; evenly spread.

    So are the first 4, 8 and 16 of them. It is Roberts' R2 sequence on the half disk, mirrored;
    rings of the same area hold one pair each.
    """
    k = np.arange(MOST_TAPS // 2) + 1
    ring = ((0.5 + k * 0.7548776662466927) % 1).argsort().argsort()
    radius = np.sqrt((ring + 0.5) / len(ring))
    angle = np.pi * ((0.5 + k * 0.5698402909980532) % 1)
    table = np.zeros((MOST_TAPS, 4), np.float32)
    table[0::2, 0], table[0::2, 1] = radius * np.cos(angle), radius * np.sin(angle)
    table[1::2] = -table[0::2]
    return table
