"""Chooses frames that are worth labelling and unlike each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.core.progress import progress
from endoforge.select.looks import squared_distances, usual_scale
from endoforge.select.pool import PoolFrame

CHANCE_ONE_IN = 5
"""One frame of so many is drawn by chance, so that a detector also learns where it is sure, and
wrong."""
NEAR_IN_TIME_S = 2.0
"""Frames of a video that are so far apart in time are two thirds new to each other; within a
second, they mostly show the same lesion from the same side."""
HALF_KNOWN = 10
"""A frame of a run of which so many were looked at adds half as much as one of a run that nobody
has seen: another run is another patient."""
AT_ONCE = 256
"""Frames that all others are compared with in one go: of 100,000 frames, in 100 MB."""


@dataclass(frozen=True)
class Choice:
    """The frame at `place` was chosen: by chance, or by what it is worth."""

    place: int
    by_chance: bool


class Coverage:
    """How much of what each of N frames shows is known from frames that were looked at.

    A frame that looks like one of them is known, and so is a frame of the same video shortly before
    or after. `known` is (N,) float32, 0 for a frame unlike all of them, 1 for one of their own.
    """

    def __init__(self, frames: Sequence[PoolFrame], looks: NDArray[np.float32]) -> None:
        """`looks` are (N, LOOK_LENGTH), a row a frame."""
        self.known = np.zeros(len(frames), np.float32)
        self._looks = looks
        self._scale = usual_scale(looks)
        runs: dict[Path, list[int]] = {}
        for place, frame in enumerate(frames):
            runs.setdefault(frame.run, []).append(place)
        self._members = [np.array(places, np.int64) for places in runs.values()]
        self._run = np.empty(len(frames), np.int64)
        for number, places in enumerate(self._members):
            self._run[places] = number
        # No time is near to that of a picture by itself.
        self._seconds = np.array([np.nan if f.seconds is None else f.seconds for f in frames])
        self._looked_at = np.zeros(len(self._members), np.int64)

    def add(self, places: Sequence[int]) -> None:
        """Count the frames at `places` as looked at."""
        for start in range(0, len(places), AT_ONCE):
            rows = np.array(places[start : start + AT_ONCE], np.int64)
            apart = squared_distances(self._looks, self._looks[rows])
            alike = np.exp(-apart.min(axis=1) / self._scale**2)
            np.maximum(self.known, alike, out=self.known)
        for place in places:
            run = self._run[place]
            self._looked_at[run] += 1
            members = self._members[run]
            since = np.abs(self._seconds[members] - self._seconds[place])
            near = np.exp(-np.nan_to_num(since, nan=np.inf) / NEAR_IN_TIME_S).astype(np.float32)
            self.known[members] = np.maximum(self.known[members], near)
        self.known[list(places)] = 1.0

    def room(self) -> NDArray[np.float64]:
        """What looking at each frame would add, (N,), 0..1; less for runs that are known better."""
        weights = 1 / (1 + self._looked_at / HALF_KNOWN)
        return np.asarray((1.0 - self.known) * weights[self._run], np.float64)


def choose(
    worth: NDArray[np.float64],
    coverage: Coverage,
    open_places: Sequence[int],
    count: int,
    seed: int,
) -> list[Choice]:
    """Choose up to `count` of the frames at `open_places`, the most worth it first.

    Each is the one whose `worth` (N,) times what it adds to `coverage` is the highest: greedy
    k-centre (Sener and Savarese 2018, "Active learning for convolutional neural networks: a
    core-set approach") with weights, and by likeness rather than distance, so that pictures unlike
    all others, of a table or a lens cap, aren't sought for that alone. One in CHANCE_ONE_IN is
    drawn by `seed`, the likelier the more it adds, as k-means++ draws its centres (Arthur and
    Vassilvitskii 2007; BADGE, Ash et al. 2020, draws frames to label so). A frame depends on those
    before it alone: fewer frames are the first of more. The chosen frames count as looked at in
    `coverage` afterwards.
    """
    random = np.random.default_rng(seed)
    left = np.zeros(len(worth), np.bool_)
    left[list(open_places)] = True
    chosen: list[Choice] = []
    wanted = min(count, len(open_places))
    with progress("choosing", wanted, "frames") as advance:
        while len(chosen) < wanted:
            room = coverage.room()
            by_chance = len(chosen) % CHANCE_ONE_IN == CHANCE_ONE_IN - 1
            if by_chance:
                place = _drawn(room * left, left, random)
            else:
                place = int(np.argmax(np.where(left, worth * room, -1.0)))
            left[place] = False
            coverage.add([place])
            chosen.append(Choice(place, by_chance))
            advance()
    return chosen


def _drawn(
    weights: NDArray[np.float64], left: NDArray[np.bool_], random: np.random.Generator
) -> int:
    """A place of those that are `left`, drawn by weight; all are as likely if none weighs any."""
    weights = weights if weights.any() else left.astype(np.float64)
    return int(random.choice(len(weights), p=weights / weights.sum()))
