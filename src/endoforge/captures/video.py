"""Video files, frame by frame."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from endoforge.captures.decoding import Timed, as_rgb, decoded, deinterlaced, open_video
from endoforge.core.errors import UserError
from endoforge.core.text import printable

SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".asf", ".flv", ".3gp", ".gif"),
    *(".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".vob", ".mxf"),
}
"""Files whose names end so are taken for videos."""
USUAL_FPS = 25.0
"""Frames a second where a file doesn't say."""
COUNTED_WITHIN = 0.98
"""Headers tell at least so much of the number of frames, or of the time, rightly."""
ROUNDED_SECONDS = 1e-3
"""Some files, such as Matroska's, round the times of frames to this."""


class Video:
    """A video that can be read; frames are (H, W, 3) uint8 RGB, whole, turned as the file says.

    `num_frames`, `fps` (frames a second, on average) and `duration` (seconds) are what its header
    says; 0 frames or seconds: it doesn't. `has_times` says whether its frames' times can be relied
    on.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and read its header; raises UserError if that can't be done."""
        if not path.is_file():
            raise UserError(f"{printable(str(path))}: no such video")
        self.path = path
        with open_video(path) as (container, stream):
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            self.fps = rate if 0 < rate < 1000 else USUAL_FPS
            self.duration = _duration(container, stream)
            # Edit lists of MOV files hide frames that the header counts.
            cut_out = sum(entry.is_discard for entry in stream.index_entries)
            self._counted = max(0, stream.frames - cut_out)
            # AVI holds no times; those that FFmpeg makes up ignore that frames were reordered.
            self.has_times = container.format.name != "avi" or not stream.codec_context.has_b_frames
        self.num_frames = self._counted or round(self.duration * self.fps)
        self._decoded = self._lost = 0
        self._end = self._lost_from = 0.0

    def frames(self, fps: float | None = None) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
        """Number, time and picture of each frame, or of the first at or after each 1 / `fps` s.

        Times are the file's, in seconds from its first frame. A frame is taken once at most, so no
        more come than the video has. One that can't be decoded whole is passed over; its number
        is left out. Raises UserError if the file can't be read.
        """
        self._decoded = self._lost = 0
        self._end = 0.0
        taken = 0
        reformatter = VideoReformatter()
        for number, seconds, frame in deinterlaced(self._timed()):
            slot = number if fps is None else int((seconds + ROUNDED_SECONDS) * fps)
            if slot >= taken:
                taken = slot + 1
                yield number, seconds, as_rgb(frame, reformatter)

    def _timed(self) -> Iterator[Timed]:
        clock = _FrameTimes(self.fps)
        for number, frame in enumerate(decoded(self.path)):
            if frame is None:
                if not self._lost:
                    self._lost_from = self._end
                self._lost += 1
                continue
            seconds = clock.seconds(number, _time(frame) if self.has_times else None)
            self._decoded += 1
            self._end = seconds + 1 / self.fps
            yield number, seconds, frame

    def expected(self, fps: float | None = None) -> int:
        """About how many frames `frames` gives; 0 if the file doesn't say."""
        if fps is None or fps >= self.fps:
            return self.num_frames
        return round(self.num_frames * fps / self.fps)

    def lacking(self, taken: int, fps: float | None = None) -> int:
        """How many of the frames that `frames` should have given didn't come the last time.

        `taken` did. Of those that nothing is there of, a few aren't counted, since headers count no
        better than that.
        """
        lost = max(self._lost, self._never_came())
        if fps is None:
            return lost
        return min(lost, max(0, self.expected(fps) - taken))

    @property
    def lacking_from(self) -> float:
        """Seconds at which the first of the frames belongs that `lacking` counts."""
        return self._lost_from if self._lost else self._end

    def _never_came(self) -> int:
        """How many more frames the header tells of than were decoded."""
        if self._counted:
            few = self._decoded < COUNTED_WITHIN * self._counted
            return self._counted - self._decoded if few else 0
        early = self._end < COUNTED_WITHIN * self.duration
        return self._lost + round((self.duration - self._end) * self.fps) if early else 0


class _FrameTimes:
    """Seconds from the first frame on, which never go back."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._number, self._seconds = 0, 0.0
        self._offset: float | None = None

    def seconds(self, number: int, time: float | None) -> float:
        """Seconds of frame `number`, for which the file gives `time` or None; numbers grow."""
        if time is None or self._offset is None or time + self._offset < self._seconds:
            # The first one, or where videos were joined: go on from here.
            self._seconds += (number - self._number) / self._fps
            self._offset = None if time is None else self._seconds - time
        else:
            self._seconds = time + self._offset
        self._number = number
        return self._seconds


def _time(frame: VideoFrame) -> float | None:
    ticks, unit = frame.pts, frame.time_base
    return None if ticks is None or unit is None else float(ticks * unit)


def _duration(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    seconds = (container.duration or 0) / av.time_base
    if container.format.name.startswith("matroska") and stream.time_base is not None:
        # Its header tells when the last frame ends, not how long that is after the first one.
        seconds -= float(max(0, stream.start_time or 0) * stream.time_base)
    return max(0.0, seconds)
