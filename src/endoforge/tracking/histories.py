"""The tracks of one video, each from its first frame to its last."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.tracking.tracker import Tracked


@dataclass(frozen=True, eq=False)
class TrackHistory:
    """A track in the N frames in which it was shown.

    `places` (N,) int64 are these frames' places in the video, rising; `boxes` (N, 4) float32 are
    xyxy in 0..1, `scores` (N,) float32 smoothed; `matched` (N,) bool says where it was found, and
    not carried through a gap. `label` is the class that it had in the end, a place among the
    detector's class names.
    """

    number: int
    label: int
    places: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    matched: NDArray[np.bool_]

    @property
    def best(self) -> int:
        """The row of its highest score among those where it was found; the first of equals."""
        return int(np.argmax(np.where(self.matched, self.scores, -1.0)))


def track_histories(shown: Iterable[tuple[int, Tracked]]) -> list[TrackHistory]:
    """Tell the tracks of a video by their numbers, given its frames' places and what was shown."""
    rows: dict[int, list[tuple[int, Tracked, int]]] = {}
    for place, tracked in shown:
        for row, number in enumerate(tracked.ids.tolist()):
            rows.setdefault(number, []).append((place, tracked, row))
    return [_history(number, rows[number]) for number in sorted(rows)]


def _history(number: int, rows: list[tuple[int, Tracked, int]]) -> TrackHistory:
    _, last, row = rows[-1]
    return TrackHistory(
        number=number,
        label=int(last.classes[row]),
        places=np.array([place for place, _, _ in rows], np.int64),
        boxes=np.array([tracked.boxes[row] for _, tracked, row in rows], np.float32),
        scores=np.array([tracked.scores[row] for _, tracked, row in rows], np.float32),
        matched=np.array([tracked.matched[row] for _, tracked, row in rows], np.bool_),
    )
