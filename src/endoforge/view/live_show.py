"""Shows what a camera or a stream gives now, and opens it again whenever it breaks."""

import time
from collections.abc import Callable

from av.video.reformatter import VideoReformatter

from endoforge.captures.addresses import LiveAddress
from endoforge.captures.decoding import as_rgb
from endoforge.captures.live_reader import LiveReader
from endoforge.core.errors import UserError
from endoforge.view.events import Events
from endoforge.view.frame import PlainFrame
from endoforge.view.show import SharedWorld
from endoforge.view.source_show import SourceShow
from endoforge.view.to_viewers import SourceState

SILENT_S = 3.0
"""Without a picture for so long, what is shown is old."""


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
        self._reader = LiveReader(address, self._set_trouble)
        self._heard = time.monotonic()

    def run(self) -> None:
        self._reader.start()
        reformatter = VideoReformatter()
        while not self._ended.is_set():
            arrived = self._reader.newest.take(0.25)
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
        self._reader.end()

    def switch_pause(self) -> None:
        self.paused = not self.paused

    def seek(self, seconds: float) -> None:
        del seconds
        raise UserError(f"{self.source_name} is live: there is only now")

    def seek_by(self, seconds: float) -> None:
        self.seek(seconds)

    def switch_loop(self) -> None:
        self.seek(0.0)

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
            dropped=self._reader.newest.dropped,
        )

    def _look_for_silence(self) -> None:
        if self.trouble is None and time.monotonic() - self._heard > SILENT_S:
            self._set_trouble("no new picture comes")
