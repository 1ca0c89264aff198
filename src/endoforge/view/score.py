"""How the detector does in this session: running counts against exact truth, by setting."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import Truth, assign_picture
from endoforge.view.frame import LiveFrame
from endoforge.view.to_viewers import HitCounts, TruthState

MATCH_IOU = 0.5
"""As of AP50: what most of the field counts as found."""
WINDOW_S = 60.0
"""Of the sliding counts, in the viewers' own time."""
MOST_SETTINGS = 1000
"""Settings whose counts are kept, those that came last."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a detector found on a frame, and what of that is true.

    `classes` are the names that the detections' class numbers stand for; `hits` says of each
    detection whether it is of a true box. `seen` are the instances of the polyps that were to be
    found, `met` of those that were; `kinds` (K,) int64 are the classes of the true boxes, -1 where
    the detector has no such.
    """

    detections: Detections
    classes: tuple[str, ...]
    hits: tuple[bool, ...]
    seen: frozenset[int]
    met: frozenset[int]
    kinds: NDArray[np.int64]


def compare_with_truth(
    frame: LiveFrame, detections: Detections, classes: tuple[str, ...], *, by_kind: bool
) -> Comparison:
    """Match the detections on a frame with its truth, at an IoU of 0.5.

    `by_kind` says that the classes are Paris kinds: then only the right kind is a hit.
    """
    views = frame.seen
    names = [view.polyp.paris if by_kind else classes[0] for view in views]
    places = np.array([_place(name, classes) for name in names], np.int64)
    _, met = assign_picture(detections, Truth(frame.boxes(), places), MATCH_IOU)
    instances = [view.instance for view in views]
    return Comparison(
        detections=detections,
        classes=classes,
        hits=tuple(place >= 0 for place in met.tolist()),
        seen=frozenset(instances),
        met=frozenset(instances[place] for place in met.tolist() if place >= 0),
        kinds=places,
    )


class Score:
    """True and false positives and misses since the last reset; any thread may ask.

    Counts of different settings (detector, thresholds, seed) say nothing together, so each has its
    own.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.reset()

    def reset(self) -> None:
        """Count from zero again."""
        with self._lock:
            self._counts: dict[str, Counter[str]] = {}
            self._lately: deque[tuple[float, str, Counter[str]]] = deque()
            self._minute: dict[str, Counter[str]] = {}
            """The sums of those, by setting: viewers ask often, and a minute has many frames."""

    def add(self, found: Comparison, setting: str) -> None:
        """Count a frame that was looked at with a setting."""
        hits = sum(found.hits)
        misses = len(found.seen) - hits
        counts = Counter(frames=1, tp=hits, fp=len(found.hits) - hits, fn=misses)
        with self._lock:
            self._counts[setting] = self._counts.pop(setting, Counter()) + counts
            if len(self._counts) > MOST_SETTINGS:
                del self._counts[next(iter(self._counts))]
            self._lately.append((time.monotonic(), setting, counts))
            self._minute.setdefault(setting, Counter()).update(counts)
            self._forget()

    def reading(self, setting: str, *, shown: bool) -> TruthState:
        """The counts of a setting, for viewers; `shown` says whether frames come with the truth."""
        with self._lock:
            self._forget()
            every, minute = (
                counts.get(setting, Counter()) for counts in (self._counts, self._minute)
            )
            return TruthState(shown, setting, _shares(every), _shares(minute))

    def counts(self, setting: str) -> HitCounts:
        """The counts of a setting since the last reset."""
        with self._lock:
            return _shares(self._counts.get(setting, Counter()))

    def _forget(self) -> None:
        oldest = time.monotonic() - WINDOW_S
        while self._lately and self._lately[0][0] < oldest:
            _, setting, counts = self._lately.popleft()
            minute = self._minute[setting]
            minute.subtract(counts)
            if not minute["frames"]:
                del self._minute[setting]


def _shares(counts: Counter[str]) -> HitCounts:
    tp, fp, fn = counts["tp"], counts["fp"], counts["fn"]
    precision = tp / (tp + fp) if tp + fp else None
    return HitCounts(tp, fp, fn, precision, tp / (tp + fn) if tp + fn else None)


def _place(name: str, classes: Sequence[str]) -> int:
    """The number of a class of the detector; -1, which no detection has, if it has no such."""
    return classes.index(name) if name in classes else -1
