"""Which frames are chosen, of looks and times that are written down here."""

from pathlib import Path

import numpy as np
import pytest

from endoforge.select.choosing import CHANCE_ONE_IN, Coverage, choose
from endoforge.select.pool import PoolFrame

LINE = [0.0, 0.0, 1.0, 1.0]
"""Looks on a line: two pairs of copies. The median distance of two is 1, so that the scale is 0.5,
and two that are 1 apart are alike by exp(-4)."""
APART = np.exp(-4.0)


def frames(runs, seconds=None):
    times = [None] * len(runs) if seconds is None else seconds
    return [
        PoolFrame(Path(run), number, f"images/frame_{number:05d}.png", time, labelled=False)
        for number, (run, time) in enumerate(zip(runs, times, strict=True))
    ]


def looks(values):
    return np.array(values, np.float32)[:, None]


def chosen(values, worth, count, *, runs=None, seconds=None, known=(), seed=0):
    coverage = Coverage(frames(runs or ["r"] * len(values), seconds), looks(values))
    coverage.add(list(known))
    left = [place for place in range(len(values)) if place not in known]
    choices = choose(np.array(worth, np.float64), coverage, left, count, seed)
    return [choice.place for choice in choices]


def test_what_looks_like_a_known_frame_is_known():
    coverage = Coverage(frames("rrrr"), looks(LINE))
    assert coverage.known.tolist() == [0, 0, 0, 0]
    coverage.add([0])
    assert coverage.known == pytest.approx([1, 1, APART, APART])
    assert coverage.room() == pytest.approx(np.array([0, 0, 1 - APART, 1 - APART]) / 1.1)


def test_frames_of_one_video_are_known_by_their_neighbours_in_time_alone():
    """In 2 s, a frame becomes new but for 1 / e of it; another run's clock says nothing."""
    coverage = Coverage(frames("aaab", [0.0, 2.0, 4.0, 0.0]), looks([0.0, 9.0, 18.0, 27.0]))
    coverage.add([0])
    assert coverage.known[1:] == pytest.approx([np.exp(-1), np.exp(-2), 0], abs=0.02)


def test_a_run_of_which_ten_frames_are_known_adds_half():
    values = [*np.arange(0.0, 12.0), 100.0]
    coverage = Coverage(frames(["a"] * 12 + ["b"]), looks(values))
    coverage.add(list(range(10)))
    new = 1 - coverage.known
    assert coverage.room()[11:] == pytest.approx(new[11:] * [0.5, 1.0])


def test_the_most_worth_it_comes_first_and_its_copy_not_second():
    assert chosen(LINE, [0.9, 0.8, 0.2, 0.1], 2) == [0, 2]


def test_a_frame_that_looks_like_a_labelled_one_waits():
    assert chosen(LINE, [0.9, 0.9, 0.2, 0.1], 1, known=[0]) == [2]


def test_a_run_that_nobody_has_seen_goes_before_one_that_is_known():
    values = [0.0, 50.0, 100.0]
    assert chosen(values, [0.5, 0.5, 0.49], 1, runs="aab", known=[0]) == [2]


def test_labelled_frames_are_never_chosen_and_no_frame_twice():
    assert sorted(chosen(LINE, [0.5] * 4, 99, known=[1])) == [0, 2, 3]


@pytest.fixture
def many():
    """Sixty frames, by their looks and worths."""
    random = np.random.default_rng(1)
    return {"values": random.normal(size=60), "worth": random.uniform(0.1, 1.0, 60)}


def test_fewer_frames_are_the_first_of_more(many):
    assert chosen(**many, count=11) == chosen(**many, count=40)[:11]


def test_a_seed_decides_what_is_drawn_by_chance_alone(many):
    one, again, other = (chosen(**many, count=CHANCE_ONE_IN, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one[:-1] == other[:-1]
    assert one[-1] != other[-1]


def test_one_in_five_is_drawn_by_chance(many):
    coverage = Coverage(frames("r" * 60), looks(many["values"]))
    choices = choose(many["worth"], coverage, range(60), 20, seed=0)
    drawn = [place for place, choice in enumerate(choices, 1) if choice.by_chance]
    assert drawn == [5, 10, 15, 20]


def test_chance_draws_what_is_unlike_the_rest():
    """Of 40 copies and one other frame, in front of which four copies were chosen, the other."""
    values, worth = [0.0] * 40 + [5.0], [0.9] * 40 + [0.0]
    assert 40 in chosen(values, worth, CHANCE_ONE_IN)


def test_copies_alone_are_still_chosen():
    assert sorted(chosen([0.0] * 7, [0.1] * 7, 7)) == list(range(7))
