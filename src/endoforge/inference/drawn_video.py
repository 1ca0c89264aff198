"""Writes drawn frames as an MP4 video."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from endoforge.core.errors import UserError
from endoforge.core.files import NewFile
from endoforge.inference.growing import cant_write

CODECS = {
    # No B-frames (bf): decoded in another order than shown, they make MP4's length wrong.
    "libx264": {"crf": "20", "preset": "veryfast", "bf": "0"},
    "mpeg4": {"qmin": "2", "qmax": "4"},
}
"""Codecs and their options, best first: browsers play H.264, every FFmpeg writes MPEG-4."""
TICKS = 60_000
"""Ticks of the clock in a second: MPEG-4 counts no finer, and 24, 25, 30 and 30000/1001 frames
a second divide it."""
USUAL_TICKS = TICKS // 25
"""Ticks that the first frame is shown, when no other tells how long frames last."""
BT_601 = 6
"""FFmpeg's number of the matrix by which it makes YUV of RGB; players must undo the same."""


class DrawnVideo:
    """An MP4 file that takes its name when it is closed; frames of (height, width) pixels.

    Where a frame has an odd number of rows or columns the last is there twice: in yuv420p, two by
    two pixels share a colour.
    """

    def __init__(self, path: Path, size_hw: tuple[int, ...]) -> None:
        """Begin the file; raises UserError if it can't be written."""
        self._path = path
        self._last: int | None = None
        try:
            self._new = NewFile(path)
        except OSError as error:
            raise cant_write(path, error) from error
        self._container = av.open(_Target(self._new), mode="w", format="mp4")
        codec = next(name for name in CODECS if name in av.codecs_available)
        stream = self._container.add_stream(codec, options=CODECS[codec])
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = (pixels + pixels % 2 for pixels in size_hw)
        stream.pix_fmt, stream.colorspace = "yuv420p", BT_601
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.flags |= Flags.frame_duration  # else the last one's isn't written
        self._stream = stream
        try:
            self._container.start_encoding()
        except (av.FFmpegError, OSError) as error:
            self._new.discard()
            reason = error.strerror or str(error)
            raise UserError(
                f"{path}: can't be drawn as MP4 ({reason}); leave drawing out by --draw none"
            ) from error

    def add(self, seconds: float, frame: NDArray[np.uint8]) -> None:
        """Append (H, W, 3) uint8 RGB at its time; raises UserError, and removes it, if that fails.

        A frame of another size than the first one's is resized.
        """
        height, width, _ = frame.shape
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = VideoFrame.from_ndarray(frame, format="rgb24")
        ticks = round(seconds * TICKS)
        if self._last is None:
            picture.duration = USUAL_TICKS
        else:
            ticks = max(ticks, self._last + 1)
            picture.duration = ticks - self._last
        picture.pts, picture.time_base = ticks, Fraction(1, TICKS)
        self._last = ticks
        self._write(picture)

    def close(self) -> None:
        """Give it its name; raises UserError, and removes it, if it can't be written."""
        if self._new.file.closed:
            return  # a write has failed
        self._write(None)
        try:
            self._container.close()
            self._new.keep()
        except OSError as error:
            self._new.discard()
            raise cant_write(self._path, error) from error

    def _write(self, picture: VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(picture))
        except OSError as error:
            self._new.discard()
            raise cant_write(self._path, error) from error


class _Target:
    """The file as PyAV wants it, which writes short pieces and goes back to fill in lengths."""

    def __init__(self, new: NewFile) -> None:
        self._new = new

    def write(self, data: bytes) -> int:
        """Write all of `data`, and give its length in bytes; raises OSError."""
        self._new.write(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place in the file, as `io.IOBase.seek`; raises OSError."""
        return self._new.file.seek(offset, whence)

    def tell(self) -> int:
        """Give the place in the file, in bytes."""
        return self._new.file.tell()
