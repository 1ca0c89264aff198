"""Masses that go around the lumen: what the twin sees of them, where they grow, who passes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.camera import look_at
from endoforge.sim.encircling import outline, with_masses
from endoforge.sim.engine import Engine
from endoforge.sim.flight import fly
from endoforge.sim.labels import polyp_views
from endoforge.sim.lumen import Lumen
from endoforge.sim.polyp_surface import PolypSurface
from endoforge.sim.polyps import Polyp
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.shapes import Band, Flat, Uneven
from tests.plain_ranges import PLAIN
from tests.sim.moments import near_an_edge
from tests.sim.reference import Reference, polyp_distance
from tests.sim.scenes import ball, still, tube

WIDTH, HEIGHT = 96, 56
RADIUS_MM, MIDDLE_MM = 20.0, 130.0
NEAR = still(
    look_at(
        np.array([0.0, -2.0, 100.0]),
        np.array([0.0, 4.0, 130.0]),
        np.array([0.0, 1.0, 0.0]),
        100.0,
    )
)
ONLY_MASSES: dict[str, Any] = {
    **dict.fromkeys(("share_ip", "share_isp", "share_is", "share_iia"), 0.0),
    "share_mass": 1.0,
    "encircling": 1.0,
    "count": (6, 6),
}


def crescent(turn: float = 0.0, nodule_mm: float = 0.0, lobed: float = 0.0) -> Polyp:
    """A mass of 24 mm on the lower side of the tube, around half of it; with a turn of 3 all."""
    band = Band(12.0, turn, RADIUS_MM - 10.0, RADIUS_MM, 5.0)
    return replace(
        ball(MIDDLE_MM, y=10.0),
        paris="mass",
        base=(0.0, RADIUS_MM, MIDDLE_MM),
        half_width_mm=20.0,
        half_height_mm=10.0,
        blend_mm=0.05,
        lobes=0.0,
        uneven=Uneven(along=(0.0, 0.0, 1.0), lobed=lobed, crowded=3.0),
        flat=Flat(6.0, 4.0, 0.0, nodule_mm, 0.06, band),
    )


def ring() -> Polyp:
    return replace(crescent(turn=3.0, nodule_mm=1.5), centre=(0.0, 10.0, MIDDLE_MM))


def grown_on(polyp: Polyp) -> Scene:
    scene = tube(polyp)
    return replace(scene, anatomy=with_masses(scene.anatomy, scene.polyps))


@pytest.fixture(scope="module")
def renderer(cpu: Engine) -> Renderer:
    return Renderer(WIDTH, HEIGHT, cpu)


@pytest.fixture(scope="module")
def masses() -> list[Scene]:
    ranges = replace(PLAIN.polyps, ulcerated=0.5, **ONLY_MASSES)
    return [make_scene(seed, replace(PLAIN, polyps=ranges)) for seed in (1, 2)]


def test_the_wall_is_raised_where_a_mass_is_and_nowhere_else() -> None:
    anatomy = grown_on(crescent()).anatomy
    below, above = np.pi / 2, -np.pi / 2
    assert anatomy.radius_at(MIDDLE_MM, below) == pytest.approx(RADIUS_MM - 6.0)
    assert anatomy.radius_at(MIDDLE_MM, above) == RADIUS_MM
    assert anatomy.radius_at(MIDDLE_MM + 13.0, below) == RADIUS_MM
    # Half way up its margin, which is 4 mm: half as high.
    assert anatomy.radius_at(MIDDLE_MM - 10.0, below) == pytest.approx(RADIUS_MM - 3.0, abs=0.6)
    closed = grown_on(crescent(turn=3.0)).anatomy
    assert closed.radius_at(MIDDLE_MM, above) == pytest.approx(RADIUS_MM - 6.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "polyp", [crescent(), crescent(-0.4, 1.5, 0.08), ring()], ids=["half", "third", "ring"]
)
def test_a_mass_around_the_lumen_is_what_the_twin_sees(renderer: Renderer, polyp: Polyp) -> None:
    scene = grown_on(polyp)
    truth = Reference(scene).render(NEAR.pose, scene.lens(WIDTH, HEIGHT))
    renderer.load([scene])
    frames = renderer.render([CameraShot(NEAR)])
    inside = ~near_an_edge(truth)
    assert (truth.instance == 1).sum() > 300
    assert (frames.instance[0].numpy() == truth.instance)[inside].mean() > 0.998
    error = np.abs(frames.depth[0].numpy() - truth.depth) / truth.depth
    assert np.median(error) < 5e-4
    assert (error > 0.02)[inside].mean() < 0.006
    assert np.abs(frames.stats[0, 0, 2:].numpy() - truth.box(1)).max() <= 1


def test_a_ring_is_one_polyp_with_one_box_around_the_way_on(renderer: Renderer) -> None:
    scene = grown_on(ring())
    renderer.load([scene])
    frames = renderer.render([CameraShot(NEAR)])
    [view] = polyp_views(scene, NEAR, frames.stats[0].numpy())
    assert view.box_px is not None
    assert view.visibility > 0.95
    x0, y0, x1, y1 = view.box_px
    instance = frames.instance[0].numpy()
    assert (instance[(y0 + y1) // 2, (x0 + x1) // 2 - 8 : (x0 + x1) // 2 + 8] == 0).any()
    assert instance[y0:y1, x0:x1].mean() > 0.5


def test_its_own_surface_and_an_ulcer_show_on_it_alone(renderer: Renderer) -> None:
    plain, bare = grown_on(crescent()), picture(renderer, grown_on(crescent()))
    [polyp] = plain.polyps
    assert polyp.flat is not None
    on_it = renderer.render([CameraShot(NEAR)]).instance[0].numpy() == 1
    ulcer = replace(polyp, flat=replace(polyp.flat, hollow=0.7))
    raw = replace(polyp, surface=PolypSurface(erosion=1.0))
    for other in (ulcer, raw):
        # On the wall of the plain one: heights are those that it was raised by.
        changed = np.abs(picture(renderer, replace(plain, polyps=(other,))) - bare).max(axis=2)
        assert (changed[on_it] > 12).mean() > 0.2
        assert (changed[~on_it] > 12).mean() < 0.02


def picture(renderer: Renderer, scene: Scene) -> NDArray[np.int64]:
    renderer.load([scene])
    return renderer.render([CameraShot(NEAR)]).rgb[0].numpy().astype(np.int64)


def test_the_outline_that_raises_the_wall_is_the_twins(masses: list[Scene]) -> None:
    """By samples, which the ball that bounds a mass holds, too."""
    for polyp in (polyp for scene in masses for polyp in scene.polyps):
        around = np.random.default_rng(0).uniform(-1.2, 1.2, (5000, 3)) * polyp.bound_mm
        expected = polyp_distance(polyp, polyp.bound_centre + around)
        inside = expected < 0
        assert inside.sum() > 30
        assert ((outline(polyp, around) < 0) == inside).all()
        np.testing.assert_allclose(outline(polyp, around)[inside], expected[inside], atol=1e-9)
        assert np.linalg.norm(around[inside], axis=1).max() < polyp.bound_mm


def test_they_narrow_the_lumen_and_a_scope_flies_through(masses: list[Scene]) -> None:
    for scene in masses:
        bare = make_scene(scene.seed, PLAIN).anatomy
        assert len(scene.polyps) >= 4
        for polyp in scene.polyps:
            assert polyp.band is not None
            assert 15.0 <= 2 * polyp.band.half_length_mm <= 60.0
            row = bare.centreline.row(polyp.s_mm)
            assert scene.anatomy.radius[row].mean() < bare.radius[row].mean() - 0.5
        lumen, states = Lumen(scene), fly(scene)
        assert max(state.pose.s_mm for state in states) >= lumen.deepest() - 8.0
        for state in states[::5]:
            s_mm, xy_mm = lumen.from_world(state.pose.position, state.pose.s_mm)
            angle = float(np.arctan2(xy_mm[1], xy_mm[0]))
            assert scene.anatomy.radius_at(s_mm, angle) - np.hypot(*xy_mm) > 1.5


def test_some_close_and_some_are_crescents(masses: list[Scene]) -> None:
    turns = [polyp.band.turn for scene in masses for polyp in scene.polyps if polyp.band]
    assert any(turn > 1 for turn in turns)
    assert any(turn < 0.5 for turn in turns)


def test_without_a_share_all_masses_are_on_one_side() -> None:
    ranges = replace(PLAIN.polyps, **{**ONLY_MASSES, "encircling": 0.0})
    scene = make_scene(1, replace(PLAIN, polyps=ranges))
    assert scene.polyps
    assert all(polyp.uneven.heads and polyp.band is None for polyp in scene.polyps)
    assert (scene.anatomy.radius == make_scene(1, PLAIN).anatomy.radius).all()
