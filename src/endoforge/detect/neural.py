"""A trained TinyDet as a Detector: frames of any size in, boxes in the frame's coordinates out."""

import os
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.core.choices import DetectorKind
from endoforge.core.forks import refuse_fork
from endoforge.data.letterbox import Placement, resize_picture
from endoforge.detect.decode import NMS_IOU
from endoforge.detect.detections import Detections, check_frame
from endoforge.detect.fold import fold_norms
from endoforge.detect.packaged import chosen_weights
from endoforge.detect.predict import Net, predict
from endoforge.detect.tinydet import TinyDet
from endoforge.detect.weights import load_weights
from endoforge.roots.fetching import fetch_file

OBJECTNESS = 0.3
"""Least score of a detection, unless `set_thresholds` says otherwise."""


class NeuralDetector:
    """Finds polyps with the weights of a checkpoint, in frames of any size.

    `path` is the weights' file, `metadata` says what they are of: the model, its classes and its
    input size; `net` is what computes. Detecting from several threads at once is safe.
    """

    kind: DetectorKind = "neural"

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        place: Callable[[TinyDet], Net] | None = None,
        exact: bool = False,
    ) -> None:
        """Load the weights that `checkpoint` names, as every command does (`chosen_weights`), to
        compute on the CPU, or where `place` brings the net.

        Norms are folded into the convolutions before them, which is faster, and as right but for
        rounding; `exact` leaves them, so that the net gives what it gave in training to the bit.
        Raises UserError where that can't be done, and in a process that was forked from one that
        had loaded a detector, unless torch computes in one thread.
        """
        _refuse_fork()
        given = None if checkpoint is None else os.fspath(checkpoint)
        if given is not None:
            fetch_file(given, "--checkpoint")
        self.path = chosen_weights(given)
        self.model, self.metadata = load_weights(self.path)
        if not exact:
            fold_norms(self.model)
        # Channels last is how pictures come, and what convolutions are fastest in.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.net = self.model if place is None else place(self.model)
        self.set_thresholds(objectness=OBJECTNESS, iou=NMS_IOU)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of what it finds; detections tell their class by its place here."""
        return self.model.config.classes

    def set_thresholds(self, objectness: float, iou: float) -> None:
        """Set the least score of a detection, and the IoU from which two are one, both 0..1."""
        self.objectness, self.iou = objectness, iou

    def detect(self, frame: NDArray[np.uint8]) -> Detections:
        """Find polyps in `frame`, (H, W, 3) uint8 RGB; raises ValueError for anything else.

        Raises UserError in a process that was forked from the one that loaded a detector, unless
        torch computes in one thread.
        """
        [found] = self.detect_batch([frame])
        return found

    def detect_batch(self, frames: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find polyps in several frames at once, (H, W, 3) uint8 RGB each; sizes may differ.

        Gives the detections of each frame, in the frames' order; raises what `detect` raises.
        """
        if not len(frames):
            return []
        _refuse_fork()
        size, mode = self.metadata.input_size, self.metadata.resize_mode
        placed = [resize_picture(check_frame(frame), size, mode) for frame in frames]
        found = predict(
            self.net,
            torch.from_numpy(np.stack([picture for picture, _ in placed])),
            score_threshold=self.objectness,
            iou_threshold=self.iou,
        )
        return [_in_frame(one, place) for one, (_, place) in zip(found, placed, strict=True)]


def _refuse_fork() -> None:
    if torch.get_num_threads() > 1:  # with one, torch waits for no other
        refuse_fork("torch", ", or call torch.set_num_threads(1) in it first")


def _in_frame(found: Detections, place: Placement) -> Detections:
    """Detections in an input as detections in the frame that it shows."""
    boxes = place.to_picture(found.boxes)
    in_picture = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)  # not wholly in the black bars
    return Detections(boxes, found.scores, found.classes)[in_picture]
