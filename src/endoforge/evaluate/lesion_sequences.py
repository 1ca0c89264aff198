"""Frames in order of time with the polyps that each shows, by name, and how long each lasts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from endoforge.detect.overlap import pairwise_iou
from endoforge.evaluate.matching import Truth

GAP_STEPS, GAP_SECONDS = 3.0, 1.0
"""A step from one frame to the next is a gap if it is longer than so many usual ones, and than so
many seconds: a second and less is frames that were dropped, with the last one still on screen."""


@dataclass(frozen=True)
class PolypFacts:
    """What labels say of a polyp wherever they show it; None where they don't say."""

    diameter_mm: float | None = None
    kind: str | None = None
    """Of the Paris classification."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LesionSequence:
    """The F frames of one run or one video, at least two.

    `seconds` (F,) float64 is when each was seen, rising. `truths` holds their true boxes,
    `polyp_ids` beside each the names (K,) int64 of the polyps in them, `facts` what is known of
    each polyp. Anything else is a ValueError.
    """

    name: str
    seconds: NDArray[np.float64]
    truths: list[Truth]
    polyp_ids: list[NDArray[np.int64]]
    facts: Mapping[int, PolypFacts]

    def __post_init__(self) -> None:
        if not len(self.seconds) == len(self.truths) == len(self.polyp_ids) >= 2:
            lengths = f"{len(self.seconds)}, {len(self.truths)} and {len(self.polyp_ids)}"
            raise ValueError(f"as many times as truths and names, at least two: got {lengths}")
        if not np.all(np.diff(self.seconds) > 0):
            raise ValueError("seconds must rise from frame to frame")
        if any(len(t) != len(ids) for t, ids in zip(self.truths, self.polyp_ids, strict=True)):
            raise ValueError("every true box must have the name of its polyp")

    def __len__(self) -> int:
        return len(self.seconds)

    @cached_property
    def usual_step(self) -> float:
        """Seconds from one frame to the next, the median."""
        return float(np.median(np.diff(self.seconds)))

    @cached_property
    def follows(self) -> NDArray[np.bool_]:
        """(F,): whether a frame follows the one before it without a gap; the first doesn't."""
        longest = max(GAP_STEPS * self.usual_step, GAP_SECONDS)
        return np.concatenate([[False], np.diff(self.seconds) <= longest])

    @cached_property
    def durations(self) -> NDArray[np.float64]:
        """(F,): the seconds for which each frame stands: until the next one comes.

        The last frame, and each before a gap, stand for the usual step: what was on screen then
        isn't known.
        """
        steps = np.append(np.diff(self.seconds), self.usual_step)
        return np.where(np.append(self.follows[1:], False), steps, self.usual_step)

    def overlaps(
        self, frame: int, boxes: NDArray[np.float32], classes: NDArray[np.int64], least: float
    ) -> NDArray[np.bool_]:
        """(N, K): which of `boxes` (N, 4) lie on which true box of `frame`.

        Those do that are of its class and overlap it by an IoU of at least `least`.
        """
        truth = self.truths[frame]
        alike = classes[:, None] == truth.classes
        return np.asarray(alike & (pairwise_iou(boxes, truth.boxes) >= least), np.bool_)
