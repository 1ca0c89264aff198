"""The render kernels against their slow twin, on pictures that the flight has found by itself."""

import numpy as np
import pytest

from endoforge.sim.engine import Engine
from endoforge.sim.polyps import Paris
from endoforge.sim.renderer import CameraShot, Renderer
from tests.sim import moments
from tests.sim.moments import HEIGHT, WIDTH, Moment, near_an_edge, pinned, pixels_on
from tests.sim.reference import Reference

SOME = 29
"""The twin itself marches every so manieth ray here, in other columns each row."""
pytestmark = pytest.mark.slow


def check(renderer: Renderer, moment: Moment) -> None:
    """The renderer shows what the twin shows."""
    truth = moment.truth
    renderer.load([moment.scene])
    frames = renderer.render([CameraShot(moment.state)])

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


@pytest.fixture(scope="module")
def renderer(cpu: Engine) -> Renderer:
    return Renderer(WIDTH, HEIGHT, cpu)


@pytest.mark.parametrize("name", moments.names())
def test_the_twin_sees_what_is_kept_of_it(name: str) -> None:
    """If it is meant to see something else now: `make golden`."""
    moment = pinned(name)
    lens = moment.scene.lens(WIDTH, HEIGHT)
    rays = lens.rays(HEIGHT, WIDTH).reshape(-1, 3)[::SOME]
    twin = Reference(moment.scene, moment.state.time_s)
    depth, instance = twin.march(moment.state.pose, rays)
    np.testing.assert_allclose(depth, moment.truth.depth.ravel()[::SOME], rtol=1e-4)
    assert (instance == moment.truth.instance.ravel()[::SOME]).all()


@pytest.mark.parametrize("kind", moments.KINDS)
def test_every_kind_of_polyp_matches_the_twin(renderer: Renderer, kind: Paris) -> None:
    moment = pinned(kind)
    check(renderer, moment)
    of_kind = {k + 1 for k, polyp in enumerate(moment.scene.polyps) if polyp.paris == kind}
    assert of_kind & set(np.unique(moment.truth.instance))


def test_a_polyp_half_behind_a_fold_matches_the_twin(renderer: Renderer) -> None:
    moment = pinned("half behind a fold")
    check(renderer, moment)
    stats = renderer.render([CameraShot(moment.state)]).stats[0].numpy()
    [shown] = np.flatnonzero(stats[:, 0])
    assert stats[shown, 0] < 0.6 * stats[shown, 1]
    assert (moment.truth.instance == shown + 1).sum() > 30


def test_another_time_in_a_colon_with_peristalsis_matches_the_twin(renderer: Renderer) -> None:
    """The same pose at three moments of the wave of 9 s: the twin sees the same change."""
    waves = [pinned(f"wave at {time_s:g} s") for time_s in moments.WAVE_TIMES]
    for wave in waves:
        check(renderer, wave)
        assert (wave.state.pose.position == waves[0].state.pose.position).all()
    depths = [wave.truth.depth for wave in waves]
    assert np.median(np.abs(depths[1] / depths[0] - 1)) > 0.005


def test_a_diverticulum_matches_the_twin(renderer: Renderer) -> None:
    moment = pinned("diverticulum")
    check(renderer, moment)
    places, _ = moments.pits(moment.scene)
    depth = renderer.render([CameraShot(moment.state)]).depth[0].numpy().astype(np.float64)
    assert pixels_on(places, moment.scene, moment.state, depth) >= 12


def test_a_pool_matches_the_twin(renderer: Renderer) -> None:
    moment = pinned("pool")
    check(renderer, moment)
    places, _ = moments.pools(moment.scene)
    depth = renderer.render([CameraShot(moment.state)]).depth[0].numpy().astype(np.float64)
    assert pixels_on(places, moment.scene, moment.state, depth) >= 12


@pytest.mark.parametrize("seed", moments.EDGE_SEEDS)
def test_a_folds_edge_matches_the_twin(renderer: Renderer, seed: int) -> None:
    """Pictures of a fold behind which the colon goes on, across a good part of the picture."""
    moment = pinned(f"edge {seed}")
    check(renderer, moment)
    assert near_an_edge(moment.truth).mean() > 0.06


def test_balls_in_a_tube_match_the_twin(renderer: Renderer) -> None:
    """One hangs free, one half in the wall, one mostly hidden behind the first."""
    moment = pinned("balls")
    check(renderer, moment)
    assert set(np.unique(moment.truth.instance)) == {0, 1, 2, 3}
