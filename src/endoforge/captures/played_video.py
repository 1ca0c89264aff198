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


class PlayedVideo:
    """A video file; `duration` (seconds) and `fps` (frames a second) are what its header says."""

    def __init__(self, path: Path) -> None:
        """Raises UserError if the file can't be read."""
        video = Video(path)
        self.path, self.duration, self.fps = path, video.duration, video.fps
        self._lost = 0

    def frames(self, begin_s: float = 0.0) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Time and picture, (H, W, 3) uint8 RGB, of each frame from `begin_s` on.

        Times are in seconds from the video's first frame, and rise. What can't be decoded whole is
        passed over. Raises UserError if the file can't be read.
        """
        self._lost = 0
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
        with open_video(self.path) as (container, stream):
            offset = _start(stream)
            _seek(container, stream, begin_s + offset)
            codec = decoder_of(stream, threads=False)
            seconds = -1 / self.fps
            astray = begin_s > 0  # until a frame that refers to no other
            for packet in packets_of(container, stream):
                try:
                    frames = codec.decode(packet)
                except av.FFmpegError:
                    self._lost += 1
                    astray = astray or codec.name == "hevc"  # which refers to what isn't there
                    continue
                for frame in frames:
                    frame.time_base = stream.time_base
                    time = frame.time
                    seconds = seconds + 1 / self.fps if time is None else time - offset
                    astray = astray and not frame.key_frame
                    self._lost += frame.is_corrupt
                    if not astray and not frame.is_corrupt:
                        yield 0, seconds, frame


def _start(stream: VideoStream) -> float:
    """The time that the file gives its first frame, in seconds."""
    if stream.start_time is None or stream.time_base is None:
        return 0.0
    return float(stream.start_time * stream.time_base)


def _seek(container: InputContainer, stream: VideoStream, seconds: float) -> None:
    """Go to the last frame before a moment that can be decoded by itself.

    Where a file can't be gone through, it is read from its beginning.
    """
    if seconds > 0 and stream.time_base is not None:
        with suppress(av.FFmpegError, OSError):
            container.seek(int(seconds / stream.time_base), stream=stream)
