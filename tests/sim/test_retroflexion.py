"""Looking back: how the tip is bent round, and what it sees of its own shaft."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.camera import INSTRUMENT_ROW, Pose, look_at
from endoforge.sim.engine import Engine
from endoforge.sim.flight import Flight, plan_flight
from endoforge.sim.instruments import COUNT_ROW, TOOL_PARTS, Instruments, Shaft
from endoforge.sim.packing import Movers
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.retroflexion import shaft_capsules, turned
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.tool_shapes import SHEATH, TIP
from tests.plain_ranges import PLAIN
from tests.sim.instruments_reference import marched
from tests.sim.scenes import still, tube

WIDTH, HEIGHT = 96, 72
SHAFT = Shaft(radius_mm=5.0, bend_mm=10.0, colour=(0.03, 0.03, 0.03))
DOWN = np.array([0.0, 1.0, 0.0])
HERE = np.array([8.0, 0.0, 90.0])
BACK = look_at(HERE, HERE + np.array([-0.35, 0.0, -1.0]), DOWN, 90.0)
"""Off the middle of the tube, looking back and a little across it."""
SEED = 74


def scene_of(share: float) -> Scene:
    return make_scene(SEED, replace(PLAIN, motion=replace(PLAIN.motion, retroflexion=share)))


@pytest.fixture(scope="module")
def flight() -> Flight:
    return plan_flight(scene_of(1.0))


def ahead_of(flight: Flight) -> NDArray[np.float64]:
    """The cosine (N,) of the angle between each step's view and the way ahead."""
    tangents = flight.lumen.frames(flight.s_mm)[:, 3]
    return np.asarray((flight.axes[:, 2] * tangents).sum(axis=1))


def test_the_tip_looks_back_for_some_seconds_in_the_rectum(flight: Flight) -> None:
    (back,) = np.nonzero(ahead_of(flight) < -0.85)
    assert 4.0 < len(back) * 0.055 < 20.0
    assert flight.s_mm[back].max() < 110.0
    # Late: on the way out.
    assert back.min() > 0.7 * len(flight)


def test_it_turns_round_gently_and_keeps_clear(flight: Flight) -> None:
    (back,) = np.nonzero(ahead_of(flight) < -0.5)
    around = slice(back.min() - 80, back.max() + 80)
    axes = flight.axes[around]
    turns = np.arccos(np.clip((axes[1:] * axes[:-1]).sum(axis=2), -1, 1))
    # 0.2 rad in a step are 3.6 rad/s, of the view and of its roll.
    assert turns.max() < 0.2
    np.testing.assert_allclose(
        axes @ axes.transpose(0, 2, 1), np.tile(np.eye(3), (len(axes), 1, 1)), atol=1e-9
    )
    assert flight.lumen.gap(flight.s_mm[back], flight.xy_mm[back]).min() > -0.5
    assert np.hypot(*flight.xy_mm[back].T).mean() > 4.0


def test_runs_that_are_spared_it_have_no_shaft_and_never_look_back() -> None:
    scene = scene_of(0.0)
    assert scene.instruments == Instruments()
    flight = plan_flight(scene)
    assert ahead_of(flight)[flight.s_mm < 110.0].min() > -0.85


def test_a_turned_frame_turns_the_tangent_and_stays_one() -> None:
    frames = np.tile(np.eye(3), (3, 1, 1))
    towards = np.tile([0.6, 0.8], (3, 1))
    normal, binormal, tangent = turned(
        frames, np.array([0.0, np.pi / 2, np.pi]), towards
    ).transpose(1, 0, 2)
    expected = np.array([[0.0, 0.0, 1.0], [0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])
    np.testing.assert_allclose(tangent, expected, atol=1e-12)
    np.testing.assert_allclose(np.cross(normal, binormal), tangent, atol=1e-12)
    np.testing.assert_allclose(np.stack([normal[0], binormal[0]]), np.eye(2, 3))


def test_the_shaft_lies_two_bends_beside_the_lens_and_leads_to_the_anus() -> None:
    line = tube().anatomy.centreline
    straight_back = np.array([0.0, 0.0, -1.0])
    capsules = shaft_capsules(SHAFT, line, HERE, straight_back, 90.0)
    body = [capsule for capsule in capsules if capsule.material == SHEATH]
    # Off the middle by 8 mm, the bend's width is 20 mm: the shaft runs at 12 mm on the other side.
    np.testing.assert_allclose(body[1].start + HERE, [-12.0, 0.0, 90.0], atol=1e-9)
    np.testing.assert_allclose(body[-1].end + HERE, [0.0, 0.0, -6.0], atol=1e-9)
    assert shaft_capsules(SHAFT, line, HERE, -straight_back, 90.0) == []


def test_its_rings_are_ten_millimetres_apart() -> None:
    capsules = shaft_capsules(SHAFT, tube().anatomy.centreline, HERE, BACK.axes[2], 90.0)
    rings = [(one.start + one.end) / 2 for one in capsules if one.material == TIP]
    assert len(rings) >= 8
    assert len(capsules) <= TOOL_PARTS
    apart = np.linalg.norm(np.diff(rings, axis=0), axis=1)
    np.testing.assert_allclose(apart, 10.0, atol=0.3)


@pytest.mark.slow
def test_the_shaft_is_where_the_twin_sees_it_and_has_no_label(cpu: Engine) -> None:
    scene = replace(tube(), instruments=Instruments(shaft=SHAFT))
    state = still(BACK)
    renderer = Renderer(WIDTH, HEIGHT, cpu)
    renderer.load([tube()])
    wall = renderer.render([CameraShot(state)]).depth[0].numpy().copy()
    renderer.load([scene])
    frames = renderer.render([CameraShot(state)])
    rows = instrument_rows(scene, BACK)
    rays = scene.lens(WIDTH, HEIGHT).rays(HEIGHT, WIDTH).reshape(-1, 3) @ BACK.axes
    twin = marched(rows, rays).reshape(HEIGHT, WIDTH)
    assert 0.05 < (twin < wall).mean() < 0.6
    off = np.abs(frames.depth[0].numpy() / np.minimum(twin, wall) - 1)
    assert (off > 2e-3).mean() < 0.004
    assert not frames.instance[0].numpy().any()
    # Black, with white rings.
    grey = frames.rgb[0].numpy().mean(axis=2)
    shown = grey[twin < wall]
    assert np.median(shown) < 0.7 * np.median(grey[twin >= wall])
    assert shown.max() > 150


def instrument_rows(scene: Scene, pose: Pose) -> NDArray[np.float32]:
    cameras, _ = Movers.of([scene]).at(
        np.zeros(1, np.intp), still(pose).rows[None], np.zeros(1), np.zeros(1, np.int64)
    )
    return cameras[0, INSTRUMENT_ROW:]


def test_a_tip_that_looks_ahead_has_no_shaft_in_its_rows() -> None:
    scene = replace(tube(), instruments=Instruments(shaft=SHAFT))
    ahead = look_at(HERE, HERE + np.array([0.0, 0.0, 1.0]), DOWN, 90.0)
    assert instrument_rows(scene, ahead)[COUNT_ROW, 0] == 0
    assert instrument_rows(scene, BACK)[COUNT_ROW, 0] > 10
