"""The mucosa's tissue and the polyps' own surfaces: what each does, and that the twin agrees."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from endoforge.sim.camera import CameraState
from endoforge.sim.engine import Engine
from endoforge.sim.polyp_surface import PolypSurface
from endoforge.sim.polyps import Polyp
from endoforge.sim.ranges.values import Nuisance
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.surfaces import FIRST_OF_LESIONS, KINDS, LAYER_TEXELS, surface_textures
from endoforge.sim.texture import FINE_SCALE, FINE_ZERO, SIZE, fine_texture
from endoforge.sim.tissue import Tissue, draw_tissue, tissue_table
from tests.plain_ranges import PLAIN
from tests.sim.patch_reference import hits_of, wall_patch
from tests.sim.reference import polyp_distance
from tests.sim.scenes import along_z, ball, still, tube
from tests.sim.surface_reference import mucosa
from tests.sim.test_lesions import flat

SIZE_PX = (160, 96)
RADIUS_MM = 20.0
PARTS = ("vessel_patches", "hue", "inflamed", "melanosis", "film")
RED, GREEN, BLUE = range(3)
SURFACES = {
    "pits": PolypSurface(kind="gyri", pits=0.8, repeat_mm=12.0),
    "wall_part": PolypSurface(wall_part=0.7),
    "margin": PolypSurface(margin_mm=5.0),
    "red top": PolypSurface(top=0.8),
    "pale top": PolypSurface(top=-0.8),
    "red spots": PolypSurface(kind="round", pits=0.3, repeat_mm=12.0, spots=0.9),
    "white spots": PolypSurface(kind="round", pits=0.3, repeat_mm=12.0, spots=-0.9),
    "erosion": PolypSurface(erosion=0.9),
}


@pytest.fixture(scope="module")
def renderer(cpu: Engine) -> Renderer:
    return Renderer(*SIZE_PX, cpu)


def with_tissue(scene: Scene, look: Any = None, **tissue: Any) -> Scene:
    """The scene without glints and scattered light, its tissue as given."""
    matt = replace(scene.look, gloss=0.0, scattered=0.0, pits=0.0, **(look or {}))
    return replace(scene, look=replace(matt, tissue=Tissue(**tissue)))


def light_of(renderer: Renderer, scene: Scene) -> tuple[Any, Any, Any]:
    """(H, W, 3) light, (H, W) depth in mm and instance."""
    renderer.load([scene])
    frames = renderer.render([CameraShot(state())])
    radiance = renderer.target.radiance.view(SIZE_PX[1], SIZE_PX[0], 4).numpy().astype(float)
    return radiance[..., :3].copy(), frames.depth[0].numpy().copy(), frames.instance[0].clone()


def state() -> CameraState:
    return still(along_z())


@pytest.mark.parametrize(
    ("name", "tissue"),
    [
        *((name, {name: 0.9}) for name in PARTS),
        ("branching", {"branching": True}),
        ("all", {"branching": True, **dict.fromkeys(PARTS, 0.8)}),
    ],
)
def test_the_wall_is_as_bright_as_the_twin_says(
    renderer: Renderer, name: str, tissue: dict[str, Any]
) -> None:
    plain = with_tissue(tube(), {"capillaries": 0.0, "mottling": 0.0})
    living = with_tissue(tube(), {"capillaries": 0.7, "mottling": 0.3, "surface_repeat_mm": 30.0},
                         **tissue)  # fmt: skip
    before, depth, _ = light_of(renderer, plain)
    after, _, _ = light_of(renderer, living)
    lens = living.lens(*SIZE_PX)
    lit = (before.min(axis=-1) > 1e-6) & (depth < 120)
    rays = lens.rays(SIZE_PX[1], SIZE_PX[0])[lit]
    hits = hits_of(state().pose, rays, depth[lit].astype(float), 1 / lens.focal_px)
    albedos = [
        mucosa(scene, wall_patch(scene, hits), hits.distance).albedo for scene in (plain, living)
    ]
    error = np.abs(after[lit] / before[lit] / (albedos[1] / albedos[0]) - 1)
    # A pixel on the edge between two mip levels may go to either one.
    assert np.median(error) < 3e-3, name
    assert (error > 0.02).mean() < 0.03, name
    assert np.abs(after[lit] / before[lit] - 1).mean() > 0.02, name


def test_tissue_is_a_matter_of_colour_alone(renderer: Renderer) -> None:
    """Depth and instance stay."""
    scene = tube(ball(130.0, y=8.0))
    everything = dict.fromkeys((*PARTS, "dye_in_pits"), 0.9)
    light, depth, instance = light_of(renderer, with_tissue(scene))
    other, depth_after, instance_after = light_of(
        renderer, with_tissue(scene, branching=True, **everything)
    )
    assert (instance > 0).any()
    assert (depth == depth_after).all()
    assert torch.equal(instance, instance_after)
    assert (light != other).mean() > 0.5


@pytest.mark.parametrize("shape", [ball(125.0, y=16.0, radius=6.0), flat(0.5)], ids=["Is", "flat"])
@pytest.mark.parametrize("name", SURFACES)
def test_a_polyps_surface_is_seen_on_it_and_nowhere_else(
    renderer: Renderer, name: str, shape: Polyp
) -> None:
    if shape.flat and name == "margin":
        return  # a flat lesion has a margin of its own
    polyp = replace(shape, tint=(0.9, 0.6, 0.7), mucus=0.3)
    before, depth, instance = light_of(renderer, with_tissue(tube(polyp)))
    own = replace(polyp, surface=SURFACES[name])
    after, depth_after, instance_after = light_of(renderer, with_tissue(tube(own)))
    on, lit = instance.numpy() > 0, before.min(axis=-1) > 1e-6
    assert (depth == depth_after).all()
    assert torch.equal(instance, instance_after)
    assert (before[~on] == after[~on]).all()
    change = (after / np.maximum(before, 1e-9))[on & lit]
    assert np.abs(change - 1).max() > 0.05
    if name in ("red top", "red spots", "erosion"):
        assert np.percentile(change[:, GREEN], 5) < 0.85
    if name in ("pale top", "white spots", "wall_part"):
        assert np.percentile(change[:, GREEN], 95) > 1.08


def marked_tint(polyp: Polyp, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) factors on the albedo at places (N, 3) in mm on a polyp in the tube along +z."""
    surface = polyp.surface
    height = RADIUS_MM - np.hypot(points[:, 0], points[:, 1])
    own = np.full(len(points), 1 - surface.wall_part)
    if surface.margin_mm > 0:
        own *= np.clip(height / surface.margin_mm, 0, 1)
    tint = 1 + own[:, None] * (np.array(polyp.tint) - 1)
    axis, away = np.array(polyp.axis), points - polyp.centre
    up = away @ axis / polyp.half_height_mm
    out = np.linalg.norm(away - np.outer(away @ axis, axis), axis=1) / polyp.half_width_mm
    top = 1.2 * surface.top * np.maximum(1 - 1.2 * (1 - up / np.hypot(up, out)), 0)[:, None]
    more, less = np.maximum(top, 0), np.maximum(-top, 0)
    taken = more / (1 + 0.6 * more) * np.array([0.10, 0.60, 0.45])
    return np.asarray(tint * (1 - taken) * (1 + less * np.array([0.04, 0.26, 0.10])))


@pytest.mark.parametrize("top", [0.8, -0.6])
def test_margin_and_top_colour_a_polyp_as_the_twin_says(renderer: Renderer, top: float) -> None:
    surface = PolypSurface(wall_part=0.3, margin_mm=3.0, top=top)
    own = replace(
        ball(125.0, y=17.0, radius=6.0), half_height_mm=5.0, tint=(0.8, 0.5, 0.6), pattern=0.0,
        surface=surface, vessels=0.0,
    )  # fmt: skip
    bare = {"vessels": 0.0, "capillaries": 0.0, "mottling": 0.0, "tone": 0.0, "bump": 0.0}
    colourless = replace(own, tint=(1.0, 1.0, 1.0), surface=PolypSurface())
    before, depth, instance = light_of(renderer, with_tissue(tube(colourless), bare))
    after, _, _ = light_of(renderer, with_tissue(tube(own), bare))
    on = (instance.numpy() > 0) & (before.min(axis=-1) > 1e-6)
    pose = state().pose
    rays = tube().lens(*SIZE_PX).rays(SIZE_PX[1], SIZE_PX[0])[on]
    expected = marked_tint(own, pose.position + rays @ pose.axes * depth[on, None])
    assert np.ptp(expected[:, GREEN]) > 0.1
    np.testing.assert_allclose(after[on] / before[on], expected, atol=0.02)


def test_a_flat_lesions_colour_passes_into_the_walls_at_its_margin(renderer: Renderer) -> None:
    """Its share of the way from the outline in, less the wall's part, by the twin's distances."""
    own = replace(flat(0.5), tint=(0.8, 0.5, 0.6), vessels=2.0, pattern=0.0)
    bare = {"vessels": 0.0, "capillaries": 0.0, "mottling": 0.0, "tone": 0.0, "bump": 0.0}
    before, depth, instance = light_of(
        renderer, with_tissue(tube(replace(own, tint=(1.0, 1.0, 1.0))), bare)
    )
    coloured = replace(own, surface=PolypSurface(wall_part=0.4))
    after, _, _ = light_of(renderer, with_tissue(tube(coloured), bare))
    on = (instance.numpy() > 0) & (before.min(axis=-1) > 1e-6)
    pose = state().pose
    rays = tube().lens(*SIZE_PX).rays(SIZE_PX[1], SIZE_PX[0])[on]
    points = pose.position + rays @ pose.axes * depth[on, None]
    assert own.flat is not None
    inside = np.clip(-polyp_distance(own, points) / own.flat.margin_mm, 0, 1)
    expected = 1 + 0.6 * inside[:, None] * (np.array(own.tint) - 1)
    assert inside.min() < 0.1 < 0.99 < inside.max()
    np.testing.assert_allclose(after[on] / before[on], expected, atol=0.02)


def test_a_polyp_that_is_like_the_wall_has_no_surface_of_its_own(renderer: Renderer) -> None:
    alike = replace(ball(125.0, y=16.0), like_wall=True)
    before, _, _ = light_of(renderer, with_tissue(tube(alike)))
    for surface in SURFACES.values():
        after, _, _ = light_of(renderer, with_tissue(tube(replace(alike, surface=surface))))
        assert (before == after).all()


def test_all_of_the_walls_colour_is_none_of_its_own(renderer: Renderer) -> None:
    own = replace(ball(125.0, y=16.0), tint=(0.8, 0.5, 0.5), mucus=0.5, pattern=1.0)
    whole = PolypSurface(wall_part=1.0)
    one, other = (
        light_of(renderer, with_tissue(tube(replace(polyp, surface=whole))))[0]
        for polyp in (own, replace(own, tint=(1.0, 1.0, 1.0), mucus=0.0, pattern=0.0))
    )
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-9)


def test_layers_are_textures_of_their_own() -> None:
    layers = surface_textures().reshape(len(KINDS), LAYER_TEXELS)
    assert (layers[0] == fine_texture()).all()
    for number, kind in enumerate(KINDS):
        packed = layers[number].view(np.uint8).reshape(-1, 4)[: SIZE * SIZE] / 255.0
        ink, mottling, *slopes = ((packed - np.array(FINE_ZERO)) * np.array(FINE_SCALE)).T
        assert ink.max() > 0.85, kind
        assert (ink < 0.05).mean() > 0.2, kind
        assert abs(mottling.mean()) < 0.03
        assert slopes[0].std() == pytest.approx(0.5, rel=0.25), kind


@pytest.mark.parametrize("number", range(1, len(KINDS)), ids=KINDS[1:])
@pytest.mark.parametrize("axis", [0, 1])
def test_edges_of_a_layer_meet(number: int, axis: int) -> None:
    first = number * LAYER_TEXELS
    packed = surface_textures()[first : first + SIZE * SIZE].view(np.uint8)
    for channel in range(4):
        values = packed.reshape(SIZE, SIZE, 4)[..., channel].astype(float)
        steps = np.abs(values - np.roll(values, 1, axis)).mean(axis=1 - axis)
        assert steps[0] < 1.35 * np.percentile(steps[1:], 90)


def test_grooves_run_around_the_colon() -> None:
    packed = surface_textures()[LAYER_TEXELS : LAYER_TEXELS + SIZE * SIZE].view(np.uint8)
    slopes = packed.reshape(SIZE, SIZE, 4)[..., 2:].astype(float) - 127.5
    assert slopes[..., 0].std() > 2 * slopes[..., 1].std()


def test_tables_of_the_tissue_stay_within_what_is_promised() -> None:
    anatomy = make_scene(3, PLAIN).anatomy
    nothing = tissue_table(3, Tissue(branching=True), anatomy)
    assert (nothing == [0, 1, 0, 0]).all()
    strong = Tissue(branching=True, **dict.fromkeys(PARTS, 1.0))
    blood, vessels, film, pigment = tissue_table(3, strong, anatomy).T
    assert nothing.shape == (len(blood), 4)
    assert 0.1 < (blood > 1).mean() < 0.9
    assert 0 <= vessels.min() < 0.2
    assert vessels.max() <= 1.5
    for share in (film, pigment):
        assert 0 <= share.min() < share.max() <= 1


def test_what_a_run_lacks_leaves_the_rest_of_its_tissue() -> None:
    anatomy, usual = make_scene(3).anatomy, Tissue(vessel_patches=0.8, hue=0.5, film=0.4)
    table = tissue_table(3, usual, anatomy)
    without_film = tissue_table(3, replace(usual, film=0.0), anatomy)
    assert table[:, 2].any()
    assert np.array_equal(without_film, table * np.array([1, 1, 0, 1], np.float32))
    sore = tissue_table(3, replace(usual, inflamed=0.5), anatomy)
    assert np.array_equal(sore[:, 2:], table[:, 2:])
    assert (sore[:, 0] >= table[:, 0]).all()


@pytest.mark.parametrize(
    ("tissue", "number"),
    [
        ({}, 0),
        ({"branching": True}, 1),
        ({"dye_in_pits": 0.5}, 1),
        ({"branching": True, "hue": 0.5}, 2),
    ],
)
def test_kernels_look_tissue_up_only_where_it_differs(tissue: dict[str, Any], number: int) -> None:
    assert with_tissue(tube(), **tissue).tables.looks[8, 0] == number


def test_strengths_come_from_their_ranges_and_leave_the_rest_of_a_run() -> None:
    on = Nuisance(probability=1.0, strength=(0.5, 0.5))
    ranges = PLAIN
    mucosa = replace(
        ranges.mucosa,
        branching=1.0,
        vessel_patches=(0.4, 0.4),
        hue=(0.3, 0.3),
        inflamed=on,
        melanosis=on,
        film=on,
        dye_in_pits=(0.2, 0.2),
    )
    surface = replace(PLAIN.polyp_surface, own_pits=on, top=(0.25, 0.25), erosion=on, red_spots=on)
    one = make_scene(4, ranges)
    other = make_scene(4, replace(ranges, mucosa=mucosa, polyp_surface=surface))
    assert one.look.tissue == Tissue() == draw_tissue(4, ranges.mucosa)
    assert other.look.tissue == Tissue(True, 0.4, 0.3, 0.5, 0.5, 0.5, 0.2)
    assert replace(other.look, tissue=Tissue()) == one.look
    assert all(polyp.surface == PolypSurface() for polyp in one.polyps)
    plain = tuple(replace(polyp, surface=PolypSurface()) for polyp in other.polyps)
    assert plain == one.polyps
    for polyp in other.polyps:
        assert polyp.surface.kind in KINDS[FIRST_OF_LESIONS:]
        drawn = polyp.surface.pits, polyp.surface.top, polyp.surface.erosion, polyp.surface.spots
        assert drawn == (0.5, 0.25, 0.5, 0.5)
