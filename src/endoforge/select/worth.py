"""What makes a frame worth an expert's look, in words and as a number."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from endoforge.detect.neural import OBJECTNESS
from endoforge.tracking.histories import TrackHistory, track_histories
from endoforge.tracking.tracker import Tracked

ReasonKind = Literal[
    "unsure",
    "track_begins",
    "track_ends",
    "track_lost",
    "track_short",
    "passing",
    "chance",
    "other",
]

UNSURE_FROM, UNSURE_AT, SURE_FROM = 0.05, OBJECTNESS, 0.9
"""Scores between which a detector is unsure, and the one where it is most so: where it decides
whether it shows a box. Of real frames, hardly any detection below the first is right, and hardly
any above the last is wrong."""
MOST_UNSURE, AT_AN_END, LOST, SHORT, PASSING = 0.9, 0.5, 0.7, 0.5, 0.5
"""What each reason is worth by itself, at most."""
LEAST = 0.1
"""What a frame is worth that nothing speaks for: it may show what the detector doesn't know."""
SHORT_TRACK_S = 1.0
"""A track that lasts less may be a false alarm, or a lesion that is mostly missed."""
NEAR_S = 0.2
"""Frames so near to a track's begin or end count as there: they may show the lesion too."""
CONFIRMED_S = 0.5
"""A sure track is shown within this time. So one that is shown so soon after the begin of a video
may have been there before it, and a detection so soon before a track may be that track's first."""


@dataclass(frozen=True)
class Reason:
    """Why a frame is worth a look: what `kind` of reason, how much it is `worth`, 0..1, and a
    `text` for people; `track` is the number of the track that it is about, in its run."""

    kind: ReasonKind
    worth: float
    text: str
    track: int | None = None


@dataclass(frozen=True, eq=False)
class Impression:
    """What the detector made of a frame.

    `scores` (N,) float32 are those of its detections, falling; `loose` is the highest score from
    OBJECTNESS on that no track has, 0 where there is none. `tracked` are the tracks that were
    shown; None for a picture by itself. `stretch` counts the trackers that its run has needed so
    far: no track goes from one stretch to the next.
    """

    scores: NDArray[np.float32]
    loose: float = 0.0
    tracked: Tracked | None = None
    stretch: int = 0

    @property
    def best(self) -> float:
        """The highest score; 0 where nothing was found."""
        return float(self.scores[0]) if len(self.scores) else 0.0


def worth_of(reasons: Iterable[Reason]) -> float:
    """How much a frame is worth, 0..1: as likely as one of its reasons is a good one."""
    return 1.0 - float(np.prod([1.0 - LEAST, *(1.0 - reason.worth for reason in reasons)]))


def unsure(scores: NDArray[np.float32]) -> list[Reason]:
    """Whether a detector with these scores (N,) of a frame is unsure of a detection.

    The most uncertain detection counts, as in Brust, Kading and Denzler 2018 ("Active learning for
    deep object detection"); their sum over the detections would seek frames full of weak ones.
    """
    doubts = np.interp(scores, [UNSURE_FROM, UNSURE_AT, SURE_FROM], [0.0, MOST_UNSURE, 0.0])
    if doubts.max(initial=0.0) < LEAST:
        return []  # as little as any frame is worth
    most = int(np.argmax(doubts))
    return [Reason("unsure", float(doubts[most]), f"unsure of a find of {scores[most]:.2f}")]


def reasons_of(seconds: NDArray[np.float64], frames: Sequence[Impression]) -> list[list[Reason]]:
    """The reasons to look at each of `frames`, the weightiest first.

    They are those of a stretch of a video or run, whose times (F,) rise, or pictures by themselves.
    Where tracks begin, end or break off, what is to be seen hardly changes and what is found does
    (Bengar et al. 2019, "Temporal coherence for active learning in videos").
    """
    reasons = [unsure(frame.scores) for frame in frames]
    begins = []
    shown = [(place, one.tracked) for place, one in enumerate(frames) if one.tracked is not None]
    for history in track_histories(shown):
        begins.append(float(seconds[history.places[0]]))
        for place, reason in _of_track(history, seconds):
            reasons[place].append(reason)
    for place, frame in enumerate(frames):
        soon = any(0 <= begin - seconds[place] <= CONFIRMED_S for begin in begins)
        if frame.loose and not soon:
            text = f"a find of {frame.loose:.2f} that no track keeps"
            reasons[place].append(Reason("passing", PASSING, text))
    return [sorted(found, key=lambda reason: -reason.worth) for found in reasons]


def _of_track(history: TrackHistory, seconds: NDArray[np.float64]) -> Iterator[tuple[int, Reason]]:
    """The places of frames that a track is a reason to look at, each with that reason."""
    number, found = history.number, history.places[history.matched]
    first, last = int(history.places[0]), int(found[-1])
    appears = seconds[first] - seconds[0] > CONFIRMED_S
    vanishes = last < len(seconds) - 1
    if appears:
        for place in _near(first, first - 1, seconds):
            yield place, Reason("track_begins", AT_AN_END, f"track {number} begins", number)
    if vanishes:
        for place in _near(last, last + 1, seconds):
            yield place, Reason("track_ends", AT_AN_END, f"track {number} ends", number)
    for place in history.places[~history.matched].tolist():
        if place < last:
            yield place, Reason("track_lost", LOST, f"track {number} breaks off", number)
    lasts = seconds[last] - seconds[first]
    if appears and vanishes and lasts < SHORT_TRACK_S:
        for place in found.tolist():
            yield place, Reason("track_short", SHORT, f"track {number} lasts {lasts:.1f} s", number)


def _near(place: int, neighbour: int, seconds: NDArray[np.float64]) -> list[int]:
    """The places within NEAR_S of that of `place`, and its neighbour, however far that is."""
    near = np.abs(seconds - seconds[place]) <= NEAR_S + 1e-6  # times are rounded
    near[[place, neighbour]] = True
    return [int(one) for one in np.flatnonzero(near)]
