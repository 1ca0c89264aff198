"""Tells when the images of capture runs were taken, where that is sure."""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from endoforge.captures.tally import Tally
from endoforge.inference.picture_names import import_of, label_of, run_of


@dataclass(frozen=True)
class FrameMoment:
    """Frame `frame` of the video or run `sequence`, which is that of `seconds` in it."""

    sequence: str
    frame: int
    seconds: float


class RunClock:
    """Finds the moments of recorded runs; those that were imported say no time that is sure."""

    def __init__(self, notes: Tally) -> None:
        """`notes` counts the images that have no moment, though they are of a recorded run."""
        self._notes = notes
        self._is_imported = cache(lambda run: import_of(run) is not None)
        self._last: dict[str, float] = {}

    def moment(self, name: str, path: Path) -> FrameMoment | None:
        """Tell when the picture at `path`, which `detect` calls `name`, was taken.

        None if it is of no recorded run, or if its label doesn't say a time after that of the image
        before it, which is counted.
        """
        run = run_of(path)
        if run is None or self._is_imported(run):
            return None
        folder = PurePosixPath(name).parent.parent
        sequence = folder.as_posix() if folder.name else run.name
        label = label_of(run, path)
        before = self._last.get(sequence, -math.inf)
        if label is None or not before < label.sim_time < math.inf:
            self._notes.count("picture: not tracked, its label says no time that is later", name)
            return None
        self._last[sequence] = label.sim_time
        return FrameMoment(sequence, label.frame_id, label.sim_time)
