"""Masses that go around the lumen, a third of the way and more: crescents and rings.

They are parts of the wall: its height field is raised where they are, and narrows the lumen. The
kernels only ask which place of the wall belongs to one.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from endoforge.sim.anatomy import Anatomy
from endoforge.sim.centreline import ALONG_STEP_MM
from endoforge.sim.polyps import Polyp
from endoforge.sim.ranges.polyps_ranges import PolypRanges
from endoforge.sim.ranges.values import draw
from endoforge.sim.shapes import RIM, STEEP, Band, Flat, Uneven, Vector, triple
from endoforge.sim.wall import COLUMN_ANGLES, NUM_AROUND, Array, Grid, angle_to_diamond

LENGTH_MM = (15.0, 60.0)
"""Length along the colon."""
RING, CRESCENT, NEARLY_ALL = 0.4, (0.33, 0.67), (0.8, 1.15)
"""Share of them that goes around nearly all of the lumen; shares of the circle that either sort
takes, from 1 on all of it."""
LEAST_HEIGHT_MM = 2.5
LEAST_RADIUS_MM = 5.5
"""None stands nearer to the centreline."""
LEAST_FREE_MM = 4.4
"""Radius of the ball that passes through: as of a mass on one side."""
BLEND_MM = 0.05
"""It bends nothing: this is only not nothing."""


def grow_around(
    rng: np.random.Generator, polyp: Polyp, anatomy: Anatomy, ranges: PolypRanges
) -> Polyp | None:
    """Make a polyp a mass that goes around the lumen; None if nothing would pass through it.

    It has rolled edges, and nodules on it or an ulcer within.
    """
    half = 0.5 * draw(rng, LENGTH_MM)
    ring = rng.random() < RING
    share = draw(rng, NEARLY_ALL if ring else CRESCENT)
    line, row = anatomy.centreline, anatomy.centreline.row(polyp.s_mm)
    rows = np.unique(line.row(polyp.s_mm + np.arange(-half, half, 1.0)))
    radius = float(np.median(anatomy.radius[rows]))
    tangent = line.tangents[row]
    outward = np.cos(polyp.angle) * line.normals[row] + np.sin(polyp.angle) * line.binormals[row]
    tilt = rng.normal(0.0, 0.15)
    # How far across the lumen it reaches: its centre is half way.
    across = radius * (1 - np.cos(np.pi * min(share, 1.0)))
    middle = radius - 0.5 * across
    band = Band(
        half_length_mm=half,
        turn=-float(np.cos(np.pi * share)) if share < 1 else 3.0,
        middle_mm=middle,
        radius_mm=radius,
        round_mm=rng.uniform(0.4, 0.8) * half,
    )
    height = (rng.uniform(0.25, 0.45) if ring else rng.uniform(0.3, 0.6)) * radius
    wide = rng.uniform(5.0, 13.0)
    ulcerated = rng.random() < ranges.ulcerated
    flat = Flat(
        height_mm=height,
        margin_mm=min(height / rng.uniform(0.8, 1.8), 0.5 * half),
        hollow=rng.uniform(0.5, 0.85) if ulcerated else rng.uniform(0.0, 0.3),
        nodule_mm=rng.uniform(0.08, 0.24) * wide,
        nodules_per_mm=0.5 / wide,
        band=band,
    )
    around = replace(
        polyp,
        centre=triple(line.points[row] + middle * outward),
        axis=triple(-outward),
        half_width_mm=max(half, radius * np.sin(np.pi * min(share, 0.5))),
        half_height_mm=0.5 * across,
        blend_mm=BLEND_MM,
        uneven=Uneven(
            along=triple(np.cos(tilt) * tangent + np.sin(tilt) * np.cross(tangent, outward)),
            lobed=rng.uniform(0.02, 0.09),
            crowded=3.0,
        ),
        flat=flat,
    )
    return _as_high_as_passable(around, flat, anatomy)


def _as_high_as_passable(polyp: Polyp, flat: Flat, anatomy: Anatomy) -> Polyp | None:
    while flat.height_mm > LEAST_HEIGHT_MM:
        mass = replace(polyp, flat=flat)
        if _passable(_raised(anatomy, mass)[1]):
            return mass
        flat = replace(flat, height_mm=0.75 * flat.height_mm, nodule_mm=0.75 * flat.nodule_mm)
    return None


def with_masses(anatomy: Anatomy, polyps: Sequence[Polyp]) -> Anatomy:
    """The colon with its wall raised where masses go around; itself if there are none."""
    around = [polyp for polyp in polyps if polyp.band]
    if not around:
        return anatomy
    radius = anatomy.radius.copy()
    for polyp in around:
        first, raised = _raised(anatomy, polyp)
        radius[first : first + len(raised)] = raised
    return replace(anatomy, radius=radius)


def _raised(anatomy: Anatomy, polyp: Polyp) -> tuple[int, Grid]:
    """The first row of the wall that a mass may raise, and the radii (rows, NUM_AROUND) there."""
    assert polyp.band is not None
    reach = polyp.band.half_length_mm + 0.3 * polyp.band.radius_mm + 8.0
    line = anatomy.centreline
    rows = np.unique(line.row(polyp.s_mm + np.arange(-reach, reach, 0.5 * ALONG_STEP_MM)))
    radius: Array = anatomy.radius[rows].astype(np.float64)
    x, y = radius * np.cos(COLUMN_ANGLES), radius * np.sin(COLUMN_ANGLES)
    s_mm = np.repeat(rows * ALONG_STEP_MM, NUM_AROUND)
    wall = line.to_world(s_mm, x.ravel(), y.ravel())
    height = heights(polyp, wall).reshape(radius.shape)
    raised = np.maximum(radius - height, np.minimum(radius, LEAST_RADIUS_MM))
    return int(rows[0]), np.asarray(raised, np.float32)


def heights(polyp: Polyp, wall: Vector) -> Array:
    """How high (N,) mm a mass around the lumen stands on places (N, 3) of the wall."""
    flat, band, axis = polyp.flat, polyp.band, np.asarray(polyp.axis)
    assert flat is not None
    assert band is not None
    q = wall - np.asarray(polyp.centre)
    inside = -outline(polyp, q) / flat.margin_mm
    rise = _smooth(inside)
    # Nodules as they are at the top: at the wall they would be wider.
    along = np.asarray(polyp.uneven.along)
    out = q - band.middle_mm * axis
    ahead = (out @ along)[:, None] * along
    top = band.radius_mm - flat.height_mm - flat.nodule_mm
    inner = top / np.linalg.norm(out - ahead, axis=1)
    turns = (ahead + inner[:, None] * (out - ahead)) * flat.nodules_per_mm + axis
    height = flat.height_mm * (1 - flat.hollow * _smooth(inside - RIM))
    return np.asarray(rise * (height + flat.nodule_mm * bulges(turns)))


def outline(polyp: Polyp, q: Vector) -> Array:
    """The distance (N,) mm to a mass's region, lobes and all, as the kernels have it."""
    assert polyp.band is not None
    bare = polyp.band.distance(q, np.asarray(polyp.uneven.along), np.asarray(polyp.axis))
    per_mm = 0.67 * polyp.uneven.crowded / polyp.half_width_mm
    turns = q * per_mm + np.asarray(polyp.centre) - np.asarray(polyp.base)
    x, y, z = np.sin(2 * np.pi * (turns + q * [0, 0, 0.2 * per_mm])).T
    return np.asarray((bare + polyp.lobe_mm * (x * y + z)) / (1 + STEEP * per_mm * polyp.lobe_mm))


def bulges(turns: Vector) -> Array:
    """0..1.4 (N,), round on bulges and narrow between them: a folded gyroid, as in the kernels."""
    sine, cosine = np.sin(2 * np.pi * turns), np.cos(2 * np.pi * turns)
    gyroid = (sine * np.roll(cosine, -1, axis=1)).sum(axis=1)
    return np.asarray(gyroid**2 / (np.abs(gyroid) + 0.15))


def _smooth(share: Array) -> Array:
    share = np.clip(share, 0, 1)
    return np.asarray(share**2 * (3 - 2 * share))


def _passable(radius: Grid) -> bool:
    """Whether a ball of LEAST_FREE_MM finds room in each section of a wall (rows, NUM_AROUND)."""
    grid = np.stack(np.meshgrid(np.arange(-24, 25, 2.0), np.arange(-24, 25, 2.0)), axis=-1)
    xy = grid.reshape(-1, 2)
    columns = angle_to_diamond(np.arctan2(xy[:, 1], xy[:, 0])) * NUM_AROUND / 4
    column = columns.astype(int) % NUM_AROUND
    off = np.hypot(*xy.T)
    return all(
        (radius[max(row - 4, 0) : row + 5].min(axis=0)[column] - off).max() >= LEAST_FREE_MM
        for row in range(0, len(radius), 5)
    )
