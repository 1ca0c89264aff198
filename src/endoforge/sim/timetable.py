"""Which run and which view of it comes when, in a sequence of frames that never repeats.

The sequence is cut into beats of `views_a_run` frames. In each beat `runs_at_once` runs take equal
shares, mixed by chance; after it the oldest of them goes, all its views shown, and a new one comes.
So any stretch of frames mixes many runs, the work of making them is even, and whatever frame is
asked for, little arithmetic tells where it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RUNS_AT_ONCE = 64
"""Runs that are shown in turn: a batch of 64 frames shows about 43 of them, of some 16 colons."""
VIEWS_A_RUN = 384
"""Views of a run that are shown, of some 6,000 moments. 10,000 frames/s take 26 new runs a second,
seven colons."""


@dataclass(frozen=True)
class Timetable:
    """The sequence of a seed, which depends on nothing else: not on the machine, nor on batches.

    Raises ValueError if `runs_at_once` doesn't divide `views_a_run`.
    """

    seed: int
    runs_at_once: int = RUNS_AT_ONCE
    views_a_run: int = VIEWS_A_RUN

    def __post_init__(self) -> None:
        if self.views_a_run % self.runs_at_once:
            raise ValueError("runs_at_once must divide views_a_run")

    def beats(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The beat (N,) of each position in the sequence."""
        return positions // self.views_a_run

    def runs(self, beat: int) -> range:
        """The runs that a beat shows, the oldest first."""
        return range(beat, beat + self.runs_at_once)

    def order(self, beat: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The run (views_a_run,) and the view of it of each frame of a beat.

        In its first beat a run shows its first part, and so on. The runs of the very first beats,
        which were there from the start, show their later parts only.
        """
        rng = np.random.default_rng([self.seed, beat])
        share = self.views_a_run // self.runs_at_once
        place, view = np.divmod(rng.permutation(self.views_a_run), share)
        part = self.runs_at_once - 1 - place
        return beat + place, part * share + view

    def views(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The run (N,) and the view of it of each position (N,) in the sequence."""
        beats = self.beats(positions)
        shown = np.empty((2, len(positions)), np.int64)
        for beat in np.unique(beats).tolist():
            there = beats == beat
            places = positions[there] - beat * self.views_a_run
            shown[:, there] = np.stack(self.order(beat))[:, places]
        return shown[0], shown[1]
