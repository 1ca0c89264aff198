"""Where in the lumen a camera may be: clear of the wall at every moment, and of all polyps.

Places have the curve coordinates of `anatomy`: s along the centreline, (x, y) mm off it.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.centreline import ALONG_STEP_MM
from endoforge.sim.polyps import Polyp
from endoforge.sim.scene import Scene
from endoforge.sim.shapes import SMOOTH, heads_distance
from endoforge.sim.wall import NUM_AROUND, angle_to_diamond

WALL_CLEARANCE_MM = 2.5
POLYP_CLEARANCE_MM = 2.0
"""What a camera keeps from the wall and from polyps."""
MARGIN_MM = 0.35
"""Added to both, since the table of free room has a grid."""
ROW_MM = 1.0
NUM_COLUMNS = 96
"""Grid of the table of free room: rows along the centreline, even angles around it."""
MOST_BENT = 0.45
"""Offset towards the inner side of a bend, over the bend's radius, at most."""
LOBES = 0.08
"""Lobes rise by less than this share of a polyp's smaller half-axis."""
RETRACT_PARTS = 12
"""Places that are looked at between the lane and where the camera wants to be."""
CECUM_MM, TO_THE_END_MM = 80.0, 38.0
"""The last stretch, in which the scope may have to stop early; where it stops at the latest."""
LANE_STEP_MM = 2.5
LANE_RADII_MM = (2.0, 4.0, 6.5, 9.5, 13.0)
LANE_ANGLES = 12
"""Grid of the search for the lane: steps along the colon, rings about the axis, places on each."""

Array = NDArray[np.float64]


class Lumen:
    """The free space of a scene, and the lane through the middle of it.

    `lane` (rows, 2) mm is the offset off the centreline, at every ROW_MM, that a camera can always
    fall back to: the centreline itself but where a polyp or a fold stands in the way.
    """

    def __init__(self, scene: Scene) -> None:
        self.line = line = scene.anatomy.centreline
        self.table = np.stack([line.points, line.normals, line.binormals, line.tangents], axis=1)
        self.length_mm = scene.anatomy.length_mm
        self.polyps = scene.polyps
        self.carried_mm = np.linalg.norm(scene.swells[:, :3], axis=1)
        self.radius, self.room = _radius_and_room(scene)
        self.lane = self._find_lane()

    def frames(self, s_mm: Array) -> Array:
        """The centreline's point, normal, binormal and tangent (N, 4, 3) at positions along it."""
        place = np.clip(s_mm / ALONG_STEP_MM, 0, len(self.table) - 1.001)
        low = place.astype(np.intp)
        part = (place - low)[:, None, None]
        between: Array = self.table[low] * (1 - part) + self.table[low + 1] * part
        return between

    def to_world(self, s_mm: Array, xy_mm: Array) -> Array:
        """World positions (N, 3) mm of places: s (N,) and offset (N, 2)."""
        point, normal, binormal, _ = self.frames(s_mm).transpose(1, 0, 2)
        world: Array = point + xy_mm[:, :1] * normal + xy_mm[:, 1:] * binormal
        return world

    def from_world(self, position: Array, s_mm: float) -> tuple[float, Array]:
        """The place (s, (x, y)) of a world position (3,) near `s_mm`, by Newton's method."""
        xy = np.zeros(2)
        for _ in range(4):
            ((point, normal, binormal, tangent),) = self.frames(np.array([s_mm]))
            away = position - point
            xy = np.array([away @ normal, away @ binormal])
            bend = self.line.curvature[self.line.row(s_mm)] @ xy
            s_mm += float(away @ tangent) / max(1 - float(bend), 0.2)
        return s_mm, xy

    def wall_radius(self, s_mm: Array, xy_mm: Array) -> Array:
        """The distance (N,) mm from the centreline to the wall in the direction of (x, y)."""
        return self._look_up(self.radius, s_mm, xy_mm)

    def lane_at(self, s_mm: Array) -> Array:
        """The lane's offset (N, 2) mm at positions along."""
        rows = np.arange(len(self.lane)) * ROW_MM
        return np.stack([np.interp(s_mm, rows, column) for column in self.lane.T], axis=1)

    def gap(self, s_mm: Array, xy_mm: Array) -> Array:
        """The room (N,) mm that places have beyond the clearance; below 0 a camera can't be."""
        least: Array = self._look_up(self.room, s_mm, xy_mm) - np.hypot(*xy_mm.T)
        wall = least + WALL_CLEARANCE_MM
        for polyp, carried in zip(self.polyps, self.carried_mm.tolist(), strict=True):
            if polyp.band:
                continue  # a part of the wall
            reach = 2.5 * (polyp.bound_mm + POLYP_CLEARANCE_MM + 4.0)
            (near,) = np.nonzero(np.abs(s_mm - polyp.s_mm) < reach)
            if len(near) and polyp.flat:
                raised = polyp.flat.height_mm + 1.5 * polyp.flat.nodule_mm
                clear = wall[near] - raised - WALL_CLEARANCE_MM
                inside = head_distance(polyp, self.to_world(s_mm[near], xy_mm[near])) < 1.0
                least[near] = np.minimum(least[near], np.where(inside, clear, np.inf))
            elif len(near):
                distance = polyp_distance(polyp, self.to_world(s_mm[near], xy_mm[near]))
                distance -= carried  # by peristalsis, at most, towards the camera
                # Polyp and wall merge over blend_mm (a smooth minimum), which fills the corner.
                merged = np.maximum(1 - np.abs(wall[near] - distance) / polyp.blend_mm, 0)
                surface = np.minimum(wall[near], distance) - polyp.blend_mm * merged**2 / 4
                clear = surface - POLYP_CLEARANCE_MM - MARGIN_MM
                clear = np.where((merged > 0) | (distance < wall[near]), clear, np.inf)
                least[near] = np.minimum(least[near], clear)
        return least

    def in_sight(
        self, s_mm: Array, xy_mm: Array, target_s: float, target_xy: Array
    ) -> NDArray[np.bool_]:
        """Whether no fold of the wall stands between each place and the target: (N,) bool."""
        part = np.linspace(0.1, 0.8, 8)[:, None]
        s = s_mm + part * (target_s - s_mm)
        xy = xy_mm + part[..., None] * (target_xy - xy_mm)
        wall = self.wall_radius(s.ravel(), xy.reshape(-1, 2)).reshape(s.shape)
        free = np.hypot(xy[..., 0], xy[..., 1]) < wall
        return np.asarray(free.all(axis=0), np.bool_)

    def deepest(self) -> float:
        """The furthest s that a camera reaches before the closed end of the cecum."""
        rows = np.asarray(np.arange(len(self.lane)) * ROW_MM, np.float64)
        shut = (self.gap(rows, self.lane) < 0) & (rows > self.length_mm - CECUM_MM)
        end = rows[shut][0] - 2.0 if shut.any() else self.length_mm
        return float(min(end, self.length_mm - TO_THE_END_MM))

    def retract(self, s_mm: Array, xy_mm: Array, steps: int) -> Array:
        """A course of offsets (N, 2) mm drawn back towards the lane until all of it is clear.

        The share of the way out that is clear is searched in steps; then the least share within
        `steps` samples, smoothed over as many, is below it everywhere and changes gently.
        """
        lane = self.lane_at(s_mm)
        parts = np.arange(1, RETRACT_PARTS + 1) / RETRACT_PARTS
        places = lane + parts[:, None, None] * (xy_mm - lane)
        gaps = self.gap(np.tile(s_mm, RETRACT_PARTS), places.reshape(-1, 2))
        inside = gaps.reshape(RETRACT_PARTS, -1) >= 0
        clear = np.logical_and.accumulate(inside, axis=0).sum(axis=0) / RETRACT_PARTS
        least = cv2.erode(clear[:, None], np.ones((2 * steps + 1, 1), np.uint8))
        share = smooth(np.asarray(least, np.float64), steps / 2.5, steps)
        retracted: Array = lane + share * (xy_mm - lane)
        return retracted

    def _look_up(self, table: Array, s_mm: Array, xy_mm: Array) -> Array:
        rows = np.clip(np.rint(s_mm / ROW_MM), 0, len(table) - 1).astype(np.intp)
        turns = np.arctan2(xy_mm[:, 1], xy_mm[:, 0]) / (2 * np.pi)
        columns = np.rint(turns * NUM_COLUMNS).astype(np.intp) % NUM_COLUMNS
        return np.asarray(table[rows, columns], np.float64)

    def _find_lane(self) -> Array:
        """The cheapest chain of offsets (Viterbi, 1967): clear by 4 mm, near the axis, smooth."""
        s_mm = np.arange(0.0, self.length_mm, LANE_STEP_MM)
        offsets = _lane_offsets()
        count = len(offsets)
        places = np.tile(offsets, (len(s_mm), 1))
        gap = self.gap(np.repeat(s_mm, count), places).reshape(-1, count)
        price = np.maximum(4.0 - gap, 0) ** 2 + 200.0 * (gap < 0)
        price += 0.02 * (offsets**2).sum(axis=1)
        step = 0.5 * ((offsets[:, None] - offsets[None]) ** 2).sum(axis=2)
        came_from = np.zeros(price.shape, np.intp)
        total = price[0]
        for row in range(1, len(s_mm)):
            ways = total + step
            came_from[row] = ways.argmin(axis=1)
            total = ways[np.arange(count), came_from[row]] + price[row]
        chain = np.zeros(len(s_mm), np.intp)
        chain[-1] = total.argmin()
        for row in range(len(s_mm) - 1, 0, -1):
            chain[row - 1] = came_from[row, chain[row]]
        lane = smooth(offsets[chain], 1.2, 4)
        rows = np.arange(len(self.room)) * ROW_MM
        return np.stack([np.interp(rows, s_mm, column) for column in lane.T], axis=1)


def polyp_distance(polyp: Polyp, world: Array) -> Array:
    """The distance (N,) mm of positions (N, 3) to a polyp, or a little less: lobes are filled."""
    distance = head_distance(polyp, world)
    if polyp.stalk_mm > 0:
        base = np.asarray(polyp.base)
        stalk = np.asarray(polyp.centre) - base
        part = np.clip((world - base) @ stalk / (stalk @ stalk), 0, 1)
        beside = np.linalg.norm(world - base - part[:, None] * stalk, axis=1)
        distance = np.minimum(distance, beside - 1.5 * polyp.stalk_mm) - 0.3
    return distance


def head_distance(polyp: Polyp, world: Array) -> Array:
    """The distance (N,) mm of positions (N, 3) to a polyp's head, all that is uneven filled."""
    away = world - np.asarray(polyp.centre)
    uneven, smaller = polyp.uneven, min(polyp.half_width_mm, polyp.half_height_mm)
    bulges = LOBES * smaller
    if uneven != SMOOTH:
        bulges = max(bulges, 2 * polyp.lobe_mm + uneven.crease_mm)
    if uneven.heads:
        return heads_distance(np.array(uneven.heads), away) - bulges - 0.5 * uneven.join_mm
    along = away @ np.asarray(polyp.axis)
    across2 = np.maximum((away**2).sum(axis=1) - along**2, 0)
    # An egg's wide end counts all along it.
    width, height = polyp.half_width_mm * (1 + abs(uneven.egg)), polyp.half_height_mm
    long2 = (away @ np.asarray(uneven.along)) ** 2
    e = np.maximum(across2 + long2 * (uneven.stretch**-2 - 1), 0)
    e1 = np.maximum(across2 + long2 * (uneven.stretch**-4 - 1), 0)
    k0 = np.sqrt(e / width**2 + along**2 / height**2)
    k1 = np.sqrt(e1 / width**4 + along**2 / height**4)
    distance: Array = k0 * (k0 - 1) / (k1 + 1e-6) - bulges
    return distance


def smooth(values: Array, sigma: float, reach: int | None = None) -> Array:
    """The columns of (N, C) under a Gaussian of `sigma` samples, cut off at `reach` (3 sigma)."""
    reach = math.ceil(3 * sigma) if reach is None else reach
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    smoothed = cv2.sepFilter2D(
        np.ascontiguousarray(values),
        cv2.CV_64F,
        np.ones(1),
        kernel / kernel.sum(),
        borderType=cv2.BORDER_REPLICATE,
    )
    return np.asarray(smoothed, np.float64).reshape(values.shape)


def _lane_offsets() -> Array:
    """The places (K, 2) mm that the lane may go through: the axis, and rings around it."""
    angles = np.arange(LANE_ANGLES) * 2 * np.pi / LANE_ANGLES
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([np.zeros((1, 2)), *(radius * ring for radius in LANE_RADII_MM)])


def _radius_and_room(scene: Scene) -> tuple[Array, Array]:
    """The wall's radius, and how far out a camera may be, each (rows, NUM_COLUMNS) mm.

    The wall is taken as narrow as peristalsis ever makes it. Everywhere a camera keeps a ball of
    the clearance free: along the centreline the least radius counts of what the ball may span
    (more in bends, whose inner side is shorter), around it the ball's exact shape.
    """
    anatomy = scene.anatomy
    angles = np.arange(NUM_COLUMNS) * 2 * np.pi / NUM_COLUMNS
    columns = np.rint(angle_to_diamond(angles) * NUM_AROUND / 4).astype(int) % NUM_AROUND
    s_mm = np.arange(0.0, anatomy.length_mm, ROW_MM)
    rows = np.clip(np.rint(s_mm / ALONG_STEP_MM).astype(int), 0, len(anatomy.radius) - 1)
    narrow = np.asarray(anatomy.radius * (1 - scene.ranges.anatomy.peristalsis[1]), np.float64)
    curvature = anatomy.centreline.curvature[anatomy.centreline.row(s_mm)]
    bend = np.hypot(*curvature.T)[:, None]
    straight, bent = _least_within(narrow, 4.0)[rows], _least_within(narrow, 6.0)[rows]
    low = np.asarray(np.where(bend < 0.01, straight, bent))[:, columns]
    inward = curvature @ np.stack([np.cos(angles), np.sin(angles)])
    room = np.minimum(_ball_room(low), MOST_BENT / np.maximum(inward, 1e-3))
    return anatomy.radius[rows][:, columns], room


def _least_within(radius: Array, along_mm: float) -> Array:
    """The least radius within so far along and about 3 degrees around each place."""
    reach = math.ceil(along_mm / ALONG_STEP_MM)
    wrapped = np.concatenate([radius[:, -2:], radius, radius[:, :2]], axis=1)
    least = cv2.erode(wrapped, np.ones((2 * reach + 1, 5), np.uint8))
    return np.asarray(least[:, 2:-2], np.float64)


def _ball_room(low: Array) -> Array:
    """How far out the middle of a ball of the clearance's radius gets before it meets the wall."""
    ball = WALL_CLEARANCE_MM + MARGIN_MM
    room = low - ball
    for shift in range(1, NUM_COLUMNS // 12 + 1):
        turn = 2 * np.pi * shift / NUM_COLUMNS
        for wall in (np.roll(low, shift, axis=1), np.roll(low, -shift, axis=1)):
            aside = wall * np.sin(turn)
            inside = wall * np.cos(turn) - np.sqrt(np.maximum(ball**2 - aside**2, 0))
            room = np.where(aside < ball, np.minimum(room, inside), room)
    return room
