"""Retroflexion: the tip bent round by nearly half a turn, so that the scope sees its own shaft.

The tip bends in the plane of the way ahead and a direction across it, to which it is set off; on
the other side, a bend's width away, the shaft comes up from the anus.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.centreline import Centreline
from endoforge.sim.instruments import Shaft
from endoforge.sim.tool_shapes import SHEATH, TIP, Capsule

Array = NDArray[np.float64]

TUBE_PARTS, MOST_RINGS = 7, 10
"""Capsules of the shaft and rings on it: together no more than a tool has."""
RING_EVERY_MM = 10.0
RING_MM, RING_THICKER = 0.2, 1.004
"""Half a ring's length, and how much thicker than the shaft it is: its ends are round."""
ANUS_MM = -6.0
"""Where along the centreline the shaft comes in: behind the end of the rectum."""
STIFF = 0.6
"""How soon the shaft leaves the middle: the exponent of its way from the anus."""
BESIDE_MM = 6.0
"""It goes on so far past the lens before it bends."""


@dataclass(frozen=True)
class Turn:
    """How the tip is bent at n steps: by `angle_rad` (n,) off the way ahead, towards a unit
    direction (2,) across the centreline.
    """

    angle_rad: Array
    towards: Array


def turned(frames: Array, angle_rad: Array, towards: Array) -> Array:
    """Frames (N, 3, 3) of normal, binormal and tangent, turned by (N,) angles.

    The tangent turns towards the directions (N, 2) across it.
    """
    normal, binormal, tangent = frames.transpose(1, 0, 2)
    side = towards[:, :1] * normal + towards[:, 1:] * binormal
    cosine, sine = np.cos(angle_rad)[:, None], np.sin(angle_rad)[:, None]
    bent = (cosine - 1) * side - sine * tangent
    ahead = cosine * tangent + sine * side
    return np.stack([normal + towards[:, :1] * bent, binormal + towards[:, 1:] * bent, ahead], 1)


def shaft_capsules(
    shaft: Shaft, line: Centreline, eye: Array, forward: Array, s_mm: float
) -> list[Capsule]:
    """The shaft, in the world's axes from the lens, as a tip that looks back sees it.

    `eye` (3,) and `forward` (3,) are the lens's; nothing where it looks ahead.
    """
    row = line.row(s_mm)
    tangent, across = line.tangents[row], np.stack([line.normals[row], line.binormals[row]])
    if forward @ tangent > 0:
        return []
    off, bent = across @ (eye - line.points[row]), across @ forward
    # Bent by all of half a turn, only its place in the lumen says which way the tip went.
    side = off + 6.0 * bent
    side = side / max(float(np.linalg.norm(side)), 1e-6)
    begin = off - shaft.bend_mm * (1 - forward @ tangent) * side
    start_mm = s_mm - shaft.bend_mm * float(np.linalg.norm(bent))
    part = np.linspace(1.0, 0.0, TUBE_PARTS)
    s_along = ANUS_MM + part * max(start_mm - ANUS_MM, 1.0)
    x, y = begin[:, None] * part**STIFF
    middle = line.to_world(s_along, x, y) - eye
    points = np.concatenate([middle[:1] + BESIDE_MM * tangent, middle])
    tube = [Capsule(a, b, shaft.radius_mm, SHEATH) for a, b in pairwise(points)]
    return tube + _rings(shaft, middle)


def _rings(shaft: Shaft, middle: Array) -> list[Capsule]:
    """White rings on a shaft whose middle runs through points (N, 3), from the first on."""
    ways = np.linalg.norm(np.diff(middle, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(ways)])
    places = np.arange(RING_EVERY_MM, along[-1], RING_EVERY_MM)[:MOST_RINGS]
    ends = np.concatenate([places - RING_MM, places + RING_MM])
    spots = np.stack([np.interp(ends, along, column) for column in middle.T], axis=1)
    thick = RING_THICKER * shaft.radius_mm
    return [
        Capsule(a, b, thick, TIP)
        for a, b in zip(spots[: len(places)], spots[len(places) :], strict=True)
    ]
