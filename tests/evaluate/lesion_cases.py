"""Small sequences of polyps and of what is shown, to be written down in a line a frame."""

from collections.abc import Mapping, Sequence

import numpy as np

from endoforge.detect.detections import Detections
from endoforge.evaluate.lesion_sequences import LesionSequence, PolypFacts
from endoforge.evaluate.matching import Truth
from endoforge.tracking.tracker import Tracked

Box = tuple[float, float, float, float]

LEFT: Box = (0.0, 0.0, 0.5, 0.5)
RIGHT: Box = (0.5, 0.5, 1.0, 1.0)
CORNER: Box = (0.75, 0.0, 1.0, 0.25)  # on neither


def sequence_of(
    seconds: Sequence[float],
    frames: Sequence[Mapping[int, Box]],
    facts: Mapping[int, PolypFacts] | None = None,
    name: str = "run_1",
) -> LesionSequence:
    """`frames` says of each which polyps it shows, by name, and where; all of class 0."""
    return LesionSequence(
        name=name,
        seconds=np.array(seconds, np.float64),
        truths=[
            Truth(boxes_of(list(polyps.values())), np.zeros(len(polyps), np.int64))
            for polyps in frames
        ],
        polyp_ids=[np.array(list(polyps), np.int64) for polyps in frames],
        facts=facts or {},
    )


def shown_of(frames: Sequence[Mapping[int, Box]], score: float = 0.5) -> list[Tracked]:
    """`frames` says of each which tracks are shown in it, by number, and where; all of class 0."""
    return [
        Tracked(
            ids=np.array(list(tracks), np.int64),
            boxes=boxes_of(list(tracks.values())),
            scores=np.full(len(tracks), score, np.float32),
            classes=np.zeros(len(tracks), np.int64),
            matched=np.ones(len(tracks), np.bool_),
        )
        for tracks in frames
    ]


def found_of(rows: Sequence[tuple[float, Box]], number: int = 0) -> Detections:
    """The detections of one frame, (score, box) each, best first, all of class `number`."""
    scores = np.array([score for score, _ in rows], np.float32)
    boxes = boxes_of([box for _, box in rows])
    return Detections(boxes, scores, np.full(len(rows), number, np.int64))


def boxes_of(boxes: Sequence[Box]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(boxes, np.float32).reshape(-1, 4)
