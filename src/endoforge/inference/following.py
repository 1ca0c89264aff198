"""Runs a tracker along each video and run that `detect` looks at, and tells what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from endoforge.detect.detections import Detections
from endoforge.inference.material import InputPicture
from endoforge.inference.run_clock import FrameMoment
from endoforge.tracking.tracker import Tracked, Tracker


@dataclass(frozen=True, eq=False)
class Followed:
    """What is shown of a frame, and whose the M detections of it are.

    `owners` (M,) int64 has the id of each one's track; 0: none's that is confirmed. `serials` (M,)
    int64 has another number of it, which every track has from its first detection on; 0: none's.
    """

    tracked: Tracked
    owners: NDArray[np.int64]
    serials: NDArray[np.int64]


class TrackSink(Protocol):
    """Anything that wants to know what is shown of each frame of each video or run, in order."""

    def add(self, moment: FrameMoment, pixels: NDArray[np.uint8], tracked: Tracked) -> None:
        """Take the tracks shown of a frame, whose `pixels` are (H, W, 3) uint8 RGB."""
        ...


@dataclass(eq=False)
class _Pursuit:
    """The tracker of a video or run, for frames of one size."""

    tracker: Tracker
    size_hw: tuple[int, ...]


class Following:
    """Follows every sequence by a tracker of its own, however their frames are mixed.

    Where the size of the frames changes, tracks end and new ones begin, with ids that go on: what
    was where before says nothing of a picture of another shape.
    """

    def __init__(self, threshold: float, sinks: Sequence[TrackSink]) -> None:
        """`threshold` is the score from which a detection can begin a track, 0..1."""
        self._threshold, self._sinks = threshold, sinks
        self._pursuits: dict[str, _Pursuit] = {}

    def follow(self, picture: InputPicture, every: Detections) -> Followed | None:
        """Go on to a picture, of which `every` detection is given; None if it is of no sequence."""
        moment = picture.moment
        if moment is None:
            return None
        tracker = self._tracker(moment.sequence, picture.pixels.shape[:2])
        tracked = tracker.update(every, moment.seconds, picture.pixels)
        for sink in self._sinks:
            sink.add(moment, picture.pixels, tracked)
        return Followed(tracked, tracker.owners, tracker.serials)

    def _tracker(self, sequence: str, size_hw: tuple[int, ...]) -> Tracker:
        pursuit = self._pursuits.get(sequence)
        if pursuit is None or pursuit.size_hw != size_hw:
            first = pursuit.tracker.last + 1 if pursuit else 1
            tracker = Tracker(threshold=self._threshold, first=first)
            tracker.begun = pursuit.tracker.begun if pursuit else 0
            pursuit = self._pursuits[sequence] = _Pursuit(tracker, size_hw)
        return pursuit.tracker
