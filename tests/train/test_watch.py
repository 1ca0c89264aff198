"""What is best: numbers worked out by hand."""

import numpy as np
import pytest

from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import Truth
from endoforge.evaluate.metrics import Metrics, measure
from endoforge.train.config import Watch
from endoforge.train.watch import score_of

TRUE = [0.0, 0.0, 0.5, 1.0]


def metrics_of(boxes, *, truths=(TRUE,)):
    """Of one picture in which these boxes were found, the first with the highest score."""
    count = len(boxes)
    scores = np.linspace(0.9, 0.8, count).astype(np.float32)
    found = Detections(np.array(boxes, np.float32), scores, np.zeros(count, np.int64))
    truth = Truth(np.array(truths, np.float32).reshape(-1, 4), np.zeros(len(truths), np.int64))
    return measure([found], [truth], class_names=("polyp",), obj_thresh=0.3, iou_threshs=[0.5])


def is_better(one: Metrics, other: Metrics, watch: Watch) -> bool:
    """Where both have a score."""
    score, to_beat = score_of(one, watch), score_of(other, watch)
    assert score is not None
    assert to_beat is not None
    return score > to_beat


ALARMS = metrics_of([[0.9, 0.1 * k, 1.0, 0.1 * k + 0.05] for k in range(3)] + [TRUE])
"""Finds it exactly, after three false alarms: precision 1/4 at every threshold."""
CLEAN = metrics_of([[0.0, 0.0, 0.41, 1.0]])
"""Finds it alone, by 0.41 / 0.5 = 0.82: right at 7 of the thresholds 0.50, 0.55 .. 0.95."""


def test_by_ap_false_alarms_count():
    assert score_of(ALARMS, "ap") == pytest.approx((0.25, 1.0))
    assert score_of(CLEAN, "ap") == pytest.approx((0.7, 0.82))
    assert is_better(CLEAN, ALARMS, "ap")


def test_by_ap50_ap_decides_a_tie():
    assert score_of(CLEAN, "ap50") == pytest.approx((1.0, 0.7, 0.82))
    assert is_better(metrics_of([TRUE]), CLEAN, "ap50")


def test_by_mean_iou_they_do_not():
    """The rule of the older tool."""
    assert score_of(CLEAN, "mean-iou") == pytest.approx((0.82,))
    assert is_better(ALARMS, CLEAN, "mean-iou")


@pytest.mark.parametrize("watch", ["ap", "ap50", "mean-iou"])
def test_where_there_is_nothing_to_find_there_is_no_score(watch):
    assert score_of(metrics_of([TRUE], truths=()), watch) is None
