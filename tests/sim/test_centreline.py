"""The colon's course: its bends, its frame, and that it doesn't cross itself."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.anatomy import Anatomy, make_anatomy, straight_anatomy
from endoforge.sim.centreline import (
    ALONG_STEP_MM,
    COURSE,
    MOST_BENT,
    NUM_ALONG,
    SEGMENTS,
    make_centreline,
    make_course,
)
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.wall import COLUMN_ANGLES, Array, Grid
from tests.plain_ranges import PLAIN

SEEDS = range(8)


@pytest.fixture(scope="module", params=SEEDS)
def colon(request: pytest.FixtureRequest) -> Anatomy:
    return make_anatomy(request.param, PLAIN.anatomy, Nuisances())


def rows_of(colon: Anatomy) -> int:
    return int(colon.length_mm / ALONG_STEP_MM)


def test_the_table_of_the_longest_colon_holds_it() -> None:
    longest = PLAIN.anatomy.length_mm[1]
    assert longest <= (NUM_ALONG - 1) * ALONG_STEP_MM
    assert len(COURSE) == len(SEGMENTS)


def test_its_length_is_what_was_drawn_and_within_its_range(colon: Anatomy) -> None:
    line, rows = colon.centreline, rows_of(colon)
    assert 1200 <= colon.length_mm <= 1600
    steps = np.linalg.norm(np.diff(line.points[: rows + 1], axis=0), axis=1)
    assert steps.sum() == pytest.approx(rows * ALONG_STEP_MM, rel=5e-3)
    np.testing.assert_allclose(steps, ALONG_STEP_MM, rtol=0.03)
    assert len(line.points) == NUM_ALONG


def test_its_frames_are_right_handed_and_square(colon: Anatomy) -> None:
    line = colon.centreline
    frames = np.stack([line.normals, line.binormals, line.tangents], axis=1)
    eyes = np.broadcast_to(np.eye(3), frames.shape)
    np.testing.assert_allclose(frames @ frames.transpose(0, 2, 1), eyes, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(frames), 1.0)


def test_its_frame_does_not_twist(colon: Anatomy) -> None:
    """From row to row the normal moves only along the tangent: no part of it is around."""
    line = colon.centreline
    around = (np.diff(line.normals, axis=0) * line.binormals[:-1]).sum(axis=1)
    assert np.abs(around).max() < 1e-3
    assert np.abs(around.sum()) < 0.05


def test_its_curvature_is_how_its_tangent_turns(colon: Anatomy) -> None:
    """The integral of the curvature vector along the curve gives the tangent back."""
    line = colon.centreline
    bend = line.curvature[:, :1] * line.normals + line.curvature[:, 1:] * line.binormals
    turned = line.tangents[0] + np.cumsum(bend, axis=0) * ALONG_STEP_MM
    np.testing.assert_allclose(turned, line.tangents, atol=0.05)


def inner_side(colon: Anatomy) -> Grid:
    """(rows, columns): curvature towards each place of the wall times the radius there."""
    line, rows = colon.centreline, rows_of(colon)
    around = np.stack([np.cos(COLUMN_ANGLES), np.sin(COLUMN_ANGLES)])
    inward: Grid = (line.curvature[:rows] @ around) * colon.radius[:rows]
    return inward


def test_no_bend_folds_the_wall_over_itself(colon: Anatomy) -> None:
    """At 1 the inner side would have no length; the wall may be wider than its mean there."""
    assert inner_side(colon).max() < 1.0
    line, rows = colon.centreline, rows_of(colon)
    bend = np.linalg.norm(line.curvature[:rows], axis=1)
    assert (bend * colon.radius[:rows].mean(axis=1)).max() < MOST_BENT + 0.05
    assert bend.max() > 0.02, "and it does have flexures"


def test_no_stretch_of_it_runs_into_another(colon: Anatomy) -> None:
    """Points 120 mm apart along it are farther apart in space than both radii there together."""
    rows = np.arange(0, rows_of(colon), 4)
    points, s_mm = colon.centreline.points[rows], rows * ALONG_STEP_MM
    radius = np.percentile(colon.radius[rows], 90, axis=1)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    others = np.abs(s_mm[:, None] - s_mm[None]) > 120
    room = apart - radius[:, None] - radius[None]
    assert room[others].min() > 0


def test_segments_follow_each_other_and_have_the_lengths_they_have_in_people() -> None:
    """The sigmoid and the transverse colon are long, rectum and cecum short."""
    lengths = []
    for seed in SEEDS:
        points, ends = make_course(np.random.default_rng(seed), 1400.0)
        assert len(ends) == len(SEGMENTS)
        assert ends[-1] == pytest.approx(1400.0)
        lengths.append(np.diff(ends, prepend=0.0))
        assert points.shape[1] == 3
    assert np.min(lengths) > 25
    mean = dict(zip(SEGMENTS, np.mean(lengths, axis=0), strict=True))
    assert 100 < mean["rectum"] < 220
    assert 30 < mean["cecum"] < 110
    assert mean["sigmoid"] > mean["descending"] > mean["rectum"]
    assert mean["transverse"] > mean["ascending"]


def test_other_seeds_take_other_courses() -> None:
    one, other = (make_course(np.random.default_rng(seed), 1400.0)[0] for seed in (1, 2))
    assert np.linalg.norm(one - other, axis=1).mean() > 8


def quarter_circle(radius_mm: float) -> NDArray[np.float64]:
    turn = np.linspace(0, math.pi / 2, 400)[:, None]
    lead = np.linspace(-150, 0, 200, endpoint=False)[:, None]
    straight = np.concatenate([0 * lead, 0 * lead, lead], axis=1)
    arc = radius_mm * np.concatenate([1 - np.cos(turn), 0 * turn, np.sin(turn)], axis=1)
    after = arc[-1] + np.concatenate([-lead[::-1], 0 * lead, 0 * lead], axis=1)
    return np.concatenate([straight, arc, after])


def test_a_wide_bend_is_left_as_it_is() -> None:
    """A quarter of a circle of 100 mm: its curvature is 0.01 per mm, in the middle of the way."""
    length_mm = 300 + 50 * math.pi
    line = make_centreline(quarter_circle(100.0), length_mm, np.full(NUM_ALONG, 20.0))
    bend = np.linalg.norm(line.curvature, axis=1)
    middle = line.row(length_mm / 2)
    assert np.median(bend[middle - 60 : middle + 60]) == pytest.approx(0.01, rel=0.02)
    assert line.tangents[0] @ line.tangents[line.row(length_mm - 3)] == pytest.approx(0, abs=0.01)


def test_a_bend_too_sharp_for_the_calibre_is_smoothed() -> None:
    """A circle of 12 mm in a colon of 20 mm: 1.67 becomes at most 0.75."""
    points, length_mm = quarter_circle(12.0), 300 + 6 * math.pi
    line = make_centreline(points, length_mm, np.full(NUM_ALONG, 20.0))
    assert (np.linalg.norm(line.curvature, axis=1) * 20).max() < MOST_BENT + 0.05
    assert line.tangents[0] @ line.tangents[line.row(length_mm - 3)] == pytest.approx(0, abs=0.05)


def test_a_straight_tube_runs_along_z() -> None:
    line = straight_anatomy(20.0).centreline
    np.testing.assert_allclose(line.to_world(150.0, 3.0, -4.0), [3.0, -4.0, 150.0], atol=1e-9)
    s_mm: Array = np.array([10.0, 20.2])
    np.testing.assert_allclose(line.to_world(s_mm, 0.0, 1.0), [[0, 1, 10.0], [0, 1, 20.2]])
