"""The render kernels against their slow twin, on pictures that the flight finds by itself."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.anatomy import make_anatomy
from endoforge.sim.camera import CameraState
from endoforge.sim.engine import Engine
from endoforge.sim.flight import fly
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.polyps import Paris
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.wall import COLUMN_ANGLES
from tests.sim.reference import Reference, ReferenceFrame
from tests.sim.scenes import along_z, ball, still, tube, without_overlay

WIDTH, HEIGHT = 96, 56
PIXELS = WIDTH * HEIGHT
Array = NDArray[np.float64]
pytestmark = pytest.mark.slow


def near_an_edge(truth: ReferenceFrame) -> NDArray[np.bool_]:
    """(H, W): pixels with a neighbour at another depth (by 10 %) or of another instance."""
    kernel = np.ones((3, 3), np.uint8)
    depth, instance = truth.depth, truth.instance.astype(np.float64)
    jump = cv2.dilate(depth, kernel) > 1.1 * cv2.erode(depth, kernel)
    border = cv2.dilate(instance, kernel) != cv2.erode(instance, kernel)
    return np.asarray(jump | border)


def check(renderer: Renderer, scene: Scene, state: CameraState) -> ReferenceFrame:
    """The renderer, which has loaded the scene, shows of it what the twin shows."""
    frames = renderer.render([CameraShot(state)])
    truth = Reference(scene, state.time_s).render(state.pose, scene.lens(WIDTH, HEIGHT))

    # Off silhouettes all agrees; on them a pixel may go to the nearer or the farther side.
    inside = ~near_an_edge(truth)
    assert inside.mean() > 0.5
    assert (frames.instance[0].numpy() == truth.instance)[inside].mean() > 0.999
    error = np.abs(frames.depth[0].numpy() - truth.depth) / truth.depth
    assert np.median(error) < 5e-4
    assert (error > 0.02)[inside].mean() < 0.004
    for k in np.unique(truth.instance):
        if k > 0 and (truth.instance == k).sum() >= 12:
            box = frames.stats[0, k - 1, 2:].numpy()
            assert np.abs(box - truth.box(k)).max() <= 1, (k, box, truth.box(k))
    return truth


def pictures(renderer: Renderer, scene: Scene) -> Iterator[tuple[CameraState, NDArray[np.int32]]]:
    """Every third capture on the way, with its (MAX_POLYPS, 6) pixel counts."""
    for state in fly(scene)[::3]:
        yield state, renderer.render([CameraShot(state)]).stats[0].numpy()


@pytest.fixture
def renderer(cpu: Engine) -> Renderer:
    return Renderer(WIDTH, HEIGHT, cpu)


@pytest.mark.parametrize("kind", ["Ip", "Isp", "Is", "IIa"])
def test_every_kind_of_polyp_matches_the_twin(renderer: Renderer, kind: Paris) -> None:
    for seed in range(20, 26):
        scene = without_overlay(make_scene(seed))
        of_kind = [k for k, polyp in enumerate(scene.polyps) if polyp.paris == kind]
        renderer.load([scene])
        for state, stats in pictures(renderer, scene):
            share, whole = stats[of_kind, 0] / PIXELS, stats[of_kind, 0] > 0.8 * stats[of_kind, 1]
            if ((share > 0.03) & (share < 0.4) & whole).any():
                truth = check(renderer, scene, state)
                assert {k + 1 for k in of_kind} & set(np.unique(truth.instance))
                return
    pytest.fail(f"no {kind} is seen well")


def test_a_polyp_half_behind_a_fold_matches_the_twin(renderer: Renderer) -> None:
    for seed in (12, 10, 13):
        scene = without_overlay(make_scene(seed))
        renderer.load([scene])
        for state, stats in pictures(renderer, scene):
            (shown,) = np.nonzero(stats[:, 0])
            if len(shown) == 1 and 40 < stats[shown[0], 0] < 0.6 * stats[shown[0], 1]:
                truth = check(renderer, scene, state)
                assert (truth.instance == shown[0] + 1).sum() > 30
                return
    pytest.fail("no polyp is half hidden by the wall")


def test_another_time_in_a_colon_with_peristalsis_matches_the_twin(renderer: Renderer) -> None:
    """The same pose at three moments of the wave of 9 s: the twin sees the same change."""
    scene = without_overlay(make_scene(22))
    scene = replace(scene, anatomy=replace(scene.anatomy, peristalsis=0.05))
    renderer.load([scene])
    seen = (
        state
        for state, stats in pictures(renderer, scene)
        if ((stats[:, 0] > 200) & (stats[:, 0] < 2000)).any()
    )
    state = next(seen)
    depths = [
        check(renderer, scene, replace(state, time_s=time_s)).depth for time_s in (1.0, 5.0, 100.0)
    ]
    assert np.median(np.abs(depths[1] / depths[0] - 1)) > 0.005


def places_in_view(scene: Scene, places: Array, s_mm: Array) -> Iterator[CameraState]:
    """Captures that look at one of the places (N, 3), near the middle and from close by."""
    lens = scene.lens(WIDTH, HEIGHT)
    margin = np.array([WIDTH, HEIGHT]) / 5
    for state in fly(scene):
        seen = (places - state.pose.position) @ state.pose.axes.T
        distance = np.linalg.norm(seen, axis=1)
        pixel = lens.project(seen)
        framed = ((pixel > margin) & (pixel < np.array([WIDTH, HEIGHT]) - margin)).all(axis=1)
        near = (distance < 35) & (np.abs(s_mm - state.pose.s_mm) < 40) & (seen[:, 2] > 0)
        if (framed & near).any():
            yield state


def cells(scene: Scene, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> tuple[Array, Array]:
    """World positions of cells of the wall's table, and their s."""
    s_mm, angle = rows * 0.75, COLUMN_ANGLES[columns]
    radius = scene.anatomy.radius[rows, columns]
    line = scene.anatomy.centreline
    return line.to_world(s_mm, radius * np.cos(angle), radius * np.sin(angle)), s_mm


def check_visible(renderer: Renderer, scene: Scene, places: Array, s_mm: Array) -> None:
    """Of the captures that look at the places, the first that really shows one: the twin's too."""
    lens = scene.lens(WIDTH, HEIGHT)
    renderer.load([scene])
    rays = lens.rays(HEIGHT, WIDTH)
    for state in places_in_view(scene, places, s_mm):
        depth = renderer.render([CameraShot(state)]).depth[0].numpy().astype(np.float64)
        hits = state.pose.position + depth[..., None] * (rays @ state.pose.axes)
        middle = hits[HEIGHT // 5 : -HEIGHT // 5, WIDTH // 5 : -WIDTH // 5].reshape(-1, 1, 3)
        on_place = np.linalg.norm(middle - places, axis=2).min(axis=1) < 1.0
        if on_place.sum() >= 12:
            check(renderer, scene, state)
            return
    pytest.fail("no capture shows such a place")


def test_a_diverticulum_matches_the_twin(renderer: Renderer) -> None:
    scene = without_overlay(make_scene(7))
    pitted, plain = (
        make_anatomy(7, scene.ranges.anatomy, Nuisances(diverticula=strength))
        for strength in (1.0, 0.0)
    )
    scene = replace(scene, anatomy=pitted, polyps=())
    rows, columns = np.nonzero(pitted.radius - plain.radius > 2.5)
    early = rows * 0.75 < 700  # well before the cecum, whose draw the pits change
    places, s_mm = cells(scene, rows[early][::5], columns[early][::5])
    check_visible(renderer, scene, places, s_mm)


def test_a_pool_matches_the_twin(renderer: Renderer) -> None:
    scene = without_overlay(make_scene(8))
    anatomy = make_anatomy(8, scene.ranges.anatomy, Nuisances(fluid=0.8))
    scene = replace(scene, anatomy=anatomy, polyps=())
    rows, columns = np.nonzero(anatomy.deposits.fluid > 1.5)
    places, s_mm = cells(scene, rows[::13], columns[::13])
    check_visible(renderer, scene, places, s_mm)


@pytest.mark.parametrize("seed", [9, 11, 12])
def test_a_folds_edge_matches_the_twin(renderer: Renderer, seed: int) -> None:
    """Pictures of a fold behind which the colon goes on, across a good part of the picture."""
    scene = without_overlay(make_scene(seed))
    renderer.load([scene])
    for state, stats in pictures(renderer, scene):
        depth = renderer.render([CameraShot(state)]).depth[0].numpy()
        kernel = np.ones((3, 3), np.uint8)
        edge = cv2.dilate(depth, kernel) > 1.3 * cv2.erode(depth, kernel)
        if not stats[:, 0].any() and edge.mean() > 0.08:
            truth = check(renderer, scene, state)
            assert near_an_edge(truth).mean() > 0.06
            return
    pytest.fail("no fold's edge")


def test_balls_in_a_tube_match_the_twin(renderer: Renderer) -> None:
    """One hangs free, one half in the wall, one mostly hidden behind the first."""
    scene = tube(ball(125.0, y=2.0), ball(130.0, y=18.0, radius=6.0), ball(160.0, y=14.0))
    renderer.load([scene])
    truth = check(renderer, scene, still(along_z()))
    assert set(np.unique(truth.instance)) == {0, 1, 2, 3}
