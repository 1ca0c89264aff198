"""Best and worst frames, and recall by size, against answers worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from endoforge.captures.run_frames import FrameRecord
from endoforge.data.images import Images
from endoforge.detect.detections import Detections
from endoforge.evaluate.breakdown import (
    best_frames,
    recall_by_size,
    score_frames,
    worst_frames,
)
from endoforge.evaluate.config import EvalConfig
from endoforge.evaluate.matching import Truth
from endoforge.evaluate.metrics import measure
from endoforge.evaluate.result import EvalResult
from endoforge.evaluate.subject import Subject

LEFT, RIGHT = (0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)
NEAR_LEFT = (0.0, 0.0, 0.5, 0.4)  # IoU with LEFT: 0.8
SMALL = (0.5, 0.5, 0.625, 0.625)  # 1/64 of the picture
ELSEWHERE = (0.6, 0.0, 0.9, 0.3)


def result_of(frames, obj_thresh=0.3, iou=0.5):
    """An evaluation of (detections, truths) pairs; detections are (score, box) pairs."""
    detections, truths = [], []
    for found, boxes in frames:
        rows = sorted(found, key=lambda row: -row[0])
        boxes_found = np.array([box for _, box in rows], np.float32).reshape(-1, 4)
        scores = np.array([score for score, _ in rows], np.float32)
        detections.append(Detections(boxes_found, scores, np.zeros(len(rows), np.int64)))
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        truths.append(Truth(boxes, np.zeros(len(boxes), np.int64)))
    records = [
        FrameRecord(
            run="run_1",
            run_path=Path("run_1"),
            frame_id=n,
            label="",
            image="",
            digest=b"",
            image_bytes=0,
            classes=("polyp",) * len(t),
            boxes=t.boxes,
            polyp_ids=(None,) * len(t),
            kinds=(None,) * len(t),
            diameters_mm=(None,) * len(t),
            seconds=float(n),
        )
        for n, t in enumerate(truths)
    ]
    return EvalResult(
        config=EvalConfig(),
        metrics=measure(
            detections,
            truths,
            class_names=("polyp",),
            obj_thresh=obj_thresh,
            iou_threshs=[iou],
        ),
        subject=Subject(
            name="nothing",
            predict=lambda _: [],
            classes=("polyp",),
            label_field="label",
            input_size=(64, 64),
            resize_mode="force",
            device="cpu",
            facts=[],
        ),
        root=Path(),
        simulated=False,
        left_out=[],
        frames=records,
        images=Images([np.zeros((1, 64, 64, 3), np.uint8)], [0] * len(frames), [0] * len(frames)),
        detections=detections,
        truths=truths,
        class_names=("polyp",),
        seconds=0.0,
    )


FRAMES = [
    ([(0.9, LEFT)], [LEFT]),  # 0: perfect
    ([], []),  # 1: empty and quiet
    ([(0.9, ELSEWHERE)], [LEFT, RIGHT]),  # 2: two missed, one false
    ([(0.9, NEAR_LEFT)], [LEFT]),  # 3: good
    ([(0.9, ELSEWHERE)], []),  # 4: one false
    ([(0.9, NEAR_LEFT)], [LEFT, RIGHT]),  # 5: one missed
    ([(0.9, LEFT), (0.2, ELSEWHERE)], [LEFT]),  # 6: perfect, the second is below the threshold
    ([(0.9, LEFT)], [LEFT, RIGHT]),  # 7: one missed, the other found better than in 5
]


def test_frames_are_scored_at_the_thresholds():
    scores = score_frames(result_of(FRAMES))
    assert [(s.hits, s.false, s.errors) for s in scores] == [
        (1, 0, 0), (0, 0, 0), (0, 1, 3), (1, 0, 0), (0, 1, 1), (1, 0, 1), (1, 0, 0), (1, 0, 1),
    ]  # fmt: skip
    assert scores[5].mean_iou == pytest.approx(0.4)
    assert scores[1].mean_iou == 0
    strict = score_frames(result_of(FRAMES, obj_thresh=0.1, iou=0.9))
    assert (strict[3].hits, strict[3].false, strict[6].false) == (0, 1, 1)


def test_the_worst_have_the_most_errors_then_the_lowest_iou():
    scores = score_frames(result_of(FRAMES))
    assert [score.place for score in worst_frames(scores, 6)] == [2, 4, 5, 7]
    assert [score.place for score in worst_frames(scores, 2)] == [2, 4]


def test_the_best_have_polyps_and_no_error():
    scores = score_frames(result_of(FRAMES))
    assert [score.place for score in best_frames(scores, 6)] == [0, 6, 3]
    assert best_frames(score_frames(result_of(FRAMES[1:3])), 6) == []


def test_recall_by_size():
    frames = [([(0.9, LEFT)], [SMALL, LEFT]), ([(0.9, SMALL)], [SMALL, (0, 0, 1, 1)])]
    bins = recall_by_size(result_of(frames))
    assert {(b.least, b.most): (b.hits, b.truths) for b in bins if b.truths} == {
        (0.01, 0.02): (1, 2),
        (0.2, 1.0): (1, 2),
    }
    assert sum(b.truths for b in bins) == 4
    assert [b.recall for b in bins if b.truths] == [0.5, 0.5]
    assert [b.recall for b in bins if not b.truths] == [0] * 5
    assert sum(b.truths for b in recall_by_size(result_of([([], [])]))) == 0
