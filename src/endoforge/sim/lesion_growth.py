"""Lesions that are no smooth ellipsoids: uneven heads, long stalks, masses, flat ones, ulcers.

Each takes a polyp as `growth` has drawn it, at its place, and gives it its shape.
"""

from dataclasses import replace

import numpy as np

from endoforge.sim.anatomy import Anatomy
from endoforge.sim.polyps import Paris, Polyp
from endoforge.sim.ranges.polyps_ranges import PolypRanges
from endoforge.sim.ranges.values import draw
from endoforge.sim.shapes import (
    MOST_HEADS,
    Flat,
    Triple,
    Uneven,
    Vector,
    half_axes_around,
    heads_distance,
    triple,
)
from endoforge.sim.wall import NUM_AROUND, angle_to_diamond

FLAT_KINDS: tuple[Paris, ...] = ("IIb", "IIc", "IIa+IIc", "LST-G", "LST-NG")
CREASED_MM, ULCERATED_MM = 5.0, 10.0
"""Smaller ones aren't cut into bulges, and have no craters."""
FLAT_BLEND_MM = 0.05
"""A flat lesion's margin is its own: this is only not nothing."""
LEAST_FREE_MM = 4.4
"""Radius of the ball that passes beside a mass: the camera's clearance, and room to find a way."""
MOST_PLAIN_MM = 20.0
"""IIb, IIc and IIa+IIc are no wider: wider ones are laterally spreading tumours."""
PALE_OR_RED = (0.1, 0.3)
"""How much redder or paler than the wall IIb and IIc are, which have little else."""


def tinted(redness: float, paleness: float) -> Triple:
    """The factors of the mucosa's colour."""
    return paleness, paleness * (1 - 1.2 * redness), paleness * (1 - redness)


def made_uneven(rng: np.random.Generator, polyp: Polyp, ranges: PolypRanges) -> Polyp:
    """Make the head of a polyp as uneven as its ranges say."""
    strength = draw(rng, ranges.uneven)
    creased = rng.random() < ranges.cauliflower and polyp.diameter_mm >= CREASED_MM
    large = polyp.paris == "Is" and polyp.diameter_mm >= ULCERATED_MM
    ulcerated = rng.random() < ranges.ulcerated and large
    if strength == 0 and not creased and not ulcerated:
        return polyp
    stretch = 1 + strength * rng.uniform(0.0, 0.9)
    width = polyp.half_width_mm / stretch
    # What is stretched along the wall is lower, too.
    height = polyp.half_height_mm * (stretch**-0.5 if polyp.paris in ("Is", "IIa") else 1.0)
    tilt = 0.0 if polyp.paris == "IIa" else strength * rng.uniform(0.0, 0.55)
    away = np.asarray(polyp.axis)
    axis = _unit(away + tilt * _across(rng, away))
    smaller = min(width, height)
    return replace(
        polyp,
        axis=triple(axis),
        half_width_mm=width,
        half_height_mm=height,
        uneven=Uneven(
            stretch=stretch,
            along=triple(_across(rng, axis)),
            egg=0.0 if polyp.paris == "IIa" else strength * rng.uniform(-0.35, 0.3),
            lobed=strength * rng.uniform(0.0, 0.13),
            crease_mm=rng.uniform(0.04, 0.13) * smaller if creased else 0.0,
            crowded=rng.uniform(0.8, 1.8) if creased else rng.uniform(0.6, 1.3),
            crater_mm=rng.uniform(0.4, 0.65) * width if ulcerated else 0.0,
        ),
    )


def on_long_stalk(rng: np.random.Generator, polyp: Polyp, anatomy: Anatomy) -> Polyp | None:
    """Hang a polyp on a stalk of 1.5 to 4 times its head's width, which leans or lies on the wall.

    None if it would lead through the wall.
    """
    length = rng.uniform(1.5, 4.0) * polyp.diameter_mm
    lean = rng.uniform(0.7, 1.45)
    heading = rng.choice([0.0, np.pi]) + rng.normal(0.0, 0.6)
    wall, away, tangent = anatomy.wall_at(polyp.s_mm, polyp.angle)
    ahead = _unit(tangent - (tangent @ away) * away)
    aside = np.cross(away, ahead)
    flat = np.cos(heading) * ahead + np.sin(heading) * aside
    way = np.cos(lean) * away + np.sin(lean) * flat
    stalk = polyp.half_width_mm * rng.uniform(0.25, 0.4)
    centre = wall + length * way
    for part, room in ((0.5, 0.2 * stalk), (0.75, stalk), (1.0, 0.55 * polyp.half_height_mm)):
        if off_wall(anatomy, wall + part * length * way, polyp.s_mm) < room:
            return None
    axis = _unit(0.5 * away + way)
    return replace(
        polyp, centre=triple(centre), axis=triple(axis), base=triple(wall - away), stalk_mm=stalk
    )


def grow_mass(
    rng: np.random.Generator, polyp: Polyp, anatomy: Anatomy, ranges: PolypRanges
) -> Polyp | None:
    """Make a polyp a mass of three to nine heads, as wide as its head was.

    One stands in the middle, the others around it, smaller and lower; they follow the wall's curve.
    """
    wide = polyp.half_width_mm
    wall, away, _ = anatomy.wall_at(polyp.s_mm, polyp.angle)
    radius = anatomy.radius_at(polyp.s_mm, polyp.angle)
    number = int(rng.integers(3, MOST_HEADS + 1))
    first = _across(rng, away)
    second = np.cross(away, first)
    stretch = rng.uniform(1.0, 1.5)
    most = min(0.62 * wide, 0.5 * radius)
    sizes = np.sort(rng.uniform(0.45, 0.9, number))[::-1] * most
    turns = rng.uniform(0, 2 * np.pi) + 2.4 * np.arange(number) + rng.normal(0, 0.35, number)
    out = np.sqrt(rng.uniform(0.25, 1.0, number)) * np.maximum(wide - sizes, 0)
    out[0] *= 0.25
    x, y = out * np.cos(turns), out * np.sin(turns) / stretch
    # The wall around bends up towards the middle of the lumen: heads aside sit higher.
    tangent = anatomy.centreline.tangents[anatomy.centreline.row(polyp.s_mm)]
    around = x * (first @ np.cross(tangent, away)) + y * (second @ np.cross(tangent, away))
    lift = sizes * rng.uniform(-0.1, 0.75, number) + 0.4 * around**2 / radius
    spots = x[:, None] * first + y[:, None] * second + lift[:, None] * away
    centre = wall + 0.3 * most * away
    heads = np.concatenate([spots + wall - centre, sizes[:, None]], axis=1)
    width, height = half_axes_around(heads, away)
    small = float(sizes.min())
    creased = rng.random() < ranges.cauliflower
    return replace(
        polyp,
        centre=triple(centre),
        half_width_mm=width,
        half_height_mm=height,
        blend_mm=float(min(0.25 * small + 0.4, 2.0)),
        uneven=Uneven(
            along=triple(first),
            lobed=rng.uniform(0.0, 0.03),
            crease_mm=rng.uniform(0.06, 0.2) * small if creased else 0.0,
            crowded=rng.uniform(1.2, 2.4),
            crater_mm=rng.uniform(0.5, 0.9) * most if rng.random() < ranges.ulcerated else 0.0,
            heads=tuple((a, b, c, r) for a, b, c, r in heads.tolist()),
            join_mm=rng.uniform(0.12, 0.5) * small,
        ),
    )


def passable(polyp: Polyp, anatomy: Anatomy) -> bool:
    """Whether a ball of LEAST_FREE_MM finds room in each section of the colon beside a mass."""
    line = anatomy.centreline
    grid = np.stack(np.meshgrid(np.arange(-27, 28, 2.0), np.arange(-27, 28, 2.0)), axis=-1)
    xy = grid.reshape(-1, 2)
    columns = angle_to_diamond(np.arctan2(xy[:, 1], xy[:, 0])) * NUM_AROUND / 4
    column = columns.astype(int) % NUM_AROUND
    heads, bulge = np.array(polyp.uneven.heads), polyp.uneven.crease_mm + 2 * polyp.lobe_mm
    sections = polyp.s_mm + np.arange(-polyp.bound_mm, polyp.bound_mm, 4.0)
    for s_mm in sections.tolist():
        row = int(line.row(s_mm))
        near = anatomy.radius[max(row - 4, 0) : row + 5].min(axis=0)[column]
        world = line.to_world(np.full(len(xy), s_mm), xy[:, 0], xy[:, 1])
        beside = heads_distance(heads, world - np.asarray(polyp.centre)) - bulge
        if np.minimum(near - np.hypot(*xy.T), beside).max() < LEAST_FREE_MM:
            return False
    return True


def grow_flat(
    rng: np.random.Generator, polyp: Polyp, anatomy: Anatomy, ranges: PolypRanges
) -> Polyp | None:
    """Make a polyp a region of the wall, with the profile of its kind; None if the colon is narrow.

    An ellipsoid about the place cuts it out: as high as the curve of the wall needs.
    """
    spreading = polyp.paris in ("LST-G", "LST-NG")
    largest = polyp.half_width_mm if spreading else min(polyp.half_width_mm, MOST_PLAIN_MM / 2)
    if largest > anatomy.radius_at(polyp.s_mm, polyp.angle):
        return None
    wall, away, _ = anatomy.wall_at(polyp.s_mm, polyp.angle)
    stretch = rng.uniform(1.0, 1.7)
    width = largest / stretch
    return replace(
        polyp,
        centre=triple(wall),
        half_width_mm=width,
        half_height_mm=max(0.85 * largest, 2.5),
        blend_mm=FLAT_BLEND_MM,
        tint=_telling_tint(rng, polyp, ranges),
        uneven=Uneven(
            stretch=stretch,
            along=triple(_across(rng, away)),
            lobed=rng.uniform(0.02, 0.09),
            crowded=rng.uniform(0.6, 1.4),
        ),
        flat=_profile(rng, polyp.paris, width),
    )


def _profile(rng: np.random.Generator, paris: Paris, width: float) -> Flat:
    """Draw the heights of a flat lesion of a kind, so wide across."""
    if paris == "IIb":
        return Flat(height_mm=0.03, margin_mm=width * rng.uniform(0.25, 0.6))
    if paris == "IIc":
        return Flat(rng.uniform(0.2, 0.5), width * rng.uniform(0.22, 0.34), rng.uniform(0.9, 1.0))
    if paris == "IIa+IIc":
        return Flat(rng.uniform(0.5, 1.3), width * rng.uniform(0.25, 0.36), rng.uniform(0.5, 0.85))
    margin = width * rng.uniform(0.2, 0.5)
    if paris == "LST-NG":
        return Flat(rng.uniform(0.4, 1.5), margin, rng.choice([0.0, 0.4]))
    nodule = rng.uniform(0.6, 1.6)
    # A nodule is half a turn wide: from 2.5 to 6 mm, the higher the wider.
    return Flat(rng.uniform(0.3, 1.2), margin, 0.0, nodule, 0.5 / (1.5 + 2.8 * nodule))


def _telling_tint(rng: np.random.Generator, polyp: Polyp, ranges: PolypRanges) -> Triple:
    """The polyp's own tint, or where hardly anything else shows it, one that differs enough."""
    if polyp.paris not in ("IIb", "IIc"):
        return polyp.tint
    redness = draw(rng, PALE_OR_RED) * (-0.7 if rng.random() < 0.25 else 1.0)
    return tinted(redness, draw(rng, ranges.paleness))


def off_wall(anatomy: Anatomy, place: Vector, s_mm: float) -> float:
    """How far in mm a place is off the wall, along the radius; the section is searched for it."""
    line = anatomy.centreline
    for _ in range(4):
        row = line.row(s_mm)
        away = place - line.points[row]
        s_mm += float(away @ line.tangents[row])
    x, y = away @ line.normals[row], away @ line.binormals[row]
    return anatomy.radius_at(s_mm, float(np.arctan2(y, x))) - float(np.hypot(x, y))


def _across(rng: np.random.Generator, axis: Vector) -> Vector:
    """Draw a unit vector at right angles to one."""
    return _unit(np.cross(axis, rng.normal(size=3)))


def _unit(vector: Vector) -> Vector:
    unit: Vector = vector / np.linalg.norm(vector)
    return unit
