"""Reads a camera or stream for as long as it is wanted, and keeps its newest frame."""

import logging
import threading
import time
from collections.abc import Callable

from av.video.frame import VideoFrame

from endoforge.captures import live_video
from endoforge.captures.addresses import LiveAddress
from endoforge.captures.live_video import StreamBroken
from endoforge.core.errors import UserError
from endoforge.core.slot import Slot

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Before a broken stream is opened again; each pause is twice as long as the one before."""

Arrived = tuple[float, VideoFrame, object]
"""A frame with the seconds since the start at which it came, and its connection."""


class LiveReader(threading.Thread):
    """Puts every frame into the slot `newest`, which counts those that nobody took in time.

    A stream that breaks is opened again; `on_trouble` hears why it broke, in a line. It has a
    thread of its own, since a device that hangs can't be interrupted.
    """

    def __init__(self, address: LiveAddress, on_trouble: Callable[[str], None]) -> None:
        super().__init__(name="reader", daemon=True)
        self.newest: Slot[Arrived] = Slot()
        self._address, self._on_trouble = address, on_trouble
        self._ended = threading.Event()
        self._began = time.monotonic()

    def run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._ended.is_set():
            connection = object()
            try:
                with live_video.live_frames(self._address) as frames:
                    for frame in frames:
                        if self._ended.is_set():
                            return
                        pause_s = FIRST_PAUSE_S
                        self.newest.put((time.monotonic() - self._began, frame, connection))
                why = "it has ended"
            except (StreamBroken, UserError) as broken:
                why = str(broken)
            except Exception as error:  # a device or a library that fails in its own way
                log.debug("the source failed", exc_info=True)
                why = type(error).__name__
            if self._ended.is_set():
                return
            self._on_trouble(f"{why}; trying again in {pause_s:g} s")
            self._ended.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def end(self) -> None:
        """End it with the frame at hand; what waits for a frame waits no longer."""
        self._ended.set()
        self.newest.close()
