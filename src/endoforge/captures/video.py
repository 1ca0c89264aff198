"""Video files, frame by frame."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.core.errors import UserError
from endoforge.core.text import printable

SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".asf", ".flv", ".3gp", ".gif"),
    *(".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".vob", ".mxf"),
}
"""By which a file is taken for a video."""
USUAL_FPS = 25.0
"""Where a file doesn't say."""
COUNTED_WITHIN = 0.98
"""Headers tell at least so much of the number of frames rightly."""


class Video:
    """A video that can be read; frames are (H, W, 3) uint8 RGB, turned as the file says.

    `num_frames` and `fps` (frames a second) are what its header says; 0 frames: it doesn't.
    """

    def __init__(self, path: Path) -> None:
        """Raises UserError if it can't be opened."""
        if not path.is_file():
            raise UserError(f"{printable(str(path))}: no such video")
        refuse_unless_utf8(path)
        capture = cv2.VideoCapture(str(path))
        if not capture.isOpened():
            raise UserError(f"{path}: not a video that OpenCV reads; convert it to MP4 (H.264)")
        self.path = path
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else USUAL_FPS
        self.num_frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        capture.release()

    def frames(self, fps: float | None = None) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Time in seconds and picture of each frame, or of the first at or after each 1 / `fps` s.

        A frame is taken once at most, so no more come than the video has. One that can't be decoded
        is passed over, as long as the header tells of more.
        """
        capture = cv2.VideoCapture(str(self.path))
        try:
            number = taken = 0
            while True:
                grabbed = capture.grab()
                if not grabbed and number >= self.num_frames:
                    break
                seconds = number / self.fps
                number += 1
                slot = number if fps is None else int(seconds * fps + 1e-6)
                if not grabbed or slot < taken:
                    continue
                decoded, bgr = capture.retrieve()
                if not decoded:
                    continue
                taken = slot + 1
                yield seconds, np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        finally:
            capture.release()

    def expected(self, fps: float | None = None) -> int:
        """About how many frames `frames` gives; 0 if the file doesn't say."""
        if fps is None or fps >= self.fps:
            return self.num_frames
        return round(self.num_frames * fps / self.fps)

    def rate(self, fps: float | None = None) -> float:
        """How many frames a second `frames` gives, on average."""
        return self.fps if fps is None else min(fps, self.fps)

    def lacking(self, taken: int, fps: float | None = None) -> int:
        """How many of the frames that `frames` should give didn't come, where it gave `taken`.

        0 for a few, since headers count no better than that.
        """
        expected = self.expected(fps)
        return expected - taken if taken < COUNTED_WITHIN * expected else 0


def refuse_unless_utf8(path: Path) -> None:
    """Raises UserError for a path that isn't UTF-8, at which OpenCV would crash."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{printable(str(path))}: OpenCV takes no path that isn't UTF-8; rename it"
        ) from error
