"""The one type that everything which draws, counts or scores detections takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from endoforge.core.choices import DetectorKind


@dataclass(frozen=True)
class Detections:
    """Boxes found in one picture, best first.

    `boxes` is (N, 4) float32, xyxy in 0..1 of the picture; `scores` is (N,) float32 in 0..1,
    falling; `classes` is (N,) int64, places among the detector's class names. Anything else is a
    ValueError.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes.shape != (count, 4) or self.classes.shape != (count,):
            shapes = f"{self.boxes.shape}, {self.scores.shape} and {self.classes.shape}"
            raise ValueError(f"boxes, scores, classes must be (N, 4), (N,) and (N,), got {shapes}")
        if np.any(np.diff(self.scores) > 0):
            raise ValueError("scores must fall: sort the detections, best first")

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: slice | NDArray[np.bool_ | np.intp]) -> "Detections":
        """The detections at `rows`, a slice, a mask or indices, which must stay best first."""
        return Detections(self.boxes[rows], self.scores[rows], self.classes[rows])

    def captions(self, class_names: Sequence[str]) -> list[str]:
        """A text for each: its score, "0.93"; where there are several classes, "Ip 0.93"."""
        texts = [f"{score:.2f}" for score in self.scores]
        if len(class_names) == 1:
            return texts
        return [f"{class_names[n]} {text}" for n, text in zip(self.classes, texts, strict=True)]

    def above(self, score: float) -> "Detections":
        """The detections with at least this score."""
        return self[: int(np.count_nonzero(self.scores >= score))]


class Detector(Protocol):
    """Anything that finds polyps in a picture, learned or classical."""

    kind: DetectorKind

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of what it finds; detections tell their class by its place here."""
        ...

    def detect(self, frame: NDArray[np.uint8]) -> Detections:
        """Find polyps in `frame`, (H, W, 3) uint8 RGB; raises ValueError for anything else."""
        ...

    def set_thresholds(self, objectness: float, iou: float) -> None:
        """Set the least score of a detection, and the IoU from which two are one, both 0..1."""
        ...


def check_frame(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`frame`, if it is (H, W, 3) uint8; raises ValueError that says what it is instead."""
    if not isinstance(frame, np.ndarray):
        raise ValueError(f"a frame must be a NumPy array, got {type(frame).__name__}")
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise ValueError(f"a frame must be (H, W, 3) uint8 RGB, got {frame.shape} {frame.dtype}")
    return frame
