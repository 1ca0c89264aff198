"""What can be played from any moment on: a video file, or the pictures of a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import read_picture
from endoforge.captures.played_video import PlayedVideo
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.text import printable
from endoforge.inference.material import Material
from endoforge.inference.run_clock import RunClock

FOLDER_FPS = 5.0
"""Pictures of a folder are shown so many a second, if they are of no recorded run."""
LONGEST_STEP_S = 2.0
"""Of a recorded run, no picture is shown for longer."""


class Playable(Protocol):
    """Pictures with times, in seconds from the first one; `duration` is 0 if it isn't known."""

    @property
    def duration(self) -> float:
        """Seconds from the first picture to the end of the last."""
        ...

    @property
    def fps(self) -> float:
        """Pictures a second, on average."""
        ...

    def frames(self, begin_s: float = 0.0) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Time and picture, (H, W, 3) uint8 RGB, from a moment on; raises UserError."""
        ...

    def left_out(self) -> list[str]:
        """What couldn't be shown the last time, a line each."""
        ...


class PictureFolder:
    """The pictures below a folder in natural order; those of recorded runs at their own times."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError if there is no picture."""
        material = Material((str(folder),), None)
        if not material.pictures:
            name = printable(str(folder))
            raise UserError(f"{name}: no picture in it; name one of its videos to look at that")
        self._videos = list(material.videos)
        self._tally = Tally()
        self._pictures = list(material.pictures.items())
        self._times = _times(self._pictures)
        self.duration = self._times[-1] + 1 / FOLDER_FPS
        self.fps = len(self._times) / self.duration

    def frames(self, begin_s: float = 0.0) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Time and picture of each from `begin_s` on; what can't be read is counted."""
        self._tally = Tally()
        for name in self._videos:
            self._tally.count("video: in a folder of pictures; name it to look at it", name)
        for seconds, (name, path) in zip(self._times, self._pictures, strict=True):
            if seconds < begin_s - 1e-6:
                continue
            try:
                picture = read_picture(path)
            except Unusable as unusable:
                self._tally.drop(f"picture: {unusable.reason}", name, printable(unusable.detail))
                continue
            yield seconds, picture

    def left_out(self) -> list[str]:
        """What couldn't be shown the last time, a line each."""
        return self._tally.lines()


def open_playable(path: Path) -> PlayedVideo | PictureFolder:
    """A video file or a folder; raises UserError if it is neither, or holds nothing to show."""
    if path.is_dir():
        return PictureFolder(path)
    return PlayedVideo(path)


def _times(pictures: list[tuple[str, Path]]) -> list[float]:
    """When each picture is shown, in seconds: as far after the one before as in their run."""
    clock = RunClock(Tally())
    times: list[float] = []
    before = None
    for name, path in pictures:
        moment = clock.moment(name, path)
        step = 1 / FOLDER_FPS
        if before is not None and moment is not None and moment.sequence == before.sequence:
            step = min(moment.seconds - before.seconds, LONGEST_STEP_S)
        times.append(times[-1] + step if times else 0.0)
        before = moment
    return times
