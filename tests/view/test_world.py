"""The world: the autopilot is the flight, and what is steered stays in the lumen."""

import numpy as np
import pytest

from endoforge.sim.flight import fly
from endoforge.sim.itinerary import STEP_S
from endoforge.sim.scene import make_scene
from endoforge.sim.streams import run_seed
from endoforge.view.from_viewers import Steer
from endoforge.view.steering import NOTHING, Pilot, Place, colon_axes, turned
from endoforge.view.world import World, bake_colon
from tests.plain_ranges import PLAIN

from .conftest import SEED, SIZE

STRAIGHT = np.eye(3)


def gap(world):
    place = world.place
    return float(world.lumen.gap(np.array([place.s_mm]), place.xy_mm[None])[0])


def test_the_autopilot_is_at_the_flights_poses(colon):
    """At every step of the flight, exactly; 200 steps are 11 s."""
    world = World(colon)
    for step in range(200):
        state, [expected] = world.state(), colon.flight.states([step])
        assert state.time_s == pytest.approx(step * STEP_S, abs=1e-9)
        np.testing.assert_array_equal(state.pose.position, expected.pose.position)
        np.testing.assert_array_equal(state.pose.axes, expected.pose.axes)
        np.testing.assert_array_equal(state.metered.position, expected.metered.position)
        world.advance(STEP_S, 0.03)


def test_between_two_steps_it_is_between_two_poses(colon):
    world = World(colon)
    world.advance(100.25 * STEP_S, 0.1)
    low, high = colon.flight.position[100], colon.flight.position[101]
    np.testing.assert_allclose(world.state().pose.position, 0.75 * low + 0.25 * high, atol=1e-9)
    axes = world.state().pose.axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)


def test_a_colon_is_run_0_of_its_seed_and_the_same_every_time(colon):
    again = bake_colon(SEED, PLAIN, SIZE, None)
    assert colon.run.seed == run_seed(SEED, 0)
    np.testing.assert_array_equal(again.flight.position, colon.flight.position)
    np.testing.assert_array_equal(again.tables["wall"], colon.tables["wall"])
    captures = fly(make_scene(run_seed(SEED, 0), PLAIN))
    assert [state.time_s for state in colon.run.states] == [state.time_s for state in captures]
    assert bake_colon(SEED + 1, PLAIN, SIZE, None).run.seed != colon.run.seed


@pytest.mark.parametrize("free", [False, True])
def test_steering_never_leaves_the_lumen(colon, free):
    """Keys held at random for 80 s, starting in four places; hard against walls and polyps."""
    rng = np.random.default_rng(1)
    world = World(colon)
    nearest = np.inf
    for start_s in (0.0, 40.0, 60.0, 150.0):
        world.jump(start_s)
        if free != (world.camera == "free"):
            world.switch_camera()
        if free:
            world.switch_camera()
            world.switch_camera()
        else:
            world.autopilot = True
            world.set_steer(Steer(forward=1))
        before = world.pose.position
        for step in range(500):
            if step % 25 == 0:
                keys = rng.choice([-1.0, 0.0, 1.0], 6, p=[0.25, 0.15, 0.6])
                world.set_steer(Steer(*keys.tolist()))
            world.advance(0.04, 0.04)
            assert gap(world) >= 0
            moved = float(np.linalg.norm(world.pose.position - before))
            assert moved <= 0.04 * 45 * 2.0, "no jumps: at most a bend's outer side is faster"
            before = world.pose.position
            nearest = min(nearest, gap(world))
    assert nearest < 0.5, "the walls were never touched: the test shows nothing"


def test_it_flies_into_a_polyp_and_stops_before_it(colon):
    """Straight at the head of every polyp that is reached from the middle of the colon."""
    world = World(colon)
    stopped = 0
    for polyp in colon.run.scene.polyps:
        s_mm = min(max(polyp.s_mm - 4.0, 30.0), world.lumen.deepest())
        lane = world.lumen.lane_at(np.array([s_mm]))[0]
        world.camera = "free"
        world._free = Place(s_mm, lane, STRAIGHT)
        for _ in range(150):
            target = np.asarray(polyp.centre) - world.pose.position
            forward = target / np.linalg.norm(target)
            right = np.cross([0.3, 0.9, 0.2], forward)
            right /= np.linalg.norm(right)
            axes = np.stack([right, np.cross(forward, right), forward])
            world._free = Place(world._free.s_mm, world._free.xy_mm, axes)
            world.steer = Steer(forward=1)
            world.advance(0.0, 0.04)
            assert gap(world) >= 0
        away = np.linalg.norm(np.asarray(polyp.centre) - world.pose.position)
        assert away >= min(polyp.half_height_mm, polyp.half_width_mm)
        stopped += bool(away < polyp.half_width_mm + polyp.half_height_mm + 8.0)
    assert stopped > len(colon.run.scene.polyps) / 2


def test_a_steered_step_takes_the_scope_and_pushes_it_on(colon):
    world = World(colon)
    world.jump(20.0)
    before = world.place
    assert world.set_steer(Steer(forward=1.0))
    assert not world.autopilot
    for _ in range(25):
        world.advance(0.04, 0.04)
    assert 10 < world.place.s_mm - before.s_mm < 30, "25 mm/s for a second, after a soft start"
    assert not world.set_steer(Steer(forward=-1.0)), "it is steered by hand already"


def test_nothing_moves_the_scope_when_nobody_steers(colon):
    world = World(colon)
    world.jump(20.0)
    world.set_steer(Steer(forward=1))
    world.set_steer(NOTHING)
    before = world.place
    for _ in range(50):
        world.advance(0.04, 0.04)
    assert world.place.s_mm == before.s_mm
    assert world.time_s == pytest.approx(22.0)


def test_turns_go_where_the_keys_say():
    """From looking ahead, a quarter turn: right looks right, up looks up, a roll turns the right
    of the picture down."""
    quarter = np.pi / 2
    right, down, forward = np.eye(3)
    np.testing.assert_allclose(turned(STRAIGHT, quarter, 0, 0)[2], right, atol=1e-12)
    np.testing.assert_allclose(turned(STRAIGHT, 0, quarter, 0)[2], -down, atol=1e-12)
    np.testing.assert_allclose(turned(STRAIGHT, 0, 0, quarter)[0], down, atol=1e-12)
    np.testing.assert_allclose(turned(STRAIGHT, 0, 0, quarter)[2], forward, atol=1e-12)


def test_the_tip_bends_and_the_shaft_turns(colon):
    pilot = Pilot(World(colon).lumen, free=False)
    place = Place(300.0, np.zeros(2), STRAIGHT)
    bent = pilot.move(place, Steer(pitch=1), 0.5)
    assert bent.axes[2, 1] < -0.1, "upwards is against down"
    pilot.stop()
    for key in ({"roll": 1}, {"right": 1}):
        turned_shaft = pilot.move(place, Steer(**key), 0.5)
        pilot.stop()
        assert turned_shaft.axes[2, 2] == pytest.approx(1), "it looks where it looked"
        assert turned_shaft.axes[0, 1] > 0.1, "the right of the picture goes down"
    for _ in range(100):
        bent = pilot.move(bent, Steer(pitch=1), 0.1)
    assert np.arccos(bent.axes[2, 2]) <= 2.6 + 1e-6


def test_the_axes_of_the_colon_are_those_of_its_coordinates(colon):
    lumen = World(colon).lumen
    for s_mm in (100.0, 400.0, 900.0):
        frame = colon_axes(lumen, s_mm)
        here, aside = lumen.to_world(np.array([s_mm, s_mm]), np.array([[0.0, 0.0], [0.0, 5.0]]))
        np.testing.assert_allclose((aside - here) / 5, frame[1], atol=2e-3)


def test_the_autopilot_comes_back_near_to_where_the_scope_is(colon):
    world = World(colon)
    world.jump(30.0)
    world.set_steer(Steer(forward=1))
    for _ in range(100):
        world.advance(0.04, 0.04)
    by_hand = world.pose.position
    world.set_steer(NOTHING)
    world.switch_autopilot()
    assert world.autopilot
    assert np.linalg.norm(world.pose.position - by_hand) < 15


def test_time_that_stands_still_lets_the_free_camera_fly(colon):
    world = World(colon)
    world.jump(30.0)
    world.switch_camera()
    world.set_steer(Steer(forward=1))
    assert world.autopilot, "the scope isn't taken by flying the free camera"
    assert world.restless
    before = world.pose.position
    world.advance(0.0, 0.2)
    assert world.time_s == 30.0
    assert np.linalg.norm(world.pose.position - before) > 1
