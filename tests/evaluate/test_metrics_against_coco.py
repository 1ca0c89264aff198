"""Our metrics against pycocotools, the reference."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import match_picture
from endoforge.evaluate.metrics import COCO_IOUS, measure

THRESHOLDS = [0.3, *COCO_IOUS]


def reference(detections, truths):
    """pycocotools' evaluation at THRESHOLDS, of boxes blown up to pixels of 1000 by 1000."""
    truth_rows = [(image, box) for image, boxes in enumerate(truths, 1) for box in boxes]
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(1, len(truths) + 1)],
        "categories": [{"id": 1}],
        "annotations": [
            {"id": number, "iscrowd": 0, **annotation(image, box)}
            for number, (image, box) in enumerate(truth_rows, 1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        results = truth.loadRes(
            [
                {"score": float(score), **annotation(image, box)}
                for image, found in enumerate(detections, 1)
                for box, score in zip(found.boxes, found.scores, strict=True)
            ]
        )
        evaluation = COCOeval(truth, results, "bbox")
        evaluation.params.iouThrs = np.array(THRESHOLDS)
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [1, 10, 100]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def annotation(image, box):
    x0, y0, x1, y1 = box.astype(float) * 1000
    sides = [x1 - x0, y1 - y0]
    bbox = [x0, y0, *sides]
    return {"image_id": image, "category_id": 1, "bbox": bbox, "area": sides[0] * sides[1]}


def random_case(seed, num_pictures, crowd, levels):
    """Pictures with truths and detections near them or anywhere; few `levels` make ties."""
    rng = np.random.default_rng(seed)
    truths = [random_boxes(rng, rng.integers(0, crowd + 1)) for _ in range(num_pictures)]
    detections = []
    for boxes in truths:
        near = (boxes + rng.normal(0, 0.02, boxes.shape)).astype(np.float32)
        near = near[(near[:, 2:] > near[:, :2]).all(axis=1)]
        again = near[rng.random(len(near)) < 0.3]  # duplicates
        rows = np.concatenate([near, again, random_boxes(rng, rng.integers(0, 4))])
        scores = rng.integers(1, levels + 1, len(rows)).astype(np.float32) / levels
        order = np.argsort(-scores, kind="stable")
        detections.append(Detections(rows[order], scores[order]))
    return detections, truths


def random_boxes(rng, count):
    low = rng.random((count, 2)) * 0.7
    return np.concatenate([low, low + 0.05 + rng.random((count, 2)) * 0.25], 1).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 12), st.sampled_from([3, 1000]))
@example(seed=0, num_pictures=3, crowd=150, levels=1000)
@example(seed=1, num_pictures=2, crowd=40, levels=1)
def test_average_precision_agrees_with_pycocotools(seed, num_pictures, crowd, levels):
    detections, truths = random_case(seed, num_pictures, crowd, levels)
    if not any(map(len, truths)) or not any(map(len, detections)):
        return
    metrics = measure(detections, truths, obj_thresh=0.3, iou_threshs=THRESHOLDS)
    precision = reference(detections, truths).eval["precision"][:, :, 0, 0, 2].mean(axis=1)
    ours = [entry.average_precision for entry in metrics.at_iou]
    assert ours == pytest.approx(precision.tolist(), abs=1e-6)
    assert metrics.ap == pytest.approx(precision[1:].mean(), abs=1e-6)
    assert metrics.ap50 == pytest.approx(precision[THRESHOLDS.index(0.5)], abs=1e-6)
    assert metrics.ap75 == pytest.approx(precision[THRESHOLDS.index(0.75)], abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 1000]))
def test_the_matching_is_that_of_pycocotools(seed, levels):
    detections, truths = random_case(seed, 1, 8, levels)
    if not len(truths[0]) or not len(detections[0]):
        return
    matched = reference(detections, truths).evalImgs[0]["dtMatches"] > 0
    for row, threshold in enumerate(THRESHOLDS):
        ours = match_picture(detections[0], truths[0], threshold) > 0
        assert ours.tolist() == matched[row].tolist()
