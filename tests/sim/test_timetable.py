"""The sequence of frames that never repeats."""

from collections import Counter

import numpy as np
import pytest

from endoforge.sim.timetable import RUNS_AT_ONCE, VIEWS_A_RUN, Timetable

SMALL = Timetable(5, runs_at_once=3, views_a_run=12)


def test_in_each_beat_the_runs_take_equal_shares() -> None:
    for beat in (0, 1, 7):
        runs, views = SMALL.order(beat)
        assert len(runs) == len(views) == 12
        assert Counter(runs.tolist()) == {beat: 4, beat + 1: 4, beat + 2: 4}
        assert set(SMALL.runs(beat)) == set(runs.tolist())


def test_no_view_of_a_run_comes_twice_and_all_come() -> None:
    shown = Counter(
        frame
        for beat in range(8)
        for frame in zip(*(column.tolist() for column in SMALL.order(beat)), strict=True)
    )
    assert set(shown.values()) == {1}
    assert {(run, view) for run in range(2, 8) for view in range(12)} <= set(shown)


def test_a_run_shows_its_first_part_first() -> None:
    """Run 4 comes in beat 2 and goes after beat 4: views 0..3, then 4..7, then 8..11."""
    for beat, views_then in ((2, range(4)), (3, range(4, 8)), (4, range(8, 12))):
        runs, views = SMALL.order(beat)
        assert sorted(views[runs == 4].tolist()) == list(views_then)


def test_the_order_depends_on_the_seed_and_the_beat_alone() -> None:
    assert np.array_equal(SMALL.order(3), Timetable(5, 3, 12).order(3))
    assert not np.array_equal(SMALL.order(3), Timetable(6, 3, 12).order(3))
    assert not np.array_equal(SMALL.order(3)[1], SMALL.order(4)[1])


def test_beats_follow_each_other_without_gaps() -> None:
    assert SMALL.beats(np.array([0, 11, 12, 35, 36])).tolist() == [0, 0, 1, 2, 3]


def test_shares_that_are_not_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="divide"):
        Timetable(0, 5, 12)
    assert VIEWS_A_RUN % RUNS_AT_ONCE == 0


def test_a_batch_mixes_many_runs() -> None:
    """64 of 384 frames, 6 of each of 64 runs: 64 * (1 - (5/6)^6) = 42.6 runs, about."""
    timetable = Timetable(1)
    beats = [timetable.order(beat)[0] for beat in range(40, 56)]
    assert {len(runs) for runs in beats} == {384}
    mixed = [len(set(runs[:64].tolist())) for runs in beats]
    assert 41 < np.mean(mixed) < 45
