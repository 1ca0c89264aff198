"""Average precision as COCO defines it, computed by faster-coco-eval."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from endoforge.detect.decode import MAX_DETECTIONS
from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import Truth

log = logging.getLogger(__name__)

EVERY_AREA = [0.0, 1e10]


def average_precisions(
    detections: Sequence[Detections], truths: Sequence[Truth], iou_thresholds: Sequence[float]
) -> dict[int, list[float]]:
    """AP of each class that has a truth box, at each IoU threshold.

    Precision averaged over 101 recalls, 100 detections of a class a picture. `detections[i]` and
    `truths[i]` are of the same picture.
    """
    classes = sorted({int(number) for truth in truths for number in truth.classes})
    if not classes:
        return {}
    truth = COCO(_dataset(len(truths), classes, _truth_annotations(truths)))
    found = truth.loadRes(_detection_annotations(detections))
    evaluation = COCOeval_faster(truth, found, iouType="bbox", print_function=log.debug)
    evaluation.params.iouThrs = np.asarray(iou_thresholds, dtype=np.float64)
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.areaRng = [EVERY_AREA]
    evaluation.params.areaRngLbl = ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"]  # (thresholds, recalls, categories, areas, maxDets)
    return {
        number: [float(value) for value in precision[:, :, place, 0, 0].mean(axis=1)]
        for place, number in enumerate(classes)
    }


def _dataset(
    num_images: int, classes: Sequence[int], annotations: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "images": [{"id": image_id} for image_id in range(1, num_images + 1)],
        "annotations": annotations,
        "categories": [{"id": _category(number), "name": str(number)} for number in classes],
    }


def _category(number: int) -> int:
    """COCO's number of a class, which counts from 1."""
    return number + 1


def _truth_annotations(truths: Sequence[Truth]) -> list[dict[str, Any]]:
    annotations = [
        _annotation(image_id, box, int(number))
        for image_id, truth in enumerate(truths, 1)
        for box, number in zip(truth.boxes, truth.classes, strict=True)
    ]
    return [{"id": n, "iscrowd": 0, **annotation} for n, annotation in enumerate(annotations, 1)]


def _detection_annotations(detections: Sequence[Detections]) -> list[dict[str, Any]]:
    return [
        {"score": float(score), **_annotation(image_id, box, int(number))}
        for image_id, found in enumerate(detections, 1)
        for box, score, number in zip(found.boxes, found.scores, found.classes, strict=True)
    ]


def _annotation(image_id: int, box: NDArray[np.float32], number: int) -> dict[str, Any]:
    left, top, right, bottom = (float(value) for value in box)
    width, height = right - left, bottom - top
    return {
        "image_id": image_id,
        "category_id": _category(number),
        "bbox": [left, top, width, height],
        "area": width * height,
    }
