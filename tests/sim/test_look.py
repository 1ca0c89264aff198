"""What each strength of the fine surface and of the light does to a picture, and what it leaves."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from endoforge.sim.anatomy import make_anatomy
from endoforge.sim.camera import CameraState, look_at
from endoforge.sim.engine import Engine
from endoforge.sim.growth import make_polyps
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.renderer import CameraShot, RenderedFrames, Renderer
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.sensor import with_plausible_colours
from tests.plain_ranges import PLAIN
from tests.sim.scenes import PLAIN_CAMERA, along_z, ball, still, tube

Light = NDArray[np.float64]
SIZE = (160, 96)
SURFACE = ("capillaries", "mottling", "pits")
STRENGTHS = {**dict.fromkeys(SURFACE, 0.7), "contrast": 0.4, "haze": 0.5, "narrow_band": 0.8}
"""What is 0 in the plain scene."""
RED, GREEN, BLUE = range(3)


@pytest.fixture(scope="module")
def renderer(cpu: Engine) -> Renderer:
    return Renderer(*SIZE, cpu, normals=True)


def with_look(scene: Scene, **changes: Any) -> Scene:
    return replace(scene, look=replace(scene.look, **changes))


def with_strength(scene: Scene, name: str, strength: float) -> Scene:
    if name in STRENGTHS and name not in SURFACE:
        change: dict[str, Any] = {name: strength}
        return replace(scene, camera=replace(scene.camera, **change))
    return with_look(scene, **{name: strength})


def shot(renderer: Renderer, scene: Scene, state: CameraState | None = None) -> RenderedFrames:
    """Copies, for the next picture is drawn over this one."""
    renderer.load([scene])
    frames = renderer.render([CameraShot(state or still(along_z()))])
    assert frames.normals is not None
    return RenderedFrames(
        frames.rgbi.clone(), frames.depth.clone(), frames.normals.clone(), frames.stats.clone()
    )


def light_of(renderer: Renderer, scene: Scene, state: CameraState | None = None) -> Light:
    """(H, W, 3): the light that reaches the lens, before exposure and all that follows."""
    shot(renderer, scene, state)
    radiance = renderer.target.radiance.view(SIZE[1], SIZE[0], 4)[..., :3]
    return np.asarray(radiance.numpy(), np.float64)


def ratio_of(renderer: Renderer, scene: Scene, **look: Any) -> Light:
    """How much of each pixel's light is left with this look; of what the lamps reach alone."""
    direct = with_look(scene, scattered=0.0)
    lit = light_of(renderer, direct)
    ratio = light_of(renderer, with_look(direct, **look))[lit[..., GREEN] > 1e-6]
    return np.asarray(ratio / lit[lit[..., GREEN] > 1e-6])


@pytest.mark.parametrize("name", [*STRENGTHS, "scattered"])
def test_each_strength_changes_the_picture_and_no_label(renderer: Renderer, name: str) -> None:
    scene = tube(ball(130.0, y=8.0))
    plain = shot(renderer, scene)
    changed = shot(renderer, with_strength(scene, name, STRENGTHS.get(name, 0.3)))
    assert (changed.rgb != plain.rgb).any(dim=-1).float().mean() > 0.05
    assert plain.normals is not None
    assert changed.normals is not None
    assert (plain.instance > 0).any()
    for one, other in (
        (changed.instance, plain.instance),
        (changed.depth, plain.depth),
        (changed.normals, plain.normals),
        (changed.stats, plain.stats),
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", STRENGTHS)
def test_a_strength_fades_into_none(renderer: Renderer, name: str) -> None:
    """So that at 0, where it is skipped, a frame is what it would be without it."""
    scene = tube(ball(130.0, y=8.0))
    plain = shot(renderer, scene).rgb.int()
    faint = shot(renderer, with_strength(scene, name, 1e-5)).rgb.int()
    # Chroma is coded in 8 bits: a step of it is nearly two of blue.
    assert (faint - plain).abs().max() <= 2
    assert (faint != plain).float().mean() < 0.01


def test_without_strength_the_fine_surface_is_nowhere(renderer: Renderer) -> None:
    """However fine it would be, and wherever it would lie."""
    scene = with_look(tube(ball(130.0)), gloss=0.5)
    other = with_look(scene, surface_repeat_mm=9.0, surface_turn=(0.3, 0.6))
    assert torch.equal(shot(renderer, scene).rgbi, shot(renderer, other).rgbi)
    strong = {"capillaries": 0.5, "pits": 0.5}
    moved = shot(renderer, with_look(other, **strong)).rgbi
    assert not torch.equal(shot(renderer, with_look(scene, **strong)).rgbi, moved)


def test_capillaries_are_dark_and_most_so_in_green(renderer: Renderer) -> None:
    """Blood takes 0.60 of green, 0.48 of blue and 0.22 of red where a vessel is whole."""
    lost = 1 - ratio_of(renderer, tube(), capillaries=0.7)
    assert lost.min() > -1e-4
    assert lost[:, GREEN].max() <= 0.7 * 0.60 + 1e-4
    there = lost[:, GREEN] > 0.05
    assert 0.2 < there.mean() < 0.95
    np.testing.assert_allclose(lost[there, RED] / lost[there, GREEN], 0.22 / 0.60, atol=2e-3)
    np.testing.assert_allclose(lost[there, BLUE] / lost[there, GREEN], 0.48 / 0.60, atol=2e-3)


def test_mottling_reddens_as_much_as_it_pales(renderer: Renderer) -> None:
    ratio = ratio_of(renderer, tube(), mottling=0.7)
    assert ratio.mean() == pytest.approx(1, abs=0.03)
    assert ratio[:, GREEN].std() > 0.05
    assert ratio[:, RED].std() < 0.4 * ratio[:, GREEN].std()
    assert 0.2 < (ratio[:, GREEN] < 1).mean() < 0.8
    assert np.corrcoef(ratio[:, GREEN], ratio[:, BLUE])[0, 1] > 0.99


def test_pits_shade_the_tissue_and_leave_its_colour(renderer: Renderer) -> None:
    ratio = ratio_of(renderer, tube(), pits=0.7)
    assert ratio[:, GREEN].std() > 0.005
    for channel in (RED, BLUE):
        np.testing.assert_allclose(ratio[:, channel], ratio[:, GREEN], rtol=1e-4)


def test_pits_break_glints_up(renderer: Renderer) -> None:
    """Seen face to face from 8 mm, a smooth wet wall shines in few places, a pitted one in many."""
    here = np.array([0.0, 12.0, 100.0])
    wall = here + np.array([0.0, 1.0, 0.0])
    state = still(look_at(here, wall, np.array([0.0, 0.0, 1.0]), 100.0))
    dry = with_look(tube(), gloss=0.0, bump=0.05, surface_repeat_mm=20.0)

    def glints(pits: float) -> int:
        lit = [
            light_of(renderer, with_look(dry, gloss=gloss, pits=pits), state)[..., GREEN]
            for gloss in (0.0, 0.5)
        ]
        shine = lit[1] - lit[0] > 0.3 * lit[0].max()
        return int(cv2.connectedComponents(shine.astype(np.uint8), connectivity=8)[0]) - 1

    assert glints(0.0) >= 1
    assert glints(0.6) >= 2 * glints(0.0) + 3


def test_scattered_light_counts_most_where_the_lamps_hardly_reach(renderer: Renderer) -> None:
    scene = tube()
    whole, half, none = (
        light_of(renderer, with_look(scene, scattered=share)) for share in (1.0, 0.5, 0.0)
    )
    np.testing.assert_allclose(half, (whole + none) / 2, rtol=1e-4, atol=1e-8)
    depth = shot(renderer, scene).depth[0].numpy()
    seen = whole.sum(axis=-1) > 0
    lost = 1 - none[seen] / whole[seen]
    near, far = depth[seen] < 27, (depth[seen] > 80) & (depth[seen] < 200)
    assert lost.min() > 0
    assert lost[far, GREEN].min() > 2.5 * lost[near, GREEN].mean()
    # It has met the wall once more, which takes green and blue.
    assert (lost[:, RED] > lost[:, GREEN]).all()


def test_a_polyp_like_the_wall_has_its_colour_and_none_of_its_own(renderer: Renderer) -> None:
    own = replace(ball(125.0, y=10.0), tint=(1.2, 0.6, 0.6), mucus=0.4, vessels=1.0)
    alike = replace(own, like_wall=True)
    plainer = replace(alike, tint=(1.0, 1.0, 1.0), mucus=0.0, vessels=0.0, pattern=0.0)

    def green_of_red(*polyps: Any) -> tuple[float, float]:
        scene = with_look(tube(*polyps), scattered=0.0, capillaries=0.4, mottling=0.3)
        light = light_of(renderer, scene)
        instance = renderer.target.image.view(SIZE[1], SIZE[0]).numpy() >> 24
        lit = light[..., RED] > 1e-6
        on, off = ((instance == k) & lit for k in (1, 0))
        ratio = light[..., GREEN] / np.maximum(light[..., RED], 1e-9)
        return float(np.median(ratio[on])), float(np.median(ratio[off]))

    polyp, wall = green_of_red(alike)
    assert polyp == pytest.approx(wall, rel=0.06)
    polyp, wall = green_of_red(own)
    assert polyp < 0.75 * wall
    one, other = (shot(renderer, tube(polyp)).rgbi for polyp in (alike, plainer))
    assert torch.equal(one, other)


def test_as_many_polyps_are_like_the_wall_as_is_said() -> None:
    """And nothing else about them depends on it."""
    anatomies = {seed: make_anatomy(seed, PLAIN.anatomy, Nuisances(fluid=0.0)) for seed in range(6)}

    def polyps(share: float) -> list[Any]:
        ranges = replace(PLAIN.polyps, like_wall=share)
        return [p for seed, each in anatomies.items() for p in make_polyps(seed, each, ranges)]

    none, some, whole = polyps(0.0), polyps(0.4), polyps(1.0)
    assert not any(polyp.like_wall for polyp in none)
    assert all(polyp.like_wall for polyp in whole)
    # About 95 polyps: 0.4 of them with a standard deviation of 0.05.
    assert np.mean([polyp.like_wall for polyp in some]) == pytest.approx(0.4, abs=0.16)
    assert [replace(polyp, like_wall=False) for polyp in whole] == none
    assert [replace(polyp, like_wall=False) for polyp in some] == none


def test_ranges_of_the_surface_and_the_light_leave_the_rest_of_a_run() -> None:
    """Each draws from a stream of its own."""
    ranges = PLAIN
    mucosa = replace(
        ranges.mucosa,
        capillaries=(1.0, 1.0),
        mottling=(0.9, 0.9),
        pits=(0.8, 0.8),
        surface_repeat_mm=(20.0, 20.0),
    )
    camera = replace(ranges.camera, contrast=(0.3, 0.3), scattered=(0.6, 0.6))
    one, other = make_scene(3, ranges), make_scene(3, replace(ranges, mucosa=mucosa, camera=camera))
    given: dict[str, Any] = {"capillaries": 1.0, "mottling": 0.9, "pits": 0.8, "scattered": 0.6}
    look = replace(one.look, surface_repeat_mm=20.0, **given)
    assert other.look == look
    assert other.look != one.look
    assert other.camera == replace(one.camera, contrast=0.3)
    assert other.polyps == one.polyps
    assert (other.anatomy.radius == one.anatomy.radius).all()


def test_no_draw_of_hue_temperature_and_saturation_leaves_a_colour_out() -> None:
    """What extreme ranges can't, all ranges at once don't either; usual cameras stay."""
    camera = replace(PLAIN_CAMERA, white_balance=(1.2, 1.0, 0.8), saturation=1.45)
    orange = (0.9, 0.27, 0.11)
    shown = with_plausible_colours(camera, orange)
    linear = np.array(orange) * shown.white_balance
    grey = linear @ [0.2126, 0.7152, 0.0722]
    red, green, blue = grey + shown.saturation * (linear - grey)
    assert green / red > 0.219
    assert blue / red > 0.059
    assert shown.saturation < 1.2
    salmon = (0.8, 0.36, 0.25)
    assert with_plausible_colours(camera, salmon).saturation == pytest.approx(1.2, abs=0.15)
    usual = replace(camera, saturation=1.2, white_balance=(1.1, 1.0, 0.9))
    assert with_plausible_colours(usual, salmon) == usual
