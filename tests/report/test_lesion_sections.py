"""What the page says of each polyp and each track of a run, worked out by hand."""

import numpy as np

from endoforge.evaluate.lesion_sequences import PolypFacts
from endoforge.report.lesion_sections import lesion_lanes, polyp_of
from endoforge.tracking.histories import track_histories
from tests.evaluate.lesion_cases import CORNER, LEFT, RIGHT, sequence_of, shown_of

TENTHS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_a_polyps_lane_has_the_times_in_sight_and_those_found():
    sequence = sequence_of(
        TENTHS,
        [{7: LEFT}, {7: LEFT}, {}, {7: LEFT, 2: RIGHT}, {7: LEFT}, {}],
        {7: PolypFacts(diameter_mm=4.25, kind="IIa")},
    )
    shown = shown_of([{}, {1: LEFT}, {1: LEFT}, {1: LEFT}, {1: CORNER}, {}])
    second, seventh = lesion_lanes(sequence, shown)
    assert (second.number, second.what, second.first_found) == (2, "", None)
    np.testing.assert_allclose(second.visible, [(0.3, 0.4)])
    assert list(second.found) == []
    assert (seventh.number, seventh.what, seventh.first_found) == (7, "IIa, 4.2 mm", 0.1)
    np.testing.assert_allclose(seventh.visible, [(0.0, 0.2), (0.3, 0.5)])
    np.testing.assert_allclose(seventh.found, [(0.1, 0.2), (0.3, 0.4)])


def test_a_gap_in_time_parts_what_was_in_sight():
    sequence = sequence_of([0.0, 0.1, 9.0, 9.1], [{1: LEFT}] * 4)
    [lane] = lesion_lanes(sequence, shown_of([{}] * 4))
    np.testing.assert_allclose(lane.visible, [(0.0, 0.2), (9.0, 9.2)])


def test_a_track_is_of_the_polyp_that_it_is_on_longest_or_of_none():
    sequence = sequence_of(TENTHS, [{3: LEFT, 4: RIGHT}] * 6)
    shown = shown_of([{1: LEFT, 2: CORNER}, {1: RIGHT}, {1: RIGHT}, {1: CORNER}, {}, {}])
    first, second = track_histories(enumerate(shown))
    assert (polyp_of(sequence, first), polyp_of(sequence, second)) == (4, 0)
