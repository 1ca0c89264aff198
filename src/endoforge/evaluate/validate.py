"""Every frame of a loader through a detector, and the metrics of what it found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.data.augment import flip
from endoforge.data.loader import Batch, Loader
from endoforge.detect.detections import Detections
from endoforge.evaluate.metrics import Metrics, measure

Predict = Callable[[NDArray[np.uint8]], list[Detections]]
"""(B, H, W, 3) uint8 RGB pictures to the detections of each."""


@dataclass(frozen=True)
class Validation:
    """What was found, beside what is true, in the order of the loader's pack; 0..1 of the input."""

    metrics: Metrics
    detections: list[Detections]
    truths: list[NDArray[np.float32]]
    batches: int


def validate(
    predict: Predict,
    loader: Loader,
    *,
    obj_thresh: float,
    iou_threshs: Sequence[float],
    flip_probability: float = 0.0,
    seed: int = 0,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Validation:
    """Ask `predict` about every frame of `loader`, and measure.

    With a `flip_probability`, so large a share of the frames is mirrored, the same ones each time
    for a `seed`. `on_batch` is told the number of frames of each batch when it is done; what it
    raises ends the validation.
    """
    generator = torch.Generator().manual_seed(seed)
    detections: list[Detections] = []
    truths: list[NDArray[np.float32]] = []
    for batch in loader.batches(epoch=0):
        if flip_probability > 0:
            batch = _flipped(batch, flip_probability, generator)
        detections += predict(batch.images)
        truths += [rows[:n] for rows, n in zip(batch.boxes, batch.num_boxes, strict=True)]
        on_batch(len(batch.indices))
    metrics = measure(detections, truths, obj_thresh=obj_thresh, iou_threshs=iou_threshs)
    return Validation(metrics, detections, truths, len(loader))


def _flipped(batch: Batch, probability: float, generator: torch.Generator) -> Batch:
    images, boxes, num_boxes = flip(
        torch.from_numpy(batch.images).permute(0, 3, 1, 2),
        torch.from_numpy(batch.boxes),
        torch.from_numpy(batch.num_boxes),
        probability,
        generator,
    )
    return Batch(
        images=np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy()),
        boxes=boxes.numpy(),
        num_boxes=num_boxes.numpy(),
        indices=batch.indices,
    )
