"""What `detect` looks at live: a camera or a stream, for some seconds."""

import re
import time
from collections.abc import Iterator

import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from endoforge.captures.addresses import LiveAddress
from endoforge.captures.decoding import as_rgb
from endoforge.captures.live_reader import LiveReader
from endoforge.captures.tally import Tally

FIRST_PICTURE_S = 15.0
"""Seconds until a source that gives no picture is given up."""


class LiveInput:
    """A camera or stream; `name` is what results call it, without what is secret in its address."""

    def __init__(self, address: LiveAddress, seconds: float) -> None:
        """`seconds` from the first picture on are looked at."""
        self.name = re.sub(r"[^A-Za-z0-9.-]+", "_", address.shown).strip("_")
        self._address, self._seconds = address, seconds

    def frames(
        self, fps: float | None, tally: Tally, notes: Tally
    ) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
        """Number, time and picture of the newest frame, whenever another one is asked for.

        Of `fps` a second at most. What came too fast is counted in `notes`; in `tally`, each time
        that the source broke, and if no picture came at all.
        """
        troubles: list[str] = []
        reader = LiveReader(self._address, troubles.append)
        reader.start()
        began, given, slot = time.monotonic(), 0, 0
        first: float | None = None
        reformatter = VideoReformatter()
        try:
            while time.monotonic() - began < (FIRST_PICTURE_S if first is None else self._seconds):
                arrived = reader.newest.take(0.1)
                if arrived is None:
                    continue
                came, frame, _ = arrived
                if first is None:
                    first, began = came, time.monotonic()
                seconds = came - first
                if seconds >= self._seconds:
                    break
                if fps is not None and int(seconds * fps) < slot:
                    continue
                slot = int(seconds * fps) + 1 if fps is not None else 0
                yield given, seconds, as_rgb(frame, reformatter)
                given += 1
        finally:
            reader.end()
            for trouble in troubles:
                tally.count("stream: it broke off, or didn't open", f"{self.name} ({trouble})")
            if not given:
                tally.count("stream: no picture came", self.name)
            if dropped := reader.newest.dropped:
                notes.count("frame: too late, a newer one was there", self.name, dropped)
