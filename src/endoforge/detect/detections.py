"""The one type that everything which draws, counts or scores detections takes."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Detections:
    """Boxes found in one picture, best first.

    `boxes` is (N, 4) float32, xyxy in 0..1 of the picture; `scores` is (N,) float32 in 0..1,
    falling.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.scores), 4):
            shapes = f"{self.boxes.shape} and {self.scores.shape}"
            raise ValueError(f"boxes and scores must be (N, 4) and (N,), got {shapes}")
        if np.any(np.diff(self.scores) > 0):
            raise ValueError("scores must fall: sort the detections, best first")

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score: float) -> "Detections":
        """Those with at least this score."""
        kept = int(np.count_nonzero(self.scores >= score))
        return Detections(self.boxes[:kept], self.scores[:kept])


class Detector(Protocol):
    """Anything that finds polyps in a picture, learned or classical."""

    kind: Literal["neural", "heuristic"]

    def detect(self, frame: NDArray[np.uint8]) -> Detections:
        """Find polyps in `frame`, (H, W, 3) uint8 RGB."""
        ...

    def set_thresholds(self, objectness: float, iou: float) -> None:
        """Least score of a detection, and the overlap from which two count as the same, 0..1."""
        ...
