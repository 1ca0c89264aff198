"""The tracker on detections that are written down by hand."""

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


def confirmed() -> Tracker:
    """A tracker that shows LEFT since frame 5 of 0 to 9, at 25 a second."""
    tracker = Tracker()
    shown_at(tracker, range(10), (LEFT, 0.8))
    return tracker


def shifted(box: tuple[float, float, float, float], by: float) -> tuple[float, float, float, float]:
    return (box[0] + by, box[1], box[2] + by, box[3])


def test_a_sure_lesion_is_shown_from_the_third_frame_on():
    # 0.8 is 5/7 of the way from 0.3 to 1. In a frame of 0.04 s exp(-0.16) = 0.852 is left, so the
    # evidence is 0.71, 1.32, 1.84: above 1.4 with the third.
    shown = shown_at(Tracker(), range(8), (LEFT, 0.8))
    assert [one.ids.tolist() for one in shown] == [[]] * 2 + [[1]] * 6
    last = shown[-1]
    assert last.boxes == pytest.approx(np.array([LEFT]), abs=1e-6)
    assert last.scores.tolist() == pytest.approx([0.8])
    assert (last.classes.tolist(), last.matched.tolist()) == ([0], [True])
    assert {str(last.boxes.dtype), str(last.scores.dtype)} == {"float32"}


@pytest.mark.parametrize(("fps", "first"), [(50, 3), (10, 1), (5, 1)])
def test_the_delay_is_time_and_at_least_two_finds(fps, first):
    # At 50 a second each further frame adds half of 0.71, and 0.923 is left of what was: 0.71,
    # 1.02, 1.30, 1.55. At 10 a second the second adds 2.5 times as much.
    shown = shown_at(Tracker(), range(12), (LEFT, 0.8), fps=fps)
    assert [len(one) for one in shown] == [0] * first + [1] * (12 - first)


def test_a_detection_now_and_then_is_never_shown():
    tracker = Tracker()
    for frame in range(50):
        rows = [(LEFT, 0.5)] if frame % 6 == 0 else []
        assert not len(tracker.update(found(*rows), frame / 25))


def test_scores_that_are_low_on_the_mean_arent_confirmed():
    # Found in every second frame only, at 0.4: a mean of about 0.2, under the threshold of 0.3.
    tracker = Tracker()
    for frame in range(50):
        rows = [(LEFT, 0.4)] if frame % 2 == 0 else []
        assert not len(tracker.update(found(*rows), frame / 25))


def test_weak_detections_begin_no_track():
    assert not any(map(len, shown_at(Tracker(), range(30), (LEFT, 0.29))))
    assert len(shown_at(Tracker(threshold=0.05), range(30), (LEFT, 0.29))[-1]) == 1


def test_weak_detections_continue_one():
    tracker = confirmed()
    shown = shown_at(tracker, range(10, 60), (LEFT, 0.25))
    assert all(one.ids.tolist() == [1] and one.matched.all() for one in shown)
    assert shown[-1].scores[0] == pytest.approx(0.25, abs=0.01)


def test_the_weakest_dont():
    assert not shown_at(confirmed(), [10], (LEFT, 0.09))[0].matched.any()


def test_a_gap_is_bridged_with_the_score_falling():
    tracker = confirmed()
    # 0.8 exp(-t / 0.3) is 0.7 of the threshold of 0.3 after 0.401 s: 10 frames, not 11.
    shown = shown_at(tracker, range(10, 24))
    assert [len(one) for one in shown] == [1] * 10 + [0] * 4
    assert not any(one.matched.any() for one in shown)
    assert shown[9].scores[0] == pytest.approx(0.8 * np.exp(-0.4 / SMOOTHED_S), rel=1e-4)


def test_the_surest_is_carried_for_half_a_second():
    tracker = Tracker(threshold=0.1)
    shown_at(tracker, range(10), (LEFT, 0.8))
    # Frame 9, the last one with it, was at 0.36 s; 12 frames later it is 0.48 s ago.
    assert [len(one) for one in shown_at(tracker, range(10, 24))] == [1] * 12 + [0] * 2
    assert 12 / 25 <= SHOWN_GAP_S < 13 / 25


def test_found_again_soon_it_has_its_number():
    tracker = confirmed()
    shown_at(tracker, range(10, 18))
    again = shown_at(tracker, [18], (LEFT, 0.8))[0]
    assert (again.ids.tolist(), again.matched.tolist()) == ([1], [True])


def test_found_again_late_it_is_another():
    tracker = confirmed()
    back = 9 + int(KEPT_GAP_S * 25) + 1
    shown_at(tracker, range(10, back))
    shown = shown_at(tracker, range(back, back + 6), (LEFT, 0.8))
    assert [one.ids.tolist() for one in shown] == [[]] * 2 + [[2]] * 4


def test_a_jump_in_time_ends_all_tracks():
    tracker = confirmed()
    assert not len(tracker.update(found((LEFT, 0.8)), 60.0))


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
    assert [one.ids.tolist() for one in shown[5:]] == [[1]] * 25


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
    shown = [tracker.update(NOTHING, frame / 25) for frame in range(15, 27)]
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


def test_frames_of_one_time_add_no_evidence():
    tracker = Tracker()
    assert not any(len(tracker.update(found((LEFT, 0.9)), 1.0)) for _ in range(9))


def test_two_frames_of_one_time_do_no_harm():
    tracker = confirmed()
    assert tracker.update(found((LEFT, 0.8)), 9 / 25).ids.tolist() == [1]


@pytest.mark.parametrize("seconds", [0.2, float("nan")])
def test_time_that_goes_back_is_an_error(seconds):
    with pytest.raises(ValueError, match=r"can't follow one at 0\.36 s"):
        confirmed().update(NOTHING, seconds)
