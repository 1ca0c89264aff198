"""Tracks in the live world: its clock, its cuts, and what the tracks are on."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from endoforge.detect.detections import Detections
from endoforge.sim.polyps import MAX_POLYPS
from endoforge.tracking.tracker import Tracked
from endoforge.view import live_tracks
from endoforge.view.colon_score import ColonScore
from endoforge.view.frame import WorldFrame
from endoforge.view.live_tracks import LiveTracking, make_sighting
from endoforge.view.score import compare_with_truth
from endoforge.view.to_viewers import LesionMark, MarkKind

W, H = 96, 64
BOX, OTHER = (24, 16, 48, 32), (60, 40, 84, 56)


def frame_at(colon, time_s, *boxes, pixels=500, moved_mm=0.0):
    """A frame of a moment, in which the first polyps have these boxes in pixels."""
    state = replace(colon.run.states[0], time_s=time_s)
    pose = replace(state.pose, position=state.pose.position + moved_mm)
    stats = np.zeros((MAX_POLYPS, 6), np.int32)
    for row, box in enumerate(boxes):
        stats[row] = (pixels, pixels, *box)
    rgb = np.zeros((H, W, 3), np.uint8)
    return WorldFrame(1, rgb, stats, replace(state, pose=pose), colon)


def scaled(*boxes):
    return (np.array(boxes, np.float32).reshape(-1, 4) / [W, H, W, H]).astype(np.float32)


def found(*boxes, score=0.8):
    count = len(boxes)
    return Detections(scaled(*boxes), np.full(count, score, np.float32), np.zeros(count, np.int64))


def shown(*tracks):
    """Tracks with boxes in pixels: (id, box) each."""
    ids = [number for number, _ in tracks]
    count = len(ids)
    return Tracked(
        np.array(ids, np.int64),
        scaled(*(box for _, box in tracks)),
        np.full(count, 0.8, np.float32),
        np.zeros(count, np.int64),
        np.ones(count, np.bool_),
    )


def sighting_of(frame, *tracks, classes=("polyp",), by_kind=False):
    comparison = compare_with_truth(frame, found(), classes, by_kind=by_kind)
    return make_sighting(frame, comparison, shown(*tracks), np.zeros(0, np.int64))


def ids_along(tracking, frames):
    return [tracking.follow(frame, found(BOX), 0.3)[0].ids.tolist() for frame in frames]


def test_time_is_the_simulated_one(colon):
    tracking = LiveTracking()
    frames = [frame_at(colon, 5 + 0.1 * number) for number in range(5)]
    # A score of 0.8 is 0.714 of the way from 0.3 to 1. The first frame counts 1, of which 0.670 is
    # left 0.1 s later, where 2.5 are added: 0.714 * 3.17 = 2.26, over 1.4.
    assert ids_along(tracking, frames) == [[], [1], [1], [1], [1]]
    assert tracking.seconds == pytest.approx(0.4)
    tracked, owners = tracking.follow(frame_at(colon, 5.5), found(BOX, OTHER), 0.3)
    assert (tracked.ids.tolist(), owners.tolist()) == ([1], [1, 0])


@pytest.mark.parametrize(
    "after",
    [
        lambda colon: frame_at(colon, 4.0),
        lambda colon: frame_at(colon, 9.0),
        # In a tenth of a second at most 20 + 0.1 * 150 mm; each axis has 1 / sqrt(3) of the way.
        lambda colon: frame_at(colon, 5.4, moved_mm=36 / np.sqrt(3)),
        lambda colon: frame_at(replace(colon, base_seed=4), 5.4),
    ],
    ids=["back", "ahead", "elsewhere", "another colon"],
)
def test_after_a_cut_tracks_are_new_and_ids_go_on(colon, after):
    tracking = LiveTracking()
    assert ids_along(tracking, [frame_at(colon, 5 + 0.1 * n) for n in range(4)])[-1] == [1]
    cut = after(colon)
    position = cut.state.pose.position
    start = colon.run.states[0].pose.position
    moved = float((position - start)[0])
    frames = [cut]
    for step in (0.1, 0.2, 0.3):
        frames.append(frame_at(cut.colon, cut.state.time_s + step, moved_mm=moved))
    assert ids_along(tracking, frames) == [[], [2], [2], [2]]


def test_as_far_as_a_scope_gets_is_no_cut(colon):
    tracking = LiveTracking()
    ids_along(tracking, [frame_at(colon, 5 + 0.1 * number) for number in range(4)])
    assert ids_along(tracking, [frame_at(colon, 5.4, moved_mm=34 / np.sqrt(3))]) == [[1]]


def test_the_same_frame_again_takes_no_time(colon):
    tracking = LiveTracking()
    frame = frame_at(colon, 5.0)
    assert ids_along(tracking, [frame] * 9) == [[]] * 9
    assert tracking.seconds == 0
    # What is new in a later frame, where it counts 2.5, isn't confirmed by more looks at it either.
    frame = frame_at(colon, 5.1)
    for _ in range(9):
        tracked, owners = tracking.follow(frame, found(BOX, OTHER), 0.3)
        assert (tracked.ids.tolist(), owners.tolist()) == ([1], [1, 0])
    tracked, _ = tracking.follow(frame_at(colon, 5.2), found(BOX, OTHER), 0.3)
    assert tracked.ids.tolist() == [1, 2]


def test_in_the_same_frame_again_only_tracks_that_are_found_are_shown(colon):
    tracking = LiveTracking()
    frames = [frame_at(colon, 5 + 0.1 * number) for number in range(4)]
    assert ids_along(tracking, frames)[-1] == [1]
    for detections, ids in ((found(), []), (found(BOX), [1]), (found(BOX, score=0.15), [1])):
        assert tracking.follow(frames[-1], detections, 0.3)[0].ids.tolist() == ids
    # In the next frame it is carried on.
    assert tracking.follow(frame_at(colon, 5.4), found(), 0.3)[0].ids.tolist() == [1]


def test_in_a_pause_a_free_camera_takes_the_viewers_time(colon, monkeypatch):
    now = iter([10.0, 10.04, 10.04, 15.0, 15.0])
    monkeypatch.setattr(live_tracks, "time", SimpleNamespace(monotonic=lambda: next(now)))
    tracking = LiveTracking()
    ids_along(tracking, [frame_at(colon, 5.0) for _ in range(3)])
    # 0.04 s, and of the 4.96 s after it 0.1 s.
    assert tracking.seconds == pytest.approx(0.14)


def test_another_detector_begins_anew(colon):
    tracking = LiveTracking()
    ids_along(tracking, [frame_at(colon, 5 + 0.1 * number) for number in range(4)])
    tracking.forget()
    assert ids_along(tracking, [frame_at(colon, 5.4)]) == [[]]


def test_the_threshold_of_now_begins_tracks(colon):
    tracking = LiveTracking()
    for number in range(5):
        tracked, _ = tracking.follow(frame_at(colon, 5 + 0.1 * number), found(BOX), 0.9)
        assert not len(tracked)


def test_a_track_is_on_the_polyp_that_it_overlaps_by_a_fifth(colon):
    # 24 x 16 pixels, moved by 16 to the right: 8 of 40 columns are common, an IoU of 0.2.
    frame = frame_at(colon, 5.0, BOX, OTHER)
    sighting = sighting_of(frame, (1, (40, 16, 64, 32)), (2, (41, 16, 65, 32)), (3, OTHER))
    assert sighting.on == (1, None, 2)
    assert sighting.met == {1, 2}
    assert sighting.unclear == (False, False, False)


def test_a_track_on_what_shows_too_little_is_neither_right_nor_wrong(colon):
    frame = frame_at(colon, 5.0, BOX, pixels=127)
    sighting = sighting_of(frame, (1, BOX), (2, OTHER))
    assert (sighting.on, sighting.unclear) == ((None, None), (True, False))
    assert sighting.met == frozenset()


def test_of_kinds_the_right_one_counts(colon):
    kind = colon.run.scene.polyps[0].paris
    other = next(name for name in ("Ip", "Is", "Isp", "IIa") if name != kind)
    frame = frame_at(colon, 5.0, BOX)
    for classes, on in (((kind, other), 1), ((other, kind), None)):
        assert sighting_of(frame, (1, BOX), classes=classes, by_kind=True).on == (on,)


def add(score, frame, seconds, *tracks):
    score.add(frame, sighting_of(frame, *tracks), seconds)


def test_polyps_found_and_missed_so_far_and_the_delay(colon):
    score = ColonScore()
    add(score, frame_at(colon, 5.0, BOX, OTHER), 1.0)
    state = score.reading()
    assert (state.polyps, state.found, state.missed) == (len(colon.run.scene.polyps), 0, 2)
    assert state.delay_s is None
    # The first is found after 0.4 s, the second after 1 s: 0.7 in the median.
    add(score, frame_at(colon, 5.4, BOX, OTHER), 1.4, (1, BOX))
    assert (score.reading().found, score.reading().missed) == (1, 1)
    add(score, frame_at(colon, 6.0, BOX, OTHER), 2.0, (1, BOX), (2, OTHER))
    add(score, frame_at(colon, 9.0, BOX, OTHER), 5.0, (7, BOX), (8, OTHER))
    state = score.reading()
    assert (state.found, state.missed, state.false_tracks, state.delay_s) == (2, 0, 0, 0.7)


def test_a_track_on_nothing_is_false_after_half_a_second(colon):
    score = ColonScore()
    counts = []
    for seconds in (1.0, 1.4, 1.5, 3.0):
        add(score, frame_at(colon, seconds), seconds, *([(1, BOX)] if seconds < 3 else []))
        counts.append(score.reading().false_tracks)
    assert counts == [0, 0, 1, 1]
    # It comes upon a polyp after all, and was right.
    add(score, frame_at(colon, 3.1, BOX), 3.1, (1, BOX))
    assert (score.reading().false_tracks, score.reading().found) == (0, 1)


def test_a_track_on_what_shows_too_little_is_never_false(colon):
    score = ColonScore()
    add(score, frame_at(colon, 1.0, BOX, pixels=60), 1.0, (1, BOX))
    add(score, frame_at(colon, 5.0), 5.0)
    state = score.reading()
    assert (state.false_tracks, state.found, state.missed) == (0, 0, 0)


def test_the_map_has_a_mark_for_each(colon):
    score = ColonScore()
    add(score, frame_at(colon, 1.0, BOX, OTHER), 1.0, (1, BOX), (2, (0, 0, 9, 9)))
    add(score, frame_at(colon, 2.0, BOX, OTHER), 2.0, (1, BOX))
    anatomy, length = colon.run.scene.anatomy, colon.flight.lumen.length_mm
    deep = [polyp.s_mm for polyp in colon.run.scene.polyps[:2]]
    here = colon.run.states[0].pose.s_mm
    expected: list[tuple[MarkKind, float]] = [
        ("false", here),
        ("found", deep[0]),
        ("missed", deep[1]),
    ]
    assert score.reading().marks == tuple(
        LesionMark(kind, anatomy.segment(s_mm), round(s_mm / length, 4)) for kind, s_mm in expected
    )


def test_a_reset_and_another_colon_begin_anew(colon):
    score = ColonScore()
    add(score, frame_at(colon, 1.0, BOX), 1.0, (1, BOX))
    score.reset()
    assert (score.reading().found, score.reading().marks) == (0, ())
    add(score, frame_at(colon, 2.0, BOX), 2.0, (1, BOX))
    assert score.reading().found == 1
    add(score, frame_at(replace(colon, base_seed=4), 0.0, OTHER), 3.0)
    assert (score.reading().found, score.reading().missed) == (0, 1)
