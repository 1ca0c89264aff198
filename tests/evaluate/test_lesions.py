"""Metrics of lesions against answers worked out by hand."""

import numpy as np
import pytest

from endoforge.detect.detections import Detections
from endoforge.evaluate.lesion_links import frame_by_frame
from endoforge.evaluate.lesion_outcomes import SequenceOutcome, follow
from endoforge.evaluate.lesion_sequences import LesionSequence, PolypFacts
from endoforge.evaluate.lesions import FrocPoint, LesionGroup, froc_point, sum_up
from endoforge.evaluate.matching import Truth
from tests.evaluate.lesion_cases import CORNER, LEFT, RIGHT, found_of, sequence_of, shown_of

HALVES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
"""Six frames of half a second each."""


def test_a_frame_lasts_until_the_next_one_and_the_last_one_as_usual():
    sequence = sequence_of((0.0, 0.1, 0.4, 0.5), [{}] * 4)
    assert sequence.usual_step == pytest.approx(0.1)
    assert sequence.durations == pytest.approx([0.1, 0.3, 0.1, 0.1])
    assert sequence.follows.tolist() == [False, True, True, True]


def test_a_frame_before_a_gap_lasts_as_usual():
    sequence = sequence_of((0.0, 0.5, 1.0, 11.0, 11.5), [{}] * 5)
    assert sequence.follows.tolist() == [False, True, True, False, True]
    assert sequence.durations == pytest.approx([0.5] * 5)
    # Every step is longer than a second, but none is longer than three usual ones.
    slow = sequence_of((0.0, 2.0, 4.0, 9.0, 11.0), [{}] * 5)
    assert slow.follows.tolist() == [False, True, True, True, True]
    assert slow.durations == pytest.approx([2.0, 2.0, 5.0, 2.0, 2.0])


def test_a_sequence_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="seconds must rise"):
        sequence_of((0.0, 0.0), [{}, {}])
    with pytest.raises(ValueError, match=r"at least two: got 1, 1 and 1"):
        sequence_of((0.0,), [{}])
    truth = Truth(np.array([LEFT], np.float32), np.zeros(1, np.int64))
    none = np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="must have the name of its polyp"):
        LesionSequence(
            name="run_1",
            seconds=np.array([0.0, 1.0]),
            truths=[truth, truth],
            polyp_ids=[none, none],
            facts={},
        )


def test_delay_visible_time_and_flicker_of_a_polyp():
    sequence = sequence_of(HALVES, [{}, {7: LEFT}, {7: LEFT}, {7: LEFT}, {7: LEFT}, {}])
    shown = shown_of([{}, {}, {1: LEFT}, {}, {1: LEFT}, {}])
    outcome = follow(sequence, shown)
    (polyp,) = outcome.polyps
    assert (polyp.sequence, polyp.polyp_id) == ("run_1", 7)
    assert (polyp.first_visible, polyp.first_found) == (1, 2)
    assert polyp.delay == pytest.approx(0.5)
    assert polyp.visible_seconds == pytest.approx(2.0)
    assert polyp.found_seconds == pytest.approx(1.0)
    assert polyp.changes == 2  # lost and found again; that it was found first is none
    assert polyp.largest_box == pytest.approx(0.25)
    assert (outcome.seconds, outcome.false_alarms, outcome.false_seconds) == (3.0, (), 0.0)
    metrics = sum_up([outcome])
    assert metrics.flicker == pytest.approx(1.0)
    assert metrics.seen_found == pytest.approx(0.5)
    assert (metrics.false_time, metrics.false_flicker) == (0.0, 0.0)


def test_a_polyp_that_comes_back_is_the_same_and_what_hides_it_is_no_delay():
    sequence = sequence_of(
        (0.0, 0.5, 1.0, 11.0, 11.5),
        [{3: LEFT}, {3: LEFT}, {}, {3: RIGHT}, {3: RIGHT}],
    )
    (polyp,) = follow(sequence, shown_of([{}, {}, {}, {}, {2: RIGHT}])).polyps
    assert (polyp.first_visible, polyp.first_found) == (0, 4)
    assert polyp.delay == pytest.approx(1.5)
    assert polyp.visible_seconds == pytest.approx(2.0)
    assert polyp.changes == 0


def test_no_change_is_counted_over_frames_that_do_not_show_the_polyp_or_over_a_gap():
    sequence = sequence_of(HALVES, [{3: LEFT}, {}, {3: LEFT}, {}, {}, {}])
    (polyp,) = follow(sequence, shown_of([{1: LEFT}, {}, {}, {}, {}, {}])).polyps
    assert (polyp.delay, polyp.changes) == (0.0, 0)
    apart = sequence_of((0.0, 0.5, 1.0, 9.0), [{3: LEFT}] * 4)
    (polyp,) = follow(apart, shown_of([{1: LEFT}] * 3 + [{}])).polyps
    assert polyp.changes == 0


@pytest.mark.parametrize(
    ("height", "found"),
    [(0.125, True), (0.09375, False)],  # IoU 0.25 and 0.1875
)
def test_what_overlaps_a_polyp_by_a_fifth_is_on_it(height, found):
    sequence = sequence_of((0.0, 1.0), [{1: LEFT}, {}])
    outcome = follow(sequence, shown_of([{1: (0.0, 0.0, 0.5, height)}, {}]))
    assert (outcome.polyps[0].delay == 0.0) == found
    assert len(outcome.false_alarms) == (not found)


def test_what_is_shown_as_of_another_class_is_not_on_it():
    sequence = sequence_of((0.0, 1.0), [{1: LEFT}, {}])
    first, second = shown_of([{1: LEFT}, {}])
    other = type(first)(first.ids, first.boxes, first.scores, first.classes + 1, first.matched)
    outcome = follow(sequence, [other, second])
    assert outcome.polyps[0].first_found is None
    assert outcome.polyps[0].delay is None
    assert len(outcome.false_alarms) == 1


def test_a_polyp_with_two_boxes_in_a_frame_is_found_by_either():
    truth = Truth(np.array([LEFT, RIGHT], np.float32), np.zeros(2, np.int64))
    sequence = LesionSequence(
        name="run_1",
        seconds=np.array([0.0, 1.0]),
        truths=[truth, truth],
        polyp_ids=[np.array([4, 4])] * 2,
        facts={},
    )
    (polyp,) = follow(sequence, shown_of([{1: LEFT}, {1: RIGHT}])).polyps
    assert (polyp.visible_seconds, polyp.found_seconds, polyp.changes) == (2.0, 2.0, 0)


def test_a_track_that_is_never_on_a_polyp_is_one_false_alarm_whatever_its_gaps():
    sequence = sequence_of(HALVES, [{1: LEFT}] * 6)
    shown = shown_of([{}, {5: CORNER}, {5: CORNER, 6: LEFT}, {6: LEFT}, {5: CORNER}, {}])
    outcome = follow(sequence, shown)
    (alarm,) = outcome.false_alarms
    assert (alarm.sequence, alarm.track, alarm.begin, alarm.end) == ("run_1", 5, 1, 4)
    assert (alarm.seconds, alarm.peak_score) == (1.5, 0.5)
    assert outcome.false_seconds == pytest.approx(1.5)
    assert outcome.false_changes == 4
    metrics = sum_up([outcome])
    assert metrics.false_alarms_a_minute == pytest.approx(20.0)
    assert metrics.false_alarms_a_sequence == 1.0
    assert metrics.false_time == pytest.approx(0.5)
    assert metrics.false_flicker == pytest.approx(4 / 3)


def test_a_track_that_was_on_a_polyp_is_a_false_alarm_once_it_lingers_for_a_second():
    sequence = sequence_of(HALVES, [{1: LEFT}, {}, {1: LEFT}, {}, {}, {}])
    brief = follow(sequence, shown_of([{1: LEFT}] * 4 + [{}] * 2))
    assert brief.false_alarms == ()
    assert brief.false_seconds == pytest.approx(1.0)  # frames 1 and 3, half a second each time
    long = follow(sequence, shown_of([{1: LEFT}] * 5 + [{}]))
    (alarm,) = long.false_alarms
    assert (alarm.begin, alarm.end, alarm.seconds) == (3, 4, 1.0)
    assert long.false_seconds == pytest.approx(1.5)


def test_two_false_boxes_at_once_are_two_alarms_and_one_time_on_screen():
    sequence = sequence_of((0.0, 1.0), [{}, {}])
    outcome = follow(sequence, shown_of([{1: LEFT, 2: RIGHT}, {}]))
    assert [alarm.track for alarm in outcome.false_alarms] == [1, 2]
    assert (outcome.false_seconds, outcome.false_changes) == (1.0, 1)


def outcome_of(
    polyps: dict[int, PolypFacts], found_after: dict[int, int], frames: int = 40
) -> SequenceOutcome:
    """Ten frames a second that all show all `polyps`, each tracked from a frame on or never."""
    places = {polyp: (0.2 * n, 0.0, 0.2 * n + 0.1, 0.1) for n, polyp in enumerate(polyps)}
    sequence = sequence_of([0.1 * n for n in range(frames)], [places] * frames, polyps)
    shown = [
        {p: places[p] for p, begin in found_after.items() if n >= begin} for n in range(frames)
    ]
    return follow(sequence, shown_of(shown))


def test_shares_found_and_delays_of_several_sequences():
    none = PolypFacts()
    first = outcome_of({1: none, 2: none, 3: none}, {1: 0, 2: 10})  # at once, after 1.0 s, never
    second = outcome_of({1: none, 2: none}, {1: 11, 2: 31})  # after 1.1 s and 3.1 s
    metrics = sum_up([first, second])
    assert (metrics.sequences, len(metrics.polyps), metrics.num_found) == (2, 5, 4)
    assert metrics.seconds == pytest.approx(8.0)
    assert metrics.found == pytest.approx(0.8)
    assert metrics.found_within(1.0) == pytest.approx(0.4)
    assert metrics.found_within(3.0) == pytest.approx(0.6)
    # Of 0, 1.0, 1.1 and 3.1 s: the middle between the second and third; and 0.7 of the way from
    # the third to the fourth.
    assert metrics.delay(0.5) == pytest.approx(1.05)
    assert metrics.delay(0.9) == pytest.approx(2.5)
    point = froc_point(0.3, metrics)
    assert point.found == pytest.approx(0.8)
    assert point.found_early == pytest.approx(0.6)
    assert (point.false_alarms_a_minute, point.false_alarms_a_sequence) == (0.0, 0.0)


def test_polyps_are_told_apart_by_size_and_kind():
    facts = {
        1: PolypFacts(5.0, "Is"),
        2: PolypFacts(5.1, "Ip"),
        3: PolypFacts(9.9, "Is"),
        4: PolypFacts(10.0, None),
        5: PolypFacts(None, None),  # its box is 0.1 by 0.1
    }
    metrics = sum_up([outcome_of(facts, {1: 0, 3: 0, 4: 20})])
    assert metrics.by_size() == (
        LesionGroup("diminutive, to 5 mm", 1, 1),
        LesionGroup("small, 6 to 9 mm", 2, 1),
        LesionGroup("large, from 10 mm", 1, 1),
        LesionGroup("box to 1 %", 1, 0),
    )
    assert metrics.by_kind() == (
        LesionGroup("Ip", 1, 0),
        LesionGroup("Is", 2, 2),
        LesionGroup("unknown", 2, 1),
    )


@pytest.mark.parametrize(
    ("side", "name"), [(0.125, "box 1 to 5 %"), (0.25, "box over 5 %"), (0.0625, "box to 1 %")]
)
def test_without_a_diameter_the_largest_box_tells_the_size(side, name):
    largest = (0.0, 0.0, side, side)
    sequence = sequence_of((0.0, 1.0), [{1: largest}, {1: (0.0, 0.0, side / 2, side / 2)}])
    (group,) = sum_up([follow(sequence, shown_of([{}, {}]))]).by_size()
    assert group == LesionGroup(name, 1, 0)


def test_without_polyps_shares_of_them_are_undefined_and_false_alarms_are_not():
    sequence = sequence_of((0.0, 1.0), [{}, {}])
    metrics = sum_up([follow(sequence, shown_of([{1: LEFT}, {1: LEFT}]))])
    assert metrics.found is metrics.flicker is metrics.seen_found is metrics.delay(0.5) is None
    assert metrics.found_within(1.0) is None
    assert metrics.false_alarms_a_minute == pytest.approx(30.0)
    assert (metrics.false_time, metrics.false_flicker) == (1.0, 0.0)
    assert (metrics.by_size(), metrics.by_kind()) == ((), ())


def test_the_record_of_a_metrics_file():
    metrics = sum_up([outcome_of({1: PolypFacts(4.0, "Is"), 2: PolypFacts(12.0, "Is")}, {1: 20})])
    assert metrics.to_record() == {
        "polyps": 2,
        "found": 0.5,
        "found_in_1s": 0.0,
        "found_in_3s": 0.5,
        "by_size": [
            {"name": "diminutive, to 5 mm", "polyps": 1, "found": 1},
            {"name": "large, from 10 mm", "polyps": 1, "found": 0},
        ],
        "by_kind": [{"name": "Is", "polyps": 2, "found": 1}],
        "delay_median_s": pytest.approx(2.0),
        "delay_p90_s": pytest.approx(2.0),
        "visible_time_found": pytest.approx(0.25),
        "flicker_per_s": 0.0,
        "false_alarms": 0,
        "false_alarms_per_min": 0.0,
        "false_alarms_per_run": 0.0,
        "false_time": 0.0,
        "false_flicker_per_s": 0.0,
    }
    assert FrocPoint(
        obj_thresh=0.3,
        found=1.0,
        found_early=0.5,
        false_alarms_a_minute=2.0,
        false_alarms_a_sequence=4.0,
    ).to_record() == {
        "obj_thresh": 0.3,
        "found": 1.0,
        "found_in_3s": 0.5,
        "false_alarms_per_min": 2.0,
        "false_alarms_per_run": 4.0,
    }


def ids_of(sequence: LesionSequence, found: list[Detections], threshold: float = 0.3):
    return [one.ids.tolist() for one in frame_by_frame(sequence, found, threshold)]


def test_frame_by_frame_a_box_that_stays_is_one_alarm_and_one_that_is_gone_for_a_frame_two():
    sequence = sequence_of(HALVES[:5], [{}] * 5)
    found = [
        found_of([(0.9, LEFT)]),
        found_of([(0.8, RIGHT), (0.7, (0.0, 0.0, 0.5, 0.4))]),
        found_of([(0.2, LEFT)]),  # under the threshold
        found_of([(0.9, LEFT)]),
        found_of([(0.3, LEFT)]),
    ]
    assert ids_of(sequence, found) == [[1], [2, 1], [], [3], [3]]
    shown = frame_by_frame(sequence, found, 0.3)
    assert shown[1].scores.tolist() == pytest.approx([0.8, 0.7])
    assert shown[1].matched.all()
    assert len(follow(sequence, shown).false_alarms) == 3


def test_frame_by_frame_a_number_is_taken_over_once_and_by_the_best_score():
    sequence = sequence_of(HALVES[:2], [{}] * 2)
    both = [(0.9, (0.0, 0.0, 0.5, 0.4)), (0.8, LEFT)]
    assert ids_of(sequence, [found_of([(0.9, LEFT)]), found_of(both)]) == [[1], [1, 2]]


def test_frame_by_frame_nothing_is_taken_over_by_another_class_or_over_a_gap():
    sequence = sequence_of((0.0, 0.5, 1.0, 9.0), [{}] * 4)
    one, other = found_of([(0.9, LEFT)]), found_of([(0.9, LEFT)], number=1)
    assert ids_of(sequence, [one, other, one, one]) == [[1], [2], [3], [4]]
