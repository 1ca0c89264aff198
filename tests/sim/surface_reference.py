"""The slow twin of the mucosa's colour: NumPy in float64 on the wall of a straight tube.

It shares tables and textures with the kernels, and none of their code.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.camera import Pose
from endoforge.sim.scene import COAT_STEP, Scene
from endoforge.sim.surfaces import LAYER_TEXELS, surface_textures
from endoforge.sim.texture import (
    DETAIL_SCALE,
    DETAIL_ZERO,
    FINE_SCALE,
    FINE_ZERO,
    LEVELS,
    SIZE,
    TILE_MM,
    detail_texture,
)
from endoforge.sim.tissue import TISSUE_STEP
from endoforge.sim.wall import NUM_AROUND, angle_to_diamond

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WallPoints:
    """N points of the wall: s in mm, diamond angle, footprint of the pixel in mm."""

    s: Array
    around: Array
    footprint_mm: Array


def wall_points(scene: Scene, pose: Pose, rays: Array, depth: Array) -> WallPoints:
    """The points that rays (N, 3) in the camera's axes meet at depths (N,) in a straight tube."""
    lens_rays = rays @ pose.axes
    hits = pose.position + lens_rays * depth[:, None]
    line = scene.anatomy.centreline
    x, y = hits @ line.normals[100], hits @ line.binormals[100]
    outward = np.stack([x, y], axis=-1) / np.hypot(x, y)[:, None]
    across = outward[:, :1] * line.normals[100] + outward[:, 1:] * line.binormals[100]
    facing = np.maximum((across * lens_rays).sum(axis=1), 0.15)
    return WallPoints(hits[:, 2], angle_to_diamond(np.arctan2(y, x)), depth / facing)


def wall_albedo(scene: Scene, points: WallPoints, pixel_angle: float, radius_mm: float) -> Array:
    """The linear RGB (N, 3) albedo of a clean wall without large vessels' own textures off."""
    look, tissue = scene.look, scene.look.tissue
    u = (points.s - 0.9 * radius_mm) / TILE_MM + look.turn_u
    v = points.around + 0.015 * radius_mm + look.turn_v
    footprint = points.footprint_mm * pixel_angle
    detail = _texture(detail_texture(), u, v, footprint, DETAIL_ZERO, DETAIL_SCALE)
    crevice, tone = _table(scene.tables.coat, points, COAT_STEP)[:, :2].T
    spot = _table(scene.tables.tissue, points, TISSUE_STEP) if not tissue.is_plain else None
    blood, seen, film, pigment = (np.zeros(len(u)),) * 4 if spot is None else spot.T
    inked = detail[:, 0] * look.vessels * (1 if spot is None else seen)
    shade = np.maximum(1 + look.tone * (0.35 * detail[:, 1] + 0.9 * tone), 0.1)
    albedo = np.array(look.mucosa) * (1 - inked[:, None] * [0.30, 0.62, 0.52])
    albedo = albedo * np.stack([np.sqrt(shade), shade, shade], axis=1)
    if spot is None:
        return albedo
    repeats = TILE_MM / look.surface_repeat_mm
    if tissue.branching:
        repeats = max(round(4 * repeats), 1) / 4
    first = LAYER_TEXELS * tissue.branching
    layer = surface_textures()[first : first + LAYER_TEXELS]
    at_u, at_v = u * repeats + look.surface_turn[0], v * repeats + look.surface_turn[1]
    ink, mottling = _texture(layer, at_u, at_v, footprint * repeats, FINE_ZERO, FINE_SCALE).T[:2]
    albedo = albedo * (1 + look.mottling * mottling[:, None] * [0.06, 0.20, 0.17])
    shown = np.clip(0.9 + 0.5 * tone - 0.12 * crevice, 0, 1.2)
    net = look.capillaries * ink * shown * seen
    albedo = albedo / (1 + net[:, None] * [0.45, 2.3, 1.5])
    ridge = np.clip(-0.25 * crevice, -0.5, 1)
    albedo = _bled(albedo, blood + tissue.hue * (0.35 * ridge + 0.2 * detail[:, 1]))
    sore = np.clip(blood - 1, 0, 1)
    dots = sore * np.clip(1.4 * mottling - 0.9, 0, 1)
    albedo = albedo * (1 - dots[:, None] * [0.2, 0.65, 0.6])
    slough = 0.45 * sore * np.clip(-1.6 * mottling - 1.7, 0, 1)
    albedo = _mixed(albedo, [0.78, 0.68, 0.48], slough)
    brown = pigment * np.clip(0.62 + 0.42 * mottling, 0.08, 1)
    albedo = albedo * (1 - brown[:, None] * [0.46, 0.62, 0.66])
    film = np.clip(film * (1 + 0.4 * detail[:, 1] + 0.12 * mottling), 0, 1)
    albedo = albedo * (1 - film[:, None] * [0.03, 0.10, 0.42])
    return _mixed(albedo, [0.60, 0.47, 0.17], 0.35 * np.clip(2 * film - 1, 0, 1))


def _bled(albedo: Array, blood: Array) -> Array:
    more, less = np.maximum(blood, 0)[:, None], np.maximum(-blood, 0)[:, None]
    bled: Array = albedo / (1 + more * [0.10, 0.60, 0.45]) * (1 + less * [0.04, 0.26, 0.10])
    return bled


def _mixed(albedo: Array, other: list[float], part: Array) -> Array:
    return albedo + (np.array(other) - albedo) * part[:, None]


def _table(table: NDArray[np.float32], points: WallPoints, step: int) -> Array:
    """(N, 4): a table of means over step x step samples of the wall, between their middles."""
    columns = NUM_AROUND // step
    grid = table.reshape(-1, columns, 4).astype(np.float64)
    rows = np.clip((points.s / 0.75 - (step - 1) / 2) / step, 0, len(grid) - 1.01)
    around = (points.around * NUM_AROUND / 4 - (step - 1) / 2) / step
    i, j = np.floor(rows).astype(int), np.floor(around).astype(int)
    a, b = (rows - i)[:, None], (around - j)[:, None]
    low = grid[i, j % columns] * (1 - b) + grid[i, (j + 1) % columns] * b
    high = grid[i + 1, j % columns] * (1 - b) + grid[i + 1, (j + 1) % columns] * b
    value: Array = low * (1 - a) + high * a
    return value


def _texture(
    texels: NDArray[np.int32],
    u: Array,
    v: Array,
    footprint_mm: Array,
    zero: tuple[float, ...],
    scale: tuple[float, ...],
) -> Array:
    """(N, 4): bilinear in the mip level whose texels are as large as the footprint."""
    values = (texels.view(np.uint8).reshape(-1, 4) / 255.0 - np.array(zero)) * np.array(scale)
    level = np.floor(np.log2(np.maximum(footprint_mm * SIZE / TILE_MM, 1))).astype(int)
    level = np.clip(level, 0, LEVELS - 1)
    found = np.zeros((len(u), 4))
    first = 0
    for number in range(LEVELS):
        n = SIZE >> number
        picture, there = values[first : first + n * n].reshape(n, n, 4), level == number
        x, y = u[there] * n, v[there] * n
        i, j = np.floor(x).astype(int), np.floor(y).astype(int)
        a, b = (x - i)[:, None], (y - j)[:, None]
        low = picture[j % n, i % n] * (1 - a) + picture[j % n, (i + 1) % n] * a
        high = picture[(j + 1) % n, i % n] * (1 - a) + picture[(j + 1) % n, (i + 1) % n] * a
        found[there] = low * (1 - b) + high * b
        first += n * n
    return found
