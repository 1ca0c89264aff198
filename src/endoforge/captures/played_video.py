"""A video file that is looked at from any moment on."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from endoforge.captures.decoding import (
    Timed,
    as_rgb,
    decoder_of,
    deinterlaced,
    open_video,
    packets_of,
)
from endoforge.captures.video import ROUNDED_SECONDS, Video

EARLIER_S = 5.0
"""So much earlier a leap begins that has led too far."""


class PlayedVideo:
    """A video file; `duration` (seconds) and `fps` (frames a second) are what its header says."""

    def __init__(self, path: Path) -> None:
        """Raises UserError if the file can't be read."""
        video = Video(path)
        self.path, self.duration, self.fps = path, video.duration, video.fps
        self._has_times = video.has_times
        self._lost = 0
        self._offset = 0.0
        """The time that the file gives its first frame, in seconds."""
        for _, seconds, _ in self._decoded(0.0):
            self._offset = seconds
            break

    def frames(self, begin_s: float = 0.0) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Time and picture, (H, W, 3) uint8 RGB, of each frame from `begin_s` on.

        Times are in seconds from the video's first frame, and rise. What can't be decoded whole is
        passed over. Raises UserError if the file can't be read.
        """
        reformatter = VideoReformatter()
        last = -1.0
        for _, seconds, frame in deinterlaced(self._timed(begin_s)):
            if seconds >= begin_s - ROUNDED_SECONDS and seconds > last:
                last = seconds
                yield seconds, as_rgb(frame, reformatter)

    def left_out(self) -> list[str]:
        """What couldn't be shown the last time, a line each."""
        return [f"{self._lost} x frame: not decoded whole"] if self._lost else []

    def _timed(self, begin_s: float) -> Iterator[Timed]:
        """Frames from `begin_s` or a little before it on.

        Where a leap has led too far, as it may in transport streams, it begins earlier.
        """
        for start_s in (begin_s, begin_s - EARLIER_S, 0.0):
            frames = self._decoded(start_s)
            first = next(frames, None)
            if first is not None and (start_s <= 0 or first[1] <= begin_s + ROUNDED_SECONDS):
                yield first
                yield from frames
                return

    def _decoded(self, start_s: float) -> Iterator[Timed]:
        self._lost = 0
        with open_video(self.path) as (container, stream):
            leaps = start_s > 0 and self._has_times
            if leaps:
                _seek(container, stream, start_s + self._offset)
            codec = decoder_of(stream, threads=False)
            seconds = -1 / self.fps
            astray = leaps  # until a frame that refers to no other
            for packet in packets_of(container, stream):
                try:
                    frames = codec.decode(packet)
                except av.FFmpegError:
                    self._lost += 1
                    astray = astray or codec.name == "hevc"  # which refers to what isn't there
                    continue
                for frame in frames:
                    frame.time_base = stream.time_base
                    time = frame.time if self._has_times else None
                    seconds = seconds + 1 / self.fps if time is None else time - self._offset
                    astray = astray and not frame.key_frame
                    self._lost += frame.is_corrupt
                    if not astray and not frame.is_corrupt:
                        yield 0, seconds, frame


def _seek(container: InputContainer, stream: VideoStream, seconds: float) -> None:
    """Go to the last frame before a moment that can be decoded by itself.

    Where a file can't be gone through, it is read from its beginning.
    """
    if stream.time_base is not None:
        with suppress(av.FFmpegError, OSError):
            container.seek(int(seconds / stream.time_base), stream=stream)
