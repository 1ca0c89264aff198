"""Shows all frames of a pool to a detector, and notes what it finds and what they look like."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import read_picture
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.progress import Advance, progress
from endoforge.core.text import printable
from endoforge.detect.detections import Detections
from endoforge.detect.neural import OBJECTNESS, NeuralDetector
from endoforge.select.looks import LOOK_LENGTH, look_of
from endoforge.select.pool import PoolFrame
from endoforge.select.worth import UNSURE_FROM, Impression
from endoforge.tracking.tracker import Tracker

BATCH_SIZE = 8
"""Frames that go through the detector at once; changes speed, not the result."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Seen:
    """The N frames that could be looked at: `looks` (N, LOOK_LENGTH) float32 and `impressions`, a
    row each."""

    frames: list[PoolFrame]
    looks: NDArray[np.float32]
    impressions: list[Impression]


def look_at(frames: Sequence[PoolFrame], detector: NeuralDetector, left_out: Tally) -> Seen:
    """Look at every frame that can be decoded, in order; the others are counted in `left_out`.

    Labelled frames are looked at too: what they show is known, and tracks go on through them.
    Raises UserError if no frame can be decoded.
    """
    seen: list[PoolFrame] = []
    looks: list[NDArray[np.float32]] = []
    impressions: list[Impression] = []
    following = _RunFollower()
    with progress("looking at", len(frames), "frames") as advance:
        for batch in _batches(_decoded(frames, left_out, advance)):
            found = detector.detect_batch([picture for _, picture in batch])
            for (frame, picture), every in zip(batch, found, strict=True):
                seen.append(frame)
                looks.append(look_of(picture))
                impressions.append(following.follow(frame, picture, every))
            advance(len(batch))
    if not seen:
        raise UserError(f"no frame can be read: {'; '.join(left_out.lines())}")
    return Seen(seen, np.array(looks, np.float32).reshape(-1, LOOK_LENGTH), impressions)


class _RunFollower:
    """Follows what is found through one run after the other, by a tracker of each."""

    def __init__(self) -> None:
        self._run: Path | None = None
        self._size_hw: tuple[int, ...] = ()
        self._seconds = 0.0
        self._stretch = 0
        self._tracker = Tracker(threshold=OBJECTNESS)

    def follow(self, frame: PoolFrame, picture: Picture, every: Detections) -> Impression:
        """Go on to a frame, of which `every` detection is given."""
        scores = every.above(UNSURE_FROM).scores
        if frame.seconds is None:
            return Impression(scores, stretch=self._stretch if frame.run == self._run else 0)
        self._begin_where_needed(frame, picture.shape[:2], frame.seconds)
        tracked = self._tracker.update(every, frame.seconds, picture)
        loose = every.scores[(self._tracker.owners == 0) & (every.scores >= OBJECTNESS)]
        return Impression(scores, float(loose.max(initial=0.0)), tracked, self._stretch)

    def _begin_where_needed(
        self, frame: PoolFrame, size_hw: tuple[int, ...], seconds: float
    ) -> None:
        """Begin with new tracks in another run, and where a picture's size or the time jumps."""
        if frame.run != self._run:
            self._tracker, self._stretch = Tracker(threshold=OBJECTNESS), 0
        elif size_hw != self._size_hw or seconds < self._seconds:
            self._tracker = Tracker(threshold=OBJECTNESS, first=self._tracker.last + 1)
            self._stretch += 1
        self._run, self._size_hw, self._seconds = frame.run, size_hw, seconds


def _decoded(
    frames: Sequence[PoolFrame], left_out: Tally, advance: Advance
) -> Iterator[tuple[PoolFrame, Picture]]:
    for frame in frames:
        try:
            picture = read_picture(frame.path)
        except Unusable as unusable:
            left_out.count(f"frame: {unusable.reason}", printable(frame.name))
            advance()
            continue
        yield frame, picture


def _batches(
    pictures: Iterator[tuple[PoolFrame, Picture]],
) -> Iterator[list[tuple[PoolFrame, Picture]]]:
    while batch := list(islice(pictures, BATCH_SIZE)):
        yield batch
