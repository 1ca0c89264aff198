"""How tools and jets lie before the camera: chains of capsules in its axes, right, down, forward.

A capsule is what is no further than its radius from a straight line between two points.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.instruments import Jet, Tool

Vector = NDArray[np.float64]
SHEATH, TIP, METAL, CLIP = range(4)
"""Places of materials in a frame's table."""
FORWARD = np.array([0.0, 0.0, 1.0])
MOST_BENT = 0.6
"""Tangent of how far off the way ahead a tool can point."""
FARTHEST_MM = 45.0
"""A tool reaches for a polyp that is no farther than this."""
TUBE_PARTS, RING_PARTS = 4, 10
GAP_RAD = 0.5
"""Half the angle at which a snare's ring is open towards its tube."""
WIRE_MM, NEEDLE_MM = 0.2, 0.3


@dataclass(frozen=True)
class Capsule:
    """From `start` to `end` (3,) mm, with the radius `radius_mm` and the material's place."""

    start: Vector
    end: Vector
    radius_mm: float
    material: int


@dataclass(frozen=True)
class AimedPolyp:
    """The polyp that a tool is for: its centre, unit axis away from the wall, and half-axes."""

    centre: Vector
    axis: Vector
    half_width_mm: float
    half_height_mm: float


def tool_capsules(tool: Tool, out: float, target: AimedPolyp | None) -> list[Capsule]:
    """The capsules of a tool that is `out` so far, from 0 to 1, at most TOOL_PARTS of them."""
    mouth = np.array([*tool.channel, 0.0])
    aimed = None if target is None else _reachable(tool, mouth, target)
    straight = mouth + tool.reach_mm * np.array([*tool.lean, 1.0])
    goal = straight if aimed is None else aimed
    end = mouth + out * (goal - mouth)
    tube, ahead = _tube(tool, mouth, end)
    if tool.kind == "snare":
        ring = None if target is None or aimed is None or out < 1 else target
        return tube + _snare(tool, end, ahead, ring)
    if tool.kind == "forceps":
        return tube + _forceps(tool, end, ahead)
    return [*tube, Capsule(end, end + 5.0 * ahead, NEEDLE_MM, METAL)]


def jet_capsules(jet: Jet) -> list[Capsule]:
    """The stream of a jet, wider as it goes."""
    start = np.array([*jet.nozzle, 0.5])
    way = _unit(np.array([*jet.lean, 1.0]) - 0.05 * np.array([*jet.nozzle, 0.0]))
    marks = np.array([0.0, 6.0, 14.0, 26.0, 45.0, 75.0])
    sag = np.array([0.0, 1.0, 0.0])
    points = [start + far * way + 4e-4 * far**2 * sag for far in marks]
    wide = jet.radius_mm * (1 + 0.012 * marks)
    return [
        Capsule(start, end, float(radius), METAL)
        for (start, end), radius in zip(pairwise(points), wide, strict=False)
    ]


def _reachable(tool: Tool, mouth: Vector, target: AimedPolyp) -> Vector | None:
    """Where the tube ends at a polyp, or None if it can't get there."""
    from_mouth = target.centre - mouth
    before = _unit(from_mouth)
    if tool.kind == "snare":
        goal = _ring_centre(target) - (1.3 * target.half_width_mm + 3.0) * before
    elif tool.kind == "forceps":
        goal = target.centre - (0.7 * target.half_width_mm + 3.5) * before
    else:
        side = _unit(np.cross(target.axis, before) + 1e-6)
        goal = target.centre + 1.2 * target.half_width_mm * side - 6.0 * before
    way = goal - mouth
    bent = float(np.hypot(way[0], way[1])) / max(float(way[2]), 1e-3)
    if way[2] < 3.0 or bent > MOST_BENT or np.linalg.norm(way) > FARTHEST_MM:
        return None
    return goal


def _tube(tool: Tool, mouth: Vector, end: Vector) -> tuple[list[Capsule], Vector]:
    """The tube from the channel to `end`, which it leaves straight ahead, and its direction."""
    bend = mouth + 0.5 * max(float(end[2]), 0.0) * FORWARD
    u = np.linspace(0, 1, TUBE_PARTS + 1)[:, None]
    points = (1 - u) ** 2 * mouth + 2 * u * (1 - u) * bend + u**2 * end
    ahead = _unit(end - bend + 1e-6 * FORWARD)
    tube = [Capsule(a, b, tool.radius_mm, SHEATH) for a, b in pairwise(points)]
    # The ring at its end, a little thicker: else the tube's own cap would hide it.
    ring = Capsule(end - 1.5 * ahead, end, 1.03 * tool.radius_mm, TIP)
    return [*tube, ring], ahead


def _snare(tool: Tool, end: Vector, ahead: Vector, target: AimedPolyp | None) -> list[Capsule]:
    """The loop: around a polyp's foot, or free, then tilted towards the camera."""
    if target is not None:
        centre, normal = _ring_centre(target), target.axis
        radius = target.half_width_mm * (1.1 + 0.35 * tool.opening) + 0.5
    else:
        radius = tool.loop_mm * (0.25 + 0.75 * tool.opening)
        side = _turned(ahead, tool.roll)
        along = _unit(ahead + 0.9 * side)
        centre, normal = end + (radius + 2.0) * along, _unit(np.cross(along, np.cross(side, ahead)))
    back = end - centre
    first = _unit(back - (back @ normal) * normal + 1e-6)
    second = np.cross(normal, first)
    turns = np.linspace(GAP_RAD, 2 * np.pi - GAP_RAD, RING_PARTS + 1)
    ring = [centre + radius * (np.cos(a) * first + np.sin(a) * second) for a in turns]
    points = [end, *ring, end]
    return [Capsule(a, b, WIRE_MM, METAL) for a, b in pairwise(points)]


def _forceps(tool: Tool, end: Vector, ahead: Vector) -> list[Capsule]:
    """Two cups at a hinge, each of two capsules, apart by `opening`."""
    across = _turned(ahead, tool.roll)
    parts = [Capsule(end, end + 1.5 * ahead, 0.8 * tool.radius_mm, METAL)]
    hinge = end + 1.5 * ahead
    for side in (-1.0, 1.0):
        apart = side * (0.35 + 1.5 * tool.opening) * across
        elbow, top = hinge + 1.4 * ahead + apart, hinge + 3.4 * ahead + 0.9 * apart
        parts.append(Capsule(hinge, elbow, 0.45 * tool.radius_mm, METAL))
        parts.append(Capsule(elbow, top, 0.72 * tool.radius_mm, METAL))
    return parts


def _ring_centre(target: AimedPolyp) -> Vector:
    return target.centre - 0.35 * target.half_height_mm * target.axis


def _turned(ahead: Vector, roll: float) -> Vector:
    """A unit vector across a direction, turned about it."""
    across = _unit(np.cross(ahead, np.array([0.9, 0.1, 0.2])))
    turned: Vector = np.cos(roll) * across + np.sin(roll) * np.cross(ahead, across)
    return turned


def _unit(vector: Vector) -> Vector:
    unit: Vector = vector / np.linalg.norm(vector)
    return unit
