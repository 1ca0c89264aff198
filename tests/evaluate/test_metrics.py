"""The metrics against answers worked out by hand."""

import json

import numpy as np
import pytest

from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import Truth
from endoforge.evaluate.metrics import measure


def found(*rows):
    """Detections of (score, x0, y0, x1, y1) rows, best first."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(table[:, 1:], table[:, 0], np.zeros(len(table), np.int64))


def true(*rows):
    return Truth(np.array(rows, np.float32).reshape(-1, 4), np.zeros(len(rows), np.int64))


LEFT, RIGHT = (0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)
HALF_OF_LEFT = (0.0, 0.0, 0.25, 0.5)  # IoU with LEFT: 0.5
ELSEWHERE = (0.6, 0.0, 0.9, 0.3)


def measured(detections, truths, obj_thresh=0.3, iou_threshs=(0.5, 0.75)):
    return measure(
        detections,
        truths,
        class_names=["polyp"],
        obj_thresh=obj_thresh,
        iou_threshs=iou_threshs,
    )


def test_two_pictures_by_hand():
    detections = [
        found((0.9, *LEFT), (0.8, *ELSEWHERE), (0.2, *RIGHT)),
        found((0.7, *HALF_OF_LEFT)),
    ]
    metrics = measured(detections, [true(LEFT, RIGHT), true(LEFT)])
    at50, at75 = metrics.at_iou
    assert (at50.true_positives, at50.false_positives, at50.false_negatives) == (2, 1, 1)
    assert (at50.precision, at50.recall) == pytest.approx((2 / 3, 2 / 3))
    assert at50.mean_iou == pytest.approx((1 + 0.5 + 0) / 3)
    assert (at75.true_positives, at75.false_positives, at75.false_negatives) == (1, 2, 2)
    assert at75.mean_iou == pytest.approx(1 / 3)
    # By score: hit, miss, hit, hit. Precision from there on: 1, then 3/4 up to recall 1.
    # Recalls 0, 0.01 .. 0.33 are reached at precision 1, the other 67 of 101 at 3/4.
    assert metrics.ap50 == pytest.approx((34 * 1 + 67 * 0.75) / 101)
    assert at50.average_precision == metrics.ap50
    assert at75.average_precision == metrics.ap75
    assert (metrics.images, metrics.num_truths) == (2, 3)


def test_the_better_of_two_detections_has_the_truth_and_the_other_is_false():
    metrics = measured([found((0.9, *HALF_OF_LEFT), (0.8, *LEFT))], [true(LEFT)])
    first = metrics.at_iou[0]
    assert (first.true_positives, first.false_positives) == (1, 1)
    assert first.mean_iou == pytest.approx(0.5)


def test_pictures_without_boxes_count():
    metrics = measured([found((0.9, *LEFT)), found((0.8, *LEFT))], [true(), true(LEFT)])
    first = metrics.at_iou[0]
    assert (first.true_positives, first.false_positives) == (1, 1)
    assert metrics.ap50 == pytest.approx(0.5)


def test_perfect_detections():
    metrics = measured([found((0.9, *LEFT), (0.8, *RIGHT))], [true(LEFT, RIGHT)])
    assert metrics.ap == metrics.ap50 == metrics.ap75 == pytest.approx(1)
    assert metrics.mean_iou == metrics.at_iou[1].recall == 1


def test_nothing_found():
    metrics = measured([found(), found()], [true(LEFT), true()])
    first = metrics.at_iou[0]
    assert metrics.ap == metrics.ap50 == 0
    assert (first.precision, first.recall, first.mean_iou) == (0, 0, 0)
    assert first.false_negatives == 1
    assert len(metrics.curve.scores) == 0


def test_without_truth_average_precision_is_not_defined():
    metrics = measured([found((0.9, *LEFT))], [true()])
    first = metrics.at_iou[0]
    assert metrics.ap is metrics.ap50 is metrics.ap75 is first.average_precision is None
    assert (first.false_positives, first.precision, first.recall) == (1, 0, 0)
    json.dumps(metrics.to_record(batches=1), allow_nan=False)


def test_any_threshold_can_be_asked_for():
    metrics = measured([found((0.9, *HALF_OF_LEFT))], [true(LEFT)], iou_threshs=[0.33, 0.5, 0.51])
    assert [entry.recall for entry in metrics.at_iou] == [1, 1, 0]
    assert [entry.average_precision for entry in metrics.at_iou] == pytest.approx([1, 1, 0])


def test_at_most_a_hundred_detections_a_picture_count():
    rows = [(0.9, *ELSEWHERE)] * 100 + [(0.5, *LEFT)]
    metrics = measured([found(*rows)], [true(LEFT)])
    assert metrics.at_iou[0].false_positives == 100
    assert metrics.ap50 == 0


def test_the_sweep_over_scores():
    detections = [found((0.9, *LEFT), (0.52, *ELSEWHERE), (0.12, *RIGHT))]
    sweep = {p.obj_thresh: p for p in measured(detections, [true(LEFT, RIGHT)]).pr_curve}
    assert list(sweep) == [round(0.05 * step, 2) for step in range(1, 20)]
    assert (sweep[0.95].precision, sweep[0.95].recall) == (0, 0)
    assert (sweep[0.6].precision, sweep[0.6].recall) == (1, 0.5)
    assert (sweep[0.5].precision, sweep[0.5].recall) == (0.5, 0.5)
    assert (sweep[0.1].precision, sweep[0.1].recall) == pytest.approx((2 / 3, 1))


def test_the_curve_has_a_point_for_each_detection():
    detections = [found((0.9, *LEFT), (0.1, *RIGHT)), found((0.5, *ELSEWHERE))]
    curve = measured(detections, [true(LEFT, RIGHT), true()]).curve
    assert curve.scores == pytest.approx([0.9, 0.5, 0.1])
    assert curve.precision == pytest.approx([1, 1 / 2, 2 / 3])
    assert curve.recall == pytest.approx([0.5, 0.5, 1])


def test_the_record_has_the_fields_of_a_metrics_file():
    record = measured([found((0.9, *LEFT))], [true(LEFT)]).to_record(batches=3)
    assert set(record) == {"obj_thresh", "val_metrics", "ap", "ap50", "ap75", "images"}
    assert record["val_metrics"][1] == {
        "iou": 0.75,
        "mean_iou": 1.0,
        "precision": 1.0,
        "recall": 1.0,
        "map": pytest.approx(1.0),
        "tp": 1,
        "fp": 0,
        "fn": 0,
        "batches": 3,
    }


def test_each_class_is_measured_by_itself():
    """Two polyps side by side: the left one found in its class, the right one named wrongly."""
    detections = Detections(
        np.array([LEFT, RIGHT, ELSEWHERE], np.float32),
        np.array([0.9, 0.8, 0.7], np.float32),
        np.array([1, 1, 2]),
    )
    truth = Truth(np.array([LEFT, RIGHT], np.float32), np.array([1, 0]))
    metrics = measure(
        [detections],
        [truth],
        class_names=["Ip", "Is", "polyp"],
        obj_thresh=0.3,
        iou_threshs=[0.5],
    )
    first = metrics.at_iou[0]
    assert (first.true_positives, first.false_positives, first.false_negatives) == (1, 2, 1)
    assert first.mean_iou == 0.5
    ip, sessile, polyp = metrics.by_class
    assert ip.ap50 == 0
    assert sessile.ap50 == pytest.approx(1)
    assert (polyp.ap, polyp.ap50, polyp.num_truths) == (None, None, 0)
    assert metrics.ap50 == metrics.ap == pytest.approx(0.5)  # of the two that have a truth
    record = json.loads(json.dumps(metrics.to_record(batches=1), allow_nan=False))
    assert record["classes"][2] == {
        "name": "polyp",
        "ap": None,
        "ap50": None,
        "ap75": None,
        "boxes": 0,
    }
    assert metrics.class_lines() == [
        "  Ip: AP50 0.000, AP 0.000 (1 box)",
        "  Is: AP50 1.000, AP 1.000 (1 box)",
        "  polyp: AP50 undefined, AP undefined (0 boxes)",
    ]
