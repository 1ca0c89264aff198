"""When pictures are taken: captures, or a video's frames, and the camera between two steps."""

from typing import Any

import numpy as np
import pytest

from endoforge.core.errors import UserError
from endoforge.sim.camera import CameraState
from endoforge.sim.clock import CAPTURES, Clock
from endoforge.sim.flight import Flight, captures, plan_flight, thin
from endoforge.sim.itinerary import STEP_S
from endoforge.sim.lumen import Lumen
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.simulator import bake
from tests.plain_ranges import PLAIN

from .test_simulator import simulate

QUARTER = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""The axes after a turn of 90 degrees about the camera's right."""


@pytest.fixture(scope="module")
def procedure() -> tuple[Scene, Flight]:
    scene = make_scene(5, PLAIN)
    return scene, plan_flight(scene)


def three_steps(scene: Scene, lag: int = 0) -> Flight:
    """A flight of 0.11 s: 1 mm forward a step, and a quarter of a turn in the second step."""
    steps = np.arange(3.0)
    return Flight(
        lumen=Lumen(scene),
        s_mm=30 + steps,
        xy_mm=np.zeros((3, 2)),
        position=np.stack([0 * steps, 0 * steps, steps], axis=1),
        axes=np.stack([np.eye(3), np.eye(3), QUARTER]),
        velocity_mm_s=np.stack([0 * steps, 0 * steps, 10 * steps], axis=1),
        turn_rad_s=np.stack([4 * steps, 0 * steps, 0 * steps], axis=1),
        lag=lag,
    )


def same(one: CameraState, other: CameraState) -> bool:
    """Whether two states give the same pixels: all numbers are equal, bit by bit."""
    return one.time_s == other.time_s and np.array_equal(one.rows, other.rows)


def times(clock: Clock, procedure: tuple[Scene, Flight], most: int | None = None) -> list[float]:
    return [state.time_s for state in clock.states(*procedure, most)]


def test_between_two_steps_all_of_the_camera_lies_between(procedure: tuple[Scene, Flight]) -> None:
    flight = three_steps(procedure[0], lag=1)
    state = flight.state_at(1.5 * STEP_S, 1.5 * STEP_S)
    np.testing.assert_allclose(state.pose.position, [0, 0, 1.5])
    assert state.pose.s_mm == 31.5
    half = np.sqrt(0.5)  # of a quarter turn: 45 degrees
    np.testing.assert_allclose(
        state.pose.axes, [[1, 0, 0], [0, half, -half], [0, half, half]], atol=1e-12
    )
    np.testing.assert_allclose(state.velocity_mm_s, [0, 0, 15])
    np.testing.assert_allclose(state.turn_rad_s, [6, 0, 0])
    np.testing.assert_allclose(state.metered.position, [0, 0, 0.5])  # a step ago
    early = flight.state_at(0.25 * STEP_S, 0.25 * STEP_S)
    np.testing.assert_array_equal(early.metered.position, [0, 0, 0])  # nothing was before it


def test_axes_between_steps_are_orthonormal(procedure: tuple[Scene, Flight]) -> None:
    states = Clock(25, 20, 24).states(*procedure, None)
    axes = np.array([state.pose.axes for state in states])
    eyes = np.broadcast_to(np.eye(3), axes.shape)
    np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), eyes, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(axes), 1)


def test_a_rate_that_hits_the_steps_gives_the_steps(procedure: tuple[Scene, Flight]) -> None:
    scene, flight = procedure
    states = Clock(1 / STEP_S).states(scene, flight, None)
    steps = flight.states(range(len(flight)))
    assert len(states) == len(steps)
    assert all(map(same, states, steps))
    later = Clock(1 / STEP_S, 100 * STEP_S).states(scene, flight, 9)
    assert all(map(same, later, steps[100:]))


def test_without_a_rate_they_are_the_captures(procedure: tuple[Scene, Flight]) -> None:
    scene, flight = procedure
    plain = captures(scene, flight)
    assert all(map(same, CAPTURES.states(scene, flight, None), plain))
    assert times(CAPTURES, procedure, 7) == [state.time_s for state in thin(plain, 7)]
    cut = Clock(None, 60, 90).states(scene, flight, None)
    within = [state for state in plain if 60 <= state.time_s < 90]
    assert len(cut) == len(within) > 90
    assert all(map(same, cut, within))
    thinned = times(Clock(None, 60, 90), procedure, 3)
    assert thinned[0] == within[0].time_s
    assert thinned[-1] == within[-1].time_s


def test_captures_are_those_of_before_there_were_clocks() -> None:
    """Golden: times, noise and places of five captures of seed 3, as they were recorded then."""
    run = bake(3, PLAIN, (160, 96), 5)
    assert [round(state.time_s, 3) for state in run.states] == [0, 79.035, 171.27, 265.485, 359.535]
    assert run.noise_seeds == [398970, 1025185, 428079, 418659, 222195]
    along = [state.pose.s_mm for state in run.states]
    assert along == pytest.approx([31.46, 1200.42, 786.89, 371.82, 27.01], abs=0.01)
    metered = run.states[1].metered.position
    assert metered.tolist() == pytest.approx([-139.47, 286.17, -25.28], abs=0.01)


def test_a_video_has_a_frame_every_25th_of_a_second_and_none_at_the_end_of_its_stretch(
    procedure: tuple[Scene, Flight],
) -> None:
    found = times(Clock(25, 60, 90), procedure)
    assert len(found) == 30 * 25
    np.testing.assert_allclose(found, 60 + np.arange(750) / 25, atol=1e-9)
    assert times(Clock(25, 60, 90), procedure, 4) == [60.0, 60.04, 60.08, 60.12]
    assert times(Clock(25, 90, 90.01), procedure) == [90.0], "which the one before left out"


@pytest.mark.parametrize(
    ("end_s", "expected"), [(None, [0, 0.055, 0.11]), (9.0, [0, 0.055, 0.11]), (0.11, [0, 0.055])]
)
def test_a_procedure_ends_with_its_last_moment(
    procedure: tuple[Scene, Flight], end_s: float | None, expected: list[float]
) -> None:
    scene, _ = procedure
    found = times(Clock(1 / STEP_S, 0.0, end_s), (scene, three_steps(scene)))
    np.testing.assert_allclose(found, expected)
    assert times(Clock(0.001, 0.0, end_s), (scene, three_steps(scene))) == [0.0]


def test_a_start_after_the_end_is_an_error_that_says_how_long_it_takes(
    procedure: tuple[Scene, Flight],
) -> None:
    scene, _ = procedure
    flight = three_steps(scene)
    for fps in (None, 25.0):
        with pytest.raises(
            UserError, match=r"from 0\.2 s on: the procedure of seed 5 takes 0\.1 s"
        ):
            Clock(fps, 0.2).states(scene, flight, None)
    with pytest.raises(UserError, match=r"no capture of seed 5 falls between 0\.05 and 0\.06 s"):
        Clock(None, 0.05, 0.06).states(scene, flight, None)


def test_a_simulator_takes_them_too() -> None:
    frames = simulate(fps=25, start_s=12, end_s=12.2, max_frames=None)
    found = [state.time_s for batch in frames for state in batch.states]
    np.testing.assert_allclose(found, [12, 12.04, 12.08, 12.12, 12.16])
    [wholly] = simulate(max_frames=1, start_s=12.04, fps=1)
    assert same(wholly.states[0], frames.run.states[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0}, "fps 0: must be above 0 and at most 240"),
        ({"start_s": -1}, "start_s -1: must be at least 0"),
        ({"start_s": 5, "end_s": 5}, r"end_s 5: must be a number greater than 5 \(start_s\)"),
    ],
)
def test_a_simulator_refuses_clocks_that_are_none(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        simulate(**options)
