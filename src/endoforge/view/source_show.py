"""Shows pictures of files, cameras and streams in the place of the simulated world's."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from endoforge.core.errors import UserError
from endoforge.view.ab_loop import Loop, next_loop
from endoforge.view.events import Events
from endoforge.view.frame import PlainFrame
from endoforge.view.playable import Playable
from endoforge.view.rates import Rate
from endoforge.view.show import AT_HAND, MOST_WALL_S, SharedWorld
from endoforge.view.source_recording import SourceRecording
from endoforge.view.to_viewers import SourceState

MOST_LATE_S = 0.1
"""A file that can't be decoded at its pace plays slower: its clock runs on so far, no further."""
LOOK_S = 0.005
"""Seconds between two looks at the clock."""


class SourceShow(threading.Thread, ABC):
    """A loop that hands the pictures of a source to `on_frame`; its fields change under the lock.

    `trouble` says in a line why there are no new pictures; None while there is no trouble.
    """

    is_live: bool

    def __init__(
        self,
        name: str,
        shared: SharedWorld,
        on_frame: Callable[[PlainFrame], None],
        on_change: Callable[[], None],
        events: Events,
    ) -> None:
        super().__init__(name="source", daemon=True)
        self.source_name = name
        self.shared = shared
        self.rate = Rate()
        self.engine = "PyAV"
        self.paused = False
        self.speed = 1.0
        self.time_s = 0.0
        self.trouble: str | None = None
        self.size: tuple[int, int] | None = None
        """(width, height) in pixels of the last picture."""
        self.recording: SourceRecording | None = None
        self.loop: Loop | None = None
        self._on_frame, self._on_change, self._events = on_frame, on_change, events
        self._ended = threading.Event()
        self.numbers = 0
        """The number of the last picture."""

    def end(self) -> None:
        """End the loop; nothing more is handed on, but for the picture at hand."""
        self._ended.set()

    def go_on_after(self, numbers: int) -> None:
        """Number pictures so that those of another show, up to `numbers`, are older."""
        self.numbers = numbers + AT_HAND

    @abstractmethod
    def switch_pause(self) -> None:
        """Pause, or go on; the lock is held."""

    @abstractmethod
    def seek(self, seconds: float) -> None:
        """Go to a moment; raises UserError where there is none. The lock is held."""

    @abstractmethod
    def seek_by(self, seconds: float) -> None:
        """Go on by so many seconds, or back; raises UserError where that can't be.

        The lock is held. What was sought last counts as there, though it may not be shown yet.
        """

    @abstractmethod
    def switch_loop(self) -> None:
        """Mark a loop's beginning here, or its end, or end it; raises UserError.

        The lock is held.
        """

    @abstractmethod
    def step(self, by: int) -> None:
        """Pause, and go `by` pictures on, -1 or 1; raises UserError. The lock is held."""

    @abstractmethod
    def set_speed(self, speed: float) -> None:
        """Play so many times as fast; raises UserError. The lock is held."""

    @abstractmethod
    def reading(self) -> SourceState:
        """The state, for viewers; the lock is held."""

    @property
    def _idle(self) -> bool:
        return not self.shared.wanted and self.recording is None

    def _show(self, seconds: float, rgb: NDArray[np.uint8], part: object) -> None:
        if self._ended.is_set():
            return
        self.numbers += 1
        self.time_s = seconds
        self.size = (rgb.shape[1], rgb.shape[0])
        self.rate.add()
        recording = self.recording
        if recording is not None:
            recording.put(seconds, rgb, wait=not self.is_live)
        self._on_frame(PlainFrame(self.numbers, rgb, seconds, part))

    def _set_trouble(self, trouble: str | None) -> None:
        """Say why there are no pictures, or that there are some again."""
        if trouble == self.trouble:
            return
        if trouble is not None:
            self._events.tell("warning", f"{self.source_name}: {trouble}")
        else:
            self._events.tell("info", f"{self.source_name}: pictures come again")
        self.trouble = trouble
        self._on_change()


class PlayedShow(SourceShow):
    """Plays a file or a folder by the times of its pictures; none is left out.

    While nobody looks on and nothing is recorded, it stands still.
    """

    is_live = False

    def __init__(
        self,
        name: str,
        playable: Playable,
        shared: SharedWorld,
        on_frame: Callable[[PlainFrame], None],
        on_change: Callable[[], None],
        events: Events,
    ) -> None:
        super().__init__(name, shared, on_frame, on_change, events)
        self._playable = playable
        self._target: float | None = 0.0
        self._aim: float | None = None
        """The moment that was sought last, until a picture of it is shown."""
        self._steps = 0
        self._is_over = False
        self._clock = self._last_s = 0.0

    def run(self) -> None:
        while not self._ended.is_set():
            with self.shared.lock:
                begin_s, self._target = self._target, None
            if begin_s is None:
                self._ended.wait(LOOK_S)
                continue
            try:
                self._play(begin_s)
            except UserError as error:
                self._set_trouble(str(error))

    def switch_pause(self) -> None:
        if self._is_over:
            self.paused = False
            self.seek(0.0)
        else:
            self.paused = not self.paused

    def seek(self, seconds: float) -> None:
        self._target = self._aim = max(0.0, min(seconds, self._playable.duration or seconds))
        self._is_over = False
        self._steps = 0

    def seek_by(self, seconds: float) -> None:
        self.seek((self.time_s if self._aim is None else self._aim) + seconds)

    def switch_loop(self) -> None:
        self.loop = next_loop(self.loop, self.time_s)
        if self.loop is not None and self.loop.end_s is not None:
            self.seek(self.loop.begin_s)

    def step(self, by: int) -> None:
        self.paused = True
        if by > 0:
            self._steps += 1
        else:
            # Half a frame early, so that rounded times don't lead to the one that is shown.
            self.seek(self.time_s - 1.5 / self._playable.fps)

    def set_speed(self, speed: float) -> None:
        self.speed = speed

    def reading(self) -> SourceState:
        return SourceState(
            name=self.source_name,
            is_live=False,
            duration_s=round(self._playable.duration, 3),
            is_over=self._is_over,
            dropped=0,
        )

    def _play(self, begin_s: float) -> None:
        part, shown = object(), False
        for seconds, rgb in self._playable.frames(begin_s):
            if shown and not (self._await(seconds) and self._goes_on(seconds)):
                return
            self._clock = min(self._clock, seconds + MOST_LATE_S) if shown else seconds
            if not shown:
                shown, self._last_s = True, time.monotonic()
            self._set_trouble(None)
            self._show(seconds, rgb, part)
            with self.shared.lock:
                self._aim = self._target
        with self.shared.lock:
            if self._target is not None:
                return
            self.paused = self._is_over = True
            self._steps = 0
            if self.recording is not None:
                self.recording.end()
        if shown or begin_s > 0:
            lacking = "".join(f"; left out: {line}" for line in self._playable.left_out())
            self._events.tell("info", f"{self.source_name} is at its end, K plays it{lacking}")
        else:
            self._set_trouble("no picture in it could be decoded")
        self._on_change()

    def _goes_on(self, seconds: float) -> bool:
        """Whether the picture of a moment is the next one; else the loop goes round."""
        with self.shared.lock:
            if self.loop is None or not self.loop.goes_round(self.time_s, seconds):
                return True
            self.seek(self.loop.begin_s)
            return False

    def _await(self, seconds: float) -> bool:
        """Wait until a picture is due; False if it no longer is."""
        while not self._ended.is_set():
            with self.shared.lock:
                if self._target is not None:
                    return False
                now = time.monotonic()
                wall, self._last_s = min(now - self._last_s, MOST_WALL_S), now
                if self._steps:
                    self._steps -= 1
                    self._clock = seconds
                    return True
                if not self.paused and not self._idle:
                    self._clock += wall * self.speed
                    if self._clock >= seconds:
                        return True
            self._ended.wait(LOOK_S)
        return False
