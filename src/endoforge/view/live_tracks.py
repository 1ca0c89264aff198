"""Follows what is detected on the frames of the live world, through its cuts and pauses."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.detect.detections import Detections
from endoforge.detect.overlap import pairwise_iou
from endoforge.evaluate.lesion_outcomes import LESION_IOU
from endoforge.tracking.tracker import Tracked, Tracker
from endoforge.view.frame import LiveFrame, clock_step
from endoforge.view.score import Comparison

MOST_STEP_S = 1.0
"""Of simulated time; a longer step is a jump to another moment."""
MOST_STEP_MM, MOST_MM_S = 20.0, 150.0
"""How far a camera gets at once, and in a second of simulated time: no scope is that fast."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """What was made of `frame`: its detections, `found`, and the tracks that are shown of it.

    `owners` (M,) int64 are the ids of the tracks of the detections, 0 for none; `on` says of each
    track the instance of the polyp that it is on, or None; `unclear` whether it is on one that
    shows too little of itself to have a box.
    """

    frame: LiveFrame
    found: Comparison
    tracked: Tracked
    owners: NDArray[np.int64]
    on: tuple[int | None, ...]
    unclear: tuple[bool, ...]
    second: Comparison | None = None
    """What a second detector has found on the frame."""

    @property
    def met(self) -> frozenset[int]:
        """The polyps that a detection has found, or that a track is on."""
        return self.found.met | {instance for instance in self.on if instance is not None}


class LiveTracking:
    """A tracker for as long as one picture follows from another; ids go on from tracker to tracker.

    `seconds` is its clock, which never goes back: simulated time, and while that stands still, as
    for a free camera in a pause, a little of the viewers' own.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._tracker = Tracker()
        self._last: LiveFrame | None = None
        self._last_wall = 0.0

    def forget(self) -> None:
        """Begin anew with the next frame: the detector is another one."""
        self._last = None

    def follow(
        self, frame: LiveFrame, detections: Detections, objectness: float
    ) -> tuple[Tracked, NDArray[np.int64]]:
        """Go on to a frame, or to the last one again with other detections, weak ones too.

        `objectness` is the score from which one can begin a track. Gives the tracks to be shown,
        and (M,) int64 ids of the tracks of the detections, 0 for none. Of the last frame again,
        these are the tracks that have a detection: no time has passed through which to carry one.
        """
        again = frame is self._last
        if self._last is None or _is_cut(self._last, frame):
            self._tracker = Tracker(first=self._tracker.last + 1)
        self.seconds += self._step(frame)
        self._last, self._last_wall = frame, time.monotonic()
        self._tracker.threshold = objectness
        tracked = self._tracker.update(detections, self.seconds, frame.rgb)
        owners = self._tracker.owners
        return _of(tracked, owners) if again else tracked, owners

    def _step(self, frame: LiveFrame) -> float:
        if self._last is None or frame is self._last:
            return 0.0
        wall_s = time.monotonic() - self._last_wall
        return clock_step(self._last, frame, most_s=MOST_STEP_S, wall_s=wall_s)


def make_sighting(
    frame: LiveFrame,
    found: Comparison,
    tracked: Tracked,
    owners: NDArray[np.int64],
    second: Comparison | None = None,
) -> Sighting:
    """Say which polyps the tracks are on: the one that each overlaps most, by LESION_IOU at least,
    as in `eval --lesions`.

    Where the classes are Paris kinds, a track is on a polyp of its kind only.
    """
    overlaps = pairwise_iou(tracked.boxes, frame.boxes())
    overlaps[tracked.classes[:, None] != found.kinds] = 0.0
    instances = [view.instance for view in frame.seen]
    on = [
        instances[row.argmax()] if len(row) and row.max() >= LESION_IOU else None
        for row in overlaps
    ]
    small = pairwise_iou(tracked.boxes, frame.unboxed()).max(axis=1, initial=0.0) >= LESION_IOU
    return Sighting(frame, found, tracked, owners, tuple(on), tuple(small.tolist()), second)


def _of(tracked: Tracked, owners: NDArray[np.int64]) -> Tracked:
    """The tracks that are among the `owners` of detections."""
    kept = np.isin(tracked.ids, owners)
    return Tracked(
        tracked.ids[kept],
        tracked.boxes[kept],
        tracked.scores[kept],
        tracked.classes[kept],
        tracked.matched[kept],
    )


def _is_cut(before: LiveFrame, frame: LiveFrame) -> bool:
    """Say if what `frame` shows doesn't follow from what was seen before."""
    step = frame.seconds - before.seconds
    if frame.part is not before.part or not 0 <= step <= MOST_STEP_S:
        return True
    return frame.mm_from(before) > MOST_STEP_MM + MOST_MM_S * step
