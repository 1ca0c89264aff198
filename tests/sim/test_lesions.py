"""Polyps that are no smooth ellipsoids: as the twin sees them, where they grow, who gets by."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from endoforge.sim.anatomy import make_anatomy
from endoforge.sim.camera import look_at
from endoforge.sim.engine import Engine
from endoforge.sim.flight import fly
from endoforge.sim.growth import make_polyps
from endoforge.sim.labels import polyp_views
from endoforge.sim.lumen import POLYP_CLEARANCE_MM, Lumen, head_distance
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.polyps import KINDS, Polyp
from endoforge.sim.ranges.polyps_ranges import PolypRanges
from endoforge.sim.renderer import CameraShot, RenderedFrames, Renderer
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.shapes import Flat, Uneven, half_axes_around
from tests.plain_ranges import PLAIN
from tests.sim.moments import near_an_edge
from tests.sim.reference import Reference, polyp_distance
from tests.sim.scenes import ball, still, tube

WIDTH, HEIGHT = 96, 56
HERE, THERE = np.array([0.0, 0.0, 106.0]), np.array([0.0, 16.0, 124.0])
NEAR = still(look_at(HERE, THERE, np.array([0.0, 1.0, 0.0]), 106.0))
"""A view of what sits on the tube's lower side."""
HEADS = ((0.0, 0.5, 0.0, 3.0), (3.0, 1.0, 2.0, 2.0), (-2.5, 1.5, 2.5, 2.2), (0.5, 1.5, -3.5, 1.8))
NO_USUAL: dict[str, Any] = dict.fromkeys(("share_ip", "share_isp", "share_is", "share_iia"), 0.0)
ALL_KINDS = replace(PLAIN.polyps,
    share_iib=0.2, share_iic=0.2, share_iia_iic=0.2, share_lst_g=0.3, share_lst_ng=0.3,
    share_mass=0.3, uneven=(0.2, 1.0), cauliflower=0.4, ulcerated=0.4, long_stalks=0.5,
    on_folds=0.2,
)  # fmt: skip


def on_the_wall(z: float = 124.0) -> Polyp:
    """A smooth polyp of 6 mm half width that sits below in the tube of 20 mm."""
    return replace(
        ball(z, y=19.0, radius=6.0), base=(0.0, 20.0, z), half_height_mm=5.0, blend_mm=1.0
    )


def egg() -> Polyp:
    uneven = Uneven(stretch=1.5, along=(0.8, 0.0, 0.6), egg=-0.3, lobed=0.08, crowded=0.9)
    return replace(on_the_wall(), uneven=uneven)


def cauliflower() -> Polyp:
    uneven = Uneven(stretch=1.1, along=(1.0, 0.0, 0.0), crease_mm=0.7, crowded=1.6)
    return replace(on_the_wall(), uneven=uneven)


def mass(crater_mm: float = 0.0) -> Polyp:
    heads = tuple((x, -y, z, r) for x, y, z, r in HEADS)
    width, height = half_axes_around(np.array(heads), np.array([0.0, -1.0, 0.0]))
    uneven = Uneven(heads=heads, join_mm=0.8, crease_mm=0.3, crowded=1.5, crater_mm=crater_mm)
    return replace(on_the_wall(), half_width_mm=width, half_height_mm=height, uneven=uneven)


def flat(height_mm: float, hollow: float = 0.0, nodule_mm: float = 0.0) -> Polyp:
    return replace(
        on_the_wall(),
        centre=(0.0, 20.0, 124.0),
        half_width_mm=8.0,
        half_height_mm=8.0,
        blend_mm=0.05,
        uneven=Uneven(stretch=1.3, along=(0.0, 0.0, 1.0), lobed=0.05),
        flat=Flat(height_mm, 2.5, hollow, nodule_mm),
    )


SHAPES: dict[str, Callable[[], Polyp]] = {
    "egg": egg,
    "cauliflower": cauliflower,
    "mass": mass,
    "ulcer": lambda: mass(crater_mm=3.0),
    "level": lambda: flat(0.03),
    "sunk": lambda: flat(1.2, hollow=0.8),
    "carpet": lambda: flat(0.5, nodule_mm=0.5),
    "stalked egg": lambda: replace(
        egg(), centre=(2.0, 9.0, 124.0), base=(0.0, 21.0, 126.0), stalk_mm=1.5
    ),
}


@pytest.fixture(scope="module")
def renderer(cpu: Engine) -> Renderer:
    return Renderer(WIDTH, HEIGHT, cpu)


def shown(renderer: Renderer, scene: Scene) -> RenderedFrames:
    renderer.load([scene])
    return renderer.render([CameraShot(NEAR)])


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_is_what_the_twin_sees(renderer: Renderer, name: str) -> None:
    scene = tube(SHAPES[name]())
    truth = Reference(scene).render(NEAR.pose, scene.lens(WIDTH, HEIGHT))
    frames = shown(renderer, scene)
    instance = frames.instance[0].numpy()
    assert (truth.instance == 1).sum() > 60
    inside = ~near_an_edge(truth)
    # At the outlines of nodules the twin's steps pass by their tips: the kernel's hits lie on them.
    some = 0.02 if name == "carpet" else 0.0
    assert (instance == truth.instance)[inside].mean() > 0.998 - some
    error = np.abs(frames.depth[0].numpy() - truth.depth) / truth.depth
    assert np.median(error) < 5e-4
    assert (error > 0.02)[inside].mean() < 0.006 + some
    assert np.abs(frames.stats[0, 0, 2:].numpy() - truth.box(1)).max() <= (2 if some else 1)


def test_a_mass_is_one_polyp_with_one_box(renderer: Renderer) -> None:
    scene = tube(mass())
    frames = shown(renderer, scene)
    [view] = polyp_views(scene, NEAR, frames.stats[0].numpy())
    assert view.instance == 1
    assert view.box_px is not None
    assert view.visibility > 0.97


def test_the_label_of_a_polyp_on_a_stalk_is_its_head(renderer: Renderer) -> None:
    """A ball of 3 mm hangs 13 mm off the wall, seen from aside; 0.9 mm of its stalk are its own."""
    hung = replace(
        ball(124.0, y=6.0, radius=3.0), paris="Ip", base=(0.0, 21.0, 124.0), stalk_mm=1.0, lobes=0.0
    )
    scene = tube(hung)
    frames = shown(renderer, scene)
    rays = scene.lens(WIDTH, HEIGHT).rays(HEIGHT, WIDTH).reshape(-1, 3) @ NEAR.pose.axes
    met = NEAR.pose.position + rays * frames.depth[0].numpy().reshape(-1, 1)
    from_head = np.linalg.norm(met - hung.centre, axis=1) - 3.0
    from_axis = np.hypot(met[:, 0], met[:, 2] - 124.0)
    on_stalk = (from_axis < 1.2) & (met[:, 1] > 9.0) & (met[:, 1] < 17.0)
    labelled = frames.instance[0].numpy().reshape(-1) == 1
    assert (on_stalk & (from_head > 1.0)).sum() > 30
    assert not labelled[on_stalk & (from_head > 1.0)].any()
    assert labelled[from_head < 0.8].all()
    visible, unoccluded = frames.stats[0, 0, :2].tolist()
    assert visible == labelled.sum()
    assert visible <= unoccluded <= 1.02 * visible


def test_a_flat_lesion_behind_a_ball_is_partly_hidden(renderer: Renderer) -> None:
    """What it would have alone is what it has alone, up to its edge."""
    alone = shown(renderer, tube(flat(1.0))).stats[0, 0].numpy().copy()
    hidden = (
        shown(renderer, tube(flat(1.0), ball(114.0, y=9.0, radius=3.0))).stats[0, 0].numpy().copy()
    )
    assert alone[0] > 0.93 * alone[1]
    assert hidden[0] < 0.8 * alone[0]
    assert hidden[1] == pytest.approx(alone[1], rel=0.08)


def scene_of(seed: int, ranges: PolypRanges = ALL_KINDS) -> tuple[Polyp, ...]:
    anatomy = make_anatomy(seed, PLAIN.anatomy, Nuisances())
    return make_polyps(seed, anatomy, ranges)


@pytest.fixture(scope="module")
def grown() -> list[Polyp]:
    return [polyp for seed in range(8) for polyp in scene_of(seed)]


def test_every_kind_grows(grown: list[Polyp]) -> None:
    assert {polyp.paris for polyp in grown} == set(KINDS)


def test_bounds_hold_all_that_they_bend(grown: list[Polyp]) -> None:
    """By samples: wherever the twin's distance is below the blend, both bounds hold the place."""
    for polyp in grown:
        reach = 1.3 * polyp.bound_mm
        around = np.random.default_rng(0).uniform(-reach, reach, (20_000, 3))
        points = around + polyp.bound_centre
        bent = points[polyp_distance(polyp, points) < polyp.blend_mm] - polyp.centre
        from_middle = bent + polyp.centre - polyp.bound_centre
        assert np.linalg.norm(from_middle, axis=1).max() <= polyp.bound_mm, polyp
        if polyp.shell_mm > 0:
            along = bent @ np.array(polyp.axis)
            across = np.sqrt(np.maximum((bent**2).sum(axis=1) - along**2, 0))
            wide, high = polyp.half_width_mm, polyp.half_height_mm
            inside = np.hypot(across / (wide + polyp.shell_mm), along / (high + polyp.shell_mm))
            assert inside.max() <= 1.0, polyp


def test_a_camera_keeps_clear_of_more_than_the_twin_has(grown: list[Polyp]) -> None:
    """The flight's distance is no more than the twin's, where that is a few mm."""
    for polyp in grown:
        if polyp.flat or polyp.stalk_mm > 0:
            continue
        reach = polyp.bound_mm + 3.0
        around = np.random.default_rng(1).uniform(-reach, reach, (4000, 3))
        points = around + polyp.bound_centre
        surface = np.abs(polyp_distance(polyp, points)) < 0.05
        assert head_distance(polyp, points[surface]).max(initial=0.0) < 0.3, polyp


def test_flat_ones_are_never_like_the_wall_in_all() -> None:
    ranges = replace(
        PLAIN.polyps, like_wall=1.0, **{**NO_USUAL, "share_iib": 1.0, "share_lst_ng": 1.0}
    )
    polyps = scene_of(3, ranges)
    assert {polyp.paris for polyp in polyps} == {"IIb", "LST-NG"}
    for polyp in polyps:
        assert polyp.like_wall == (polyp.paris == "LST-NG")


def test_a_scope_flies_past_masses() -> None:
    ranges = replace(PLAIN.polyps, count=(8, 8), mass_mm=(25.0, 45.0), **NO_USUAL, share_mass=1.0)
    scene = make_scene(2, replace(PLAIN, polyps=ranges))
    assert len(scene.polyps) >= 3
    states = fly(scene)
    places = np.array([state.pose.position for state in states])
    lumen = Lumen(scene)
    for polyp in scene.polyps:
        assert polyp_distance(polyp, places).min() > 0.8 * POLYP_CLEARANCE_MM
    assert max(state.pose.s_mm for state in states) >= lumen.deepest() - 8.0


def test_long_stalks_are_long_and_stay_in_the_lumen() -> None:
    ranges = replace(
        PLAIN.polyps, long_stalks=1.0, **{**NO_USUAL, "share_ip": 1.0}, diameter_mm=(6.0, 12.0)
    )
    polyps = [polyp for seed in range(3) for polyp in scene_of(seed, ranges)]
    ways = [np.linalg.norm(np.subtract(p.centre, p.base)) / p.diameter_mm for p in polyps]
    assert len(polyps) > 15
    assert min(ways) > 1.4
    assert max(ways) < 4.4


def test_on_folds_they_grow_where_the_wall_stands_out() -> None:
    def crests(share: float) -> float:
        ranges = replace(PLAIN.polyps, on_folds=share, behind_folds=0.0)
        found = []
        for seed in range(3):
            anatomy = make_anatomy(seed, PLAIN.anatomy, Nuisances())
            polyps = make_polyps(seed, anatomy, ranges)
            found += [anatomy.crest_at(polyp.s_mm, polyp.angle) for polyp in polyps]
        return float(np.median(found))

    assert crests(1.0) > 1.0
    assert crests(1.0) > 3 * abs(crests(0.0))


def test_the_usual_ones_stay_where_the_others_share_is_none() -> None:
    """Shapes come from a stream of their own: uneven heads grow at the same places."""
    smooth = scene_of(4, PLAIN.polyps)
    uneven = scene_of(4, replace(PLAIN.polyps, uneven=(0.3, 0.3)))
    assert [polyp.paris for polyp in smooth] == [polyp.paris for polyp in uneven]
    same = sum(one.s_mm == other.s_mm for one, other in zip(smooth, uneven, strict=True))
    assert same >= len(smooth) - 2
