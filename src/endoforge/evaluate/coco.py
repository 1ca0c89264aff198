"""Average precision as COCO defines it, computed by faster-coco-eval."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from endoforge.detect.decode import MAX_DETECTIONS
from endoforge.detect.detections import Detections

log = logging.getLogger(__name__)

CATEGORY = 1
EVERY_AREA = [0.0, 1e10]

Truths = Sequence[NDArray[np.float32]]
"""The truth boxes of each picture, (K, 4) xyxy in 0..1."""


def average_precisions(
    detections: Sequence[Detections], truths: Truths, iou_thresholds: Sequence[float]
) -> list[float] | None:
    """AP at each IoU threshold: precision averaged over 101 recalls, 100 detections a picture.

    `detections[i]` and `truths[i]` are of the same picture. None where there is no truth box at
    all, since AP isn't defined then.
    """
    if not any(len(boxes) for boxes in truths):
        return None
    truth = COCO(_dataset(len(truths), _truth_annotations(truths)))
    found = truth.loadRes(_detection_annotations(detections))
    evaluation = COCOeval_faster(truth, found, iouType="bbox", print_function=log.debug)
    evaluation.params.iouThrs = np.asarray(iou_thresholds, dtype=np.float64)
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.areaRng = [EVERY_AREA]
    evaluation.params.areaRngLbl = ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"]  # (thresholds, recalls, categories, areas, maxDets)
    return [float(value) for value in precision[:, :, 0, 0, 0].mean(axis=1)]


def _dataset(num_images: int, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "images": [{"id": image_id} for image_id in range(1, num_images + 1)],
        "annotations": annotations,
        "categories": [{"id": CATEGORY, "name": "polyp"}],
    }


def _truth_annotations(truths: Truths) -> list[dict[str, Any]]:
    boxes = [(image_id, box) for image_id, rows in enumerate(truths, 1) for box in rows]
    return [
        {"id": number, "iscrowd": 0, **_annotation(image_id, box)}
        for number, (image_id, box) in enumerate(boxes, 1)
    ]


def _detection_annotations(detections: Sequence[Detections]) -> list[dict[str, Any]]:
    return [
        {"score": float(score), **_annotation(image_id, box)}
        for image_id, found in enumerate(detections, 1)
        for box, score in zip(found.boxes, found.scores, strict=True)
    ]


def _annotation(image_id: int, box: NDArray[np.float32]) -> dict[str, Any]:
    left, top, right, bottom = (float(value) for value in box)
    width, height = right - left, bottom - top
    return {
        "image_id": image_id,
        "category_id": CATEGORY,
        "bbox": [left, top, width, height],
        "area": width * height,
    }
