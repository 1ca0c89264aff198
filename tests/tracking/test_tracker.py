"""The tracker on detections that are written down by hand.

A score `s` has, with the threshold of 0.3, the share (s - 0.3) / 0.7 of the way to 1. At 25 frames
a second it adds its share in each frame, and of what there was exp(-0.04 / 0.25) = 0.852 is left:
the sums of a share of 1 are 1, 1.852, 2.578, 3.197, 3.724 ... 6.763. Shown is what comes to 1.4.
"""

from collections.abc import Iterable

import cv2
import numpy as np
import pytest

from endoforge.detect.detections import Detections
from endoforge.tracking.tracker import KEPT_GAP_S, SHOWN_GAP_S, SMOOTHED_S, Tracked, Tracker

LEFT, RIGHT = (0.1, 0.4, 0.2, 0.5), (0.7, 0.4, 0.8, 0.5)
Row = tuple[tuple[float, float, float, float], float]


def found(*rows: Row, classes: Iterable[int] = ()) -> Detections:
    """Detections of boxes with their scores, best first."""
    boxes = np.array([box for box, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score in rows], np.float32)
    names = np.array(list(classes) or [0] * len(rows), np.int64)
    return Detections(boxes, scores, names)


NOTHING = found()


def shown_at(tracker: Tracker, frames: Iterable[int], *rows: Row, fps: float = 25) -> list[Tracked]:
    """What is shown of the frames of these numbers, in each of which the same is found."""
    return [tracker.update(found(*rows), frame / fps) for frame in frames]


def confirmed(threshold: float = 0.3) -> Tracker:
    """A tracker that shows LEFT since frame 2 of 0 to 9, at 25 a second."""
    tracker = Tracker(threshold=threshold)
    shown_at(tracker, range(10), (LEFT, 0.8))
    return tracker


def shifted(box: tuple[float, float, float, float], by: float) -> tuple[float, float, float, float]:
    return (box[0] + by, box[1], box[2] + by, box[3])


def test_a_lesion_is_shown_from_the_third_frame_on():
    # 0.5 / 0.7 = 0.714: in two frames 0.714 * 1.852 = 1.32, in three 0.714 * 2.578 = 1.84.
    shown = shown_at(Tracker(), range(8), (LEFT, 0.8))
    assert [one.ids.tolist() for one in shown] == [[]] * 2 + [[1]] * 6
    last = shown[-1]
    assert last.boxes == pytest.approx(np.array([LEFT]), abs=1e-6)
    assert last.scores.tolist() == pytest.approx([0.8])
    assert (last.classes.tolist(), last.matched.tolist()) == ([0], [True])
    assert {str(last.boxes.dtype), str(last.scores.dtype)} == {"float32"}


@pytest.mark.parametrize(
    ("score", "first"),
    [
        (1.0, 1),  # 1 * 1.852 = 1.85, and 1 isn't enough
        (0.9, 1),  # 0.857 * 1.852 = 1.59
        (0.84, 1),  # 0.771 * 1.852 = 1.43
        (0.82, 2),  # 0.743 * 1.852 = 1.38, 0.743 * 2.578 = 1.91
        (0.6, 4),  # 0.429 * 3.197 = 1.37, 0.429 * 3.724 = 1.60
        (0.45, 21),  # 0.214 * 6.763 * (1 - 0.852**n): 1.399 of 21, 1.406 of 22
        (0.44, None),  # 0.2 * 6.763 = 1.35 at most
        (0.31, None),
    ],
)
def test_the_stronger_the_sooner_and_what_is_hardly_above_never(score, first):
    shown = shown_at(Tracker(), range(100), (LEFT, score))
    delay = 100 if first is None else first
    assert [len(one) for one in shown] == [0] * delay + [1] * (100 - delay)


@pytest.mark.parametrize(
    ("fps", "first", "later"),
    [
        # Of a score of 0.6 a sum of 1.4 / 0.429 = 3.267 is needed: frames 4 and 4, 0.16 s.
        (25, 4, 4),
        # Half of it twice as often, 0.923 left. From the start on, when a frame counts 1, that is
        # 3.10, then 3.36: 0.14 s; later on 0.5 + 0.46 + ... = 3.07, then 3.34: 0.16 s.
        (50, 7, 8),
        # 2.5 of each, 0.670 left: 1, 3.17, 4.63: 0.2 s; later on 2.5, 4.18: 0.1 s.
        (10, 2, 1),
        # 5 of each, 0.449 left: 1, 5.45: 0.2 s; later on 5 at once, but two finds there must be.
        (5, 1, 1),
        # 0.2 s of the half second count: 5 of each, 0.135 left: 1, 5.14.
        (2, 1, 1),
    ],
)
def test_evidence_is_a_matter_of_time_not_of_frames(fps, first, later):
    shown = shown_at(Tracker(), range(12), (LEFT, 0.6), fps=fps)
    assert [len(one) for one in shown] == [0] * first + [1] * (12 - first)
    tracker = Tracker()
    shown_at(tracker, range(10), fps=fps)
    shown = shown_at(tracker, range(10, 22), (LEFT, 0.6), fps=fps)
    assert [len(one) for one in shown] == [0] * later + [1] * (12 - later)
    # 0.16 s at 25 a second, and within a frame of it at any other rate.
    assert abs(first / fps - 0.16) < 1 / fps
    assert abs(later / fps - 0.16) < 1 / fps


@pytest.mark.parametrize("fps", [50, 25, 10, 5, 1])
@pytest.mark.parametrize("frame", [0, 10])
def test_what_is_there_for_one_frame_is_never_shown(fps, frame):
    tracker = Tracker()
    shown = shown_at(tracker, range(frame), fps=fps)
    shown += shown_at(tracker, [frame], (LEFT, 1.0), fps=fps)
    # Neither alone, nor with weak detections after it.
    shown += shown_at(tracker, range(frame + 1, frame + 20), (LEFT, 0.29), fps=fps)
    assert not any(map(len, shown))
    assert not tracker.last


def test_a_detection_now_and_then_is_never_shown():
    # 0.2 s apart, and an unconfirmed track isn't carried on for more than 0.13 s.
    tracker = Tracker()
    for frame in range(50):
        rows = [(LEFT, 1.0)] if frame % 5 == 0 else []
        assert not len(tracker.update(found(*rows), frame / 25))


@pytest.mark.parametrize(("score", "ever"), [(0.4, False), (0.55, False), (0.58, True)])
def test_found_in_every_second_frame_the_score_must_be_higher(score, ever):
    # 0.852**2 = 0.726 is left of each: at most 1 / (1 - 0.726) = 3.651 shares, 0.357 * 3.651 = 1.30
    # of 0.55, which in every frame would be enough, and 0.4 * 3.651 = 1.46 of 0.58.
    tracker, shown = Tracker(), []
    for frame in range(50):
        rows = [(LEFT, score)] if frame % 2 == 0 else []
        shown.append(tracker.update(found(*rows), frame / 25))
    assert any(map(len, shown)) is ever
    assert len(shown_at(Tracker(), range(50), (LEFT, 0.55))[-1]) == 1


def test_weak_detections_begin_no_track():
    assert not any(map(len, shown_at(Tracker(), range(30), (LEFT, 0.29))))
    # With a threshold of 0.05 it is 0.24 / 0.95 = 0.253 of the way: 10 have a sum of
    # 0.253 * 6.763 * (1 - 0.852**10) = 1.36, and 11 have 1.41.
    shown = shown_at(Tracker(threshold=0.05), range(30), (LEFT, 0.29))
    assert [len(one) for one in shown] == [0] * 10 + [1] * 20


@pytest.mark.parametrize(("score", "first"), [(0.8, 1), (0.0, None)])
def test_with_a_threshold_of_zero_all_of_the_score_counts(score, first):
    # 0.8 * 1.852 = 1.48.
    shown = shown_at(Tracker(threshold=0.0), range(20), (LEFT, score))
    delay = 20 if first is None else first
    assert [len(one) for one in shown] == [0] * delay + [1] * (20 - delay)


def test_nothing_passes_a_threshold_of_one():
    assert not any(map(len, shown_at(Tracker(threshold=1.0), range(30), (LEFT, 1.0))))


def test_weak_detections_continue_one():
    # 0.22 is above 0.7 * 0.3 = 0.21, where tracks end.
    tracker = confirmed()
    shown = shown_at(tracker, range(10, 60), (LEFT, 0.22))
    assert all(one.ids.tolist() == [1] and one.matched.all() for one in shown)
    assert shown[-1].scores[0] == pytest.approx(0.22, abs=0.001)
    assert tracker.owners.tolist() == [1]


def test_the_weaker_ones_end_it_after_a_while():
    # 0.12 + 0.68 * exp(-t / 0.3) = 0.21 at t = 0.3 * ln(0.68 / 0.09) = 0.607 s: 15 frames.
    tracker = confirmed()
    shown = shown_at(tracker, range(10, 25), (LEFT, 0.12))
    assert all(one.ids.tolist() == [1] and one.matched.all() for one in shown)
    assert shown[-1].scores[0] == pytest.approx(0.12 + 0.68 * np.exp(-2), abs=1e-4)
    assert tracker.owners.tolist() == [1]
    for frame in range(25, 40):
        assert not len(tracker.update(found((LEFT, 0.12)), frame / 25))
        assert tracker.owners.tolist() == [0]  # of the frame in which it ends, too


def test_the_weakest_dont():
    assert not shown_at(confirmed(), [10], (LEFT, 0.09))[0].matched.any()


def test_a_gap_is_bridged_with_the_score_falling():
    # 0.8 * exp(-t / 0.3) = 0.7 * 0.3 at t = 0.3 * ln(0.8 / 0.21) = 0.401 s. Frame 9, the last one
    # with it, was at 0.36 s; 10 frames later it is 0.4 s ago.
    shown = shown_at(confirmed(), range(10, 24))
    assert [len(one) for one in shown] == [1] * 10 + [0] * 4
    assert not any(one.matched.any() for one in shown)
    assert shown[9].scores[0] == pytest.approx(0.8 * np.exp(-0.4 / SMOOTHED_S), rel=1e-4)


def test_a_track_ends_when_its_score_has_sunk():
    # 0.9 * exp(-t / 0.3) = 0.7 * 0.3 at t = 0.3 * ln(0.9 / 0.21) = 0.4366 s: 43 frames of 100.
    tracker = Tracker()
    shown_at(tracker, range(50), (LEFT, 0.9), fps=100)
    shown = shown_at(tracker, range(50, 100), fps=100)
    assert [len(one) for one in shown] == [1] * 43 + [0] * 7
    assert shown[42].scores[0] == pytest.approx(0.9 * np.exp(-0.43 / 0.3), rel=1e-4)


def test_with_a_low_threshold_a_gap_is_shown_for_half_a_second():
    # 0.8 sinks to 0.7 * 0.1 in 0.3 * ln(0.8 / 0.07) = 0.731 s only.
    tracker = confirmed(threshold=0.1)
    shown = shown_at(tracker, range(10, 24))
    assert [len(one) for one in shown] == [1] * 12 + [0] * 2
    assert 12 / 25 <= SHOWN_GAP_S < 13 / 25
    assert shown[11].scores[0] == pytest.approx(0.8 * np.exp(-0.48 / SMOOTHED_S), rel=1e-4)
    # It isn't shown any more, and hasn't ended: found after 0.6 s it has its number.
    again = shown_at(tracker, [24], (LEFT, 0.8))[0]
    assert (again.ids.tolist(), again.matched.tolist()) == ([1], [True])


def test_found_again_soon_it_has_its_number():
    # Of frame 20, which is 0.44 s after the last one with it, it is found before it ends.
    tracker = confirmed()
    shown_at(tracker, range(10, 20))
    again = shown_at(tracker, [20], (LEFT, 0.8))[0]
    assert (again.ids.tolist(), again.matched.tolist()) == ([1], [True])


def test_found_again_late_it_is_another():
    tracker = confirmed()
    shown_at(tracker, range(10, 21))
    shown = shown_at(tracker, range(21, 25), (LEFT, 0.8))
    assert [one.ids.tolist() for one in shown] == [[]] * 2 + [[2]] * 2


def test_after_a_second_it_is_another_with_any_threshold():
    # 0.8 sinks to 0.7 * 0.02 in 0.3 * ln(0.8 / 0.014) = 1.21 s.
    last = 9 + int(KEPT_GAP_S * 25)
    for back, ids in ((last - 1, [[1]] * 3), (last + 1, [[], [2], [2]])):
        tracker = confirmed(threshold=0.02)
        shown_at(tracker, range(10, back))
        # Of 0.78 / 0.98 = 0.796: 1.47 in the second frame.
        shown = shown_at(tracker, range(back, back + 3), (LEFT, 0.8))
        assert [one.ids.tolist() for one in shown] == ids


def test_a_jump_in_time_ends_all_tracks():
    tracker = confirmed()
    assert not len(tracker.update(found((LEFT, 0.8)), 60.0))


def test_the_longest_jump_in_time_is_no_more():
    tracker = confirmed()
    assert len(tracker.update(found((LEFT, 0.9)), 1e300)) == 0


def test_numbers_count_what_is_confirmed():
    tracker = Tracker()
    shown_at(tracker, [0], (RIGHT, 0.9))  # soon gone
    shown_at(tracker, range(10, 20), (LEFT, 0.8))
    shown = shown_at(tracker, range(20, 30), (RIGHT, 0.9), (LEFT, 0.8))[-1]
    assert shown.ids.tolist() == [1, 2]
    assert shown.boxes == pytest.approx(np.array([LEFT, RIGHT]), abs=1e-6)


def test_owners_are_of_the_last_frames_detections():
    tracker = confirmed()
    tracker.update(found((RIGHT, 0.9), (LEFT, 0.8), (LEFT, 0.01)), 10 / 25)
    assert tracker.owners.tolist() == [0, 1, 0]
    tracker.update(NOTHING, 11 / 25)
    assert tracker.owners.tolist() == []


def test_serials_are_of_all_tracks_from_their_first_detection_on():
    tracker = Tracker()
    tracker.update(found((RIGHT, 0.9)), 0.0)  # soon gone
    assert (tracker.serials.tolist(), tracker.owners.tolist()) == ([1], [0])
    for frame in range(10, 14):
        tracker.update(found((LEFT, 0.8), (shifted(LEFT, 0.03), 0.5), (RIGHT, 0.01)), frame / 25)
        assert tracker.serials.tolist() == [2, 0, 0]  # a second box of it, and one that is too weak
    assert tracker.owners.tolist() == [1, 0, 0]
    tracker.update(found((RIGHT, 0.9), (LEFT, 0.8)), 14 / 25)
    assert tracker.serials.tolist() == [3, 2]
    assert tracker.begun == 3


def test_a_moving_lesion_is_one_track():
    # A side of the box each 0.2 s, also while nothing is found for 4 frames.
    tracker, ids = Tracker(), set()
    for frame in range(40):
        rows = [] if 20 <= frame < 24 else [(shifted(LEFT, 0.02 * frame), 0.7)]
        ids |= set(tracker.update(found(*rows), frame / 25).ids.tolist())
    assert ids == {1}


def test_two_lesions_that_pass_keep_their_numbers():
    tracker = Tracker()
    for frame in range(31):
        one, other = shifted(LEFT, 0.02 * frame), shifted((0.7, 0.52, 0.8, 0.62), -0.02 * frame)
        shown = tracker.update(found((one, 0.7), (other, 0.6)), frame / 25)
    assert shown.ids.tolist() == [1, 2]
    assert shown.boxes[:, 0] == pytest.approx([0.7, 0.1], abs=0.01)


def test_a_second_box_of_a_lesion_is_no_second_track():
    # Overlaps by 0.07 of 0.13: an IoU of 0.54, above 0.3 of it.
    shown = shown_at(Tracker(), range(30), (LEFT, 0.8), (shifted(LEFT, 0.03), 0.5))
    assert [one.ids.tolist() for one in shown[2:]] == [[1]] * 28


def test_tracks_that_become_one_leave_the_older():
    tracker = Tracker()
    shown_at(tracker, range(10), (LEFT, 0.8))
    for frame in range(10, 40):
        near = shifted(LEFT, max(0.0, 0.4 - 0.02 * (frame - 10)))
        shown = tracker.update(found((LEFT, 0.8), (near, 0.7)), frame / 25)
        if frame == 20:
            assert shown.ids.tolist() == [1, 2]
    assert shown.ids.tolist() == [1]


def test_what_leaves_the_picture_isnt_shown():
    tracker = Tracker()
    for frame in range(15):
        box = shifted(RIGHT, 0.02 * frame)
        tracker.update(found(((box[0], 0.4, min(box[2], 1.0), 0.5), 0.8)), frame / 25)
    # It moves by 0.02 a frame, and was from 0.98 on: soon gone, though its score, 0.8 * exp(-0.5) =
    # 0.49 after 0.16 s, is high still.
    shown = [tracker.update(NOTHING, frame / 25) for frame in range(15, 19)]
    assert all(one.boxes.max(initial=0.0) <= 1 for one in shown)
    assert len(shown[-1]) == 0


def test_the_class_is_that_of_most_of_the_score():
    tracker = Tracker()
    for frame in range(12):
        name, score = (1, 0.9) if frame % 3 == 0 else (2, 0.5)
        shown = tracker.update(found((LEFT, score), classes=[name]), frame / 25)
    # Four times 0.9 against eight times 0.5.
    assert shown.classes.tolist() == [2]


def test_the_cameras_motion_is_followed():
    # The wall jumps by a quarter of a picture's width in two frames without the lesion, which is
    # then found where the wall has taken it: much too far for a box that stood still.
    noise = np.random.default_rng(3).uniform(0, 255, (360, 1000)).astype(np.float32)
    wall = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 8), noise, 40, 230, cv2.NORM_MINMAX)
    wide = np.repeat(wall.astype(np.uint8)[..., None], 3, axis=2)

    def run(*, with_pictures: bool) -> list[int]:
        tracker = Tracker()
        for frame in range(13):
            pixels = 80 * max(0, min(frame - 8, 2))
            picture = np.ascontiguousarray(wide[:, 200 - pixels : 840 - pixels])
            rows = [] if frame in (9, 10) else [(shifted(LEFT, pixels / 640), 0.8)]
            shown = tracker.update(found(*rows), frame / 25, picture if with_pictures else None)
        return [int(track) for track in shown.ids[shown.matched]]

    assert run(with_pictures=True) == [1]
    assert run(with_pictures=False) == []


def test_two_frames_of_one_time_do_no_harm():
    tracker = confirmed()
    again = tracker.update(found((LEFT, 0.8)), 9 / 25)
    assert again.ids.tolist() == [1]
    assert again.scores.tolist() == pytest.approx([0.8])


@pytest.mark.parametrize("frame", [0, 10])
@pytest.mark.parametrize(
    "before", [(), ((RIGHT, 1.0),)], ids=["from the second on", "from the first"]
)
def test_the_same_time_again_and_again_confirms_nothing(frame, before):
    # At 10 a second, where a later frame of a score of 1 adds 2.5: enough, if it weren't one find.
    tracker = Tracker()
    shown_at(tracker, range(frame), fps=10)
    shown = shown_at(tracker, [frame], *before, fps=10)
    shown += shown_at(tracker, [frame] * 10, (RIGHT, 1.0), fps=10)
    assert not any(map(len, shown))
    # In the next frame it is there still.
    assert shown_at(tracker, [frame + 1], (RIGHT, 1.0), fps=10)[0].ids.tolist() == [1]


@pytest.mark.parametrize("seconds", [0.2, float("nan")])
def test_time_that_goes_back_is_an_error(seconds):
    with pytest.raises(ValueError, match=r"can't follow one at 0\.36 s"):
        confirmed().update(NOTHING, seconds)
