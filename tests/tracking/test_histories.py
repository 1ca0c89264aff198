"""Tracks told from first to last, worked out by hand."""

import numpy as np

from endoforge.tracking.histories import track_histories
from endoforge.tracking.tracker import Tracked


def shown(*rows: tuple[int, float, bool, int]) -> Tracked:
    """Tracks of a frame: id, score, matched and class; the box tells the score."""
    ids, scores, matched, classes = zip(*rows, strict=True) if rows else ((), (), (), ())
    boxes = [(0.0, 0.0, 0.5, score) for score in scores]
    return Tracked(
        ids=np.array(ids, np.int64),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        classes=np.array(classes, np.int64),
        matched=np.array(matched, np.bool_),
    )


def test_each_track_in_the_frames_that_showed_it():
    frames = [
        (0, shown()),
        (3, shown((2, 0.5, True, 0))),
        (4, shown((1, 0.4, True, 0), (2, 0.75, False, 1))),
        (6, shown((2, 0.625, True, 1))),
    ]
    first, second = track_histories(frames)
    assert (first.number, first.places.tolist(), first.best) == (1, [4], 0)
    assert (second.number, second.label) == (2, 1), "the class that it had in the end"
    assert second.places.tolist() == [3, 4, 6]
    assert second.scores.tolist() == [0.5, 0.75, 0.625]
    assert second.matched.tolist() == [True, False, True]
    assert second.boxes[:, 3].tolist() == [0.5, 0.75, 0.625]
    assert second.best == 2, "0.75 was carried through a gap: nothing was found there"


def test_no_track_is_no_history():
    assert track_histories([(0, shown())]) == []
