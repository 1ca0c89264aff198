"""The polyps: how many, how large, where, and the numbers that the kernel gets of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from endoforge.sim.anatomy import Anatomy, make_anatomy
from endoforge.sim.growth import LEAST_MM, MARGIN_MM, make_polyps
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.polyps import (
    MAX_POLYPS,
    POLYP_COLUMNS,
    Paris,
    Polyp,
    polyp_shifts,
    polyp_table,
    swells,
)
from endoforge.sim.ranges.polyps_ranges import PolypRanges
from endoforge.sim.scene import Scene
from endoforge.sim.wall import Array
from tests.plain_ranges import PLAIN
from tests.sim.reference import Reference, polyp_distance
from tests.sim.scenes import PLAIN_CAMERA, ball, tube

SEEDS = range(10)


DEFAULT = PLAIN.polyps
USUAL: tuple[Paris, ...] = ("Ip", "Isp", "Is", "IIa")
"""Kinds that there are by default."""


def scene_of(seed: int, ranges: PolypRanges = DEFAULT, fluid: float = 0.6) -> Scene:
    """A colon at rest with pools and polyps; looks and camera don't matter."""
    nuisances = Nuisances(fluid=fluid)
    anatomy = make_anatomy(seed, replace(PLAIN.anatomy, peristalsis=(0.0, 0.0)), nuisances)
    polyps = make_polyps(seed, anatomy, ranges)
    return Scene(seed, PLAIN, anatomy, polyps, tube().look, nuisances, PLAIN_CAMERA)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [scene_of(seed) for seed in SEEDS]


def all_of(scenes: list[Scene]) -> list[Polyp]:
    return [polyp for scene in scenes for polyp in scene.polyps]


def test_twelve_to_twenty_a_run(scenes: list[Scene]) -> None:
    numbers = [len(scene.polyps) for scene in scenes]
    assert min(numbers) >= 12
    assert max(numbers) <= 20
    assert len(set(numbers)) > 3


def test_kinds_come_as_often_as_their_shares_say(scenes: list[Scene]) -> None:
    kinds = [polyp.paris for polyp in all_of(scenes)]
    assert set(kinds) == set(USUAL)
    shares = {kind: kinds.count(kind) / len(kinds) for kind in USUAL}
    for kind, share in zip(USUAL, (0.14, 0.14, 0.46, 0.26), strict=True):
        assert shares[kind] == pytest.approx(share, abs=0.12)


def test_sizes_are_within_the_range_and_mostly_small(scenes: list[Scene]) -> None:
    width = np.array([2 * polyp.half_width_mm for polyp in all_of(scenes)])
    assert width.min() >= 3.0
    assert width.max() <= 25.0
    assert width.max() > 14, "but some are large"
    assert 5.0 < np.median(width) < 9.0
    assert (width < 10).mean() > 0.6
    for polyp in all_of(scenes):
        assert 2 * polyp.half_width_mm >= LEAST_MM[polyp.paris]


def test_proportions_are_those_of_the_kinds(scenes: list[Scene]) -> None:
    for polyp in all_of(scenes):
        flatness = polyp.half_height_mm / polyp.half_width_mm
        to_base = np.linalg.norm(np.subtract(polyp.centre, polyp.base))
        if polyp.paris == "IIa":
            assert polyp.half_height_mm <= 2.8
            assert flatness < 0.65
        elif polyp.paris == "Is":
            assert 0.49 < flatness <= 1.0
        else:
            assert 0.85 <= flatness <= 1.15
            assert 0.25 * polyp.half_width_mm < polyp.stalk_mm < polyp.half_width_mm
            assert to_base > polyp.half_height_mm * (0.9 if polyp.paris == "Ip" else 0.5)
        assert (polyp.stalk_mm > 0) == (polyp.paris in ("Ip", "Isp"))
        assert np.linalg.norm(polyp.axis) == pytest.approx(1.0)


def test_no_two_overlap_and_they_are_sorted_along_the_colon(scenes: list[Scene]) -> None:
    for scene in scenes:
        polyps = scene.polyps
        assert list(polyps) == sorted(polyps, key=lambda polyp: polyp.s_mm)
        for i, one in enumerate(polyps):
            for other in polyps[:i]:
                apart = float(np.linalg.norm(np.subtract(one.centre, other.centre)))
                assert apart > one.bound_mm + other.bound_mm
            assert MARGIN_MM <= one.s_mm <= scene.anatomy.length_mm - MARGIN_MM


def test_they_grow_out_of_the_wall_at_their_place(scenes: list[Scene]) -> None:
    """Their foot is at the wall or 1 mm in it; the top of the head stands in the lumen; they lie
    where it says. The twin's wall is between the samples they were planted on, hence the slack.
    """
    for scene in scenes:
        reference = Reference(replace(scene, polyps=()))
        for polyp in scene.polyps:
            centre, axis = np.array(polyp.centre), np.array(polyp.axis)
            foot = np.array(polyp.base)
            top = centre + polyp.half_height_mm * axis
            s, x, y = reference.curve_coordinates(np.stack([foot, top]), np.full(2, polyp.s_mm))
            foot_gap, top_gap = reference.wall_distance(s, x, y)
            assert -3.0 < foot_gap < 0.4, polyp
            assert top_gap > 0.4, polyp
            assert s[0] == pytest.approx(polyp.s_mm, abs=2.3)
            turn = math.remainder(math.atan2(y[0], x[0]) - polyp.angle, 2 * math.pi)
            assert abs(turn) * math.hypot(x[0], y[0]) < 2.0


def test_they_never_drown(scenes: list[Scene]) -> None:
    """Though there are pools: neither at their place nor over the top of their head."""
    fluid = 0
    for scene in scenes:
        fluid += int((scene.anatomy.deposits.fluid > 1).sum())
        for polyp in scene.polyps:
            assert scene.anatomy.fluid_at(polyp.s_mm, polyp.angle) <= 0.3
    assert fluid > 1000


def test_a_scope_passes_beside_each(scenes: list[Scene]) -> None:
    """In the section through its middle a disk of 9 mm is clear of it and of the wall."""
    grid = np.stack(np.meshgrid(np.arange(-25, 26, 1.5), np.arange(-25, 26, 1.5)), axis=-1)
    xy = grid.reshape(-1, 2)
    for scene in scenes:
        reference = Reference(replace(scene, polyps=()))
        line = scene.anatomy.centreline
        for polyp in scene.polyps:
            s = np.full(len(xy), polyp.s_mm)
            gap = reference.wall_radius(s, np.arctan2(xy[:, 1], xy[:, 0])) - np.hypot(*xy.T)
            beside = polyp_distance(polyp, line.to_world(s, xy[:, 0], xy[:, 1]))
            assert np.minimum(gap, beside).max() > 4.5, polyp


def test_behind_folds_they_grow_where_the_wall_falls_away() -> None:
    """In the lee the radius grows along the colon, and the scope, on its way in, can't see it."""

    def slopes(share: float) -> float:
        scenes = [scene_of(seed, replace(PLAIN.polyps, behind_folds=share)) for seed in range(3)]
        found = [s.anatomy.slopes_at(p.s_mm, p.angle)[0] for s in scenes for p in s.polyps]
        return float(np.median(found))

    assert slopes(1.0) > 0.5
    assert abs(slopes(0.0)) < 0.2


def test_they_grow_all_around_and_all_along(scenes: list[Scene]) -> None:
    polyps = all_of(scenes)
    quarters = np.histogram([p.angle for p in polyps], bins=4, range=(-np.pi, np.pi))[0]
    assert quarters.min() > 0.12 * len(polyps)
    places = [p.s_mm / s.anatomy.length_mm for s in scenes for p in s.polyps]
    assert np.histogram(places, bins=4, range=(0, 1))[0].min() > 0.12 * len(polyps)


def test_ranges_are_kept() -> None:
    ranges = replace(
        PLAIN.polyps,
        count=(3, 3),
        diameter_mm=(10.0, 12.0),
        share_ip=1.0,
        share_isp=0,
        share_is=0,
        share_iia=0,
    )
    polyps = scene_of(1, ranges).polyps
    assert [polyp.paris for polyp in polyps] == ["Ip"] * 3
    assert all(10 <= 2 * polyp.half_width_mm <= 12 for polyp in polyps)
    assert scene_of(1, replace(PLAIN.polyps, count=(0, 0))).polyps == ()


def points_about(polyp: Polyp, number: int = 60_000) -> Array:
    reach = 1.3 * polyp.bound_mm
    around = np.random.default_rng(0).uniform(-reach, reach, (number, 3))
    return np.asarray(around + polyp.bound_centre)


def test_bounds_hold_all_that_a_polyp_bends(scenes: list[Scene]) -> None:
    """By samples: wherever the twin's distance is below the blend, both bounds hold the place."""
    for polyp in all_of(scenes[:4]):
        points = points_about(polyp)
        bent = points[polyp_distance(polyp, points) < polyp.blend_mm] - polyp.centre
        assert len(bent) > 20
        from_middle = bent + polyp.centre - polyp.bound_centre
        assert np.linalg.norm(from_middle, axis=1).max() <= polyp.bound_mm, polyp
        if polyp.shell_mm > 0:
            along = bent @ np.array(polyp.axis)
            across = np.sqrt(np.maximum((bent**2).sum(axis=1) - along**2, 0))
            wide, high = polyp.half_width_mm, polyp.half_height_mm
            inside = np.hypot(across / (wide + polyp.shell_mm), along / (high + polyp.shell_mm))
            assert inside.max() <= 1.0, polyp
        assert (polyp.shell_mm > 0) == (polyp.stalk_mm == 0)


def test_a_balls_shell_is_its_blend_and_its_lobes() -> None:
    """A ball's distance is exact: 0.5 mm, and twice lobes of 0.06 x 4 mm."""
    assert ball(100.0).lobe_mm == pytest.approx(0.24)
    least = 0.5 + 2 * 0.24
    assert least - 1e-9 <= ball(100.0).shell_mm <= 1.126 * least, "and at most a step more"
    assert ball(100.0).bound_mm == pytest.approx(1.06 * 4 + 0.5 + 2 * 0.24)
    assert ball(100.0).diameter_mm == 8.0


def test_the_table_has_a_row_each_and_the_rest_far_away() -> None:
    table = polyp_table((ball(100.0), ball(150.0)))
    assert table.shape == (MAX_POLYPS, POLYP_COLUMNS)
    np.testing.assert_allclose(table[1, :4], [0, 0, 150, 4])
    assert (table[2:, 0] == 1e7).all()
    assert (table[2:, 1:] == 0).all()


@pytest.fixture(scope="module")
def pulsing() -> Anatomy:
    ranges = replace(PLAIN.anatomy, peristalsis=(0.05, 0.05))
    return make_anatomy(6, ranges, Nuisances())


@pytest.mark.parametrize("time_s", [0.0, 1.7, 5.2, 1e4])
def test_peristalsis_carries_polyps_with_the_wall_under_them(
    pulsing: Anatomy, time_s: float
) -> None:
    """Outwards, by the share by which the wall is wider there, of its radius there."""
    polyps = make_polyps(6, pulsing, PLAIN.polyps)
    shifts = polyp_shifts(swells(polyps, pulsing), time_s)
    assert shifts.shape == (len(polyps), 3)
    line = pulsing.centreline
    for polyp, shift in zip(polyps, shifts, strict=True):
        share = float(pulsing.swelling(polyp.s_mm, time_s))
        radius = pulsing.radius_at(polyp.s_mm, polyp.angle)
        cosine, sine = math.cos(polyp.angle), math.sin(polyp.angle)
        there = line.to_world(polyp.s_mm, radius * cosine, radius * sine)
        wider = radius * (1 + share)
        moved = line.to_world(polyp.s_mm, wider * cosine, wider * sine)
        np.testing.assert_allclose(shift, moved - there, atol=1e-6)
    assert np.linalg.norm(shifts, axis=1).max() > 0.3


def test_a_colon_at_rest_carries_nothing() -> None:
    assert (polyp_shifts(swells((ball(100.0),), tube().anatomy), 3.0) == 0).all()
    assert polyp_shifts(swells((), tube().anatomy), 3.0).shape == (0, 3)
