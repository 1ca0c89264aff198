"""Shows what a camera or a stream gives now, and opens it again whenever it breaks."""

import logging
import threading
import time
from collections.abc import Callable

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from endoforge.captures import live_video
from endoforge.captures.addresses import LiveAddress
from endoforge.captures.decoding import as_rgb
from endoforge.captures.live_video import StreamBroken
from endoforge.core.errors import UserError
from endoforge.view.events import Events
from endoforge.view.frame import PlainFrame
from endoforge.view.messages import SourceState
from endoforge.view.show import SharedWorld
from endoforge.view.slot import Slot
from endoforge.view.source_show import SourceShow

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Before a broken stream is opened again; each pause is twice as long as the one before."""
SILENT_S = 3.0
"""Without a picture for so long, what is shown is old."""

Arrived = tuple[float, VideoFrame, object]
"""A frame with the seconds since the start at which it came, and its connection."""


class LiveShow(SourceShow):
    """Shows the newest frame of a camera or stream, and counts those that were too late.

    It is read without a break, whoever looks on: what isn't taken in time would come late.
    """

    is_live = True

    def __init__(
        self,
        address: LiveAddress,
        shared: SharedWorld,
        on_frame: Callable[[PlainFrame], None],
        on_change: Callable[[], None],
        events: Events,
    ) -> None:
        super().__init__(address.shown, shared, on_frame, on_change, events)
        self._address = address
        self._arrived: Slot[Arrived] = Slot()
        self._began = self._heard = time.monotonic()
        # A device that hangs can't be interrupted, so it may only hang this thread.
        self._reader = threading.Thread(target=self._read, name="reader", daemon=True)

    def run(self) -> None:
        self._reader.start()
        reformatter = VideoReformatter()
        while not self._ended.is_set():
            arrived = self._arrived.take(0.25)
            if arrived is None:
                self._look_for_silence()
                continue
            self._heard = time.monotonic()
            self._set_trouble(None)
            with self.shared.lock:
                unwanted = self.paused or self._idle
            if not unwanted:
                seconds, frame, part = arrived
                self._show(seconds, as_rgb(frame, reformatter), part)

    def end(self) -> None:
        super().end()
        self._arrived.close()

    def switch_pause(self) -> None:
        self.paused = not self.paused

    def seek(self, seconds: float) -> None:
        del seconds
        raise UserError(f"{self.source_name} is live: there is only now")

    def step(self, by: int) -> None:
        self.seek(by)

    def set_speed(self, speed: float) -> None:
        del speed
        raise UserError(f"{self.source_name} is live: it has its own speed")

    def reading(self) -> SourceState:
        return SourceState(
            name=self.source_name,
            is_live=True,
            duration_s=0.0,
            is_over=False,
            trouble=self.trouble,
            dropped=self._arrived.dropped,
        )

    def _look_for_silence(self) -> None:
        if self.trouble is None and time.monotonic() - self._heard > SILENT_S:
            self._set_trouble("no new picture comes")

    def _read(self) -> None:
        """In a thread of its own: read, and when it breaks, open it again."""
        pause_s = FIRST_PAUSE_S
        while not self._ended.is_set():
            part = object()
            try:
                with live_video.live_frames(self._address) as frames:
                    for frame in frames:
                        if self._ended.is_set():
                            return
                        pause_s = FIRST_PAUSE_S
                        self._arrived.put((time.monotonic() - self._began, frame, part))
                why = "it has ended"
            except (StreamBroken, UserError) as broken:
                why = str(broken)
            except Exception as error:  # a device or a library that fails in its own way
                log.debug("the source failed", exc_info=True)
                why = type(error).__name__
            self._set_trouble(f"{why}; trying again in {pause_s:g} s")
            self._ended.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
