import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from endoforge.data.stratify import group_counts, stratified_runs


def frames_of(counts):
    """Frames of runs with these numbers of frames without, with one and with two boxes."""
    return [
        SimpleNamespace(run=f"run_{run}", boxes=np.zeros((boxes, 4)))
        for run, row in enumerate(counts)
        for boxes, count in enumerate(row)
        for _ in range(count)
    ]


def excess(counts, runs, ratio):
    """Frames too many or too few on the validation side."""
    counts = np.array(counts)
    names = [f"run_{run}" for run in range(len(counts))]
    picked = counts[[name in runs for name in names]].sum(axis=0)
    return np.abs(picked - ratio * counts.sum(axis=0)).sum()


def random_counts(num_runs, seed):
    return np.random.default_rng(seed).integers(0, 40, (num_runs, 3)) + 1


def test_frames_are_counted_by_their_boxes():
    frames = frames_of([[3, 2, 1]])
    frames.append(SimpleNamespace(run="run_0", boxes=np.zeros((7, 4))))
    assert group_counts(frames).tolist() == [3, 2, 2]


@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_of_few_runs_the_choice_is_the_best(ratio, seed):
    counts = random_counts(8, seed)
    names = [f"run_{run}" for run in range(8)]
    choices = itertools.chain.from_iterable(
        itertools.combinations(names, count) for count in range(1, 8)
    )
    best = min(excess(counts, choice, ratio) for choice in choices)
    picked = stratified_runs(frames_of(counts), ratio, seed)
    assert 0 < len(picked) < 8
    assert excess(counts, picked, ratio) == pytest.approx(best)


@pytest.mark.parametrize("num_runs", [17, 60, 300])
def test_of_many_runs_the_choice_is_nearly_exact(num_runs):
    counts = random_counts(num_runs, num_runs)
    picked = stratified_runs(frames_of(counts), 0.2, seed=1)
    assert excess(counts, picked, 0.2) <= 0.01 * counts.sum()


def test_the_search_is_as_good_as_looking_at_all_choices(monkeypatch):
    counts = random_counts(14, 5)
    best = excess(counts, stratified_runs(frames_of(counts), 0.3, 0), 0.3)
    monkeypatch.setattr("endoforge.data.stratify.TRIED_ONE_BY_ONE", 0)
    monkeypatch.setattr("endoforge.data.stratify.STARTS", 200)
    assert excess(counts, stratified_runs(frames_of(counts), 0.3, 0), 0.3) == pytest.approx(best)


def test_the_seed_picks_among_equals_and_repeats():
    frames = frames_of([[2, 5, 1]] * 10)
    picked = [frozenset(stratified_runs(frames, 0.2, seed)) for seed in range(20)]
    assert all(len(runs) == 2 for runs in picked)
    assert len(set(picked)) > 5
    assert picked[3] == frozenset(stratified_runs(frames, 0.2, 3))


@pytest.mark.parametrize("ratio", [0.001, 0.999])
@pytest.mark.parametrize("num_runs", [2, 20])
def test_neither_side_is_ever_empty(ratio, num_runs):
    picked = stratified_runs(frames_of(random_counts(num_runs, 1)), ratio, 0)
    assert 0 < len(picked) < num_runs
