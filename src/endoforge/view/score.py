"""How the detector does in this session: running counts against exact truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import Truth, assign_picture
from endoforge.view.frame import LiveFrame
from endoforge.view.messages import TruthState

MATCH_IOU = 0.5
"""As of AP50: what most of the field counts as found."""


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
    """True and false positives and misses since the last reset; any thread may ask."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.reset()

    def reset(self) -> None:
        """Count from zero again."""
        with self._lock:
            self._tp = self._fp = self._fn = 0

    def add(self, found: Comparison) -> None:
        """Count a frame."""
        with self._lock:
            hits = sum(found.hits)
            self._tp += hits
            self._fp += len(found.hits) - hits
            self._fn += len(found.seen) - hits

    def reading(self, *, shown: bool) -> TruthState:
        """The counts, for viewers; `shown` says whether frames come with the truth."""
        with self._lock:
            tp, fp, fn = self._tp, self._fp, self._fn
        return TruthState(
            shown=shown,
            tp=tp,
            fp=fp,
            fn=fn,
            precision=tp / (tp + fp) if tp + fp else None,
            recall=tp / (tp + fn) if tp + fn else None,
        )


def _place(name: str, classes: Sequence[str]) -> int:
    """The number of a class of the detector; -1, which no detection has, if it has no such."""
    return classes.index(name) if name in classes else -1
