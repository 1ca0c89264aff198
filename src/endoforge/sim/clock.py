"""When pictures of a procedure are taken: at the pace of captures, or a video's frames."""

import math
from dataclasses import dataclass

import numpy as np

from endoforge.core.errors import UserError
from endoforge.sim.camera import CameraState
from endoforge.sim.flight import CAPTURE_INTERVAL_S, Flight, captures, thin
from endoforge.sim.scene import Scene

ROUNDING_S = 1e-6
"""A moment that comes out so little beside a limit is at it: sums of seconds aren't exact."""


@dataclass(frozen=True)
class Clock:
    """When pictures are taken, from `start_s` on and before `end_s`, in seconds of the procedure.

    With `fps`, so many a second, as a video has them; without, at the pace of captures: every
    0.33 s, and twice as often near polyps. `end_s` None: to the end.
    """

    fps: float | None = None
    start_s: float = 0.0
    end_s: float | None = None

    @property
    def interval_s(self) -> float:
        """Seconds between two pictures; of captures, where no polyp is near."""
        return CAPTURE_INTERVAL_S if self.fps is None else 1 / self.fps

    def states(self, scene: Scene, flight: Flight, max_frames: int | None) -> list[CameraState]:
        """The camera at each of these moments of a scene's flight.

        Of more than `max_frames` (1 or more), captures are thinned evenly, and of a video the first
        ones are taken: thinned, it would have another rate. Raises UserError if the procedure is
        over before `start_s`, and if no capture falls between `start_s` and `end_s`.
        """
        if self.start_s > flight.duration_s + ROUNDING_S:
            raise UserError(
                f"nothing to record from {self.start_s:g} s on: the procedure of seed {scene.seed} "
                f"takes {flight.duration_s:.1f} s; begin earlier"
            )
        if self.fps is not None:
            return self._video(self.fps, flight, max_frames)
        whole = captures(scene, flight)
        states = [state for state in whole if self._holds(state.time_s)]
        if not states:
            raise UserError(
                f"no capture of seed {scene.seed} falls between {self.start_s:g} and "
                f"{self._end_s(flight):g} s; make it longer, or say how many frames a second (fps)"
            )
        return thin(states, max_frames)

    def _holds(self, time_s: float) -> bool:
        begun = time_s >= self.start_s - ROUNDING_S
        return begun and (self.end_s is None or time_s < self.end_s - ROUNDING_S)

    def _end_s(self, flight: Flight) -> float:
        return flight.duration_s if self.end_s is None else self.end_s

    def _video(self, fps: float, flight: Flight, max_frames: int | None) -> list[CameraState]:
        last_s = min(self._end_s(flight), flight.duration_s + ROUNDING_S)
        count = math.floor((last_s - self.start_s) * fps) + 1
        if max_frames is not None:
            count = min(count, max_frames)
        # Each from its own number, not from the one before: errors don't add up.
        times = self.start_s + np.arange(count) / fps
        return [
            flight.state_at(time_s, time_s)
            for time_s in times.tolist()
            if self._holds(time_s) and time_s <= last_s
        ]


CAPTURES = Clock()
"""The clock of captures, through the whole procedure."""
