"""The slow twin of where a place lies on the wall or on a polyp, and of what is there.

NumPy in float64, for straight tubes along z. It shares tables and textures with the kernels, and
none of their code.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.camera import Pose
from endoforge.sim.polyps import LABELLED_STALK, Polyp
from endoforge.sim.scene import COAT_STEP, Scene
from endoforge.sim.surfaces import KINDS
from endoforge.sim.texture import LEVELS, SIZE, TILE_MM
from endoforge.sim.tissue import TISSUE_STEP
from endoforge.sim.wall import NUM_AROUND, angle_to_diamond
from tests.sim.reference import band_distance, head_distance, polyp_distance

Array = NDArray[np.float64]
FINER = 2.6
"""So much finer is a polyp's detail than the wall's."""


@dataclass(frozen=True)
class Hits:
    """N places (N, 3) mm that a camera sees, their unit normals, and its unit rays to them.

    `pixel_angle` is in rad.
    """

    places: Array
    rays: Array
    distance: Array
    normals: Array
    pixel_angle: float

    @property
    def outward(self) -> Array:
        """Unit directions (N, 3) off the tube's axis."""
        return _unit(self.places * [1, 1, 0])


@dataclass(frozen=True)
class Patch:
    """N places of the wall, or of one polyp: `kernels.types.Patch` has the fields.

    `blood`, `seen` (vessels), `film` and `pigment` are those of the tissue.
    """

    u: Array
    v: Array
    along_u: Array
    along_v: Array
    footprint_mm: Array
    crevice: Array
    tone: Array
    cover: Array
    stain: Array
    blood: Array
    seen: Array
    film: Array
    pigment: Array
    vessels: Array
    tint: Array
    pattern: Array
    mucus: Array
    pits: Array
    spots: Array
    erosion: Array
    layer: int
    repeats: float
    on_polyp: bool = False


def hits_of(
    pose: Pose, rays: Array, depth: Array, pixel_angle: float, normals: Array | None = None
) -> Hits:
    """What rays (N, 3) in the camera's axes meet at depths (N,) mm.

    `normals` (N, 3) are in the camera's axes; without them they are those of the tube's wall.
    """
    ways = rays @ pose.axes
    places = pose.position + ways * depth[:, None]
    facing = -_unit(places * [1, 1, 0]) if normals is None else normals @ pose.axes
    return Hits(places, ways, depth, facing, pixel_angle)


def wall_patch(scene: Scene, hits: Hits, radius_mm: float = 20.0) -> Patch:
    """Places of the wall of the straight tube."""
    look, tissue, outward = scene.look, scene.look.tissue, hits.outward
    s, around = hits.places[:, 2], angle_to_diamond(_wall_angle(scene, hits))
    crevice, tone, cover, stain = _table(scene.tables.coat, s, around, COAT_STEP).T
    zeros = np.zeros(len(s))
    blood, seen, film, pigment = zeros, zeros + 1, zeros, zeros
    if tissue.differs:
        blood, seen, film, pigment = _table(scene.tables.tissue, s, around, TISSUE_STEP).T
    facing = np.maximum(-(hits.normals * hits.rays).sum(axis=1), 0.15)
    repeats = TILE_MM / look.surface_repeat_mm
    if tissue.branching:
        repeats = max(round(4 * repeats), 1) / 4
    along = np.broadcast_to([0.0, 0.0, 1.0], hits.places.shape)
    return Patch(
        u=(s - 0.9 * radius_mm) / TILE_MM + look.turn_u,
        v=around + 0.015 * radius_mm + look.turn_v,
        along_u=along,
        along_v=np.cross(along, outward),
        footprint_mm=hits.distance * hits.pixel_angle / facing,
        crevice=crevice,
        tone=tone,
        cover=cover,
        stain=stain,
        blood=blood,
        seen=seen,
        film=film,
        pigment=pigment,
        vessels=look.vessels * seen,
        tint=np.ones((len(s), 3)),
        pattern=zeros,
        mucus=zeros,
        pits=zeros,
        spots=zeros,
        erosion=zeros,
        layer=int(tissue.branching),
        repeats=repeats,
    )


def polyp_patch(scene: Scene, hits: Hits, number: int, radius_mm: float = 20.0) -> Patch:
    """Places of the scene's polyp `number`, counted from 1."""
    polyp, wall = scene.polyps[number - 1], wall_patch(scene, hits, radius_mm)
    height = radius_mm - np.hypot(hits.places[:, 0], hits.places[:, 1])
    if polyp.flat:
        patch = _flat_patch(wall, polyp, hits)
    else:
        patch = _solid_patch(scene, wall, polyp, hits, number, height)
    foot = np.clip(1 - 0.4 * height, 0, 1)
    dyed = np.where(patch.pits > 0, np.maximum(foot, patch.pits), foot)
    return replace(
        patch,
        mucus=np.maximum(patch.mucus, _slough(polyp, hits)),
        crevice=patch.crevice * foot,
        cover=patch.cover * foot,
        stain=patch.stain * dyed,
    )


def _flat_patch(wall: Patch, polyp: Polyp, hits: Hits) -> Patch:
    assert polyp.flat is not None
    inside = np.clip(-polyp_distance(polyp, hits.places) / polyp.flat.margin_mm, 0, 1)
    ones = np.ones(len(inside))
    patch = replace(
        wall,
        tint=np.outer(ones, polyp.tint),
        pattern=polyp.pattern * ones,
        vessels=0.5 * polyp.vessels * wall.vessels,
        mucus=polyp.mucus * ones,
    )
    return _with_surface(patch, wall, polyp, 1 - inside, inside)


def _solid_patch(
    scene: Scene, wall: Patch, polyp: Polyp, hits: Hits, number: int, height: Array
) -> Patch:
    axis, width = np.asarray(polyp.axis), polyp.half_width_mm
    off = hits.places - polyp.centre
    along = off @ axis
    ball = _unit(off + np.outer(along * (width / polyp.half_height_mm - 1), axis))
    low = 1 - ball @ axis
    first = np.cross(axis, [0.31, 0.52, 0.79])
    first = first / np.linalg.norm(first)
    second = np.cross(axis, first)
    # The angle off the axis over its sine, as a parabola.
    reach = width * FINER / TILE_MM * (1 + 0.36 * low + 0.21 * low**2)
    u, v = ball @ first * reach + 0.37 * number, ball @ second * reach
    stalk = (off**2).sum(axis=1) > 1.5 * width**2
    u = np.where(stalk, off @ (first + second) * 0.7 * FINER / TILE_MM, u)
    v = np.where(stalk, along * FINER / TILE_MM, v)
    ones = np.ones(len(u))
    patch = replace(
        wall,
        u=u + scene.look.turn_v,
        v=v + scene.look.turn_u,
        along_u=np.outer(ones, first),
        along_v=np.outer(ones, second),
        footprint_mm=FINER * wall.footprint_mm,
        tint=np.outer(ones, polyp.tint),
        pattern=polyp.pattern * ones,
        vessels=1.2 * polyp.vessels * wall.vessels,
        mucus=polyp.mucus * np.maximum(1 - 0.8 * low, 0),
        on_polyp=True,
    )
    margin = polyp.surface.margin_mm
    inside = np.clip(height / margin, 0, 1) if margin > 0 else ones
    patch = _with_surface(patch, wall, polyp, low, inside)
    return _down_the_stalk(patch, wall, polyp, hits) if polyp.stalk_mm > 0 else patch


def _with_surface(patch: Patch, wall: Patch, polyp: Polyp, low: Array, inside: Array) -> Patch:
    """A polyp's own surface: less of it where `inside` (N,) is low, its top where `low` is 0."""
    surface = polyp.surface
    own = (1 - surface.wall_part) * inside
    tint = 1 + own[:, None] * (patch.tint - 1)
    tint = bled(tint, 1.2 * surface.top * np.maximum(1 - 1.2 * low, 0))
    changed = replace(
        patch,
        tint=tint,
        pattern=patch.pattern * own,
        mucus=patch.mucus * own,
        vessels=own * patch.vessels + (1 - own) * wall.vessels,
        spots=surface.spots * own,
        erosion=surface.erosion * own,
    )
    if surface.pits > 0:
        changed = replace(
            changed,
            layer=KINDS.index(surface.kind),
            repeats=TILE_MM / surface.repeat_mm,
            pits=np.maximum(surface.pits * own, 1e-3),
        )
    return changed


def _down_the_stalk(patch: Patch, wall: Patch, polyp: Polyp, hits: Hits) -> Patch:
    far = np.maximum(head_distance(polyp, hits.places), 0) / polyp.half_width_mm
    own = np.where(far > 0, np.clip(1.5 - far / LABELLED_STALK, 0, 1), 1.0)
    pits = np.maximum(patch.pits * own, 1e-3) if polyp.surface.pits > 0 else patch.pits
    return replace(
        patch,
        tint=1 + own[:, None] * (patch.tint - 1),
        pattern=patch.pattern * own,
        mucus=patch.mucus * own,
        vessels=wall.vessels + own * (patch.vessels - wall.vessels),
        pits=pits,
        spots=patch.spots * own,
        erosion=patch.erosion * own,
    )


def _slough(polyp: Polyp, hits: Hits) -> Array:
    """How much slough lies in the crater of an ulcerated polyp, 0..1."""
    radius, flat = polyp.uneven.crater_mm, polyp.flat
    if flat and polyp.band:
        inside = -band_distance(polyp, hits.places - polyp.centre) / flat.margin_mm
        ulcer = np.clip(4 * flat.hollow - 1.4, 0, 1)
        return np.asarray(ulcer * np.clip(1.5 * (inside - 0.8), 0, 1))
    if radius == 0:
        return np.zeros(len(hits.places))
    top = polyp.centre + np.asarray(polyp.axis) * (polyp.half_height_mm + 0.3 * radius)
    depth = radius - np.linalg.norm(hits.places - top, axis=1)
    return np.asarray(np.clip(1 + 5 * depth / radius, 0, 1))


def bled(albedo: Array, blood: Array) -> Array:
    """(N, 3) redder by (N,) more blood, and paler by less."""
    more, less = np.maximum(blood, 0)[:, None], np.maximum(-blood, 0)[:, None]
    taken = more / (1 + 0.6 * more) * [0.10, 0.60, 0.45]
    return np.asarray(albedo * (1 - taken) * (1 + less * [0.04, 0.26, 0.10]))


def _wall_angle(scene: Scene, hits: Hits) -> Array:
    line = scene.anatomy.centreline
    x, y = hits.places @ line.normals[100], hits.places @ line.binormals[100]
    return np.asarray(np.arctan2(y, x))


def _table(table: NDArray[np.float32], s: Array, around: Array, step: int) -> Array:
    """(N, 4): a table of means over step x step samples of the wall, between their middles."""
    columns = NUM_AROUND // step
    grid = table.reshape(-1, columns, 4).astype(np.float64)
    rows = np.clip((s / 0.75 - (step - 1) / 2) / step, 0, len(grid) - 1.01)
    across = (around * NUM_AROUND / 4 - (step - 1) / 2) / step
    i, j = np.floor(rows).astype(int), np.floor(across).astype(int)
    a, b = (rows - i)[:, None], (across - j)[:, None]
    low = grid[i, j % columns] * (1 - b) + grid[i, (j + 1) % columns] * b
    high = grid[i + 1, j % columns] * (1 - b) + grid[i + 1, (j + 1) % columns] * b
    value: Array = low * (1 - a) + high * a
    return value


def textured(
    texels: NDArray[np.int32],
    u: Array,
    v: Array,
    footprint_mm: Array,
    zero: tuple[float, ...],
    scale: tuple[float, ...],
    finest: int = 0,
) -> Array:
    """(4, N): bilinear in the mip level whose texels are as large as the footprint."""
    values = (texels.view(np.uint8).reshape(-1, 4) / 255.0 - np.array(zero)) * np.array(scale)
    level = np.floor(np.log2(np.maximum(footprint_mm * SIZE / TILE_MM, 1))).astype(int)
    level = np.clip(level, finest, LEVELS - 1)
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
    return found.T


def _unit(v: Array) -> Array:
    return np.asarray(v / np.linalg.norm(v, axis=-1, keepdims=True))
