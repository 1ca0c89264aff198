"""The slow twin of what lies on the lens and strays in it, and of chance over time.

One frame, whole arrays, float64. It shares none of the kernels' code: numbers drawn by chance are
the kernels' by the definition of their hash alone.
"""

import math

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.light import LightSettings

Array = NDArray[np.float64]
TILE = 8
"""Pixels a side of a tile: glare is worked out for each and is smooth in between."""


def drawn(seed: int, place: int) -> float:
    """A number 0..1 for a place of a seed's series: Wellons' lowbias32, twice."""

    def scrambled(x: int) -> int:
        x &= 0xFFFFFFFF
        x = ((x ^ (x >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
        x = ((x ^ (x >> 15)) * 0x846CA68B) & 0xFFFFFFFF
        return x ^ (x >> 16)

    return (scrambled(scrambled(seed) + place) & 0xFFFFFF) / 2**24


def stray_stops(light: LightSettings, time_s: float) -> float:
    """By how many stops the automatic exposure misses at a time: drawn anew every so often."""
    turn = time_s / light.exposure_drift_s
    part = turn - math.floor(turn)
    part = part**2 * (3 - 2 * part)
    before, after = (drawn(light.seed, math.floor(turn) + k) for k in (0, 1))
    return light.exposure_error * 1.73 * (2 * ((1 - part) * before + part * after) - 1)


def film(light: LightSettings, x: Array, y: Array, time_s: float) -> Array:
    """How murky the lens is, 0..1, at places off the picture's middle, in halves of its height."""
    turn = time_s / light.film_change_s
    seed, part = light.seed + 64 * math.floor(turn), turn - math.floor(turn)
    murk = np.zeros(x.shape)
    if drawn(seed, 60) >= 0.67:
        return murk
    for first in range(0, 48, 8):
        there, right, down, size, phase, squeeze, depth = (drawn(seed, first + k) for k in range(7))
        if there >= light.drops:
            continue
        radius = 0.12 + 0.5 * size**2
        off_y = y - (2 * down - 1)
        off_x = x - (2.6 * right - 1.3) + 0.3 * radius * np.sin(3 * off_y / radius + 6.28 * phase)
        away = np.hypot(off_x, (0.6 + 0.8 * squeeze) * off_y) / radius
        murk = np.maximum(murk, np.clip(1.5 * (1 - away**2), 0, 1) * (0.3 + 0.7 * depth))
    lean_x, lean_y = 0.8 * (drawn(seed, 61) - 0.5), 0.8 * (drawn(seed, 62) - 0.5)
    mist = np.clip(1.2 * (np.hypot(x + lean_x, y + lean_y) - 1.35 + light.fog), 0, 1)
    murk = np.maximum(murk, light.fog * mist)
    return np.asarray(murk * min(4 * min(part, 1 - part), 1))


def tiled_glare(radiance: Array, gain: float, light: LightSettings, time_s: float) -> Array:
    """(rows, columns, 4) of the tiles of a frame (H, W, 4): stray light RGB, and the film there.

    The screen covers the pixels whose distance, the last of the four numbers, is 0.
    """
    height, width = radiance.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    some = np.zeros((rows * TILE, columns * TILE, 4))
    some[:height, :width] = radiance
    # Every second pixel each way.
    some = some[::2, ::2].reshape(rows, TILE // 2, columns, TILE // 2, 4)
    is_open = some[..., 3] > 0
    exposed = np.minimum(some[..., :3] * gain, 6) * is_open[..., None]
    number = np.maximum(is_open.sum(axis=(1, 3)), 1)[..., None]
    mean = exposed.sum(axis=(1, 3)) / number
    burnt = np.maximum(exposed - 1.3, 0).sum(axis=(1, 3)) / number
    i, j = np.mgrid[:rows, :columns]
    at_y, at_x = i * TILE + TILE // 2 - height / 2, j * TILE + TILE // 2 - width / 2
    murk = film(light, at_x / (height / 2), at_y / (height / 2), time_s)
    glare = np.zeros((rows, columns, 4))
    for y, x in np.ndindex(rows, columns):
        near = (abs(i - y) <= 3) & (abs(j - x) <= 3)
        away2 = ((i - y) ** 2 + (j - x) ** 2)[near][:, None]
        bloom = (burnt[near] / (1 + away2 / 1.5) ** 2).sum(axis=0)
        mirrored_y = np.clip(rows - 1 - y + np.arange(-1, 2), 0, rows - 1)
        mirrored_x = np.clip(columns - 1 - x + np.arange(-1, 2), 0, columns - 1)
        ghost = burnt[np.ix_(mirrored_y, mirrored_x)].mean(axis=(0, 1))
        stray = 0.08 * light.bloom * bloom + 0.03 * light.ghosts * ghost
        glare[y, x, :3] = stray + 0.35 * murk[y, x] * mean[near].mean(axis=0)
    glare[..., 3] = murk
    return glare


def smooth_glare(tiles: Array, height: int, width: int) -> Array:
    """(H, W, 4): the tiles' numbers at each pixel, linear between the tiles' middles."""

    def between(number: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
        place = np.clip((np.arange(number) + 0.5) / TILE - 0.5, 0, count - 1)
        low = np.floor(place).astype(int)
        return low, np.minimum(low + 1, count - 1), place - low

    top, bottom, v = between(height, tiles.shape[0])
    left, right, u = between(width, tiles.shape[1])
    u, v = u[:, None], v[:, None, None]
    across = tiles[:, left] * (1 - u) + tiles[:, right] * u
    return np.asarray(across[top] * (1 - v) + across[bottom] * v)
