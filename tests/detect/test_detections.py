"""What somebody makes of boxes, scores and classes of their own is told what is wrong with it."""

import numpy as np
import pytest

from endoforge.detect.detections import Detections

BOXES = np.array([[0.1, 0.1, 0.5, 0.5], [0.2, 0.2, 0.4, 0.4]], np.float32)
SCORES = np.array([0.9, 0.5], np.float32)
CLASSES = np.zeros(2, np.int64)


def test_the_best_comes_first():
    assert len(Detections(BOXES, SCORES, CLASSES)) == 2
    assert len(Detections(BOXES, SCORES[[0, 0]], CLASSES)) == 2
    with pytest.raises(ValueError, match="scores must fall: sort the detections, best first"):
        Detections(BOXES, SCORES[::-1], CLASSES)


@pytest.mark.parametrize(
    ("boxes", "classes", "shapes"),
    [
        (BOXES[:1], CLASSES, r"\(1, 4\), \(2,\) and \(2,\)"),
        (BOXES[:, :3], CLASSES, r"\(2, 3\), \(2,\) and \(2,\)"),
        (BOXES, CLASSES[:1], r"\(2, 4\), \(2,\) and \(1,\)"),
    ],
)
def test_a_box_a_score_and_a_class_each(boxes, classes, shapes):
    with pytest.raises(ValueError, match=rf"must be \(N, 4\), \(N,\) and \(N,\), got {shapes}"):
        Detections(boxes, SCORES, classes)
