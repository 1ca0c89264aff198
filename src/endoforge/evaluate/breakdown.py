"""Where a detector is good and where it isn't: frame by frame, and by the size of the polyps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.evaluate.matching import assign_picture
from endoforge.evaluate.result import EvalResult

SIZE_EDGES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 1.0)
"""Shares of the picture's area, between which boxes count as of one size."""

WORST_RULE = "Most missed and false detections; of equally many, the lowest mean IoU."
BEST_RULE = "Frames with polyps, all found and nothing false; the highest mean IoU."


@dataclass(frozen=True, kw_only=True)
class FrameScore:
    """How one frame went, at the thresholds asked for. `place` is its place in the result."""

    place: int
    truths: int
    hits: int
    false: int
    mean_iou: float
    """Over the truth boxes, 0 for a missed one; 0 where there is no truth."""

    @property
    def errors(self) -> int:
        """How many polyps were missed and how many detections were false, together."""
        return self.truths - self.hits + self.false


@dataclass(frozen=True, kw_only=True)
class SizeBin:
    """The truth boxes with an area from `least` up to `most`, shares of their picture's area."""

    least: float
    most: float
    truths: int
    hits: int

    @property
    def recall(self) -> float:
        """Share of them that was found; 0 where there are none."""
        return self.hits / max(self.truths, 1)


def score_frames(result: EvalResult) -> list[FrameScore]:
    """Score each frame of `result` at its thresholds, in its order."""
    return [_score(result, place) for place in range(len(result.frames))]


def worst_frames(scores: Sequence[FrameScore], count: int) -> list[FrameScore]:
    """Up to `count` frames with an error, the worst first: see WORST_RULE."""
    wrong = [score for score in scores if score.errors > 0]
    return sorted(wrong, key=lambda score: (-score.errors, score.mean_iou))[:count]


def best_frames(scores: Sequence[FrameScore], count: int) -> list[FrameScore]:
    """Up to `count` frames, the best first: see BEST_RULE."""
    right = [score for score in scores if score.truths > 0 and score.errors == 0]
    return sorted(right, key=lambda score: -score.mean_iou)[:count]


def recall_by_size(result: EvalResult) -> list[SizeBin]:
    """How many of the boxes of each size were found, at the thresholds asked for."""
    areas = np.concatenate([_areas(frame.boxes) for frame in result.frames])
    found = np.concatenate(
        [_found(result, place) for place in range(len(result.frames))], dtype=bool
    )
    # A box of the whole picture belongs to the last bin.
    bins = np.clip(np.digitize(areas, SIZE_EDGES) - 1, 0, len(SIZE_EDGES) - 2)
    return [
        SizeBin(
            least=SIZE_EDGES[number],
            most=SIZE_EDGES[number + 1],
            truths=int(np.count_nonzero(bins == number)),
            hits=int(np.count_nonzero(found[bins == number])),
        )
        for number in range(len(SIZE_EDGES) - 1)
    ]


def _score(result: EvalResult, place: int) -> FrameScore:
    ious, _ = _assign(result, place)
    hits, truths = int(np.count_nonzero(ious)), len(result.truths[place])
    return FrameScore(
        place=place,
        truths=truths,
        hits=hits,
        false=len(ious) - hits,
        mean_iou=float(ious.sum()) / max(truths, 1),
    )


def _found(result: EvalResult, place: int) -> NDArray[np.bool_]:
    """For each truth box of the frame, whether it was found."""
    _, places = _assign(result, place)
    found = np.zeros(len(result.truths[place]), dtype=bool)
    found[places[places >= 0]] = True
    return found


def _assign(result: EvalResult, place: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    metrics = result.metrics
    found = result.detections[place].above(metrics.obj_thresh)
    return assign_picture(found, result.truths[place], metrics.at_iou[0].iou)


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])
