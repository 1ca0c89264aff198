"""Scenes, flights, lenses and labels, without rendering."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.anatomy import (
    LENGTH_MM,
    MAX_CURVATURE,
    angle_to_diamond,
    diamond_to_angle,
    make_anatomy,
    straight_anatomy,
)
from endoforge.sim.camera import look_at
from endoforge.sim.labels import MIN_VISIBLE_PX, polyp_views
from endoforge.sim.optics import Lens
from endoforge.sim.polyps import KINDS, MAX_POLYPS
from endoforge.sim.scene import Scene, make_look, make_scene
from endoforge.sim.streams import run_seed, smooth_noise
from tests.sim.reference import Reference

SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_scene_has_each_kind_and_no_two_polyps_touch(seed: int) -> None:
    polyps = make_scene(seed).polyps
    assert {polyp.paris for polyp in polyps} == set(KINDS)
    assert len(polyps) <= MAX_POLYPS
    for i, one in enumerate(polyps):
        for other in polyps[:i]:
            apart = np.linalg.norm(np.subtract(one.centre, other.centre))
            assert apart > one.half_width_mm + other.half_width_mm


def test_the_same_seed_gives_the_same_scene_and_another_seed_another() -> None:
    one, again, other = make_scene(5), make_scene(5), make_scene(6)
    assert one.parameters() == again.parameters()
    assert (one.anatomy.radius == again.anatomy.radius).all()
    assert one.parameters() != other.parameters()
    assert (one.anatomy.radius != other.anatomy.radius).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_polyps_grow_out_of_the_wall(seed: int) -> None:
    """Their base is at the wall; the top of the head stands in the lumen."""
    scene = make_scene(seed)
    reference = Reference(scene)
    for polyp in scene.polyps:
        s = np.array([polyp.s_mm])
        top = np.array(polyp.centre) + polyp.half_height_mm * np.array(polyp.axis)
        (base_gap,) = reference.wall_distance(
            *reference.curve_coordinates(np.array([polyp.base]), s)
        )
        (top_gap,) = reference.wall_distance(*reference.curve_coordinates(top[None], s))
        assert abs(base_gap) < 2.5
        assert top_gap > 0.4


def test_a_centreline_bends_no_more_than_it_may_and_keeps_its_length() -> None:
    line = make_anatomy(9).centreline
    assert np.linalg.norm(line.curvature, axis=1).max() <= MAX_CURVATURE
    steps = np.linalg.norm(np.diff(line.points, axis=0), axis=1)
    assert steps.sum() == pytest.approx(LENGTH_MM, rel=1e-4)
    frames = np.stack([line.normals, line.binormals, line.tangents], axis=1)
    assert np.abs(frames @ frames.transpose(0, 2, 1) - np.eye(3)).max() < 1e-9


def test_a_straight_tube_runs_along_z() -> None:
    line = straight_anatomy(20.0).centreline
    np.testing.assert_allclose(line.to_world(150.0, 3.0, -4.0), [3.0, -4.0, 150.0], atol=1e-9)


def test_diamond_angles_turn_back_into_angles() -> None:
    angles = np.linspace(-math.pi + 1e-6, math.pi, 37)
    np.testing.assert_allclose(diamond_to_angle(angle_to_diamond(angles)), angles, atol=1e-12)
    np.testing.assert_allclose(
        angle_to_diamond(np.array([0, math.pi / 2, math.pi, -math.pi / 2])),
        [0, 1, 2, 3],
        atol=1e-12,
    )


def test_smooth_noise_has_unit_variance_and_is_smooth() -> None:
    noise = smooth_noise(np.random.default_rng(0), 20_000, 50)
    assert noise.std() == pytest.approx(1.0, abs=0.15)
    assert np.abs(np.diff(noise)).max() < 0.15


def test_run_seeds_depend_on_both_numbers() -> None:
    seeds = {run_seed(base, run) for base in range(20) for run in range(20)}
    assert len(seeds) == 400
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert run_seed(3, 4) == run_seed(3, 4)


def test_a_pixel_projects_back_to_itself() -> None:
    lens = Lens(64, 40)
    rays = lens.rays(40, 64)
    y, x = np.mgrid[0:40, 0:64]
    np.testing.assert_allclose(lens.project(rays), np.stack([x, y], axis=-1), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1.0)


def test_the_field_of_view_is_the_diagonal_one() -> None:
    lens = Lens(640, 360, diagonal_fov_deg=140.0)
    corner_to_corner = lens.project(
        np.array([[math.sin(math.radians(70)), 0.0, math.cos(math.radians(70))]])
    )
    assert corner_to_corner[0, 0] - lens.principal_point[0] == pytest.approx(
        math.hypot(640, 360) / 2
    )


def counts(rows: list[tuple[int, int, int, int, int, int]]) -> NDArray[np.int32]:
    stats = np.zeros((MAX_POLYPS, 6), np.int32)
    for k, row in enumerate(rows):
        stats[k] = row
    return stats


def test_the_label_rule() -> None:
    scene = make_scene(1)
    pose = look_at(np.zeros(3), np.array([0.0, 0, 1]), np.array([0.0, 1, 0]), 0.0)
    assert MIN_VISIBLE_PX == 64
    views = list(
        polyp_views(
            scene,
            pose,
            counts(
                [
                    (64, 128, 10, 20, 18, 28),  # just enough of it, half hidden
                    (63, 63, 1, 2, 9, 10),  # too few pixels: no box
                    (0, 50, 1 << 30, 1 << 30, 0, 0),  # wholly hidden
                    (0, 0, 1 << 30, 1 << 30, 0, 0),  # not in the picture
                    (70, 60, 0, 0, 10, 7),  # the blended rim counts as seen: never above 1
                ]
            ),
        )
    )
    assert [view.box_px for view in views] == [(10, 20, 18, 28), None, None, (0, 0, 10, 7)]
    assert [view.visibility for view in views] == [0.5, 1.0, 0.0, 1.0]
    assert [view.polyp for view in views] == [scene.polyps[k] for k in (0, 1, 2, 4)]
    first = views[0]
    assert first.distance_mm == pytest.approx(np.linalg.norm(scene.polyps[0].centre))


def test_a_scene_without_polyps_labels_nothing() -> None:
    scene = Scene(4, straight_anatomy(20.0), (), make_look(4))
    pose = look_at(np.zeros(3), np.array([0.0, 0, 1]), np.array([0.0, 1, 0]), 0.0)
    assert list(polyp_views(scene, pose, counts([]))) == []
