"""The flight: where the camera may be, what it looks at, and when it takes a picture."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.camera import CameraState
from endoforge.sim.centreline import ALONG_STEP_MM
from endoforge.sim.flight import CAPTURE_INTERVAL_S, CLOSE_MM, fly, thin
from endoforge.sim.itinerary import STEP_S, Planner, viewing_distance
from endoforge.sim.lumen import POLYP_CLEARANCE_MM, WALL_CLEARANCE_MM, Lumen
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.wall import COLUMN_ANGLES
from tests.plain_ranges import PLAIN
from tests.sim.reference import Reference
from tests.sim.scenes import ball, tube

SEEDS = range(6)
Array = NDArray[np.float64]


@pytest.fixture(scope="module", params=SEEDS)
def flight(request: pytest.FixtureRequest) -> tuple[Scene, list[CameraState]]:
    scene = make_scene(request.param, PLAIN)
    return scene, fly(scene)


def positions(states: list[CameraState]) -> Array:
    return np.array([state.pose.position for state in states])


def depths(states: list[CameraState]) -> Array:
    return np.array([state.pose.s_mm for state in states])


def distance_to_narrowed_wall(scene: Scene, states: list[CameraState]) -> float:
    """Least distance in mm from the cameras to any sample of the wall within 40 mm along."""
    radius = scene.anatomy.radius * (1 - scene.ranges.anatomy.peristalsis[1])
    s_mm = np.arange(len(radius), dtype=np.float64) * ALONG_STEP_MM
    points, normals, binormals, _ = Lumen(scene).frames(s_mm).transpose(1, 0, 2)[:, :, None]
    x, y = (radius * np.cos(COLUMN_ANGLES))[..., None], (radius * np.sin(COLUMN_ANGLES))[..., None]
    wall = points + x * normals + y * binormals
    return min(
        float(np.linalg.norm(wall[np.abs(s_mm - s) < 40] - position, axis=-1).min())
        for position, s in zip(positions(states), depths(states), strict=True)
    )


def test_no_capture_is_near_the_wall_at_its_narrowest(
    flight: tuple[Scene, list[CameraState]],
) -> None:
    scene, states = flight
    assert distance_to_narrowed_wall(scene, states[::3]) > WALL_CLEARANCE_MM


def test_no_capture_is_near_a_polyp_or_beyond_the_wall_by_the_twin(
    flight: tuple[Scene, list[CameraState]],
) -> None:
    scene, states = flight
    for state in states[::2]:
        here, s_mm = state.pose.position[None], np.array([state.pose.s_mm])
        near = (polyp for polyp in scene.polyps if np.linalg.norm(polyp.centre - here) < 100)
        twin = Reference(replace(scene, polyps=tuple(near)), state.time_s)
        _, parts, refined = twin.distances(here, s_mm)
        assert parts[0].min() > 0.5  # to first order, which counts less beside steep folds
        assert parts[1:].min(initial=np.inf) > POLYP_CLEARANCE_MM
        np.testing.assert_allclose(refined, s_mm, atol=0.05)


def test_it_goes_to_the_cecum_and_comes_back(flight: tuple[Scene, list[CameraState]]) -> None:
    scene, states = flight
    s_mm, time_s = depths(states), np.array([state.time_s for state in states])
    assert s_mm[0] < 35 > s_mm[-1]
    assert scene.anatomy.length_mm - 80 < s_mm.max() < scene.anatomy.length_mm - 35
    way_in = time_s[s_mm.argmax()]
    assert way_in < 0.5 * time_s[-1]  # withdrawal takes longer than insertion


def test_it_looks_along_the_lumen_also_while_it_goes_back(
    flight: tuple[Scene, list[CameraState]],
) -> None:
    scene, states = flight
    tangents = Lumen(scene).frames(depths(states))[:, 3]
    forward = np.array([state.pose.axes[2] for state in states])
    cosine = (tangents * forward).sum(axis=1)
    assert np.median(cosine) > 0.5
    assert (cosine > -0.5).all()


def test_axes_are_right_handed_and_unit(flight: tuple[Scene, list[CameraState]]) -> None:
    axes = np.array([state.pose.axes for state in flight[1]])
    eyes = np.broadcast_to(np.eye(3), axes.shape)
    np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), eyes, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(axes), 1.0)


def test_the_interval_halves_while_a_polyp_is_20_to_40_mm_away(
    flight: tuple[Scene, list[CameraState]],
) -> None:
    scene, states = flight
    assert pytest.approx(0.33) == CAPTURE_INTERVAL_S
    centres = np.array([polyp.centre for polyp in scene.polyps])
    away = np.linalg.norm(positions(states)[:, None] - centres, axis=2)
    close = ((away >= CLOSE_MM[0]) & (away <= CLOSE_MM[1])).any(axis=1)
    assert 0 < close.sum() < len(states)
    interval = np.diff([state.time_s for state in states])
    np.testing.assert_allclose(interval, np.where(close[:-1], 0.165, 0.33))


def test_velocity_is_that_of_the_positions(flight: tuple[Scene, list[CameraState]]) -> None:
    """Over a pair of captures 0.165 s apart: the mean of both ends, to a few mm/s."""
    states = flight[1]
    errors = []
    for one, other in pairwise(states):
        seconds = other.time_s - one.time_s
        if seconds < 0.2:
            moved = (other.pose.position - one.pose.position) / seconds
            ends = [state.velocity_mm_s @ state.pose.axes for state in (one, other)]
            errors.append(np.linalg.norm(moved - np.mean(ends, axis=0)))
    assert np.median(errors) < 1.0
    assert max(errors) < 15.0


def test_turning_to_the_right_is_a_turn_about_down() -> None:
    """With a steady hand: what it looks at next lies turn x forward aside of what it does now."""
    scene = make_scene(0, PLAIN)
    motion = replace(scene.ranges.motion, jitter_deg=(0.0, 0.0))
    states = fly(replace(scene, ranges=replace(scene.ranges, motion=motion)))
    errors, sizes = [], []
    for one, other in pairwise(states):
        seconds = other.time_s - one.time_s
        if seconds < 0.2:
            turn = 0.5 * seconds * (one.turn_rad_s + other.turn_rad_s)
            aside = one.pose.axes @ other.pose.axes[2] - [0, 0, 1]
            errors.append(np.linalg.norm(aside - np.cross(turn, [0, 0, 1])))
            sizes.append(np.linalg.norm(turn))
    assert np.median(errors) < 0.1 * np.median(sizes)


def test_metering_lags_behind() -> None:
    scene = make_scene(2, PLAIN)
    lag = 3 * STEP_S  # half a capture interval: the captures before lie on the same grid
    states = fly(replace(scene, camera=replace(scene.camera, lag_s=lag)))
    by_time = {round(state.time_s / STEP_S): state.pose for state in states}
    found = 0
    for state in states[1:]:
        before = by_time.get(round((state.time_s - lag) / STEP_S))
        if before is not None:
            assert state.metered is before
            found += 1
    assert found > 20
    assert states[0].metered is states[0].pose


def test_inspected_polyps_are_seen_from_close_by_and_near_the_middle() -> None:
    """Of the cameras within 3 diameters of a polyp, most look at it, and some are very near."""
    nearest, looking = [], []
    for seed in SEEDS:
        scene = make_scene(seed, PLAIN)
        states = fly(scene)
        for polyp in scene.polyps:
            away = np.array(polyp.centre) - positions(states)
            distance = np.linalg.norm(away, axis=1) / polyp.diameter_mm
            forward = np.array([state.pose.axes[2] for state in states])
            near = distance < 2.0
            nearest.append(distance.min())
            cosine = (away * forward).sum(axis=1) / np.linalg.norm(away, axis=1)
            looking += list(cosine[near] > np.cos(0.6))
    assert np.median(nearest) < 1.6
    assert np.mean(looking) > 0.6


def distances_wanted(share: tuple[float, float]) -> Array:
    """Of all inspections of some scenes: how near the scope is to come to the polyp, as a share of
    the distance at which its box fills 1 % of the picture."""
    found = []
    for seed in SEEDS:
        ranges = replace(PLAIN, motion=replace(PLAIN.motion, picture_share=share, inspected=1.0))
        scene = make_scene(seed, ranges)
        planner = Planner(scene, Lumen(scene), np.random.default_rng(seed))
        stops = [leg for leg in planner.legs() if leg.xy_mm is not None and leg.aim_mm is not None]
        for polyp in scene.polyps:
            small = viewing_distance(polyp.diameter_mm, 0.01, planner.fov_rad)
            for leg in stops:
                assert leg.xy_mm is not None
                assert leg.aim_mm is not None
                if np.linalg.norm(leg.aim_mm - polyp.centre) < 0.5 * polyp.diameter_mm:
                    place = planner.lumen.to_world(leg.s_mm, leg.xy_mm)
                    away = np.linalg.norm(place - np.asarray(polyp.centre), axis=1)
                    found.append(float(away.min()) / small)
    assert len(found) > 50
    return np.array(found)


def test_inspections_come_as_near_as_the_share_of_the_picture_asks() -> None:
    """A box of 1 % is the measure; one of 4 % is seen from half as far, of 36 % from a sixth."""
    for share, nearest in ((0.01, 1.0), (0.04, 0.5), (0.36, 1 / 6)):
        wanted = distances_wanted((share, share))
        assert np.median(wanted) == pytest.approx(nearest, rel=0.1)
        assert np.quantile(wanted, 0.1) > 0.8 * nearest, "bends shorten what is far"


def test_red_out_strength_brings_the_tip_to_the_wall() -> None:
    scene = make_scene(4, PLAIN)

    def touching(strength: float) -> int:
        states = fly(replace(scene, polyps=(), nuisances=Nuisances(red_out=strength)))
        p, s = positions(states), depths(states)
        forward = np.array([state.pose.axes[2] for state in states])
        reference = Reference(replace(scene, polyps=()))
        inside = np.ones(len(p), bool)
        for reach in np.arange(0.5, 6.01, 0.5):  # does it look at a wall within 6 mm?
            coordinates = reference.curve_coordinates(p + reach * forward, s)
            inside &= reference.wall_distance(*coordinates) > 0
        return int((~inside).sum())

    assert touching(1.0) > 8 > 1 >= touching(0.0)


def test_a_run_with_little_red_out_has_one_moment_of_it() -> None:
    for seed in range(6):
        scene = replace(make_scene(seed, PLAIN), polyps=(), nuisances=Nuisances(red_out=1e-6))
        planner = Planner(scene, Lumen(scene), np.random.default_rng(seed))
        assert planner.touches_in + planner.touches_out == 1


def test_the_same_seed_flies_the_same_and_another_seed_another_flight() -> None:
    one, again, other = (fly(make_scene(seed, PLAIN)) for seed in (5, 5, 6))
    assert (positions(one) == positions(again)).all()
    assert len(one) != len(other) or (positions(one) != positions(other)).any()


def test_thinning_keeps_captures_as_they_are_and_spreads_them() -> None:
    states = fly(make_scene(1, PLAIN))
    few = thin(states, 5)
    assert [states.index(state) for state in few] == [
        round(part * (len(states) - 1) / 4) for part in range(5)
    ]
    assert thin(states, None) is states
    assert thin(states, len(states) + 1) is states
    assert thin(states, 1) == states[:1]


def test_a_straight_tube_is_free_up_to_the_clearance() -> None:
    """Radius 20 mm, peristalsis up to 5 %: 19 mm, less 2.5 mm and the margin of 0.35 mm."""
    lumen = Lumen(tube())
    s_mm = np.full(3, 300.0)
    gap = lumen.gap(s_mm, np.array([[0.0, 0.0], [10.0, 0.0], [0.0, -18.0]]))
    np.testing.assert_allclose(gap, [16.15, 6.15, -1.85], atol=0.01)
    assert (lumen.lane == 0).all()


@pytest.mark.parametrize(("peristalsis", "gap_mm"), [(0.0, 3.33), (0.05, 2.33)])
def test_a_polyp_keeps_its_clearance_wherever_peristalsis_carries_it(
    peristalsis: float, gap_mm: float
) -> None:
    """10 mm from a ball of 4 mm, its lobes filled up to 0.32 mm: 5.68, less 2 and 0.35 mm.

    Peristalsis may bring it 5 % of 20 mm nearer.
    """
    lumen = Lumen(tube(ball(300.0), peristalsis=peristalsis))
    gap = lumen.gap(np.array([300.0]), np.array([[10.0, 0.0]]))
    assert gap[0] == pytest.approx(gap_mm, abs=0.01)


def test_a_course_through_the_wall_is_drawn_back_towards_the_lane() -> None:
    lumen = Lumen(tube())
    s_mm = np.linspace(100, 200, 101)
    wild = np.stack([30 * np.sin(s_mm / 10), np.zeros(101)], axis=1)
    tame = lumen.retract(s_mm, wild, 4)
    assert (lumen.gap(s_mm, tame) >= 0).all()
    assert np.abs(tame).max() > 7
    calm = 0.3 * wild
    np.testing.assert_allclose(lumen.retract(s_mm, calm, 4), calm)


def test_it_finds_its_way_past_a_polyp_that_fills_half_of_the_lumen() -> None:
    """25 mm across in a tube of 36 mm: it reaches to 1 mm beyond the axis, and 17 mm are left."""
    giant = replace(
        make_scene(1, PLAIN).polyps[0],
        s_mm=300.0,
        angle=0.0,
        centre=(11.5, 0.0, 300.0),
        axis=(-1.0, 0.0, 0.0),
        base=(18.0, 0.0, 300.0),
        half_width_mm=12.5,
        half_height_mm=12.5,
        stalk_mm=0.0,
        blend_mm=1.0,
    )
    scene = tube(giant, radius_mm=18.0)
    states = fly(scene)
    _, parts, _ = Reference(scene).distances(positions(states), depths(states))
    assert depths(states).max() > 500
    assert parts[0].min() > WALL_CLEARANCE_MM
    assert parts[1].min() > POLYP_CLEARANCE_MM
    beside = Lumen(scene).lane_at(np.array([300.0]))[0]
    assert -18 + WALL_CLEARANCE_MM < beside[0] < -1 - POLYP_CLEARANCE_MM


def test_a_ball_half_a_right_angle_wide() -> None:
    """In a lens of 90 degrees, sqrt(s 144/337) of the diagonal is 45 degrees for s = 337/576."""
    distance = viewing_distance(10.0, 337 / 576, np.pi / 2)
    assert distance == pytest.approx(5.0 / np.sin(np.pi / 8))


def test_a_scene_without_polyps_flies() -> None:
    states = fly(tube())
    np.testing.assert_allclose(np.diff([state.time_s for state in states]), 0.33)
