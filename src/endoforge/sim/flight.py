"""The flight of the scope through a scene: every capture of a whole procedure.

The itinerary says where the scope is to be. Here it is made smooth, swayed by breathing, kept clear
of wall and polyps, and turned: at ahead or at what it inspects, with a hand that never is still.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.anatomy import WAVE_S
from endoforge.sim.camera import (
    CAMERA_ROWS,
    METER_ROW,
    MOVE_ROW,
    WAVE_ROW,
    CameraState,
    Pose,
    orthonormal,
)
from endoforge.sim.itinerary import STEP_S, Leg, Planner
from endoforge.sim.lumen import Lumen, smooth
from endoforge.sim.ranges.values import draw
from endoforge.sim.retroflexion import turned
from endoforge.sim.scene import Scene
from endoforge.sim.stops import Check, go_on
from endoforge.sim.streams import Stream, smooth_noise, stream

CAPTURE_INTERVAL_S = 6 * STEP_S
"""Simulated time between two captures: 0.33 s."""
CLOSE_MM = (20.0, 40.0)
"""The interval halves while the centre of any polyp is so far from the camera."""
LOOK_AHEAD_MM = 32.0
"""How far along the lane the point lies that it looks at with nothing to inspect."""
WANDER_MM = 7.0
"""How far the scope strays off its lane."""
EASE_S = 0.22
"""Standard deviation of the smoothing of its movements."""
RETRACT_STEPS = 9
"""Time over which it gives way to what stands in its way, on either side: half a second."""
TURN_S = 0.25
"""Standard deviation of the smoothing of its turns."""
SPIRAL_S = 6.0
"""Time in which its looks aside go once round the wall."""
MOST_ASIDE_RAD = 1.1
"""How far off the way ahead it looks at most."""
AIM_ERROR_RAD = 0.13
"""Standard deviation of its aim at a polyp."""
ROLL_RAD = 0.5
"""Standard deviation of its roll about the way that it looks."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Flight:
    """A whole procedure at N steps of STEP_S, from the rectum to the cecum and back.

    `s_mm` (N,) and `xy_mm` (N, 2) are the camera's place along and off the centreline, `position`
    (N, 3) the same in the world, `axes` (N, 3, 3) right, down, forward; `velocity_mm_s` and
    `turn_rad_s` (N, 3) are in these axes. The automatic exposure answers to what was seen `lag`
    steps ago.
    """

    lumen: Lumen
    s_mm: Array
    xy_mm: Array
    position: Array
    axes: Array
    velocity_mm_s: Array
    turn_rad_s: Array
    lag: int

    def __len__(self) -> int:
        return len(self.s_mm)

    @property
    def duration_s(self) -> float:
        """Simulated seconds from its first step to its last."""
        return (len(self) - 1) * STEP_S

    def state_at(self, flight_s: float, time_s: float) -> CameraState:
        """The camera at any moment `flight_s` of the flight, while the clock says `time_s`.

        At one of its own steps, by a clock that has run with it, exactly what `states` says.
        """
        low, high, part = self._between(flight_s)
        # Without arithmetic: pixels are those of the step.
        if part == 0 and time_s == flight_s:
            return self.states([low])[0]
        return CameraState(
            time_s=time_s,
            pose=self.pose_at(flight_s),
            velocity_mm_s=(1 - part) * self.velocity_mm_s[low] + part * self.velocity_mm_s[high],
            turn_rad_s=(1 - part) * self.turn_rad_s[low] + part * self.turn_rad_s[high],
            metered=self.pose_at(max(flight_s - self.lag * STEP_S, 0.0)),
        )

    def pose_at(self, flight_s: float) -> Pose:
        """The camera's pose at any moment, straight between the steps."""
        low, high, part = self._between(flight_s)
        if part == 0:
            return Pose(self.position[low], self.axes[low], float(self.s_mm[low]))
        position = (1 - part) * self.position[low] + part * self.position[high]
        axes = orthonormal((1 - part) * self.axes[low] + part * self.axes[high])
        s_mm = float((1 - part) * self.s_mm[low] + part * self.s_mm[high])
        return Pose(position, axes, s_mm)

    def place_at(self, flight_s: float) -> tuple[float, Array]:
        """The camera's place at any moment: `s_mm` along the centreline, and (2,) mm off it."""
        low, high, part = self._between(flight_s)
        s_mm = float((1 - part) * self.s_mm[low] + part * self.s_mm[high])
        return s_mm, (1 - part) * self.xy_mm[low] + part * self.xy_mm[high]

    def states(self, steps: Sequence[int]) -> list[CameraState]:
        """The camera at some steps of STEP_S, in their order."""
        needed = {*steps, *(self._metered(step) for step in steps)}
        poses = {
            step: Pose(self.position[step], self.axes[step], float(self.s_mm[step]))
            for step in needed
        }
        return [
            CameraState(
                time_s=step * STEP_S,
                pose=poses[step],
                velocity_mm_s=self.velocity_mm_s[step],
                turn_rad_s=self.turn_rad_s[step],
                metered=poses[self._metered(step)],
            )
            for step in steps
        ]

    def rows(self, steps: NDArray[np.intp]) -> NDArray[np.float32]:
        """The `CameraState.rows` of n steps, (n, CAMERA_ROWS, 4) float32, without the states."""
        rows = np.zeros((len(steps), CAMERA_ROWS, 4), np.float32)
        for first, at in ((0, steps), (METER_ROW, np.maximum(steps - self.lag, 0))):
            rows[:, first, :3], rows[:, first, 3] = self.position[at], self.s_mm[at]
            rows[:, first + 1 : first + 4, :3] = self.axes[at]
        rows[:, MOVE_ROW, :3] = self.velocity_mm_s[steps]
        rows[:, MOVE_ROW + 1, :3] = self.turn_rad_s[steps]
        rows[:, WAVE_ROW, 1] = (steps * STEP_S / WAVE_S) % 1.0
        rows[:, WAVE_ROW, 2] = steps * STEP_S
        return rows

    def _between(self, flight_s: float) -> tuple[int, int, float]:
        """The steps before and after a moment, and the share of the way between them."""
        step = min(max(flight_s / STEP_S, 0.0), len(self) - 1.0)
        # Sums of steps miss a whole number by a little.
        if abs(step - round(step)) < 1e-6:
            return round(step), round(step), 0.0
        return int(step), int(step) + 1, step - int(step)

    def _metered(self, step: int) -> int:
        return max(step - self.lag, 0)


def plan_flight(scene: Scene, check: Check = go_on) -> Flight:
    """Plan the flight of a scene's procedure; raises Stopped once `check` does."""
    rng = stream(scene.seed, Stream.CAMERA)
    lumen = Lumen(scene)
    check()
    legs = Planner(scene, lumen, rng, check).legs()
    s_mm, xy_mm = _course(scene, lumen, legs, rng)
    check()
    position = lumen.to_world(s_mm, xy_mm)
    axes = _axes(scene, lumen, legs, s_mm, position, rng)
    check()
    lag = round(scene.camera.lag_s / STEP_S)
    return Flight(lumen, s_mm, xy_mm, position, axes, *_rates(position, axes), lag)


def fly(scene: Scene) -> list[CameraState]:
    """All captures of a scene's procedure, from the rectum to the cecum and back."""
    return captures(scene, plan_flight(scene))


def captures(scene: Scene, flight: Flight) -> list[CameraState]:
    """The moments of a scene's flight at which a picture is taken, about 1,400."""
    return flight.states(_captures(scene, flight.position))


def thin(states: list[CameraState], max_frames: int | None) -> list[CameraState]:
    """At most `max_frames` (1 or more) of the captures, evenly spread; None: all of them."""
    if max_frames is None or len(states) <= max_frames:
        return states
    kept = np.linspace(0, len(states) - 1, max_frames).round().astype(int)
    return [states[index] for index in kept]


def _course(
    scene: Scene, lumen: Lumen, legs: list[Leg], rng: np.random.Generator
) -> tuple[Array, Array]:
    """The camera's s (N,) and offset (N, 2) in mm at every step, clear of everything."""
    wanted_s = np.concatenate([leg.s_mm for leg in legs])
    s_mm = smooth(wanted_s[:, None], EASE_S / STEP_S)[:, 0]
    count = len(s_mm)
    stray = np.stack([_noise(rng, count, 3.0) for _ in range(2)], axis=1)
    wanted = lumen.lane_at(s_mm) + WANDER_MM * stray
    end = 0
    for leg in legs:
        start, end = end, end + len(leg.s_mm)
        if leg.xy_mm is not None:
            wanted[start:end] = leg.xy_mm
    xy_mm = smooth(wanted, EASE_S / STEP_S) + _breathing(scene, lumen, s_mm, rng)
    return s_mm, lumen.retract(s_mm, xy_mm, RETRACT_STEPS)


def _breathing(scene: Scene, lumen: Lumen, s_mm: Array, rng: np.random.Generator) -> Array:
    """The offset (N, 2) mm by which breathing moves the colon, 12 to 18 times a minute, one way."""
    seconds = np.arange(len(s_mm)) * STEP_S
    phase = 2 * np.pi * (seconds * rng.uniform(12, 18) / 60 + rng.random())
    phase += 0.3 * _noise(rng, len(s_mm), 10.0)
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    sway = 0.5 * draw(rng, scene.ranges.anatomy.breathing_mm) * np.sin(phase)
    return np.asarray(sway[:, None] * (lumen.frames(s_mm)[:, 1:3] @ direction))


def _axes(
    scene: Scene,
    lumen: Lumen,
    legs: list[Leg],
    s_mm: Array,
    position: Array,
    rng: np.random.Generator,
) -> Array:
    """The camera's right, down and forward (N, 3, 3) at every step."""
    _, normal, binormal, tangent = _turned_frames(lumen, legs, s_mm).transpose(1, 0, 2)
    forward = _unit(smooth(_directions(lumen, legs, s_mm, position, rng), TURN_S / STEP_S))
    jitter = np.radians(draw(rng, scene.ranges.motion.jitter_deg))
    across = np.stack([_tremor(rng, len(s_mm)) for _ in range(2)], axis=1) * jitter
    forward = _unit(forward + across[:, :1] * normal + across[:, 1:] * binormal)
    # The frame of the centreline, turned the shortest way to look forward, then rolled.
    half = (tangent + forward) / np.maximum(1 + _dot(tangent, forward), 0.02)
    right = normal - _dot(normal, forward) * half
    right = _unit(right - _dot(right, forward) * forward)
    down = np.cross(forward, right)
    roll = ROLL_RAD * _noise(rng, len(s_mm), 12.0)[:, None]
    turned = np.cos(roll) * right + np.sin(roll) * down
    return np.stack([turned, np.cross(forward, turned), forward], axis=1)


def _directions(
    lumen: Lumen, legs: list[Leg], s_mm: Array, position: Array, rng: np.random.Generator
) -> Array:
    """Unit vectors (N, 3) to where the scope wants to look, with sudden changes."""
    ahead_s = np.minimum(s_mm + LOOK_AHEAD_MM, lumen.length_mm - 5.0)
    ahead = _unit(lumen.to_world(ahead_s, lumen.lane_at(ahead_s)) - position)
    _, normal, binormal, tangent = _turned_frames(lumen, legs, s_mm).transpose(1, 0, 2)
    count = len(s_mm)
    tilt, spiral = _spiral(rng, count)
    error = [AIM_ERROR_RAD * _noise(rng, count, 1.2) for _ in range(2)]
    directions = np.empty((count, 3))
    end = 0
    for leg in legs:
        start, end = end, end + len(leg.s_mm)
        part = slice(start, end)
        if leg.turn:
            straight, (x, y) = tangent[part], [0.5 * e[part] for e in error]
        elif leg.aim_mm is None:
            aside = np.tan(np.clip(leg.look_rad * tilt[part], 0.0, MOST_ASIDE_RAD))
            straight, (x, y) = ahead[part], aside * spiral[:, part]
        else:
            straight, (x, y) = _unit(leg.aim_mm - position[part]), [e[part] for e in error]
        directions[part] = straight + x[:, None] * normal[part] + y[:, None] * binormal[part]
    return _unit(directions)


def _turned_frames(lumen: Lumen, legs: list[Leg], s_mm: Array) -> Array:
    """The `Lumen.frames`, turned as legs bend the tip: with it, for at half a turn there is no
    shortest way from one direction to the other.
    """
    frames = lumen.frames(s_mm)
    end = 0
    for leg in legs:
        start, end = end, end + len(leg.s_mm)
        if leg.turn:
            angle = leg.turn.angle_rad
            towards = np.tile(leg.turn.towards, (len(angle), 1))
            frames[start:end, 1:] = turned(frames[start:end, 1:], angle, towards)
    return frames


def _spiral(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Looks round the wall: the share of the way aside (count,), and which way (2, count)."""
    tilt = 0.8 + 0.5 * _noise(rng, count, 2.0)
    turns = np.arange(count) * STEP_S / SPIRAL_S + 0.3 * _noise(rng, count, 3.0)
    phase = 2 * np.pi * rng.choice([-1.0, 1.0]) * (turns + rng.random())
    return tilt, np.stack([np.cos(phase), np.sin(phase)])


def _noise(rng: np.random.Generator, count: int, seconds: float) -> Array:
    """Noise (count,) of variance 1 that varies over so many seconds; drawn in handy lengths."""
    return smooth_noise(rng, -(-count // 256) * 256, seconds / STEP_S)[:count]


def _tremor(rng: np.random.Generator, count: int) -> Array:
    """Noise (count,) of variance 1 between about 1 and 4 Hz: the slope of noise below 2.5 Hz."""
    slope = np.gradient(_noise(rng, count, 1 / (np.pi * 2.5)))
    return np.asarray(slope / slope.std())


def _captures(scene: Scene, position: Array) -> list[int]:
    """The steps at which a picture is taken."""
    gaps = steps_to_next(scene, position).tolist()
    steps, step = [], 0
    while step < len(position):
        steps.append(step)
        step += gaps[step]
    return steps


def steps_to_next(scene: Scene, position: Array) -> NDArray[np.intp]:
    """The steps of STEP_S (N,) from a capture at each of some positions (N, 3) to the next."""
    close = np.zeros(len(position), bool)
    for polyp in scene.polyps:
        distance = np.linalg.norm(position - np.asarray(polyp.centre), axis=1)
        close |= (distance >= CLOSE_MM[0]) & (distance <= CLOSE_MM[1])
    return np.where(close, 3, 6)


def _rates(position: Array, axes: Array) -> tuple[Array, Array]:
    """Velocity (N, 3) mm/s and turn (N, 3) rad/s in camera axes, by central differences."""
    earlier = np.maximum(np.arange(len(position)) - 1, 0)
    later = np.minimum(earlier + 2, len(position) - 1)
    seconds = ((later - earlier) * STEP_S)[:, None]
    moved = (position[later] - position[earlier]) / seconds
    velocity = np.einsum("nij,nj->ni", axes, moved)
    turned = axes[earlier] @ axes[later].transpose(0, 2, 1)
    skew = 0.5 * (turned - turned.transpose(0, 2, 1))
    turn = np.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], axis=1) / seconds
    return velocity, turn


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _dot(a: Array, b: Array) -> Array:
    dot: Array = (a * b).sum(axis=1, keepdims=True)
    return dot
