"""Cameras that are steered: the scope's tip, and one that flies freely; neither leaves the lumen.

Places have the curve coordinates of `sim.anatomy`; `axes` are (3, 3), rows right, down, forward.
"""

import math
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.camera import Pose, orthonormal
from endoforge.sim.itinerary import FIRST_MM
from endoforge.sim.lumen import Lumen
from endoforge.view.from_viewers import Steer

SUBSTEP_MM = 0.8
"""A move is checked at least so often, so that none gets through a fold or a polyp."""
RESPONSE_S = 0.12
"""A camera takes on the speed that is asked for with this time constant."""
PUSH_MM_S, FLY_MM_S = 25.0, 45.0
BEND_RAD_S, SHAFT_RAD_S, TURN_RAD_S = 1.3, 1.2, 1.5
DRAG_RAD_PX = 0.004
"""Turn for a pixel of a mouse's drag: half around takes a screen."""
MOST_BENT_RAD = 2.6
"""Angle between the tip's direction and the colon's: almost back along the shaft."""
TOWARDS_LOOK = 0.8
"""How much a pushed tip goes where it looks, across the colon."""

Array = NDArray[np.float64]


NOTHING = Steer()


@dataclass(frozen=True, eq=False)
class Place:
    """Where a camera is: `s_mm` along, `xy_mm` (2,) off the centreline, and its axes.

    The scope's axes are told in the frame of the centreline (normal, binormal, tangent), so that
    they follow the colon's bends; a free camera's are the world's.
    """

    s_mm: float
    xy_mm: Array
    axes: Array


class Pilot:
    """Moves a camera as it is steered: the scope's tip, or one that flies freely.

    Speeds change gently, and a move ends where there is no room.
    """

    def __init__(self, lumen: Lumen, *, free: bool) -> None:
        self.lumen = lumen
        self.free = free
        self.end_mm = lumen.deepest()
        self._rates = np.zeros(6)

    def stop(self) -> None:
        """Let the camera stand still at once."""
        self._rates[:] = 0

    @property
    def moving(self) -> bool:
        """Whether the camera still moves, or turns."""
        return bool(np.abs(self._rates).max() > 0.01)

    def move(self, place: Place, steer: Steer, seconds: float) -> Place:
        """Where the camera is after `seconds` of being steered so."""
        wanted = np.array([getattr(steer, field.name) for field in fields(Steer)])
        if not self.free:
            # A shaft in the anus can't move sideways: these keys turn it, too.
            wanted[5] = np.clip(wanted[5] + wanted[1], -1, 1)
            wanted[1] = wanted[2] = 0
        self._rates += (wanted - self._rates) * (1 - math.exp(-seconds / RESPONSE_S))
        forward, right, up, yaw, pitch, roll = (self._rates * seconds).tolist()
        if self.free:
            axes = turned(place.axes, yaw * TURN_RAD_S, pitch * TURN_RAD_S, roll * TURN_RAD_S)
            way = FLY_MM_S * (forward * axes[2] + right * axes[0] - up * axes[1])
        else:
            axes = place.axes @ _about((0.0, 0.0, 1.0), -roll * SHAFT_RAD_S)
            axes = _bent(axes, yaw * BEND_RAD_S, pitch * BEND_RAD_S)
            way = PUSH_MM_S * forward * self._course(place, axes, forward)
        return self._go(replace(place, axes=axes), way)

    def look(self, place: Place, dx_px: float, dy_px: float) -> Place:
        """The place after a drag of the mouse: right with `dx_px`, down with `dy_px`."""
        yaw, pitch = DRAG_RAD_PX * dx_px, -DRAG_RAD_PX * dy_px
        axes = turned(place.axes, yaw, pitch, 0.0) if self.free else _bent(place.axes, yaw, pitch)
        return replace(place, axes=axes)

    def pose(self, place: Place) -> Pose:
        """The pose in the world of a camera at a place."""
        position = self.lumen.to_world(np.array([place.s_mm]), place.xy_mm[None])[0]
        axes = place.axes if self.free else place.axes @ colon_axes(self.lumen, place.s_mm)
        return Pose(position, axes, place.s_mm)

    def _course(self, place: Place, axes: Array, forward: float) -> Array:
        """Which way the tip goes in the world: pushed along the colon and where it looks, pulled
        along the colon and back to its middle."""
        frame = colon_axes(self.lumen, place.s_mm)
        if forward >= 0:
            across = TOWARDS_LOOK * axes[2, :2]
        else:
            lane = self.lumen.lane_at(np.array([place.s_mm]))[0]
            across = np.clip((place.xy_mm - lane) / 10.0, -0.5, 0.5)
        course = np.array([across[0], across[1], 1.0])
        return np.asarray(course / np.linalg.norm(course) @ frame)

    def _go(self, place: Place, way: Array) -> Place:
        """As far along `way` (3,) mm in the world as there is room, sliding along what is met."""
        # In short steps: a gap at the end of a long one says nothing of a fold between.
        count = math.ceil(float(np.linalg.norm(way)) / SUBSTEP_MM)
        for _ in range(count):
            before = place
            place = self._slide(place, way / count)
            if place is before:
                break
        return place

    def _slide(self, place: Place, way: Array) -> Place:
        """The free place nearest to where a short way leads; the place itself if none is near."""
        lumen = self.lumen
        frame = colon_axes(lumen, place.s_mm)
        bend = float(lumen.line.curvature[lumen.line.row(place.s_mm)] @ place.xy_mm)
        x, y, along = (frame @ way).tolist()
        # On the inner side of a bend a millimetre is more of the centreline than on the outer one.
        step = np.array([along / max(1 - bend, 0.3), x, y])
        here = np.array([place.s_mm, *place.xy_mm])
        there = here + step
        if self._free(there[None])[0]:
            return replace(place, s_mm=float(there[0]), xy_mm=there[1:])
        length = float(np.linalg.norm(step))
        # Around where it wanted to go: the nearest place that is free lies along the wall.
        tries = np.concatenate([there + part * length * AROUND for part in (0.35, 0.7, 1.0)])
        tries = tries[(np.linalg.norm(tries - here, axis=1) <= length) & self._free(tries)]
        if not len(tries):
            return place
        best = tries[np.linalg.norm(tries - there, axis=1).argmin()]
        # What doesn't lead on would only tremble along a wall that it is pushed against.
        if float((best - here) @ step) <= 1e-3 * length**2:
            return place
        return replace(place, s_mm=float(best[0]), xy_mm=best[1:])

    def _free(self, places: Array) -> NDArray[np.bool_]:
        """(N,) whether a camera may be at (N, 3) s, x, y."""
        s_mm = places[:, 0]
        inside = (s_mm >= FIRST_MM) & (s_mm <= self.end_mm)
        return np.asarray(inside & (self.lumen.gap(s_mm, places[:, 1:]) >= 0), np.bool_)


def settled(lumen: Lumen, place: Place) -> Place:
    """The place, or the nearest one towards the lane that is clear of wall and polyps."""
    lane = lumen.lane_at(np.array([place.s_mm]))[0]
    parts = np.linspace(1.0, 0.0, 41)[:, None]
    xy_mm = lane + parts * (place.xy_mm - lane)
    clear = lumen.gap(np.full(len(xy_mm), place.s_mm), xy_mm) >= 0
    return replace(place, xy_mm=xy_mm[int(clear.argmax())] if clear.any() else lane)


def colon_axes(lumen: Lumen, s_mm: float) -> Array:
    """(3, 3) normal, binormal and tangent of the centreline, orthonormal."""
    _, normal, _, tangent = lumen.frames(np.array([s_mm]))[0]
    return orthonormal(np.stack([normal, np.cross(tangent, normal), tangent]))


def turned(axes: Array, yaw: float, pitch: float, roll: float) -> Array:
    """Axes turned about themselves: to the right, upwards, and clockwise."""
    turn = _about((0, 0, 1), -roll) @ _about((1, 0, 0), -pitch) @ _about((0, 1, 0), -yaw)
    return orthonormal(turn @ axes)


def _bent(axes: Array, yaw: float, pitch: float) -> Array:
    """Axes in the centreline's frame, turned unless the tip would bend too far."""
    bent = turned(axes, yaw, pitch, 0.0)
    angle, before = (math.acos(float(np.clip(a[2, 2], -1, 1))) for a in (bent, axes))
    # The autopilot may have bent it further: then it may still come back.
    return bent if angle <= max(MOST_BENT_RAD, before) else axes


def _about(axis: tuple[float, float, float], angle: float) -> Array:
    """(3, 3): the turn by `angle` about a unit vector (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0.0]])
    turn: Array = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return turn


def _directions() -> Array:
    """(26, 3) unit vectors to the neighbours of a cube's middle."""
    grid = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3), axis=-1).reshape(-1, 3)
    away = grid[np.abs(grid).max(axis=1) > 0]
    return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True))


AROUND = _directions()
