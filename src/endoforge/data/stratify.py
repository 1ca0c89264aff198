"""Runs to hold out whose frames show as many polyps as the frames that are left."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.run_frames import FrameRecord

GROUPS = ("no box", "one box", "more boxes")
"""The two sides of a split are to have the same share of each of these."""

TRIED_ONE_BY_ONE = 16
"""With up to so many runs every choice is looked at: 65,534 of them, in a moment."""
STARTS = 8
"""With more runs, so many searches are made, and the best choice that one finds is taken."""
EXCHANGES_TRIED = 256
"""Runs of each side that a search may exchange in a step."""

Counts = NDArray[np.int64]
"""Frames of each run in each of the groups: (R, 3)."""


def group_counts(frames: Sequence[FrameRecord]) -> NDArray[np.int64]:
    """How many of `frames` are in each of GROUPS: (3,)."""
    groups = [min(len(frame.boxes), 2) for frame in frames]
    return np.bincount(groups, minlength=len(GROUPS)).astype(np.int64)


def stratified_runs(
    frames: Sequence[FrameRecord], ratio: float, seed: int, groups: Mapping[str, str] | None = None
) -> set[str]:
    """The runs whose frames come nearest to the share `ratio` (0..1) of each of the groups.

    `groups` names the group of runs that are as one; given back are names of groups and of others.
    What counts is how many frames too many or too few there are, over all groups. At least one run
    is picked, and not all. Of equally good choices `seed` picks one. Exact for up to 16 runs.
    """
    by_run: dict[str, list[FrameRecord]] = {}
    for frame in frames:
        by_run.setdefault((groups or {}).get(frame.run, frame.run), []).append(frame)
    return pick_stratified({run: group_counts(own) for run, own in by_run.items()}, ratio, seed)


def pick_stratified(by_run: Mapping[str, Counts], ratio: float, seed: int) -> set[str]:
    """As `stratified_runs` does, of runs by how many frames (3,) each has of each of GROUPS."""
    rng = np.random.default_rng(seed)
    choices = sorted(by_run)
    rng.shuffle(choices)
    counts = np.stack([by_run[name] for name in choices])
    wanted = ratio * counts.sum(axis=0)
    if len(choices) <= TRIED_ONE_BY_ONE:
        picked = _best_of_all(counts, wanted)
    else:
        found = [_search(counts, wanted, ratio, rng) for _ in range(STARTS)]
        picked = min(found, key=lambda choice: _distance(counts[choice].sum(axis=0), wanted))
    return set(itertools.compress(choices, picked))


def _distance(sums: NDArray[np.int64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frames too many and too few: (..., 3) to (...)."""
    return np.asarray(np.abs(sums - wanted).sum(axis=-1))


def _best_of_all(counts: Counts, wanted: NDArray[np.float64]) -> NDArray[np.bool_]:
    num_runs = len(counts)
    choices = np.arange(1, 2**num_runs - 1)[:, None] >> np.arange(num_runs) & 1
    best = choices[_distance(choices @ counts, wanted).argmin()]
    return np.asarray(best, dtype=np.bool_)


def _search(
    counts: Counts, wanted: NDArray[np.float64], ratio: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Begin with a random choice, and make the best change at a time until none helps."""
    num_runs = len(counts)
    # Choices double with each run, so not all can be looked at. A search may end where no single
    # change helps though two would: hence several starts.
    num_picked = np.clip(round(ratio * num_runs), 1, num_runs - 1)
    picked: NDArray[np.bool_] = rng.permutation(num_runs) < num_picked
    distance = _distance(counts[picked].sum(axis=0), wanted)
    while True:
        changed = _best_change(counts, wanted, picked, rng)
        better = _distance(counts[changed].sum(axis=0), wanted)
        if better >= distance:
            return picked
        picked, distance = changed, better


def _best_change(
    counts: Counts,
    wanted: NDArray[np.float64],
    picked: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """`picked` after the change that helps most: one run more, one less, or two exchanged."""
    inside = _some(np.flatnonzero(picked), rng)
    outside = _some(np.flatnonzero(~picked), rng)
    # Row and column -1 stand for no run: to leave or to join alone is an exchange with it.
    leaving = np.append(inside, -1)
    joining = np.append(outside, -1)
    with_none = np.vstack([counts, np.zeros(len(GROUPS), dtype=np.int64)])
    present = counts[picked].sum(axis=0)
    sums = present - with_none[leaving][:, None] + with_none[joining][None]
    distances = _distance(sums, wanted)
    # The last run of a side may be exchanged, but not leave: neither side may be empty.
    if picked.sum() == 1:
        distances[:-1, -1] = np.inf
    if (~picked).sum() == 1:
        distances[-1, :-1] = np.inf
    out, into = np.unravel_index(distances.argmin(), distances.shape)
    changed = np.append(picked, False)
    changed[leaving[out]] = False
    changed[joining[into]] = True
    return changed[:-1]


def _some(runs: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    return rng.permutation(runs)[:EXCHANGES_TRIED]
