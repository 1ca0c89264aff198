"""Scenes, flights, lenses and labels, without rendering."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.camera import look_at
from endoforge.sim.centreline import ALONG_STEP_MM, NUM_ALONG
from endoforge.sim.labels import MIN_VISIBLE_PX, polyp_views
from endoforge.sim.optics import Lens
from endoforge.sim.polyps import MAX_POLYPS
from endoforge.sim.scene import make_scene
from endoforge.sim.streams import run_seed, smooth_noise
from endoforge.sim.wall import COLUMN_ANGLES, NUM_AROUND, angle_to_diamond
from tests.plain_ranges import PLAIN
from tests.sim.scenes import along_z, ball, still, tube


def test_the_same_seed_gives_the_same_scene_and_another_seed_another() -> None:
    one, again, other = make_scene(5, PLAIN), make_scene(5, PLAIN), make_scene(6, PLAIN)
    assert one.parameters() == again.parameters()
    assert (one.anatomy.radius == again.anatomy.radius).all()
    assert (one.tables.coat == again.tables.coat).all()
    assert one.parameters() != other.parameters()
    assert (one.anatomy.radius != other.anatomy.radius).any()


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
    scene = make_scene(1, PLAIN)
    state = still(look_at(np.zeros(3), np.array([0.0, 0, 1]), np.array([0.0, 1, 0]), 0.0))
    assert MIN_VISIBLE_PX == 128
    views = list(
        polyp_views(
            scene,
            state,
            counts(
                [
                    (128, 256, 10, 20, 26, 28),  # just enough of it, half hidden
                    (127, 127, 1, 2, 13, 14),  # too few pixels: no box
                    (0, 50, 1 << 30, 1 << 30, 0, 0),  # wholly hidden
                    (0, 0, 1 << 30, 1 << 30, 0, 0),  # not in the picture
                    (140, 130, 0, 0, 14, 10),  # the blended rim counts as seen: never above 1
                ]
            ),
        )
    )
    assert [view.box_px for view in views] == [(10, 20, 26, 28), None, None, (0, 0, 14, 10)]
    assert [view.visibility for view in views] == [0.5, 1.0, 0.0, 1.0]
    assert [view.polyp for view in views] == [scene.polyps[k] for k in (0, 1, 2, 4)]
    assert [view.instance for view in views] == [1, 2, 3, 5]


def test_a_label_says_where_peristalsis_has_carried_the_polyp() -> None:
    """At s = 120 mm the wave is sin(2 pi t / 9 s): 5 % of 20 mm outwards (+y) after 2.25 s."""
    scene = tube(ball(120.0, y=18.0), peristalsis=0.05)
    seen = counts([(200, 200, 0, 0, 20, 10)])
    for time_s, y in ((0.0, 18.0), (2.25, 19.0), (6.75, 17.0), (9.0, 18.0)):
        (view,) = polyp_views(scene, still(along_z(100.0), time_s), seen)
        np.testing.assert_allclose(view.centre, (0.0, y, 120.0), atol=1e-9)
        assert view.distance_mm == pytest.approx(math.hypot(20.0, y))


def test_a_scene_without_polyps_labels_nothing() -> None:
    assert list(polyp_views(tube(), still(along_z()), counts([]))) == []


def test_a_lens_fills_the_screens_window() -> None:
    scene = next(
        scene for scene in map(make_scene, range(9)) if scene.screen(320, 180).style == "octagonal"
    )
    window, lens = scene.screen(320, 180).window, scene.lens(320, 180)
    assert lens.window == window
    x0, y0, x1, y1 = window
    assert lens.principal_point == ((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2)
    angle = math.radians(scene.camera.fov_deg / 2)
    corner = lens.project(np.array([math.sin(angle), 0.0, math.cos(angle)]))
    assert corner[0] - lens.principal_point[0] == pytest.approx(math.hypot(x1 - x0, y1 - y0) / 2)


def test_the_tables_of_a_straight_tube_say_so() -> None:
    """Radius 20 mm everywhere and no slopes; nothing on the wall, no crevices."""
    tables = tube().tables
    np.testing.assert_array_equal(tables.wall[:, 0], 20)
    np.testing.assert_array_equal(tables.wall[:, 2:], 0)
    np.testing.assert_allclose(tables.coat[:, [0, 2, 3]], 0, atol=1e-5)
    assert tables.wall[:, 1].min() > 0.95


def test_slopes_of_the_wall_are_those_of_its_radius() -> None:
    """R = 20 + 3 sin(2 pi s / 60) + 2 cos(3 a) mm."""
    s_mm = np.arange(NUM_ALONG)[:, None] * ALONG_STEP_MM
    radius = 20 + 3 * np.sin(2 * np.pi * s_mm / 60) + 2 * np.cos(3 * COLUMN_ANGLES)
    scene = tube()
    anatomy = replace(scene.anatomy, radius=radius.astype(np.float32))
    table = replace(scene, anatomy=anatomy).tables.wall.reshape(NUM_ALONG, NUM_AROUND, 4)
    _, safe, along, around = np.moveaxis(table, -1, 0)[:, 1:-1]
    shape = np.ones(along.shape)
    slope_along = 2 * np.pi / 60 * 3 * np.cos(2 * np.pi * s_mm / 60)[1:-1] * shape
    slope_around = -6 * np.sin(3 * COLUMN_ANGLES) / radius[1:-1]
    np.testing.assert_allclose(along, slope_along, atol=1e-3)
    np.testing.assert_allclose(around, slope_around, atol=2e-2)
    assert (safe <= 1 / np.sqrt(1 + along**2 + around**2) + 1e-6).all()


@pytest.mark.parametrize("seed", [0, 3])
def test_safe_steps_never_pass_through_the_wall(seed: int) -> None:
    """From a place g mm inside the wall, g x safe mm in any direction across the table's plane.

    Taken on the unrolled wall, along s and around at the radius where the step ends.
    """
    scene = make_scene(seed, PLAIN)
    table = scene.tables.wall.reshape(NUM_ALONG, NUM_AROUND, 4)
    radius, safe = table[..., 0], table[..., 1]
    rows = np.random.default_rng(seed).integers(60, 1400, 4000)
    columns = np.random.default_rng(seed + 1).integers(0, NUM_AROUND, 4000)
    for gap_share in (0.2, 0.5):
        here = radius[rows, columns] * (1 - gap_share)
        step = radius[rows, columns] * gap_share * safe[rows, columns]
        for turn in np.linspace(0, 2 * np.pi, 16, endpoint=False):
            along = np.rint(step * np.cos(turn) / ALONG_STEP_MM).astype(int)
            angle = COLUMN_ANGLES[columns] + np.arctan2(step * np.sin(turn), here)
            r = np.hypot(here, step * np.sin(turn))
            around = np.rint(angle_to_diamond(angle) * NUM_AROUND / 4).astype(int) % NUM_AROUND
            there = radius[np.clip(rows + along, 0, NUM_ALONG - 1), around]
            assert (r > there + 0.3).mean() < 5e-3


def test_ranges_narrowed_to_a_point_give_that_point() -> None:
    ranges = PLAIN
    polyps = replace(ranges.polyps, count=(5, 5), diameter_mm=(6.0, 6.0))
    anatomy = replace(ranges.anatomy, length_mm=(1300.0, 1300.0), peristalsis=(0.02, 0.02))
    camera = replace(ranges.camera, fov_deg=(133.0, 133.0), lamps=(3, 3))
    scene = make_scene(3, replace(ranges, polyps=polyps, anatomy=anatomy, camera=camera))
    assert scene.anatomy.length_mm == 1300.0
    assert scene.anatomy.peristalsis == 0.02
    assert scene.camera.fov_deg == 133.0
    assert len(scene.camera.lamps) == 3
    assert len(scene.polyps) == 5
    assert all(p.half_width_mm == 3.0 for p in scene.polyps)
