"""The render kernels against closed forms, and against themselves."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from endoforge.core.errors import UserError
from endoforge.sim.anatomy import WAVE_MM, WAVE_S
from endoforge.sim.camera import look_at
from endoforge.sim.engine import Engine, start_engine
from endoforge.sim.flight import fly, thin
from endoforge.sim.packing import scene_arrays
from endoforge.sim.renderer import CameraShot, RenderedFrames, Renderer
from endoforge.sim.scene import Scene, make_scene
from tests.plain_ranges import PLAIN
from tests.sim.scenes import PLAIN_CAMERA, along_z, ball, still, tube, without_overlay


def rendered(
    cpu: Engine, scene: Scene, width: int, height: int, time_s: float = 0.0
) -> RenderedFrames:
    """One picture of the tube from 100 mm on, along it."""
    renderer = Renderer(width, height, cpu, normals=True)
    renderer.load([scene])
    return renderer.render([CameraShot(still(along_z(), time_s))])


def test_depth_in_a_straight_tube_is_radius_over_sine(cpu: Engine) -> None:
    scene = tube()
    ray_z = scene.lens(160, 96).rays(96, 160)[..., 2]
    expected = 20.0 / np.sqrt(1 - ray_z**2)
    depth = rendered(cpu, scene, 160, 96).depth[0].numpy()
    near, lit = expected < 100, expected < 270
    np.testing.assert_allclose(depth[near], expected[near], rtol=1e-5)
    np.testing.assert_allclose(depth[lit], expected[lit], rtol=0.04)
    assert (depth[expected > 281] == 280.0).all()


def depth_in_a_pulsing_tube(
    rays: NDArray[np.float64], share: float, time_s: float
) -> NDArray[np.float64]:
    """From z = 100 mm on the axis, where the radius is 20 mm x (1 + share x sine), by bisection."""
    sine, cosine = np.sqrt(1 - rays[..., 2] ** 2), rays[..., 2]
    low, high = np.zeros(sine.shape), 21.0 / sine
    for _ in range(60):
        middle = (low + high) / 2
        turns = (100 + middle * cosine) / WAVE_MM + time_s / WAVE_S
        inside = 20 * (1 + share * np.sin(2 * np.pi * turns)) > middle * sine
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return low


@pytest.mark.parametrize("time_s", [0.0, 2.0, 1234.5])
def test_depth_in_a_tube_with_peristalsis_is_where_the_wave_is(cpu: Engine, time_s: float) -> None:
    scene = tube(peristalsis=0.05)
    rays = scene.lens(128, 72).rays(72, 128)
    expected = depth_in_a_pulsing_tube(rays, 0.05, time_s)
    depth = rendered(cpu, scene, 128, 72, time_s).depth[0].numpy()
    near, far = expected < 50, (expected >= 50) & (expected < 100)
    assert near.mean() > 0.7
    np.testing.assert_allclose(depth[near], expected[near], rtol=1e-3)
    # The wave's own slope, at most 0.05, is left out of the last correction: grazing rays show it.
    np.testing.assert_allclose(depth[far], expected[far], rtol=0.015)
    at_rest = 20.0 / np.sqrt(1 - rays[..., 2] ** 2)
    assert np.abs(expected / at_rest - 1)[near].max() > 0.03


def test_normals_in_a_straight_tube_point_at_its_axis(cpu: Engine) -> None:
    scene = tube()
    ray = scene.lens(128, 72).rays(72, 128)
    frames = rendered(cpu, scene, 128, 72)
    assert frames.normals is not None
    inward = -ray[..., :2] / np.linalg.norm(ray[..., :2], axis=-1, keepdims=True)
    lit = frames.depth[0].numpy() < 280
    normals = frames.normals[0].numpy()
    np.testing.assert_allclose(normals[lit][:, :2], inward[lit], atol=2e-3)
    np.testing.assert_allclose(normals[lit][:, 2], 0, atol=2e-3)
    assert (normals[~lit] == 0).all()


def test_normals_are_unit_and_face_the_camera(cpu: Engine) -> None:
    scene = make_scene(6, PLAIN)
    renderer = Renderer(128, 72, cpu, 6, normals=True)
    renderer.load([scene])
    frames = renderer.render([CameraShot(state) for state in thin(fly(scene), 6)])
    assert frames.normals is not None
    normals, depth = frames.normals.numpy(), frames.depth.numpy()
    met = (depth > 0) & (depth < 280)
    assert met.mean() > 0.4
    np.testing.assert_allclose(np.linalg.norm(normals[met], axis=-1), 1, atol=1e-3)
    assert ((normals * scene.lens(128, 72).rays(72, 128)).sum(-1)[met] < 0).all()
    assert (normals[~met] == 0).all()


def test_a_ball_on_the_axis_is_where_the_lens_puts_it(cpu: Engine) -> None:
    scene = tube(ball(130.0))
    frames = rendered(cpu, scene, 320, 192)
    visible, unoccluded, x0, y0, x1, y1 = frames.stats[0, 0].tolist()
    # Its rim is seen at an angle of asin(4 / 30) off the axis; lobes move it by up to 0.32 mm.
    focal = scene.lens(320, 192).focal_px
    reach = focal * math.asin(4.0 / 30.0)
    slack = focal * 2 * scene.polyps[0].lobe_mm / 30.0 + 1.0
    edges = [(x0, 160 - reach), (x1, 160 + reach), (y0, 96 - reach), (y1, 96 + reach)]
    for edge, expected in edges:
        assert abs(edge - expected) <= slack
    assert visible == pytest.approx(math.pi * reach**2, rel=0.15)
    assert visible == pytest.approx(unoccluded, rel=0.02)


def test_a_balls_normals_at_its_middle_face_the_camera(cpu: Engine) -> None:
    smooth = replace(ball(130.0), lobes=0.0)
    frames = rendered(cpu, tube(smooth), 161, 97)
    assert frames.normals is not None
    np.testing.assert_allclose(frames.normals[0, 48, 80].numpy(), [0, 0, -1], atol=0.02)
    assert frames.depth[0, 48, 80].item() == pytest.approx(26.0, abs=0.01)
    assert frames.instance[0, 48, 80].item() == 1


def test_a_polyp_behind_another_counts_what_would_be_seen_of_it(cpu: Engine) -> None:
    alone = rendered(cpu, tube(ball(150.0)), 320, 192)
    alone_visible = int(alone.stats[0, 0, 0])
    hidden = rendered(cpu, tube(ball(125.0), ball(150.0)), 320, 192)
    visible, unoccluded = hidden.stats[0, 1, :2].tolist()
    assert visible == 0  # wholly behind the nearer one
    assert unoccluded == pytest.approx(alone_visible, rel=0.03)
    half = rendered(cpu, tube(ball(125.0, y=4.0), ball(150.0)), 320, 192)
    visible, unoccluded = half.stats[0, 1, :2].tolist()
    assert 0.05 * unoccluded < visible < 0.95 * unoccluded


def test_peristalsis_carries_a_polyp_outwards(cpu: Engine) -> None:
    """At s = 120 mm the wave is sin(2 pi t / 9 s): after 2.25 s a ball at +y is 1 mm lower."""
    scene = tube(replace(ball(120.0, y=6.0), lobes=0.0), peristalsis=0.05)
    focal = scene.lens(320, 192).focal_px

    def middle(time_s: float) -> float:
        _, _, _, y0, _, y1 = rendered(cpu, scene, 320, 192, time_s).stats[0, 0].tolist()
        return float(y0 + y1) / 2

    # From 100 mm, 20 mm away: at atan(6 / 20) below the axis, then at atan(7 / 20).
    moved = focal * (math.atan(7 / 20) - math.atan(6 / 20))
    assert moved > 4
    assert middle(2.25) - middle(0.0) == pytest.approx(moved, abs=1.1)
    assert middle(0.0) - middle(6.75) == pytest.approx(moved, abs=1.4)


def test_boxes_hold_exactly_the_pixels_of_the_instance_image(cpu: Engine) -> None:
    scene = make_scene(5, PLAIN)
    states = thin(fly(scene), 24)
    renderer = Renderer(320, 180, cpu, len(states))
    renderer.load([scene])
    frames = renderer.render([CameraShot(state) for state in states])
    checked = 0
    for image, stats in zip(frames.instance.numpy(), frames.stats.numpy(), strict=True):
        for k in range(len(scene.polyps)):
            y, x = np.nonzero(image == k + 1)
            assert stats[k, 0] == len(x) <= stats[k, 1]
            if len(x):
                assert stats[k, 2:].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
                checked += 1
    assert checked > 5


def test_nothing_reaches_under_the_screen(cpu: Engine) -> None:
    scene = make_scene(5, PLAIN)
    scene = replace(scene, nuisances=replace(scene.nuisances, overlay=1.0))
    states = thin(fly(scene), 40)
    renderer = Renderer(192, 108, cpu, len(states), normals=True)
    renderer.load([scene])
    frames = renderer.render([CameraShot(state) for state in states])
    assert frames.normals is not None
    screen = scene.screen(192, 108)
    covered = torch.from_numpy(screen.pixels != 0)
    assert covered.float().mean() > 0.2
    assert (frames.instance[:, covered] == 0).all()
    assert (frames.depth[:, covered] == 0).all()
    assert (frames.normals[:, covered] == 0).all()
    assert (frames.depth[:, ~covered] > 0).all()
    visible, unoccluded, x0, y0, x1, y1 = frames.stats.permute(2, 0, 1).numpy()
    seen = visible > 0
    assert seen.sum() > 5
    left, top, right, bottom = screen.window
    assert ((x0 >= left) & (y0 >= top) & (x1 <= right) & (y1 <= bottom))[seen].all()
    assert unoccluded.max() <= int((~covered).sum())


def test_the_lattice_changes_no_more_than_a_few_pixels(cpu: Engine) -> None:
    scene = without_overlay(make_scene(2, PLAIN))
    renderer = Renderer(320, 180, cpu)
    renderer.load([scene])
    shares = []
    for state in thin(fly(scene), 8):
        quick = renderer.render([CameraShot(state)]).depth.clone()
        exact = renderer.render([CameraShot(state)], use_lattice=False).depth
        shares.append(((quick - exact).abs() > 0.02 * exact).float().mean().item())
    assert np.mean(shares) < 0.003
    assert max(shares) < 0.007


STRAY_PIXELS = 6561574981356523761


def test_no_stray_pixel_widens_a_box(cpu: Engine) -> None:
    """Rays along a fold's edge once ran out of steps beside a polyp and counted as its pixels."""
    scene = without_overlay(make_scene(STRAY_PIXELS, PLAIN))
    states = thin(fly(scene), 60)
    renderer = Renderer(320, 180, cpu, len(states))
    renderer.load([scene])
    frames = renderer.render([CameraShot(state) for state in states])
    large = 0
    for image, stats in zip(frames.instance.numpy(), frames.stats.numpy(), strict=True):
        for k in np.flatnonzero(stats[:, 0] > 600):
            polyp = cv2.dilate((image == k + 1).astype(np.uint8), np.ones((3, 3)))
            parts = cv2.connectedComponentsWithStats(polyp, connectivity=8)[2]
            areas = np.sort(parts[1:, cv2.CC_STAT_AREA])
            assert (areas > 15).all(), f"a lone pixel of polyp {k}: {areas}"
            large += 1
    assert large > 10


def test_a_batch_renders_what_single_shots_render(cpu: Engine) -> None:
    """Scenes with their own lenses, screens, noise, and with JPEG and without, in any order."""
    scenes = [make_scene(seed, PLAIN) for seed in (1, 2, 3)]
    for k, jpeg in enumerate((0.0, 0.6, 0.0)):
        camera = replace(scenes[k].camera, jpeg=jpeg, fov_deg=110.0 + 25 * k)
        scenes[k] = replace(scenes[k], camera=camera)
    order = [2, 0, 1, 0, 2]
    flights = [fly(scene) for scene in scenes]
    shots = [CameraShot(flights[scene][60 + 9 * i], scene, i) for i, scene in enumerate(order)]
    renderer = Renderer(128, 72, cpu, len(shots))
    renderer.load(scenes)
    batch = renderer.render(shots)
    backwards = Renderer(128, 72, cpu, len(shots))
    backwards.load(scenes[::-1])
    turned = backwards.render([replace(shot, scene=2 - shot.scene) for shot in shots[::-1]])
    single = Renderer(128, 72, cpu)
    for k, shot in enumerate(shots):
        single.load([scenes[shot.scene]])
        alone = single.render([replace(shot, scene=0)])
        for frames, place in ((batch, k), (turned, len(shots) - 1 - k)):
            assert (alone.rgbi[0] == frames.rgbi[place]).all()
            assert (alone.depth[0] == frames.depth[place]).all()
            assert (alone.stats[0] == frames.stats[place]).all()


def test_other_noise_seeds_give_other_noise_and_the_same_labels(cpu: Engine) -> None:
    scene = make_scene(1, PLAIN)
    scene = replace(scene, camera=replace(scene.camera, read_noise=0.02, jpeg=0.0))
    state = fly(scene)[90]
    renderer = Renderer(128, 72, cpu, 3)
    renderer.load([scene])
    frames = renderer.render([CameraShot(state, noise_seed=seed) for seed in (4, 4, 5)])
    assert (frames.rgb[0] == frames.rgb[1]).all()
    assert (frames.rgb[0] != frames.rgb[2]).any(dim=-1).float().mean() > 0.3
    assert (frames.instance[0] == frames.instance[2]).all()


def test_exposure_answers_to_what_was_metered(cpu: Engine) -> None:
    """Metered close to the wall, the light is strong: the picture gets darker."""
    scene = tube()
    wide = replace(still(along_z()), metered=along_z(90.0))
    close = along_z()
    close = replace(close, position=close.position + np.array([17.0, 0.0, 0.0]))
    dim = replace(still(along_z()), metered=close)
    renderer = Renderer(64, 64, cpu, 2)
    renderer.load([scene])
    frames = renderer.render([CameraShot(wide), CameraShot(dim)]).rgb.float().mean(dim=(1, 2, 3))
    assert frames[1] < frames[0] - 10


def test_a_large_frame_metered_close_to_the_wall_is_exposed_as_a_small_one(cpu: Engine) -> None:
    """Each of 78 x 78 rays gives all the light that one may, 0.06 squared: exposure is 1.9 / 0.06.

    In the fixed point of 1e-8 their sum is 2.19e9, more than a signed word of 32 bits holds.
    """
    scene = replace(tube(), camera=replace(PLAIN_CAMERA, fov_deg=60.0))
    position = np.array([19.0, 0.0, 100.0])
    pose = look_at(position, np.array([20.0, 0.0, 100.0]), np.array([0.0, 1.0, 0.0]), 100.0)
    for side in (64, 78 * 16):
        renderer = Renderer(side, side, cpu)
        renderer.load([scene])
        renderer.render([CameraShot(still(pose))])
        assert renderer.target.gain[0].item() == pytest.approx(1.9 / 0.06, rel=1e-4)


@pytest.mark.parametrize(("width", "height"), [(101, 67), (64, 64), (67, 101)])
def test_sizes_that_no_tile_divides_are_rendered_whole(
    cpu: Engine, width: int, height: int
) -> None:
    scene = without_overlay(make_scene(1, PLAIN))
    renderer = Renderer(width, height, cpu)
    renderer.load([scene])
    odd = renderer.render([CameraShot(fly(scene)[3])])
    assert odd.rgbi.shape == (1, height, width, 4)
    assert (odd.rgb.float().mean(dim=-1) > 0).float().mean() > 0.99
    assert (odd.depth > 0).all()


def test_a_wall_with_nothing_on_it_is_instance_zero(cpu: Engine) -> None:
    frames = rendered(cpu, tube(), 64, 64)
    assert (frames.instance == 0).all()
    assert (frames.stats[..., :2] == 0).all()


def test_a_renderer_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"--renderer metal: not available .* cpu"):
        start_engine("metal")


def test_jpeg_can_be_switched_off_and_on_and_left_out(cpu: Engine) -> None:
    """Without it the picture is that of the same camera without JPEG; its tables stay as given."""
    scene = tube()
    with_jpeg = replace(scene, camera=replace(scene.camera, jpeg=0.8))
    plain = replace(scene, camera=replace(scene.camera, jpeg=0.0))
    shot = CameraShot(still(along_z(), 0.0))
    renderer = Renderer(96, 64, cpu)
    renderer.load([plain])
    expected_plain = renderer.render([shot]).rgb.clone()
    renderer.load([with_jpeg])
    expected = renderer.render([shot]).rgb.clone()
    assert not torch.equal(expected, expected_plain)
    for on, picture in ((False, expected_plain), (True, expected)):
        renderer.switch_jpeg(on)
        assert torch.equal(renderer.render([shot]).rgb, picture)
    tables = {
        name: torch.from_numpy(table) for name, table in scene_arrays(with_jpeg, 96, 64).items()
    }
    before = tables["sensors"].clone()
    renderer.use(tables, with_jpeg=False)
    assert torch.equal(renderer.render([shot]).rgb, expected_plain)
    assert torch.equal(tables["sensors"], before)


def test_hidden_pixels_need_not_be_counted(cpu: Engine) -> None:
    """The rest stays: what can be seen of each polyp, and its box."""
    scene = make_scene(3, PLAIN)
    renderer = Renderer(160, 96, cpu)
    renderer.load([scene])
    for state in thin(fly(scene), 12):
        rows = renderer._movers.at(
            np.zeros(1, np.intp), state.rows[None], np.array([state.time_s]), np.array([1])
        )
        cameras, polyps = (torch.from_numpy(row) for row in rows)
        full = renderer.render_rows(cameras, polyps).stats.clone()
        part = renderer.render_rows(cameras, polyps, hidden=False).stats
        assert torch.equal(part[..., [0, 2, 3, 4, 5]], full[..., [0, 2, 3, 4, 5]])
        assert torch.equal(part[..., 1], part[..., 0])
        assert (full[..., 1] >= full[..., 0]).all()
