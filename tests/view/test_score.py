"""Hits, misses and false alarms, counted by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from endoforge.detect.detections import Detections
from endoforge.sim.polyps import MAX_POLYPS
from endoforge.tracking.tracker import Tracked
from endoforge.view import score as score_module
from endoforge.view.encoding import header_of
from endoforge.view.frame import WorldFrame
from endoforge.view.live_tracks import make_sighting
from endoforge.view.score import Score, compare_with_truth
from endoforge.view.to_viewers import FoundBox, HitCounts, TruthState

W, H = 96, 64


def frame_with(colon, *boxes):
    """A frame whose first polyps have these boxes in pixels."""
    stats = np.zeros((MAX_POLYPS, 6), np.int32)
    for row, box in enumerate(boxes):
        stats[row] = (500, 500, *box)
    return WorldFrame(7, np.zeros((H, W, 3), np.uint8), stats, colon.run.states[0], colon)


def found(*boxes):
    scaled = np.array(boxes, np.float32).reshape(-1, 4) / np.array([W, H, W, H], np.float32)
    count = len(boxes)
    scores = np.linspace(0.9, 0.6, count, dtype=np.float32)
    return Detections(scaled.astype(np.float32), scores, np.zeros(count, np.int64))


def test_two_polyps_one_found_one_false_alarm(colon):
    """The first detection has IoU 400 / 500 = 0.8 with the first polyp, the second none."""
    frame = frame_with(colon, (10, 10, 30, 30), (50, 10, 70, 30))
    result = compare_with_truth(
        frame, found((10, 10, 35, 30), (50, 40, 60, 60)), ("polyp",), by_kind=False
    )
    assert result.hits == (True, False)
    assert result.seen == {1, 2}
    assert result.met == {1}
    score = Score()
    score.add(result, "a")
    once = HitCounts(tp=1, fp=1, fn=1, precision=0.5, recall=0.5)
    assert score.reading("a", shown=True) == TruthState(True, "a", once, once)
    score.add(result, "a")
    assert score.reading("a", shown=True).since_reset.tp == 2


def test_an_overlap_below_a_half_is_no_hit(colon):
    """IoU 20 * 9 / (400 + 180 - 180) = 0.45, and at 0.5 exactly it is one."""
    frame = frame_with(colon, (10, 10, 30, 30))
    assert compare_with_truth(frame, found((10, 10, 30, 19)), ("polyp",), by_kind=False).hits == (
        False,
    )
    assert compare_with_truth(frame, found((10, 10, 30, 20)), ("polyp",), by_kind=False).hits == (
        True,
    )


def test_a_second_detection_of_the_same_polyp_is_a_false_alarm(colon):
    frame = frame_with(colon, (10, 10, 30, 30))
    result = compare_with_truth(
        frame, found((10, 10, 30, 30), (11, 10, 30, 30)), ("polyp",), by_kind=False
    )
    assert result.hits == (True, False)


def test_of_kinds_only_the_right_one_counts(colon):
    frame = frame_with(colon, (10, 10, 30, 30))
    kind = colon.run.scene.polyps[0].paris
    others = tuple(name for name in ("Ip", "Is", "Isp", "IIa") if name != kind)
    box = (10, 10, 30, 30)
    assert compare_with_truth(frame, found(box), (kind, *others), by_kind=True).hits == (True,)
    assert compare_with_truth(frame, found(box), others, by_kind=True).hits == (False,)


def test_what_is_undefined_is_null():
    score = Score()
    nothing = HitCounts(tp=0, fp=0, fn=0, precision=None, recall=None)
    assert score.reading("a", shown=False) == TruthState(False, "a", nothing, nothing)


def test_settings_are_counted_apart_and_the_minute_slides(colon, monkeypatch):
    """A hit with one setting at 1000 s, a miss with another at 1030 s, a miss with the first."""
    now = SimpleNamespace(s=1000.0)
    now.monotonic = lambda: now.s
    monkeypatch.setattr(score_module, "time", now)
    frame = frame_with(colon, (10, 10, 30, 30))
    hit, miss = (
        compare_with_truth(frame, found(*boxes), ("polyp",), by_kind=False)
        for boxes in ([(10, 10, 30, 30)], [])
    )
    score = Score()
    score.add(hit, "a")
    now.s = 1030.0
    score.add(miss, "b")
    score.add(miss, "a")
    assert score.reading("b", shown=True).since_reset == HitCounts(0, 0, 1, None, 0.0)
    assert score.reading("a", shown=True).minute == HitCounts(1, 0, 1, 1.0, 0.5)
    now.s = 1060.5
    assert score.reading("a", shown=True).since_reset == HitCounts(1, 0, 1, 1.0, 0.5)
    assert score.reading("a", shown=True).minute == HitCounts(0, 0, 1, None, 0.0)
    score.reset()
    assert score.reading("a", shown=True).since_reset.fn == 0


def test_the_minute_is_the_sum_of_its_frames(colon, monkeypatch):
    """300 frames, 2 a second, with three settings by turns of 7, against a sum of all of them."""
    now = SimpleNamespace(s=1000.0)
    now.monotonic = lambda: now.s
    monkeypatch.setattr(score_module, "time", now)
    frame, score, added = frame_with(colon, (10, 10, 30, 30)), Score(), []
    boxes = (10, 10, 30, 30), (50, 10, 70, 30), (1, 1, 9, 9)
    for number in range(300):
        now.s += 0.5
        setting, count = "abc"[number // 7 % 3], number % 4
        seen = compare_with_truth(frame, found(*boxes[:count]), ("polyp",), by_kind=False)
        score.add(seen, setting)
        added.append((now.s, setting, min(count, 1), max(count - 1, 0), int(count == 0)))
        for name in "abc":
            lately = [hits for at_s, of, *hits in added if of == name and at_s >= now.s - 60.0]
            minute = score.reading(name, shown=True).minute
            sums = [sum(column) for column in zip(*lately, strict=True)] or [0, 0, 0]
            assert [minute.tp, minute.fp, minute.fn] == sums
    now.s += 60.5
    assert score.reading("a", shown=True).minute == HitCounts(0, 0, 0, None, None)
    assert score._minute == {}, "settings that nobody has any more take no memory"


def test_of_many_settings_the_last_are_kept(colon, monkeypatch):
    monkeypatch.setattr(score_module, "MOST_SETTINGS", 2)
    result = compare_with_truth(frame_with(colon), found((1, 1, 9, 9)), ("polyp",), by_kind=False)
    score = Score()
    for setting in ("a", "b", "a", "c"):
        score.add(result, setting)
    counts = [score.reading(name, shown=True).since_reset.fp for name in "abc"]
    assert counts == [2, 0, 1]


@pytest.mark.parametrize("with_truth", [True, False])
def test_the_header_tells_hits_only_with_the_truth(colon, with_truth):
    frame = frame_with(colon, (24, 16, 48, 32), (50, 10, 70, 30))
    detections = found((24, 16, 48, 32), (0, 32, 24, 64))
    result = compare_with_truth(frame, detections, ("polyp",), by_kind=False)
    # A track on the polyp, whose the detection is; the second detection is nobody's.
    tracked = Tracked(
        ids=np.array([4]),
        boxes=np.array([(0.25, 0.25, 0.5, 0.5)], np.float32),
        scores=np.array([0.75], np.float32),
        classes=np.array([0]),
        matched=np.array([False]),
    )
    sighting = make_sighting(frame, result, tracked, np.array([4, 0]))
    header = header_of(frame, sighting, with_truth=with_truth)
    assert header.frame == 7
    assert header.boxes == (
        FoundBox(
            xyxy=(0.25, 0.25, 0.5, 0.5),
            score=0.75,
            label="polyp",
            track=4,
            matched=False,
            hit=True if with_truth else None,
        ),
        FoundBox(
            xyxy=(0.0, 0.5, 0.25, 1.0),
            score=0.6,
            label="polyp",
            track=None,
            matched=True,
            hit=False if with_truth else None,
        ),
    )
    if with_truth:
        assert header.truth is not None
        assert [truth.found for truth in header.truth] == [True, False]
        assert header.truth[0].xyxy == (0.25, 0.25, 0.5, 0.5)
        assert header.truth[0].paris == colon.run.scene.polyps[0].paris
    else:
        assert header.truth is None
