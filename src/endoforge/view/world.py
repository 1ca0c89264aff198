"""The one world that all viewers see: a colon, its clock, and the cameras in it."""

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.camera import CameraState, Pose
from endoforge.sim.flight import Flight, plan_flight, steps_to_next
from endoforge.sim.itinerary import STEP_S
from endoforge.sim.packing import Movers, scene_arrays
from endoforge.sim.randomization import Randomization
from endoforge.sim.scene import make_scene
from endoforge.sim.simulator import BakedRun, bake_flight
from endoforge.sim.streams import run_seed
from endoforge.view.ab_loop import Loop, next_loop
from endoforge.view.from_viewers import Steer
from endoforge.view.steering import NOTHING, Pilot, Place, colon_axes, settled
from endoforge.view.to_viewers import CameraName

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Colon:
    """A run of a base seed, ready to be shown: run 0 of what `datagen` records with that seed."""

    base_seed: int
    run: BakedRun
    flight: Flight
    movers: Movers
    tables: dict[str, NDArray[Any]]

    @property
    def duration_s(self) -> float:
        """Simulated seconds that the flight takes."""
        return self.flight.duration_s

    @property
    def has_jpeg(self) -> bool:
        """Whether the camera of this run codes its pictures as JPEG."""
        return self.run.scene.camera.jpeg > 0

    def camera_rows(
        self, state: CameraState, noise_seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The camera and polyp rows that a renderer needs for one picture, as of `Movers.at`."""
        return self.movers.at(
            np.zeros(1, np.intp),
            state.rows[None],
            np.array([state.time_s]),
            np.array([noise_seed]),
        )


def bake_colon(
    base_seed: int, ranges: Randomization, size: tuple[int, int], max_frames: int | None
) -> Colon:
    """The colon of a base seed; takes some tenths of a second, in any thread."""
    scene = make_scene(run_seed(base_seed, 0), ranges)
    flight = plan_flight(scene)
    run = bake_flight(scene, flight, size, max_frames)
    return Colon(base_seed, run, flight, Movers.of([scene]), scene_arrays(scene, *size))


class World:
    """A colon with its clock, the scope in it, and the free camera.

    `time_s` moves what lives: peristalsis and polyps. `flight_s` is the place in the flight, which
    the autopilot follows; both start at 0. Not for several threads at once.
    """

    def __init__(self, colon: Colon) -> None:
        self.colon = colon
        self.lumen = colon.flight.lumen
        self.time_s = 0.0
        self.flight_s = 0.0
        self.autopilot = True
        self.paused = False
        self.speed = 1.0
        self.camera: CameraName = "endoscope"
        self.loop: Loop | None = None
        self.steer = NOTHING
        self._scope_pilot = Pilot(self.lumen, free=False)
        self._free_pilot = Pilot(self.lumen, free=True)
        self._scope = self._of_flight()
        self._free = self._scope
        self._seen: deque[tuple[float, Pose]] = deque()
        self._dragged = (0.0, 0.0)

    @property
    def pose(self) -> Pose:
        """The pose of the camera that is shown."""
        if self.camera == "free":
            return self._free_pilot.pose(self._free)
        if self.autopilot:
            return self.colon.flight.pose_at(self.flight_s)
        return self._scope_pilot.pose(self._scope)

    @property
    def place(self) -> Place:
        """The place of the camera that is shown."""
        if self.camera == "free":
            return self._free
        return self._of_flight() if self.autopilot else self._scope

    @property
    def flight_is_over(self) -> bool:
        """Whether the autopilot has come to its end."""
        return self.flight_s >= self.colon.duration_s

    @property
    def segment(self) -> str:
        """The part of the colon that the shown camera is in."""
        return self.colon.run.scene.anatomy.segment(self.place.s_mm)

    @property
    def restless(self) -> bool:
        """Whether the picture changes though time stands still: somebody flies the free camera."""
        free = self.camera == "free" and (bool(self.steer) or self._free_pilot.moving)
        return free or self._dragged != (0.0, 0.0)

    def seek(self, flight_s: float) -> None:
        """Go to a moment of the flight, or its nearer end, by autopilot, through the scope."""
        self.jump(min(max(flight_s, 0.0), self.colon.duration_s))
        self.autopilot, self.camera = True, "endoscope"

    def switch_loop(self) -> None:
        """Mark the beginning of a loop here, or its end, and begin it, or end it.

        Raises UserError for one that is too short.
        """
        self.loop = next_loop(self.loop, self.flight_s)
        if self.loop is not None and self.loop.end_s is not None:
            self.seek(self.loop.begin_s)

    def switch_autopilot(self) -> None:
        """Switch the autopilot on or off.

        It goes on from the place of the flight nearest to the scope, or after its end, anew.
        """
        self.autopilot = not self.autopilot
        if self.autopilot:
            self.flight_s = self._nearest_flight_s()
        else:
            self._take_over()
        self._seen.clear()

    def switch_camera(self) -> None:
        """Change between the scope and the free camera, which starts where the scope is."""
        if self.camera == "endoscope":
            place = settled(self.lumen, self.place)
            self._free = replace(place, axes=self.pose.axes)
            self._free_pilot.stop()
            self.camera = "free"
        else:
            self.camera = "endoscope"
        self._seen.clear()

    def set_steer(self, steer: Steer) -> bool:
        """Steer as the keys ask; returns whether that took the scope from the autopilot."""
        took = bool(steer) and self._takes_over()
        self.steer = steer
        return took

    def look(self, dx_px: float, dy_px: float) -> bool:
        """Look around by a drag; returns whether that took the scope from the autopilot."""
        took = self._takes_over()
        dx, dy = self._dragged
        self._dragged = (dx + dx_px, dy + dy_px)
        return took

    def advance(self, seconds: float, wall_s: float) -> None:
        """Let `seconds` of simulated time pass, in `wall_s` of the viewers' own.

        The scope is moved in simulated time; the free camera in theirs, so that it flies on while
        time stands still.
        """
        self.time_s += seconds
        (dx, dy), self._dragged = self._dragged, (0.0, 0.0)
        if self.autopilot:
            before_s = self.flight_s
            self.flight_s = min(before_s + seconds, self.colon.duration_s)
            if self.loop is not None and self.loop.goes_round(before_s, self.flight_s):
                self.jump(self.loop.begin_s)
        if self.camera == "free":
            self._free = self._free_pilot.move(self._free, self.steer, wall_s)
            self._free = self._free_pilot.look(self._free, dx, dy)
        elif not self.autopilot:
            self._scope = self._scope_pilot.move(self._scope, self.steer, seconds)
            self._scope = self._scope_pilot.look(self._scope, dx, dy)

    def jump(self, flight_s: float) -> None:
        """Go to a moment of the flight, by the clock and by place."""
        self.time_s = self.flight_s = flight_s
        self._seen.clear()

    def state(self) -> CameraState:
        """The shown camera now, as the renderer and labels take it.

        It has to be asked for once a moment: velocities come of the pose that was asked for before.
        """
        if self.camera == "endoscope" and self.autopilot:
            return self.colon.flight.state_at(self.flight_s, self.time_s)
        pose = self.pose
        lag_s = self.colon.run.scene.camera.lag_s
        # After a gap (a pause, another camera) the old pose says nothing of the speed of now.
        if self._seen and self.time_s - self._seen[-1][0] > 1.0:
            self._seen.clear()
        before = self._seen[-1] if self._seen else (self.time_s, pose)
        if not self._seen or self.time_s > before[0]:
            self._seen.append((self.time_s, pose))
        # The first one left is the pose that the automatic exposure, which lags, answers to.
        while len(self._seen) > 1 and self._seen[1][0] <= self.time_s - lag_s:
            self._seen.popleft()
        velocity, turn = _rates(before[1], pose, self.time_s - before[0])
        return CameraState(self.time_s, pose, velocity, turn, metered=self._seen[0][1])

    def seconds_to_next_capture(self) -> float:
        """Simulated seconds from a capture here to the next, as `datagen` has them."""
        scene = self.colon.run.scene
        [steps] = steps_to_next(scene, self.pose.position[None]).tolist()
        return int(steps) * STEP_S

    def _takes_over(self) -> bool:
        if self.camera == "free" or not self.autopilot:
            return False
        self.autopilot = False
        self._take_over()
        self._seen.clear()
        return True

    def _take_over(self) -> None:
        self._scope = settled(self.lumen, self._of_flight())
        self._scope_pilot.stop()

    def _of_flight(self) -> Place:
        flight = self.colon.flight
        s_mm, xy_mm = flight.place_at(self.flight_s)
        axes = flight.pose_at(self.flight_s).axes @ colon_axes(self.lumen, s_mm).T
        return Place(s_mm, xy_mm, axes)

    def _nearest_flight_s(self) -> float:
        """The moment at which the flight comes nearest to the scope.

        It comes by twice, on its way in and out: the later time counts unless the other is nearer
        by more than 5 mm.
        """
        if self.flight_is_over:
            return 0.0
        flight = self.colon.flight
        away = np.linalg.norm(
            flight.position - self._scope_pilot.pose(self._scope).position, axis=1
        )
        left = int(self.flight_s / STEP_S)
        later, whole = away[left:], away
        if later.min() <= whole.min() + 5.0:
            return (left + int(later.argmin())) * STEP_S
        return int(whole.argmin()) * STEP_S


def _rates(before: Pose, now: Pose, seconds: float) -> tuple[Array, Array]:
    """(3,) mm/s and (3,) rad/s in the camera's axes, as `flight` has them."""
    if seconds <= 0:
        return np.zeros(3), np.zeros(3)
    velocity = now.axes @ (now.position - before.position) / seconds
    turned = before.axes @ now.axes.T
    skew = 0.5 * (turned - turned.T)
    return velocity, np.array([skew[2, 1], skew[0, 2], skew[1, 0]]) / seconds
