"""Capture runs recorded from the live view, file by file as `datagen` writes them.

A data run follows the flight from its start, takes exactly the frames that `datagen` takes, and can
be made again from its manifest. Any other recording goes where it is steered, at `datagen`'s pace.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock, Semaphore
from typing import Any

import numpy as np

from endoforge.captures.recorder import RunRecorder
from endoforge.core.errors import UserError, is_full
from endoforge.core.machine import free_bytes
from endoforge.core.text import counted
from endoforge.datagen.frame_labels import frame_label
from endoforge.datagen.job import REPEATABLE, DataSet
from endoforge.datagen.output import about_run
from endoforge.datagen.resume import find_runs
from endoforge.sim.camera import CameraState, Pose
from endoforge.sim.flight import CAPTURE_INTERVAL_S
from endoforge.sim.simulator import FrameTruth
from endoforge.view.events import Events
from endoforge.view.frame import WorldFrame
from endoforge.view.world import Colon, World

log = logging.getLogger(__name__)

MOST_FRAMES = 20_000
"""Of a recording without --max-frames that nobody ends: almost two hours of simulated time."""
MOST_STILL_S = 60.0
"""Simulated seconds for which the camera may stand still, until its recording ends by itself."""
STILL_MM, STILL_AXES = 0.1, 1e-3
"""A camera that moves and turns less stands still; the second is a difference of unit vectors."""
LEAST_FREE_BYTES = 500_000_000
"""Space that a recording leaves on its disk."""

MOST_PENDING = 16
"""Frames that wait to be written; more make the renderer wait, since none is left out."""


@dataclass(frozen=True, eq=False)
class Capture:
    """A frame that is to be taken: its number in its recording, the camera, and its noise."""

    recording: "Recording"
    number: int
    state: CameraState
    noise_seed: int


class Recording:
    """One run that is being recorded. `due_in` and `take` run the clock; `put` takes the pictures.

    Frames are written by a thread of their own. What ends it is said by an event.
    """

    def __init__(
        self,
        colon: Colon,
        root: Path,
        *,
        data_run: bool,
        max_frames: int | None,
        renderer: Callable[[], str],
        events: Events,
    ) -> None:
        self.colon = colon
        self.data_run = data_run
        self.max_frames = len(colon.run.states) if data_run else max_frames or MOST_FRAMES
        self.frames = 0
        """Frames that are on disk, whole."""
        self.run_name: str | None = None
        self.error: str | None = None
        self.ended = False
        """Whether it takes no more frames."""
        self.on_closed: Callable[[], None] = lambda: None
        self._root, self._renderer, self._events = root, renderer, events
        self._data_set = DataSet(
            base_seed=colon.base_seed,
            size=(colon.run.lens.width, colon.run.lens.height),
            max_frames=max_frames,
            saved=(),
            randomization=colon.run.scene.ranges,
        )
        self._recorder: RunRecorder | None = None
        self._states: list[CameraState] = []
        self._taken, self._put = 0, 0
        self._due_s = 0.0
        self._moved: CameraState | None = None
        """The first state in which the camera was where it is now."""
        self._why = ""
        """Why it ended, if nobody has asked it to."""
        self._closing = False
        self._lock = RLock()
        self._room = Semaphore(MOST_PENDING)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="recorder")

    @property
    def complete(self) -> bool:
        """Whether all frames of a data run are on disk."""
        return self.data_run and self.frames == self.max_frames

    def due_in(self, world: World) -> float:
        """Simulated seconds until the next frame; after the first, which is due at once.

        Where a data run's frames lie further apart than captures usually do, what lies between is
        skipped.
        """
        if self._taken == 0:
            return 0.0
        return max(self._due_s - world.time_s, 0.0)

    def take(self, world: World) -> Capture:
        """The frame that is due now.

        For a data run the world jumps to the moment that `datagen` takes, exactly: the clock comes
        near to it, but rounding would give other pixels.
        """
        number = self._taken
        run = self.colon.run
        if self.data_run:
            state = run.states[number]
            world.jump(state.time_s)
            following = run.states[number + 1].time_s if number + 1 < len(run.states) else 0.0
            self._due_s = min(following, state.time_s + CAPTURE_INTERVAL_S)
        else:
            state = world.state()
            self._due_s = world.time_s + world.seconds_to_next_capture()
        with self._lock:
            self._taken += 1
            self._states.append(state)
            if not self.data_run:
                self._look_at_limits(state)
            self.ended = self.ended or self._taken == self.max_frames
        return Capture(self, number, state, run.noise_seeds[number % len(run.noise_seeds)])

    def put(self, frame: WorldFrame, capture: Capture) -> None:
        """Write the picture of a capture; waits while too many are still to be written."""
        self._room.acquire()  # without the lock: a write that fails takes it before it makes room
        with self._lock:
            if self._closing:
                self._room.release()
                return
            self._put += 1
            self._writer.submit(self._write, frame, capture)
            self._close_if_all_is_put()

    def _look_at_limits(self, state: CameraState) -> None:
        if self._moved is None or _has_moved(self._moved.pose, state.pose):
            self._moved = state
        if state.time_s - self._moved.time_s >= MOST_STILL_S:
            self._why = f", since the camera has stood still for {MOST_STILL_S:g} s"
            self.ended = True
        elif self._taken == self.max_frames:
            self._why = f", since it has {counted(self.max_frames, 'frame')}"

    def end(self) -> None:
        """Take no more frames; those that are on their way are still written."""
        with self._lock:
            self.ended = True
            self._close_if_all_is_put()

    def abandon(self) -> None:
        """End now: what has been put is written, pictures that are on their way are left out."""
        with self._lock:
            self.ended = True
            self._close()
        self._writer.shutdown(wait=True)

    def _close_if_all_is_put(self) -> None:
        if self.ended and self._put == self._taken:
            self._close()

    def _close(self) -> None:
        if not self._closing:
            self._closing = True
            self._writer.submit(self._finish)
            self._writer.shutdown(wait=False)

    def _write(self, frame: WorldFrame, capture: Capture) -> None:
        """In the writer's thread."""
        try:
            if self.error is None:
                self._write_whole(frame, capture)
        except (OSError, UserError) as error:
            self._fail(error)
        finally:
            self._room.release()

    def _write_whole(self, frame: WorldFrame, capture: Capture) -> None:
        leave_space(self._root)
        if self._recorder is None:
            self._recorder = RunRecorder.create(
                self._root,
                seed=self.colon.run.seed,
                max_frames=self._data_set.max_frames if self.data_run else None,
                extra=self._about(),
            )
            self.run_name = self._recorder.run_dir.name
        run = replace(self.colon.run, states=self._states)
        truth = FrameTruth(run, capture.number, frame.views)
        self._recorder.write(frame.rgb, frame_label(truth))
        self.frames += 1

    def _about(self) -> dict[str, Any]:
        """The part of the manifest under `endoforge`.

        That of a steered run names no base seed: `datagen --resume` leaves it alone.
        """
        about = about_run(self._data_set, self._renderer(), 0, self.colon.run)
        if self.data_run:
            return about
        for name in ("base_seed", "run_index", "frames_planned"):
            del about[name]
        return {**about, REPEATABLE: False, "recorded_by": "sim-view"}

    def _fail(self, error: OSError | UserError) -> None:
        """End the recording because of an error; what is on disk stays as it is, whole."""
        full = is_full(error) or is_full(error.__cause__)
        reason = "no space left on the disk" if full else str(error)
        self.error = reason
        self.end()
        whole = counted(self.frames, "whole frame")
        where = f"{self.run_name} has {whole}" if self.frames else "no frame"
        self._events.tell("error", f"recording stopped: {reason}; {where}{self._go_on()}")

    def _go_on(self) -> str:
        if not self.data_run or self._recorder is None or self.frames == 0:
            return ""
        run_dir = self._recorder.run_dir
        try:
            found = find_runs(self._root, self._data_set, self._renderer()).unfinished.get(0)
        except UserError:  # there are runs of this seed with other settings
            found = None
        if found is None or found.run_dir != run_dir:
            return "; another run of this seed is there, so no datagen --resume goes on with it"
        return f"; datagen --seed {self.colon.base_seed} --resume with the same flags goes on"

    def _finish(self) -> None:
        """In the writer's thread, after the last frame: close the run."""
        try:
            if self._recorder is not None:
                self._leave(self._recorder)
        except OSError as error:
            if self.error is None:
                self._fail(error)
        finally:
            if self._recorder is not None:
                self._recorder.close()
            self.on_closed()

    def _leave(self, recorder: RunRecorder) -> None:
        if self.frames == 0:
            recorder.discard()
            self.run_name = None
            return
        if self.error is not None:
            recorder.pause()
            return
        if self.data_run and not self.complete:
            # Unfinished, so that `datagen --resume` can go on with it.
            recorder.pause()
            end = f"stopped before its end{self._go_on()}"
        else:
            recorder.finish()
            end = "done" if self.data_run else f"ended{self._why}"
        kind = "data run" if self.data_run else "recording"
        text = f"{kind} {end}: {counted(self.frames, 'frame')} in {recorder.run_dir.name}"
        self._events.tell("info", text)


def _has_moved(before: Pose, now: Pose) -> bool:
    way = np.linalg.norm(np.subtract(now.position, before.position))
    return bool(way > STILL_MM or np.abs(now.axes - before.axes).max() > STILL_AXES)


def leave_space(root: Path) -> None:
    """Raise UserError if less than LEAST_FREE_BYTES are free where `root` is, or is to be."""
    if free_bytes(root) < LEAST_FREE_BYTES:
        raise UserError(f"less than {LEAST_FREE_BYTES / 1e6:g} MB are free on the disk of {root}")
