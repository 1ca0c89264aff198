"""A trained TinyDet as a Detector: frames of any size in, boxes in the frame's coordinates out."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.data.letterbox import resize_picture
from endoforge.detect.decode import NMS_IOU
from endoforge.detect.detections import Detections
from endoforge.detect.predict import predict
from endoforge.detect.weights import load_weights


class NeuralDetector:
    """Finds polyps with the weights of a checkpoint, a frame at a time."""

    kind: Literal["neural", "heuristic"] = "neural"

    def __init__(self, checkpoint: Path, *, device: str = "cpu") -> None:
        """Load `checkpoint`; raises UserError where that can't be done."""
        self.model, self.metadata = load_weights(checkpoint)
        self.model.to(device)
        self.set_thresholds(objectness=0.3, iou=NMS_IOU)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of what it finds; detections tell their class by its place here."""
        return self.model.config.classes

    def set_thresholds(self, objectness: float, iou: float) -> None:
        """Least score of a detection, and the overlap from which two count as the same, 0..1."""
        self.objectness, self.iou = objectness, iou

    def detect(self, frame: NDArray[np.uint8]) -> Detections:
        """Find polyps in `frame`, (H, W, 3) uint8 RGB."""
        picture, placement = resize_picture(
            frame, self.metadata.input_size, self.metadata.resize_mode
        )
        [found] = predict(
            self.model,
            torch.from_numpy(picture[None]),
            score_threshold=self.objectness,
            iou_threshold=self.iou,
        )
        boxes = placement.to_picture(found.boxes)
        in_picture = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)  # not wholly in the black bars
        return Detections(boxes, found.scores, found.classes)[in_picture]
