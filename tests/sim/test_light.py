"""How light falls, glints and is shown: each strength by hand-worked numbers, and none at 0."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from endoforge.sim.camera import CameraState, look_at
from endoforge.sim.display import PICTURE_ROWS
from endoforge.sim.engine import Engine
from endoforge.sim.light import (
    COLOUR_MODES,
    LIGHT_ROWS,
    LightSettings,
    make_light_settings,
)
from endoforge.sim.ranges.values import Nuisance
from endoforge.sim.renderer import CameraShot, RenderedFrames, Renderer
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.sensor import LIGHT_ROW, PICTURE_ROW, SENSOR_ROWS
from tests.plain_ranges import PLAIN
from tests.sim.light_reference import metered_gain
from tests.sim.scenes import along_z, ball, still, tube

Light = NDArray[np.float64]
SIZE = (160, 96)
RED, GREEN, BLUE = range(3)
FIELDS: dict[str, dict[str, Any]] = {
    "falloff": {"falloff": 1.0},
    "bounces": {"bounces": 1.0},
    "crevices": {"crevices": 1.0},
    "shadows": {"shadows": 1.0},
    "foot": {"foot": 1.0},
    "ripples": {"ripples": 1.0},
    "glint_deg": {"glint_deg": 8.0},
    "wet_patches": {"wet_patches": 1.0},
    "exposure_error": {"exposure_error": 1.0, "seed": 5},
    "metered": {"metered": 0.3},
    "hardness": {"hardness": 1.0},
    "black_level": {"black_level": 0.1},
    "softness": {"softness": 1.0},
    "steadiness": {"steadiness": 1.0},
    "compression": {"compression": 0.5},
    "bloom": {"bloom": 1.0},
    "fog": {"fog": 1.0, "seed": 1, "film_change_s": 6.6},
    "oversharp": {"oversharp": 1.0},
    "colour_noise": {"colour_noise": 0.03},
    "mode": {"mode": COLOUR_MODES["narrow bands"], "mode_strength": 1.0},
}


@pytest.fixture(scope="module")
def renderer(cpu: Engine) -> Renderer:
    return Renderer(*SIZE, cpu, normals=True)


def with_light(scene: Scene, **light: Any) -> Scene:
    return replace(scene, camera=replace(scene.camera, light=LightSettings(**light)))


def wet(*polyps: Any) -> Scene:
    """A wet tube with relief: a scene in which everything of the light shows."""
    scene = tube(*polyps)
    return replace(scene, look=replace(scene.look, gloss=0.6, bump=0.1))


def shot(renderer: Renderer, scene: Scene, state: CameraState | None = None) -> RenderedFrames:
    """Copies, for the next picture is drawn over this one."""
    renderer.load([scene])
    frames = renderer.render([CameraShot(state or still(along_z(), time_s=3.3))])
    assert frames.normals is not None
    return RenderedFrames(
        frames.rgbi.clone(), frames.depth.clone(), frames.normals.clone(), frames.stats.clone()
    )


def light_of(renderer: Renderer, scene: Scene, state: CameraState | None = None) -> Light:
    """(H, W, 3): the light that reaches the lens, before exposure and all that follows."""
    shot(renderer, scene, state)
    radiance = renderer.target.radiance.view(SIZE[1], SIZE[0], 4)[..., :3]
    return np.asarray(radiance.numpy(), np.float64)


@pytest.mark.parametrize("name", FIELDS)
def test_each_changes_the_picture_and_no_label(renderer: Renderer, name: str) -> None:
    scene = wet(ball(130.0, y=8.0))
    if name == "crevices":
        scene = replace(make_scene(1, PLAIN), camera=scene.camera)
    state = None if name != "crevices" else still(_in_the_lumen(scene))
    plain = shot(renderer, with_light(scene), state)
    changed = shot(renderer, with_light(scene, **FIELDS[name]), state)
    assert (changed.rgb != plain.rgb).any(dim=-1).float().mean() > 0.0005
    assert plain.normals is not None
    assert changed.normals is not None
    for one, other in (
        (changed.instance, plain.instance),
        (changed.depth, plain.depth),
        (changed.normals, plain.normals),
        (changed.stats, plain.stats),
    ):
        assert torch.equal(one, other)


def _in_the_lumen(scene: Scene) -> Any:
    line = scene.anatomy.centreline
    row = line.row(300.0)
    return look_at(line.points[row], line.points[row + 30], line.normals[row], 300.0)


def test_light_that_is_nearly_plain_is_the_plain_one(renderer: Renderer) -> None:
    """The path that scenes without any of it take shows the same picture."""
    scene = wet(ball(130.0, y=8.0))
    plain = light_of(renderer, with_light(scene))
    faint = light_of(renderer, with_light(scene, falloff=1e-9))
    np.testing.assert_allclose(faint, plain, rtol=0.03, atol=1e-7)


def test_falloff_halves_what_is_35_mm_away(renderer: Renderer) -> None:
    """1 / (1 + (t / 35)^2) of the lamps' light at distance t."""
    dry = with_light(replace(tube(), look=replace(tube().look, scattered=0.0, gloss=0.0)))
    depth = shot(renderer, dry).depth[0].numpy()
    plain, far = light_of(renderer, dry), light_of(renderer, with_light(dry, falloff=1.0))
    seen = (plain[..., GREEN] > 1e-7) & (depth < 200)
    left = far[seen, GREEN] / plain[seen, GREEN]
    np.testing.assert_allclose(left, 1 / (1 + (depth[seen] / 35.0) ** 2), rtol=1e-3)


def test_bounced_light_is_the_cube_of_the_albedo(renderer: Renderer) -> None:
    """Albedo^3 (0.60, 0.50, 0.45) / (t^2 + 2500): where no lamp reaches all that there is."""
    look = replace(tube().look, scattered=0.0, gloss=0.0, vessels=0.0, tone=0.0, bump=0.0)
    scene = replace(tube(), look=look)
    depth = shot(renderer, scene).depth[0].numpy().astype(float)
    plain, lit = (light_of(renderer, with_light(scene, bounces=b)) for b in (0.0, 1.0))
    seen = (depth > 5) & (depth < 200)
    for channel, share in enumerate((0.60, 0.50, 0.45)):
        added = (lit - plain)[seen, channel] * (depth[seen] ** 2 + 2500)
        expected = look.mucosa[channel] ** 3 * share
        assert np.median(added) == pytest.approx(expected, rel=0.02)


def test_a_ball_between_lamp_and_wall_takes_that_lamps_light(renderer: Renderer) -> None:
    """Every wall pixel whose way to the only lamp passes well within the ball, and few others."""
    scene = tube(ball(118.0, y=6.0))
    lamp = np.array([0.0, -12.0, 0.0])
    camera = replace(scene.camera, lamps=((float(lamp[0]), float(lamp[1])),))
    scene = replace(scene, camera=camera, look=replace(scene.look, scattered=0.0, gloss=0.0))
    pose = along_z()
    frames = shot(renderer, with_light(scene))
    depth, instance = frames.depth[0].numpy().astype(float), frames.instance[0].numpy()
    plain, dark = (light_of(renderer, with_light(scene, shadows=s)) for s in (0.0, 1.0))
    rays = scene.lens(*SIZE).rays(SIZE[1], SIZE[0])
    points = rays * depth[..., None]
    middle = pose.axes @ (np.array([0.0, 6.0, 118.0]) - pose.position)
    way = lamp - points
    part = np.clip(((middle - points) * way).sum(-1) / (way**2).sum(-1), 0, 1)
    off = np.linalg.norm(points + part[..., None] * way - middle, axis=-1) / 4.0
    lit = (instance == 0) & (plain[..., GREEN] > 1e-7) & (depth < 150)
    left = dark[..., GREEN] / np.maximum(plain[..., GREEN], 1e-9)
    inner, outer = lit & (off < 0.55), lit & (off > 1.6)
    assert inner.sum() > 20
    assert np.median(left[inner]) < 0.1
    assert (left[inner] < 0.5).mean() > 0.9
    assert (left[outer] > 0.95).mean() > 0.97


def test_a_smooth_tube_casts_no_shadow_on_itself(renderer: Renderer) -> None:
    plain, dark = (light_of(renderer, with_light(tube(), shadows=s)) for s in (1e-9, 1.0))
    seen = plain[..., GREEN] > 1e-7
    assert (dark[seen] / plain[seen]).min() > 0.97


def test_the_foot_of_a_ball_is_dark(renderer: Renderer) -> None:
    """1 - 0.75 / (1 + (x / 0.22)^2)^2 is left x half widths off its skin."""
    scene = tube(ball(140.0, y=18.5))
    scene = replace(scene, look=replace(scene.look, gloss=0.0))
    depth = shot(renderer, scene).depth[0].numpy().astype(float)
    instance = renderer.target.image.view(SIZE[1], SIZE[0]).numpy() >> 24
    plain, dark = (light_of(renderer, with_light(scene, foot=f)) for f in (1e-9, 1.0))
    pose = along_z()
    points = scene.lens(*SIZE).rays(SIZE[1], SIZE[0]) * depth[..., None]
    middle = pose.axes @ (np.array([0.0, 18.5, 140.0]) - pose.position)
    away = np.linalg.norm(points - middle, axis=-1) / 4.0 - 1
    left = dark[..., GREEN] / np.maximum(plain[..., GREEN], 1e-9)
    wall = (instance == 0) & (depth < 60)
    expected = 1 - 0.75 / (1 + (np.maximum(away, 0) / 0.22) ** 2) ** 2
    assert np.abs(left - expected)[wall].mean() < 0.01
    assert left[wall].min() < 0.9


def test_wider_glints_are_larger_and_ripples_gather_them(renderer: Renderer) -> None:
    here = np.array([0.0, 8.0, 100.0])
    wall = here + np.array([0.0, 1.0, 0.3])
    state = still(look_at(here, wall, np.array([0.0, 0.0, 1.0]), 100.0))

    def shining(**light: Any) -> float:
        scene = with_light(wet(), **light)
        dry = replace(scene, look=replace(scene.look, gloss=0.0))
        shine = light_of(renderer, scene, state) - light_of(renderer, dry, state)
        return float((shine[..., GREEN] > 0.002).mean())

    assert shining(glint_deg=8.0) > 1.5 * shining() > 0
    assert shining(ripples=1.0, ripple_mm=4.0) > 0


def test_the_exposures_error_has_its_deviation_and_is_smooth(renderer: Renderer) -> None:
    """Of stops about none: on many moments, and hardly any from one to the next."""
    scene = with_light(tube(), exposure_error=0.5, exposure_drift_s=2.0, seed=77)
    exact = with_light(tube())

    def gains(scene: Scene, times: list[float]) -> Light:
        renderer.load([scene])
        got = []
        for time_s in times:
            renderer.render([CameraShot(still(along_z(), time_s))])
            got.append(float(renderer.target.gain[0]))
        return np.array(got)

    right = gains(exact, [0.0])[0]
    apart = np.log2(gains(scene, [2.0 * k for k in range(150)]) / right)
    assert apart.mean() == pytest.approx(0, abs=0.12)
    assert apart.std() == pytest.approx(0.5, abs=0.06)
    close = np.log2(gains(scene, [10 + 0.04 * k for k in range(50)]) / right)
    assert np.abs(np.diff(close)).max() < 0.06
    assert np.ptp(close) > 0.02


@pytest.mark.parametrize(("drift_s", "seed"), [(2.0, 77), (0.7, 3)])
def test_the_exposure_is_the_twins(renderer: Renderer, drift_s: float, seed: int) -> None:
    """Of rays along the tube: those that look straight at its wall are metered coarsely."""
    light = {"exposure_drift_s": drift_s, "seed": seed, "metered": 0.6}
    for error in (0.0, 0.8):
        scene = with_light(tube(), exposure_error=error, **light)
        renderer.load([scene])
        renderer.render([CameraShot(still(along_z(), 3.3))])
        gain = float(renderer.target.gain[0])
        assert gain == pytest.approx(metered_gain(scene, *SIZE, 3.3), rel=2e-3)


def test_a_spot_meter_sees_the_middle_alone(renderer: Renderer) -> None:
    """Down the tube it is dark there: what is metered there makes the picture brighter."""
    renderer.load([with_light(tube())])
    renderer.render([CameraShot(still(along_z()))])
    whole = float(renderer.target.gain[0])
    renderer.load([with_light(tube(), metered=0.4)])
    renderer.render([CameraShot(still(along_z()))])
    assert float(renderer.target.gain[0]) > 1.5 * whole


def test_as_many_runs_as_said_have_a_colour_mode_and_all_modes_come() -> None:
    camera = replace(PLAIN.camera, colour_mode=Nuisance(probability=0.5, strength=(0.6, 0.9)))
    drawn = [make_light_settings(seed, PLAIN.light, camera, PLAIN.lens) for seed in range(300)]
    some = [each for each in drawn if each.mode_strength > 0]
    assert 120 < len(some) < 180
    assert min(each.mode_strength for each in some) >= 0.6
    assert {each.mode for each in some} == set(COLOUR_MODES.values())


def test_by_default_light_is_plain() -> None:
    """And the ranges of the light leave the rest of a run as it was."""
    scene = make_scene(3, PLAIN)
    assert scene.camera.light.is_plain
    assert scene.camera.table_rows().shape == (SENSOR_ROWS, 4)
    assert scene.camera.light.table_rows(120.0).shape == (LIGHT_ROWS, 4)
    assert PICTURE_ROW == LIGHT_ROW + LIGHT_ROWS
    assert SENSOR_ROWS == PICTURE_ROW + PICTURE_ROWS
    ranges = replace(PLAIN, light=replace(PLAIN.light, falloff=(0.5, 0.5), ripples=(1.0, 1.0)))
    other = make_scene(3, ranges)
    assert other.camera.light == replace(scene.camera.light, falloff=0.5, ripples=1.0)
    assert replace(other.camera, light=scene.camera.light) == scene.camera
    assert other.look == scene.look
    assert other.polyps == scene.polyps
