"""Groups of small polyps: how many, how close, and what they leave as it was."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from endoforge.sim.itinerary import Planner
from endoforge.sim.lumen import Lumen
from endoforge.sim.polyps import MAX_POLYPS
from endoforge.sim.scene import Scene, make_scene
from tests.plain_ranges import PLAIN


def scene_of(seed: int, clusters: float, count: int = 6) -> Scene:
    polyps = replace(PLAIN.polyps, count=(count, count), clusters=clusters)
    motion = replace(PLAIN.motion, inspected=1.0)
    return make_scene(seed, replace(PLAIN, polyps=polyps, motion=motion))


@pytest.fixture(scope="module")
def clustered() -> list[Scene]:
    return [scene_of(seed, 1.0) for seed in range(5)]


def test_groups_of_three_to_twelve_small_ones_stand_close_together(
    clustered: list[Scene],
) -> None:
    sizes = []
    for scene in clustered:
        for group in {polyp.group for polyp in scene.polyps} - {0}:
            members = [polyp for polyp in scene.polyps if polyp.group == group]
            sizes.append(len(members))
            assert all(2.0 <= polyp.diameter_mm <= 6.0 for polyp in members)
            assert len({polyp.tint for polyp in members}) == 1
            places = np.array([polyp.centre for polyp in members])
            away = np.linalg.norm(places[:, None] - places, axis=2)
            assert np.sort(away, axis=1)[:, 1].max() < 35.0
    assert len(sizes) >= 5
    assert min(sizes) >= 3
    assert max(sizes) <= 12


def test_none_touch_and_a_scene_holds_them_all(clustered: list[Scene]) -> None:
    for scene in clustered:
        assert len(scene.polyps) <= MAX_POLYPS
        for k, polyp in enumerate(scene.polyps):
            for other in scene.polyps[:k]:
                apart = float(np.linalg.norm(polyp.bound_centre - other.bound_centre))
                assert apart > polyp.bound_mm + other.bound_mm
    assert len(scene_of(3, 1.0, count=MAX_POLYPS - 2).polyps) <= MAX_POLYPS


def test_they_leave_the_others_where_they_are(clustered: list[Scene]) -> None:
    for scene in clustered:
        alone = scene_of(scene.seed, 0.0).polyps
        assert all(polyp.group == 0 for polyp in alone)
        others = [polyp for polyp in scene.polyps if polyp.group == 0]
        assert [polyp.centre for polyp in others] == [polyp.centre for polyp in alone]
        assert [polyp.tint for polyp in others] == [polyp.tint for polyp in alone]


def test_a_share_of_the_runs_has_some() -> None:
    with_some = [any(p.group for p in scene_of(seed, 0.4).polyps) for seed in range(12)]
    assert 2 <= sum(with_some) <= 9


def test_the_scope_stops_at_a_group_once_and_takes_all_of_it_in(clustered: list[Scene]) -> None:
    for scene in clustered:
        planner = Planner(scene, Lumen(scene), np.random.default_rng(0))
        stops = list(planner._some_polyps(1.0))
        groups = {polyp.group for polyp in scene.polyps} - {0}
        assert len(stops) == sum(polyp.group == 0 for polyp in scene.polyps) + len(groups)
        for polyp in stops:
            width = planner._width_mm(polyp)
            assert width > 2 * polyp.diameter_mm if polyp.group else width == polyp.diameter_mm
    assert all(one.s_mm <= other.s_mm for one, other in pairwise(clustered[0].polyps))
