"""Which moments of a flight are shown, and that they are told to the renderer as they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from endoforge.core.errors import UserError
from endoforge.sim.dressing import dressed
from endoforge.sim.engine import Engine
from endoforge.sim.flight import plan_flight
from endoforge.sim.footage import ANYWHERE, Footage, choose_steps, make_footages, shows_polyp
from endoforge.sim.labels import MIN_VISIBLE_PX
from endoforge.sim.packing import SCENE_ARRAYS, scene_arrays
from endoforge.sim.polyps import KINDS
from endoforge.sim.randomization import Randomization
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.scene import make_scene
from tests.plain_ranges import PLAIN

SIZE = (96, 64)


def make_footage(seed: int, ranges: Randomization, size: tuple[int, int], views: int) -> Footage:
    return next(make_footages([seed], ranges, size, views))


def test_rows_of_a_flight_are_those_of_its_states() -> None:
    flight = plan_flight(make_scene(3, PLAIN))
    steps = [0, 1, 5, 700, len(flight) - 1]
    rows = np.stack([state.rows for state in flight.states(steps)])
    assert np.array_equal(flight.rows(np.array(steps)), rows)


def test_a_view_is_rendered_as_the_shot_of_its_moment_is(cpu: Engine) -> None:
    footage = make_footage(3, PLAIN, SIZE, 6)
    scene = make_scene(3, PLAIN)
    states = plan_flight(scene).states(footage.steps.tolist())
    noise_seeds = footage.arrays["cameras"][:, 2, 3].astype(int).tolist()
    renderer = Renderer(*SIZE, cpu, 6)
    renderer.load([scene])
    cameras, polyps = (torch.from_numpy(footage.arrays[name]) for name in ("cameras", "polyps"))
    rows = renderer.render_rows(cameras, polyps).rgbi.clone()
    shots = [CameraShot(state, 0, seed) for state, seed in zip(states, noise_seeds, strict=True)]
    assert torch.equal(renderer.render(shots).rgbi, rows)
    assert len(set(noise_seeds)) > 1


def test_footage_holds_the_scene_and_follows_from_its_seed() -> None:
    one, again = (make_footage(4, PLAIN, SIZE, 8) for _ in range(2))
    scene = make_scene(4, PLAIN)
    expected = scene_arrays(scene, *SIZE)
    assert tuple(expected) == SCENE_ARRAYS
    assert set(one.arrays) == {*SCENE_ARRAYS, "cameras", "polyps"}
    for name, array in expected.items():
        assert np.array_equal(one.arrays[name], array)
    for name, array in again.arrays.items():
        assert np.array_equal(one.arrays[name], array)
    kinds = [KINDS[kind] for kind in one.kinds[: len(scene.polyps)]]
    assert kinds == [polyp.paris for polyp in scene.polyps]
    assert one.seed == 4


def test_looks_of_a_colon_share_its_shapes_and_differ_in_all_else() -> None:
    ranges = replace(PLAIN, polyps=replace(PLAIN.polyps, like_wall=0.0))
    first, other, again = make_footages([4, 5, 5], ranges, SIZE, 8)
    for name in ("centreline", "wall"):
        assert np.array_equal(first.arrays[name], other.arrays[name])
    for name in ("looks", "sensors", "rays"):
        assert not np.array_equal(first.arrays[name], other.arrays[name])
    assert np.array_equal(first.kinds, other.kinds)
    assert (first.seed, other.seed) == (4, 5)
    for name, array in other.arrays.items():
        assert np.array_equal(array, again.arrays[name])
    # Places and shapes of polyps as they are at rest, and their colours.
    scene = make_scene(4, ranges)
    dress = dressed(scene, 5)
    assert [p.centre for p in dress.polyps] == [p.centre for p in scene.polyps]
    assert [p.lobes for p in dress.polyps] == [p.lobes for p in scene.polyps]
    assert all(a.tint != b.tint for a, b in zip(dress.polyps, scene.polyps, strict=True))
    assert dress.nuisances.stool == scene.nuisances.stool
    # And the camera is that of the seed's own scene.
    assert replace(dress.camera, defocus=0.0) == replace(make_scene(5, ranges).camera, defocus=0.0)


def test_steps_are_all_different_and_mostly_show_a_polyp() -> None:
    shows = np.zeros(1000, bool)
    shows[300:500] = True
    steps = choose_steps(shows, 100, np.random.default_rng(0))
    assert len(set(steps.tolist())) == 100
    assert ((steps >= 0) & (steps < 1000)).all()
    # A quarter from anywhere, of which about a fifth shows one, and the rest all do.
    assert 75 <= shows[steps].sum() <= 75 + 25 * 0.5
    assert ANYWHERE == 0.25
    # In no order: the first half shows as many as the second.
    assert abs(int(shows[steps[:50]].sum()) - int(shows[steps[50:]].sum())) < 20


def test_where_few_steps_show_a_polyp_others_fill_up() -> None:
    shows = np.zeros(50, bool)
    shows[:5] = True
    steps = choose_steps(shows, 40, np.random.default_rng(0))
    assert len(set(steps.tolist())) == 40
    assert set(range(5)) <= set(steps.tolist())
    assert sorted(choose_steps(shows, 50, np.random.default_rng(0)).tolist()) == list(range(50))


def test_a_flight_that_is_too_short_is_named() -> None:
    with pytest.raises(UserError, match="9 moments is too short for 10 views"):
        choose_steps(np.ones(9, bool), 10, np.random.default_rng(0))


def test_a_colon_without_polyps_has_footage_too() -> None:
    ranges = replace(PLAIN, polyps=replace(PLAIN.polyps, count=(0, 0)))
    footage = make_footage(1, ranges, SIZE, 8)
    assert len(set(footage.steps.tolist())) == 8
    assert not footage.kinds.any()


@pytest.mark.slow
def test_what_shows_a_polyp_is_told_without_rendering(cpu: Engine) -> None:
    """Of what is told to show one, 9 in 10 do; of what does, 8 in 10 are told."""
    size, count = (128, 128), 64
    renderer = Renderer(*size, cpu, count)
    told, true = [], []
    for seed in (1, 2, 3):
        scene = make_scene(seed, PLAIN)
        flight = plan_flight(scene)
        shows = shows_polyp(scene, flight, scene.optics(*size))
        steps = np.random.default_rng(seed).choice(len(flight), count, replace=False)
        renderer.load([scene])
        frames = renderer.render([CameraShot(state) for state in flight.states(steps.tolist())])
        true.append((frames.stats[..., 0] >= MIN_VISIBLE_PX).any(dim=1).numpy())
        told.append(shows[steps])
    both = np.concatenate(told) & np.concatenate(true)
    assert both.sum() >= 0.9 * np.concatenate(told).sum()
    assert both.sum() >= 0.8 * np.concatenate(true).sum()


def test_ranges_that_leave_no_time_for_so_many_views_are_named() -> None:
    motion = replace(
        PLAIN.motion, insertion_mm_s=(900, 900), withdrawal_mm_s=(900, 900), inspected=0.0
    )
    ranges = replace(PLAIN, motion=motion, polyps=replace(PLAIN.polyps, count=(0, 0)))
    with pytest.raises(UserError, match=r"lower the speeds of \[motion\]"):
        make_footage(1, ranges, SIZE, 1024)
