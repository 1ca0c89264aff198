"""Tells when the images of capture runs were taken, where that is sure."""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from endoforge.captures.frame_times import read_frame_times
from endoforge.captures.moments import is_later
from endoforge.captures.run_frames import label_of
from endoforge.captures.schema import frame_number
from endoforge.captures.tally import Tally
from endoforge.formats.runs import import_of
from endoforge.inference.picture_names import run_of


@dataclass(frozen=True)
class FrameMoment:
    """Frame `frame` of the video or run `sequence`, which is that of `seconds` in it."""

    sequence: str
    frame: int
    seconds: float


class RunClock:
    """Finds the moments of recorded runs, and of those of videos and streams.

    Runs that were imported from pictures say no time that is sure.
    """

    def __init__(self, notes: Tally) -> None:
        """`notes` counts the images that have no moment, though they are of a recorded run."""
        self._notes = notes
        self._is_imported = cache(lambda run: import_of(run) is not None)
        self._times = cache(read_frame_times)
        self._last: dict[str, float] = {}

    def moment(self, name: str, path: Path) -> FrameMoment | None:
        """Tell when the picture at `path`, which `detect` calls `name`, was taken.

        None if it is of no run whose times are known, or if its time isn't after that of the image
        before it, by a millisecond at the least, which is counted. Raises UserError for a file of
        times that is none.
        """
        run = run_of(path)
        if run is None or not (self._times(run) or not self._is_imported(run)):
            return None
        folder = PurePosixPath(name).parent.parent
        sequence = folder.as_posix() if folder.name else run.name
        frame_id, seconds = self._time(run, path)
        before = self._last.get(sequence, -math.inf)
        if not is_later(seconds, before) or seconds == math.inf:
            self._notes.count("picture: not tracked, its run says no time that is later", name)
            return None
        self._last[sequence] = seconds
        return FrameMoment(sequence, frame_id, seconds)

    def _time(self, run: Path, path: Path) -> tuple[int, float]:
        """Number and seconds of the image at `path`; NaN where the run doesn't say."""
        if times := self._times(run):
            number = frame_number(path.name)
            return (-1, math.nan) if number not in times else (number, times[number].seconds)
        label = label_of(run, path)
        return (-1, math.nan) if label is None else (label.frame_id, label.sim_time)
