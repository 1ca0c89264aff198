"""The loop that runs the world's clock and has pictures of it made, one after another."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from endoforge.core.errors import UserError
from endoforge.sim.camera import CameraState
from endoforge.view.frame import WorldFrame
from endoforge.view.live_recording import Capture, Recording
from endoforge.view.painter import PaintedPicture, Painter, PainterGone
from endoforge.view.rates import Rate
from endoforge.view.world import Colon, World

AHEAD = 2
"""Pictures on their way: while one is rendered the next one is ready to be begun. A third would
only make what is steered later seen."""
MOST_HZ = 60.0
"""Pictures a second: screens show no more."""
MOST_WALL_S = 0.25
"""Longer gaps between two pictures (a pause, the renderer's start) don't count as time."""
MOST_OWED_S = 1.0
"""Seconds by which a recording may hold the clock back; what is more is dropped."""
TROUBLE_S = 2.0
"""A picture that is so late is told of."""
MOST_SILENT_S, MOST_COMPILE_S = 10.0, 300.0
"""A renderer that owes a picture for so long hangs; the slowest take a second, and its first one,
for which it compiles, a minute."""
AT_HAND = 2
"""Frames that a show that is ended may still give: the one at hand, and one to be sure."""
STARTS = 3
"""Renderers that end without a picture, one after another, before it is given up."""


@dataclass(frozen=True, eq=False)
class PendingShot:
    """A picture that was asked for and hasn't come back; `capture` if it is recorded."""

    number: int
    state: CameraState
    colon: Colon
    capture: Capture | None


class SharedWorld:
    """The world, and what is done with it, for all threads; its fields change under `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.world: World | None = None
        self.recording: Recording | None = None
        self.wanted = False
        """Whether anybody looks on."""
        self.restless = False
        """Whether a new picture is needed though time may stand still."""

    @property
    def idle(self) -> bool:
        """Whether nobody watches and nothing is recorded: then time stands still."""
        return not self.wanted and self.recording is None


class Show(threading.Thread):
    """The loop: runs the world's clock, and hands each frame to `on_frame`.

    `on_fatal` hears why it can't go on; `on_flight_over` that the autopilot is at its end.
    """

    def __init__(
        self,
        shared: SharedWorld,
        make_painter: Callable[[], Painter],
        on_frame: Callable[[WorldFrame], None],
        on_restart: Callable[[str], None],
        on_fatal: Callable[[Exception], None],
        on_flight_over: Callable[[], None],
    ) -> None:
        super().__init__(name="show", daemon=True)
        self.shared = shared
        self.rate = Rate()
        self.engine = ""
        self._make_painter = make_painter
        self._on_frame, self._on_restart = on_frame, on_restart
        self._on_fatal, self._on_flight_over = on_fatal, on_flight_over
        self._painter: Painter | None = None
        self._ended = threading.Event()
        self._shots: deque[PendingShot] = deque()
        self._loaded: Colon | None = None
        self.numbers = 0
        """The number of the last frame."""
        self._owed_s = 0.0
        self._last_s: float | None = None
        self._last_shot_s = 0.0
        self._starts = 0
        self._is_new = False
        self._compiled: set[bool] = set()
        """Whether in full or not: the pictures of which this renderer has given one."""
        self._asked_s = 0.0
        """When the oldest picture that is still to come was asked for, or the one before came."""
        self.trouble: str | None = None
        """Why no pictures come, in a line."""

    def go_on_after(self, numbers: int) -> None:
        """Number frames so that those of another show, up to `numbers`, are older."""
        self.numbers = numbers + AT_HAND

    def run(self) -> None:
        try:
            self._run()
        finally:
            self._lose_shots()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._starts += 1
            try:
                self._show()
            except PainterGone as gone:
                if self._ended.is_set():
                    return
                if self._starts == STARTS:
                    self._on_fatal(UserError(f"{gone}, again and again; see the log"))
                    return
                self._lose_shots()
                self.trouble = f"{gone}; it is being started again"
                self._on_restart(f"{gone}; starting it again")
            except Exception as error:
                if not self._ended.is_set():
                    self._on_fatal(error)
                return

    def end(self) -> None:
        """End the loop and the renderer at once."""
        self._ended.set()
        if self._painter is not None:
            self._painter.close()

    def _show(self) -> None:
        self._painter = painter = self._make_painter()
        self._loaded = None
        self._shots.clear()
        self._compiled.clear()
        try:
            while not self._ended.is_set():
                self._step(painter)
        finally:
            painter.close()

    def _step(self, painter: Painter) -> None:
        world = self.shared.world
        if world is None or (world.colon is self._loaded and self._is_idle(painter)):
            self._last_s = None  # time in which nobody looked on doesn't count
            self._ended.wait(0.02)
            return
        if world.colon is self._loaded:
            while painter.in_flight < AHEAD and self._is_time() and self._shoot(painter, world):
                self._is_new = False
        elif not painter.in_flight:  # pictures on their way are of the old colon: they come first
            painter.load(world.colon)
            self._loaded, self.engine, self._last_s = world.colon, painter.engine, None
            self._is_new = True
            return
        if not painter.in_flight:
            self._ended.wait(0.005)
            return
        picture = painter.picture(0.05)
        if picture is None:
            self._watch()
        else:
            self._deliver(picture, self._shots.popleft())

    def _watch(self) -> None:
        """Raise PainterGone if a picture doesn't come; the renderer is closed then, by force."""
        silent = time.monotonic() - self._asked_s
        in_full = self._shots[0].capture is not None
        if silent > (MOST_SILENT_S if in_full in self._compiled else MOST_COMPILE_S):
            raise PainterGone(f"the renderer has given no picture for {silent:.0f} s")
        if silent > TROUBLE_S:
            self.trouble = f"no picture for {silent:.0f} s"

    def _is_idle(self, painter: Painter) -> bool:
        """One picture of a new colon is made though nobody looks on: the renderer is ready then."""
        return self.shared.idle and not self._is_new and not painter.in_flight

    def _is_time(self) -> bool:
        return time.monotonic() - self._last_shot_s >= 1 / MOST_HZ

    def _shoot(self, painter: Painter, world: World) -> bool:
        """Ask for the next picture; False if none is needed."""
        with self.shared.lock:
            if self.shared.world is not world or (self.shared.idle and not self._is_new):
                return False
            shot = self._next_shot(world)
        if shot is None:
            return False
        # Live noise needn't be the one that a recording would have, only another at each picture.
        noise = shot.capture.noise_seed if shot.capture else shot.number * 7919 % 2**20
        cameras, polyps = shot.colon.camera_rows(shot.state, noise)
        if not self._shots:
            self._asked_s = time.monotonic()
        self._shots.append(shot)
        painter.shoot(cameras, polyps, in_full=shot.capture is not None)
        self._last_shot_s = time.monotonic()
        return True

    def _next_shot(self, world: World) -> PendingShot | None:
        """Let the clock run to the next picture, or to the next frame of the recording."""
        now = time.monotonic()
        wall = 0.0 if self._last_s is None else min(now - self._last_s, MOST_WALL_S)
        self._last_s = now
        still = world.paused and not world.restless and not self.shared.restless
        if still:
            return None
        self.shared.restless = False
        if not world.paused:
            self._owed_s = min(self._owed_s + wall * world.speed, MOST_OWED_S * world.speed)
        recording, step, capture = self.shared.recording, self._owed_s, None
        due = None
        if recording is not None and not recording.ended and not world.paused:
            due = recording.due_in(world)
            step = min(step, due)
        # What a recording cuts off the step stays owed: no frame of it is left out, and the clock
        # catches up between two of them.
        self._owed_s -= step
        world.advance(0.0 if world.paused else step, wall)
        if recording is not None and due is not None and step >= due:
            capture = recording.take(world)
        state = capture.state if capture else world.state()
        # A data run ends with its last frame, which may be before the end of the flight.
        if world.autopilot and world.flight_is_over and not (recording and recording.data_run):
            world.switch_autopilot()
            self._on_flight_over()
        self.numbers += 1
        return PendingShot(self.numbers, state, world.colon, capture)

    def _deliver(self, picture: PaintedPicture, shot: PendingShot) -> None:
        # Both are copied: the slot is the renderer's again at the second shot from now.
        rgb = np.asarray(cv2.cvtColor(picture.rgbi, cv2.COLOR_RGBA2RGB), np.uint8)
        frame = WorldFrame(shot.number, rgb, picture.stats.copy(), shot.state, shot.colon)
        self.rate.add()
        self._compiled.add(shot.capture is not None)
        self.trouble, self._asked_s = None, time.monotonic()
        self._starts = 0  # a renderer that gives pictures has started well
        if shot.capture is not None:
            shot.capture.recording.put(frame, shot.capture)
        self._on_frame(frame)

    def _lose_shots(self) -> None:
        """Recordings whose frames are gone with the renderer end with those before."""
        for shot in self._shots:
            if shot.capture is not None:
                shot.capture.recording.abandon()
        self._shots.clear()
