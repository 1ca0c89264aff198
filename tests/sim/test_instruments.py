"""Instruments before the wall, and what treatment leaves on it."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.camera import INSTRUMENT_ROW, CameraState
from endoforge.sim.engine import Engine
from endoforge.sim.flight import captures, plan_flight
from endoforge.sim.instrument_rows import Carried
from endoforge.sim.instruments import (
    COUNT_ROW,
    MARK_ROW,
    MATERIAL_ROW,
    PART_ROW,
    Cap,
    Instruments,
    Jet,
    Rhythm,
    Strengths,
    Tool,
    ToolKind,
    make_instruments,
)
from endoforge.sim.packing import Movers
from endoforge.sim.ranges.values import Nuisance
from endoforge.sim.renderer import CameraShot, RenderedFrames, Renderer
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.treatment import Mark, Treatment
from tests.plain_ranges import PLAIN
from tests.sim.instruments_reference import (
    marched,
    part_light,
    through_cap,
    tinted,
    under_water,
)
from tests.sim.scenes import along_z, ball, still, tube

WIDTH, HEIGHT = 96, 72
ALWAYS = Nuisance(probability=1.0, strength=(1.0, 1.0))
STEADY = Rhythm((1e9, 1e9, 1e9), (-np.pi / 2, -np.pi / 2, -np.pi / 2))
"""A rhythm by which whatever has a share is out all the time."""


def tool(kind: ToolKind = "needle") -> Tool:
    return Tool(
        kind=kind,
        share=1.0,
        rhythm=STEADY,
        channel=(3.0, 3.0),
        reach_mm=20.0,
        lean=(0.0, 0.0),
        radius_mm=1.2,
        sheath=(0.8, 0.8, 0.8),
        coil=False,
        tip=(0.1, 0.1, 0.1),
        opening=0.5,
        loop_mm=6.0,
        roll=0.4,
    )


def with_tool(scene: Scene, kind: ToolKind = "needle") -> Scene:
    return replace(scene, instruments=Instruments(tools=(tool(kind),)))


def spot(radius_mm: float = 6.0) -> Mark:
    """A blue mark at the bottom of the straight tube."""
    return Mark(
        120.0, np.pi / 2, (0.0, 20.0, 120.0), radius_mm, (0.1, 0.2, 0.6), 1.0,
        (0.0, 0.0, 0.0), 0.0, 0.2, 0.0, 0.0, 0.3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def renderer(cpu: Engine) -> Renderer:
    return Renderer(WIDTH, HEIGHT, cpu, normals=True)


def shown(renderer: Renderer, scene: Scene, state: CameraState) -> RenderedFrames:
    renderer.load([scene])
    return renderer.render([CameraShot(state)])


def rows_of(scene: Scene, state: CameraState, seed: int = 0) -> NDArray[np.float32]:
    """A frame's rows of `sim.instrument_rows`."""
    cameras, _ = Movers.of([scene]).at(
        np.zeros(1, np.intp), state.rows[None], np.array([state.time_s]), np.full(1, seed)
    )
    return np.asarray(cameras[0, INSTRUMENT_ROW:])


def light_of(
    renderer: Renderer, scene: Scene, state: CameraState, seed: int = 0
) -> NDArray[np.float64]:
    """(H, W, 4): linear light, and distance in mm."""
    renderer.load([scene])
    renderer.render([CameraShot(state, noise_seed=seed)])
    return np.asarray(renderer.target.radiance.view(HEIGHT, WIDTH, 4).numpy(), np.float64)


@pytest.mark.parametrize("kind", ["snare", "forceps", "needle"])
def test_tools_lie_where_the_twin_sees_them(renderer: Renderer, kind: ToolKind) -> None:
    scene, state = with_tool(tube(ball(125.0, y=2.0)), kind), still(along_z())
    bare = shown(renderer, tube(ball(125.0, y=2.0)), state)
    depth, instance = bare.depth[0].numpy().copy(), bare.instance[0].numpy().copy()
    seen = shown(renderer, scene, state)
    rays = scene.lens(WIDTH, HEIGHT).rays(HEIGHT, WIDTH).reshape(-1, 3) @ state.pose.axes
    twin = marched(rows_of(scene, state), rays).reshape(HEIGHT, WIDTH)
    nearest = np.minimum(twin, depth)
    off = np.abs(seen.depth[0].numpy() / nearest - 1)
    assert (twin < depth).mean() > 0.02
    assert (off > 2e-3).mean() < 0.004
    before = twin < depth
    assert (seen.instance[0].numpy() == np.where(before, 0, instance)).mean() > 0.996
    # The normals of what is seen look back at the lens.
    assert seen.normals is not None
    lens_rays = scene.lens(WIDTH, HEIGHT).rays(HEIGHT, WIDTH)
    facing = np.einsum("hwc,hwc->hw", seen.normals[0].numpy(), lens_rays)
    assert (facing[before & (off < 2e-3)] < 0.05).mean() > 0.99


@pytest.mark.parametrize(
    ("kind", "wound"),
    [("snare", False), ("forceps", False), ("needle", False), ("forceps", True)],
)
def test_tools_are_as_bright_as_the_twin_says(
    renderer: Renderer, kind: ToolKind, wound: bool
) -> None:
    carried = replace(tool(kind), coil=wound, radius_mm=2.0 if wound else 1.2)
    scene, state = replace(tube(), instruments=Instruments(tools=(carried,))), still(along_z())
    radiance = light_of(renderer, scene, state).reshape(-1, 4)
    rows, lens = rows_of(scene, state), scene.lens(WIDTH, HEIGHT)
    rays = lens.rays(HEIGHT, WIDTH).reshape(-1, 3) @ state.pose.axes
    seen = np.abs(marched(rows, rays) / radiance[:, 3] - 1) < 1e-3
    hits = rays[seen] * radiance[seen, 3:]
    lamps = np.array([[*place, 0.0] for place in scene.camera.lamps]) @ state.pose.axes
    expected, parts = part_light(rows, hits, lamps, scene.look.scattered, 1 / lens.focal_px)
    coiled = rows[MATERIAL_ROW + rows[PART_ROW + 2 * parts + 1, 3].astype(int), 3] > 1.5
    error = np.abs(radiance[seen, :3] / expected - 1).max(axis=1)
    assert seen.sum() > 60
    assert coiled.sum() > 60 or not wound
    assert np.median(error[coiled == wound]) < 1e-3
    # Where two capsules meet a hit may be on either.
    assert (error > 0.03).mean() < 0.05


CAPS = {
    "bright": Cap(0.9, 6.0, 5.0, (0.6, -0.4), 0.9, 0.8, 0.0),
    "dark": Cap(0.7, 5.4, 4.0, (-0.5, 0.3), -0.8, 0.5, 0.0),
    "fogged": Cap(1.0, 6.5, 5.5, (0.2, 0.2), 0.3, 1.0, 1.0),
}


@pytest.mark.parametrize("name", CAPS)
def test_a_cap_shows_what_the_twin_sees_through_it(renderer: Renderer, name: str) -> None:
    scene, state, cap = tube(ball(122.0, y=3.0)), still(along_z()), CAPS[name]
    capped = replace(scene, instruments=Instruments(cap=cap))
    bare, seen = (light_of(renderer, each, state)[..., :3].copy() for each in (scene, capped))
    rays = scene.lens(WIDTH, HEIGHT).rays(HEIGHT, WIDTH).reshape(-1, 3)
    lamps = np.array([[*place, 0.0] for place in scene.camera.lamps])
    expected = through_cap(cap, rays, lamps, bare.reshape(-1, 3)).reshape(bare.shape)
    lit = np.maximum(bare, 1e-9)
    behind = np.abs(expected / lit - bare / lit).max(axis=2) > 0.02
    assert 0.1 < behind.mean() < 0.9
    error = np.abs(seen - expected).max(axis=2) / np.maximum(expected, lit).min(axis=2)
    assert error.max() < 1e-3


@pytest.mark.parametrize("lean", [(0.05, -0.1), (0.3, 0.25)])
def test_a_jet_and_its_splash_are_the_twins(renderer: Renderer, lean: tuple[float, float]) -> None:
    """A jet that runs all the time, from below the lens; over a ball in its way."""
    scene, state, seed = tube(ball(118.0, y=6.0)), still(along_z()), 7
    jet = Jet(1.0, STEADY, (-1.5, 3.0), lean, 0.5)
    jetting = replace(scene, instruments=Instruments(jet=jet))
    bare, seen = (light_of(renderer, each, state, seed).copy() for each in (scene, jetting))
    rays = scene.lens(WIDTH, HEIGHT).rays(HEIGHT, WIDTH).reshape(-1, 3) @ state.pose.axes
    lamps = np.array([[*place, 0.0] for place in scene.camera.lamps]) @ state.pose.axes
    flat = bare.reshape(-1, 4)
    expected = under_water(
        rows_of(jetting, state, seed), rays * flat[:, 3:], lamps, flat[:, :3], float(seed)
    ).reshape(HEIGHT, WIDTH, 3)
    met = flat[:, 3].reshape(HEIGHT, WIDTH) < 250
    wet = met & (np.abs(expected / np.maximum(bare[..., :3], 1e-12) - 1).max(axis=2) > 0.02)
    assert 0.02 < wet.mean() < 0.6
    error = np.abs(seen[..., :3] / np.maximum(expected, 1e-12) - 1).max(axis=2)
    assert (seen[..., 3] == bare[..., 3]).all()
    assert np.percentile(error[met], 99.5) < 1e-3
    assert error[met].max() < 0.01


def test_what_a_tool_covers_of_a_polyp_counts_as_hidden(renderer: Renderer) -> None:
    """A ball ahead with forceps before it: fewer visible pixels, as many unoccluded ones."""
    ahead, state = ball(122.0, y=1.0), still(along_z())
    free = shown(renderer, tube(ahead), state).stats[0, 0].tolist()
    held = shown(renderer, with_tool(tube(ahead), "forceps"), state).stats[0, 0].tolist()
    assert held[0] < 0.97 * free[0]
    assert abs(held[1] - free[1]) <= 2  # an outline is looked for a little more coarsely


def test_a_marks_tint_is_the_twins(renderer: Renderer) -> None:
    """Without gloss and scattered light, the light that returns is as the albedo."""
    scene = tube(peristalsis=0.03)
    plain = replace(scene.look, vessels=0.0, tone=0.0, bump=0.0, gloss=0.0, scattered=0.0)
    scene = replace(scene, look=plain)
    state = still(along_z(), time_s=2.0)
    mark = replace(
        spot(9.0), rim=(0.5, 0.05, 0.02), rim_amount=0.8, softness=0.4, mottle=0.7, star=0.6
    )

    def light(marks: tuple[Mark, ...]) -> NDArray[np.float64]:
        shown(renderer, replace(scene, treatment=Treatment(marks=marks)), state)
        lit = renderer.target.radiance.view(HEIGHT, WIDTH, 4)
        return np.asarray(lit.numpy().copy(), np.float64)

    bare, tint = light(()), light((mark,))
    rays = scene.lens(WIDTH, HEIGHT).rays(HEIGHT, WIDTH)
    places = state.pose.position + bare[..., 3:] * (rays @ state.pose.axes)
    carried = 20.0 * 0.03 * np.sin(2 * np.pi * (120.0 / 120.0 + 2.0 / 9.0))
    middle = np.array([0.0, 20.0 + carried, 120.0])
    expected = tinted(mark, middle, places, np.array(scene.look.mucosa))
    albedo = tint[..., :3] / np.maximum(bare[..., :3], 1e-12) * scene.look.mucosa
    off = np.abs(albedo - expected).max(axis=2)
    stained = np.abs(expected - scene.look.mucosa).max(axis=2) > 0.05
    assert 0.015 < stained.mean() < 0.6
    assert np.median(off[stained]) < 2e-3
    assert (off > 0.02).mean() < 0.01


def test_a_mark_tints_the_wall_and_nothing_else(renderer: Renderer) -> None:
    scene = tube(ball(118.0, y=18.0, radius=3.0))
    state = still(along_z())
    bare = shown(renderer, scene, state)
    before = bare.rgb[0].numpy().astype(int)
    instance, depth = bare.instance[0].numpy().copy(), bare.depth[0].numpy().copy()
    stained = shown(renderer, replace(scene, treatment=Treatment(marks=(spot(),))), state)
    after = stained.rgb[0].numpy().astype(int)
    rays = scene.lens(WIDTH, HEIGHT).rays(HEIGHT, WIDTH)
    places = state.pose.position + depth[..., None] * (rays @ state.pose.axes)
    away = np.linalg.norm(places - spot().centre, axis=2)
    bluer = (after[..., 2] - after[..., 0]) - (before[..., 2] - before[..., 0])
    assert (bluer[(away < 4.0) & (instance == 0)] > 30).mean() > 0.95
    assert np.abs(after - before)[(away > 11.0) | ((instance == 1) & (away < 2.0))].mean() < 1.0
    assert (stained.instance[0].numpy() == instance).all()
    assert (stained.depth[0].numpy() == depth).all()


def test_a_lift_raises_the_wall_and_the_polyp_on_it() -> None:
    ranges = replace(PLAIN, instruments=replace(PLAIN.instruments, lift=ALWAYS))
    plain, lifted = make_scene(7, PLAIN), make_scene(7, ranges)
    raised = plain.anatomy.radius - lifted.anatomy.radius
    assert raised.min() >= 0
    assert 3.0 < raised.max() < 12.0
    moved = [
        float(np.linalg.norm(np.subtract(one.centre, other.centre)))
        for one, other in zip(plain.polyps, lifted.polyps, strict=True)
    ]
    assert max(moved) > 2.0
    for polyp in lifted.polyps:
        wall = lifted.anatomy.wall_at(polyp.s_mm, polyp.angle)[0]
        assert np.linalg.norm(wall - polyp.centre) < 2.5 * polyp.diameter_mm + 3.0


def test_marks_lie_on_the_wall_and_clips_stand_on_it() -> None:
    ranges = replace(
        PLAIN,
        instruments=replace(
            PLAIN.instruments, ulcers=ALWAYS, scars=ALWAYS, tattoo=ALWAYS, clips=ALWAYS
        ),
    )
    scene = make_scene(11, ranges)
    assert len(scene.treatment.marks) >= 8
    assert len(scene.treatment.clips) >= 2
    for mark in scene.treatment.marks:
        wall = scene.anatomy.wall_at(mark.s_mm, mark.angle)[0]
        np.testing.assert_allclose(wall, mark.centre, atol=1e-9)
    for clip in scene.treatment.clips:
        wall, away, _ = scene.anatomy.wall_at(clip.s_mm, clip.angle)
        np.testing.assert_allclose(wall, clip.foot, atol=1e-9)
        assert np.dot(clip.axis, away) > -0.2


def test_by_default_there_is_nothing_of_all_this() -> None:
    scene = make_scene(3, PLAIN)
    assert scene.instruments == Instruments()
    assert scene.treatment == Treatment()
    assert Carried.of(scene) is None
    states = captures(scene, plan_flight(scene))[:3]
    rows = np.stack([state.rows for state in states])
    cameras, _ = Movers.of([scene]).at(
        np.zeros(3, np.intp), rows, np.arange(3.0), np.zeros(3, np.int64)
    )
    assert not cameras[:, INSTRUMENT_ROW:].any()


def test_a_frames_tool_does_not_depend_on_its_batch() -> None:
    """Frames one by one, and all at once in another order, have the same rows."""
    ranges = replace(
        PLAIN,
        instruments=replace(
            PLAIN.instruments, snare=ALWAYS, forceps=ALWAYS, jet=ALWAYS, clips=ALWAYS
        ),
    )
    scene = make_scene(5, ranges)
    flight = plan_flight(scene)
    states = captures(scene, flight)[200:900:35]
    movers = Movers.of([scene])

    def rows(some: list[CameraState]) -> NDArray[np.float32]:
        cameras, _ = movers.at(
            np.zeros(len(some), np.intp),
            np.stack([state.rows for state in some]),
            np.array([state.time_s for state in some]),
            np.zeros(len(some), np.int64),
        )
        return cameras[:, INSTRUMENT_ROW:]

    together = rows(states[::-1])[::-1]
    for state, row in zip(states, together, strict=True):
        np.testing.assert_allclose(rows([state])[0], row, rtol=1e-5, atol=1e-5)
    out = together[:, COUNT_ROW, 0] > 0
    assert 0.1 < out.mean() <= 1.0
    assert (together[:, MARK_ROW:] == 0).all()


def test_a_rhythm_is_even_over_time() -> None:
    rhythm = Rhythm((9.3, 15.1, 25.7), (0.3, 2.0, 5.1))
    times = np.arange(0, 4000, 0.33)
    for share in (0.2, 0.5, 0.8):
        out = rhythm.out(times, np.full(len(times), share))
        assert abs((out > 0.5).mean() - share) < 0.09


def test_a_cone_holds_its_capsules() -> None:
    instruments = make_instruments(9, Strengths(jet=1.0, snare=1.0))
    assert isinstance(instruments.jet, Jet)
    rng = np.random.default_rng(1)
    scene = with_tool(tube(), "snare")
    state = still(along_z())
    cameras, _ = Movers.of([scene]).at(
        np.zeros(1, np.intp), state.rows[None], np.zeros(1), np.zeros(1, np.int64)
    )
    rows = cameras[0, INSTRUMENT_ROW:].astype(float)
    for k in range(int(rows[COUNT_ROW, 0])):
        start, end = rows[PART_ROW + 2 * k], rows[PART_ROW + 2 * k + 1]
        between = start[:3] + rng.random((50, 1)) * (end[:3] - start[:3])
        skin = rng.normal(size=(50, 3))
        points = between + start[3] * skin / np.linalg.norm(skin, axis=1, keepdims=True)
        ways = points / np.linalg.norm(points, axis=1, keepdims=True)
        assert (ways @ rows[0, :3] > rows[0, 3]).all()
