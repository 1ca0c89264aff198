"""Fine detail as tileable pictures with mip levels: the mucosa's, and that of foam."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.streams import Stream, stream

TILE_MM = 30.0
"""Length of the wall that one repeat of the detail texture covers."""
SIZE = 512
LEVELS = 7
"""Mip levels: 512, 256, ... 8 texels wide."""

# A channel's byte over 255, less its zero, times its scale is its value.
DETAIL_ZERO, DETAIL_SCALE = (0.0, 0.5, 0.5, 0.5), (1.0, 4.0, 3.2, 3.2)
FINE_ZERO, FINE_SCALE = (0.0, 0.5, 0.5, 0.5), (1.0, 6.0, 3.2, 3.2)
BUBBLE_ZERO, BUBBLE_SCALE = (0.5, 0.5, 0.0, 0.0), (8.0, 8.0, 1.0, 1.6)

Picture = NDArray[np.float32]


@cache
def detail_texture() -> NDArray[np.int32]:
    """Make the mucosa's detail: (T,) texels of four bytes, level after level, each row-major.

    The channels, lowest byte first, are vessels (0..1), tone (about -1..1), and the bump's slopes
    along u and v.
    """
    rng = stream(0, Stream.TEXTURE)
    vessels = _vessels(rng)
    tone = 0.6 * noise_of(rng, 1, 10, 0.9) + 0.4 * noise_of(rng, 6, 60, 1.0)
    bump = noise_of(rng, 7, 90, 1.2)
    bump /= np.abs(np.gradient(bump)[0]).std()
    slope_u = 0.25 * (np.roll(bump, -1, 1) - np.roll(bump, 1, 1))
    slope_v = 0.25 * (np.roll(bump, -1, 0) - np.roll(bump, 1, 0))
    level = np.stack([vessels, 0.5 * tone, slope_u, slope_v], axis=-1).astype(np.float32)
    return packed(with_mip_levels(level), DETAIL_ZERO, DETAIL_SCALE)


@cache
def fine_texture() -> NDArray[np.int32]:
    """(T,) four bytes each: all mip levels one after another, each row-major.

    The channels, lowest byte first, are the net of capillaries (0..1), mottling (about -2..2), and
    the slopes of pits and grooves along u and v.
    """
    rng = stream(2, Stream.TEXTURE)
    net = np.maximum(
        net_of(rng, 12, 5.0), np.maximum(0.75 * net_of(rng, 24, 4.0), 0.5 * net_of(rng, 44, 3.0))
    )
    net *= np.clip(0.7 + 0.5 * noise_of(rng, 1, 8, 0.5), 0.1, 1)
    mottling = (
        0.55 * noise_of(rng, 1, 12, 1.0)
        + 0.6 * noise_of(rng, 10, 60, 0.8)
        + 0.4 * noise_of(rng, 50, 200, 0.5)
    )
    relief = pits_of(rng, 1500) + 0.5 * noise_of(rng, 8, 120, 1.0)
    level = np.stack([net, mottling, *fit_slopes(relief)], axis=-1)
    return packed(with_mip_levels(level.astype(np.float32)), FINE_ZERO, FINE_SCALE)


def fit_slopes(relief: Picture) -> tuple[Picture, Picture]:
    """The slopes of a relief along u and v, so high that those along u deviate by 0.5."""
    slope_u = 0.5 * (np.roll(relief, -1, 1) - np.roll(relief, 1, 1))
    slope_v = 0.5 * (np.roll(relief, -1, 0) - np.roll(relief, 1, 0))
    scale = 0.5 / slope_u.std()
    return scale * slope_u, scale * slope_v


def net_of(rng: np.random.Generator, frequency: float, sharpness: float) -> Picture:
    """A net of thin lines, 0..1: where smooth noise changes its sign, bent by other noise."""
    carrier = noise_of(rng, 0.5 * frequency, 1.2 * frequency, 0.3)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    bend = 0.12 * SIZE / frequency
    bent = [(axis + bend * noise_of(rng, frequency, 4 * frequency, 1.0)) % SIZE for axis in (x, y)]
    wrapped = np.pad(carrier, ((0, 1), (0, 1)), mode="wrap")
    warped = cv2.remap(
        wrapped, bent[0].astype(np.float32), bent[1].astype(np.float32), cv2.INTER_LINEAR
    )
    return np.asarray(np.clip(1 - sharpness * np.abs(warped), 0, 1), np.float32)


def pits_of(rng: np.random.Generator, count: int, *, even: bool = False) -> Picture:
    """Cells with a pit in each, of unit variance: the distance to the nearest of random points.

    `even` ones stand about as far from each other as so many can.
    """
    points = even_points(rng, count) if even else rng.uniform(0, SIZE, (count, 2))
    marks = np.full((3 * SIZE, 3 * SIZE), 255, np.uint8)
    places = np.floor(points).astype(int)
    for down in range(3):
        for right in range(3):
            marks[places[:, 0] + down * SIZE, places[:, 1] + right * SIZE] = 0
    distance = cv2.distanceTransform(marks, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inner = distance[SIZE : 2 * SIZE, SIZE : 2 * SIZE]
    soft = cv2.GaussianBlur(distance, (0, 0), 1.0)[SIZE : 2 * SIZE, SIZE : 2 * SIZE]
    return np.asarray((soft - inner.mean()) / inner.std(), np.float32)


def even_points(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Points (count, 2) on a jittered lattice, every second row of it shifted."""
    rows = round(count**0.5)
    y, x = np.mgrid[:rows, :rows].astype(float)
    x += 0.5 * (np.arange(rows) % 2)[:, None]
    lattice = np.stack([y, x], axis=-1).reshape(-1, 2) + rng.uniform(-0.33, 0.33, (rows * rows, 2))
    return np.asarray(lattice * (SIZE / rows) % SIZE)


@cache
def bubble_texture() -> NDArray[np.int32]:
    """Make foam: (T,) texels of four bytes, level after level, each row-major.

    The channels, lowest byte first, are the bubbles' slopes along u and v, how bright their rim is
    (0..1), and how much foam there must be for a bubble to be (0..1; more where there is none).
    """
    rng = stream(1, Stream.TEXTURE)
    level = np.zeros((SIZE, SIZE, 4), np.float32)
    level[..., 3] = 1.6
    y, x = np.mgrid[-24:25, -24:25].astype(np.float32)
    # Small ones first: the large, which need less foam, lie over them.
    radii = np.sort(4.0 + 17.0 * rng.beta(0.9, 3.5, 1500))
    for radius in radii:
        row, column = rng.integers(0, SIZE, 2)
        patch = np.ix_((row + np.arange(-24, 25)) % SIZE, (column + np.arange(-24, 25)) % SIZE)
        r = np.hypot(x, y) / np.float32(radius)
        inside = r < 1
        steep = r / np.sqrt(np.maximum(1.05 - r * r, 0.08)) / np.maximum(np.hypot(x, y), 0.5)
        needed = np.float32(np.clip(rng.uniform(0.05, 0.9) - 0.012 * radius, 0.03, 1))
        bubble = np.stack([x * steep, y * steep, r**6, np.full_like(r, needed)], axis=-1)
        level[patch] = np.where(inside[..., None], bubble, level[patch])
    return packed(with_mip_levels(level), BUBBLE_ZERO, BUBBLE_SCALE)


def with_mip_levels(level: Picture) -> Picture:
    levels = [level]
    for _ in range(LEVELS - 1):
        half = len(levels[-1]) // 2
        levels.append(levels[-1].reshape(half, 2, half, 2, 4).mean(axis=(1, 3)))
    return np.concatenate([level.reshape(-1, 4) for level in levels])


def packed(texels: Picture, zero: tuple[float, ...], scale: tuple[float, ...]) -> NDArray[np.int32]:
    """Pack values (T, 4) into numbers (T,) of four bytes."""
    channels = texels / np.array(scale, np.float32) + np.array(zero, np.float32)
    return np.rint(np.clip(channels, 0, 1) * 255).astype(np.uint8).view(np.int32)[:, 0]


def noise_of(rng: np.random.Generator, low: float, high: float, fall: float) -> Picture:
    """Draw tileable noise of unit variance: amplitudes ~ frequency^-fall within [low, high]."""
    fy = np.fft.fftfreq(SIZE)[:, None] * SIZE
    fx = np.fft.rfftfreq(SIZE)[None, :] * SIZE
    frequency = np.hypot(fx, fy)
    band = (frequency >= low) & (frequency <= high)
    spectrum = np.fft.rfft2(rng.normal(size=(SIZE, SIZE)))
    spectrum *= np.where(band, np.maximum(frequency, 1e-6) ** -fall, 0)
    noise = np.fft.irfft2(spectrum, s=(SIZE, SIZE))
    scaled: Picture = (noise / noise.std()).astype(np.float32)
    return scaled


def _vessels(rng: np.random.Generator) -> Picture:
    """Draw branching vessels, dark where thick: trees of wandering lines at twice the size."""
    canvas = np.zeros((2 * SIZE, 2 * SIZE), np.uint8)
    for _ in range(11):
        start = rng.uniform(0, 2 * SIZE, 2)
        heading, width = rng.uniform(0, 2 * np.pi), rng.uniform(3.0, 5.5)
        _branch(rng, canvas, start, heading, width, length=int(rng.uniform(45, 85)), depth=4)
    padded = cv2.copyMakeBorder(canvas, 16, 16, 16, 16, cv2.BORDER_WRAP)
    soft = cv2.GaussianBlur(padded, (0, 0), 1.6)[16:-16, 16:-16]
    small = cv2.resize(soft, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def _branch(
    rng: np.random.Generator,
    canvas: NDArray[np.uint8],
    start: NDArray[np.float64],
    heading: float,
    width: float,
    length: int,
    depth: int,
) -> None:
    points = [start]
    for _ in range(length):
        heading += 0.15 * rng.normal()
        points.append(points[-1] + 6 * np.array([np.cos(heading), np.sin(heading)]))
        if depth > 0 and rng.random() < 0.1:
            side = rng.choice([-1, 1]) * rng.uniform(0.5, 1.1)
            part = int(length * rng.uniform(0.4, 0.75))
            _branch(rng, canvas, points[-1], heading + side, 0.62 * width, part, depth - 1)
    ink = min(255.0, 60 + 36 * width)
    path = np.array(points)
    for shift_x in (-1, 0, 1):
        for shift_y in (-1, 0, 1):
            moved = np.rint(path + 2 * SIZE * np.array([shift_x, shift_y])).astype(np.int32)
            cv2.polylines(canvas, [moved], False, (ink,), max(1, round(width)), cv2.LINE_AA)
