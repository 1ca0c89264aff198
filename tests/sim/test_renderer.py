"""The render kernels against closed forms and their slow twin."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.core.errors import UserError
from endoforge.sim.anatomy import straight_anatomy
from endoforge.sim.camera import Pose, fly, look_at
from endoforge.sim.engine import Engine, start_engine
from endoforge.sim.optics import Lens
from endoforge.sim.polyps import Polyp
from endoforge.sim.renderer import Renderer, Shot
from endoforge.sim.scene import Scene, make_look, make_scene
from tests.sim.reference import Reference, ReferenceFrame


def ball(z: float, y: float = 0.0, radius: float = 4.0) -> Polyp:
    """A polyp that hangs in the lumen of the straight tube, on its axis or below it."""
    return Polyp(
        paris="Is",
        s_mm=z,
        angle=math.pi / 2,
        centre=(0.0, y, z),
        axis=(0.0, -1.0, 0.0),
        base=(0.0, y, z),
        half_width_mm=radius,
        half_height_mm=radius,
        stalk_mm=0.0,
        blend_mm=0.5,
        tint=(1.0, 1.0, 1.0),
        pattern=0.5,
    )


def tube(*polyps: Polyp) -> Scene:
    return Scene(1, straight_anatomy(20.0), polyps, make_look(1))


def along_z(z: float = 100.0) -> Pose:
    """On the axis of the straight tube, looking along it, its binormal (+y) down."""
    here = np.array([0.0, 0.0, z])
    return look_at(here, here + np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0]), z)


def test_depth_in_a_straight_tube_is_radius_over_sine(cpu: Engine) -> None:
    lens = Lens(160, 96)
    frames = Renderer([tube()], lens, cpu).render([Shot(along_z())])
    ray_z = lens.rays(96, 160)[..., 2]
    expected = 20.0 / np.sqrt(1 - ray_z**2)
    depth = frames.depth[0].numpy()
    near, lit = expected < 100, expected < 270
    np.testing.assert_allclose(depth[near], expected[near], rtol=1e-5)
    np.testing.assert_allclose(depth[lit], expected[lit], rtol=0.04)
    assert (depth[expected > 281] == 280.0).all()


def test_a_ball_on_the_axis_is_where_the_lens_puts_it(cpu: Engine) -> None:
    lens = Lens(320, 192)
    frames = Renderer([tube(ball(130.0))], lens, cpu).render([Shot(along_z())])
    visible, unoccluded, x0, y0, x1, y1 = frames.stats[0, 0].tolist()
    # Its rim is seen at an angle of asin(4 / 30) off the axis; lobes move it by up to 0.21 mm.
    reach = lens.focal_px * math.asin(4.0 / 30.0)
    slack = lens.focal_px * 0.21 / 30.0 + 1.0
    for edge, expected in (
        (x0, 160 - reach),
        (x1, 160 + reach),
        (y0, 96 - reach),
        (y1, 96 + reach),
    ):
        assert abs(edge - expected) <= slack
    assert visible == pytest.approx(math.pi * reach**2, rel=0.12)
    assert visible == pytest.approx(unoccluded, rel=0.02)


def test_a_polyp_behind_another_counts_what_would_be_seen_of_it(cpu: Engine) -> None:
    lens = Lens(320, 192)
    alone = Renderer([tube(ball(150.0))], lens, cpu).render([Shot(along_z())])
    alone_visible = int(alone.stats[0, 0, 0])
    hidden = Renderer([tube(ball(125.0), ball(150.0))], lens, cpu).render([Shot(along_z())])
    visible, unoccluded = hidden.stats[0, 1, :2].tolist()
    assert visible == 0  # wholly behind the nearer one
    assert unoccluded == pytest.approx(alone_visible, rel=0.02)
    half = Renderer([tube(ball(125.0, y=4.0), ball(150.0))], lens, cpu).render([Shot(along_z())])
    visible, unoccluded = half.stats[0, 1, :2].tolist()
    assert 0.05 * unoccluded < visible < 0.95 * unoccluded


STRAY_PIXELS = 6561574981356523761


def near_an_edge(truth: ReferenceFrame) -> NDArray[np.bool_]:
    """(H, W): pixels with a neighbour at another depth (by 10 %) or of another instance."""
    kernel = np.ones((3, 3), np.uint8)
    depth, instance = truth.depth, truth.instance.astype(np.float64)
    jump = cv2.dilate(depth, kernel) > 1.1 * cv2.erode(depth, kernel)
    border = cv2.dilate(instance, kernel) != cv2.erode(instance, kernel)
    return np.asarray(jump | border)


THIN_FOLD = 695510548412912146
"""Its frame 44 looks from the axis at a fold close by, which rays once stepped across."""


@pytest.mark.parametrize(("seed", "frame"), [(3, 14), (4, 31), (11, 40), (THIN_FOLD, 44)])
def test_boxes_depth_and_instances_match_the_slow_twin(cpu: Engine, seed: int, frame: int) -> None:
    scene, lens = make_scene(seed), Lens(96, 56)
    pose = list(fly(scene, 52))[frame]
    frames = Renderer([scene], lens, cpu).render([Shot(pose)])
    truth = Reference(scene).render(pose, lens)

    # Off silhouettes all agrees; on them a pixel may go to the nearer or the farther side.
    inside = ~near_an_edge(truth)
    assert inside.mean() > 0.6
    assert (frames.instance[0].numpy() == truth.instance)[inside].mean() > 0.999
    error = np.abs(frames.depth[0].numpy() - truth.depth) / truth.depth
    assert np.median(error) < 5e-4
    assert (error > 0.02)[inside].mean() < 0.002

    seen = [k for k in np.unique(truth.instance) if k > 0 and (truth.instance == k).sum() >= 8]
    assert seen, "the frame must show a polyp, or it tests nothing"
    for k in seen:
        box = frames.stats[0, k - 1, 2:].numpy()
        assert np.abs(box - truth.box(k)).max() <= 1, (k, box, truth.box(k))


def test_boxes_hold_exactly_the_pixels_of_the_instance_image(cpu: Engine) -> None:
    scene, lens = make_scene(5), Lens(320, 180)
    poses = list(fly(scene, 40))[::5]
    frames = Renderer([scene], lens, cpu, len(poses)).render([Shot(pose) for pose in poses])
    checked = 0
    for image, stats in zip(frames.instance.numpy(), frames.stats.numpy(), strict=True):
        for k in range(len(scene.polyps)):
            y, x = np.nonzero(image == k + 1)
            assert stats[k, 0] == len(x)
            if len(x):
                assert stats[k, 2:].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
                checked += 1
    assert checked > 5


def test_the_lattice_changes_no_more_than_a_few_pixels(cpu: Engine) -> None:
    scene, lens = make_scene(2), Lens(320, 180)
    renderer = Renderer([scene], lens, cpu)
    for pose in list(fly(scene, 40))[::9]:
        quick = renderer.render([Shot(pose)]).depth.clone()
        exact = renderer.render([Shot(pose)], use_lattice=False).depth
        assert ((quick - exact).abs() > 0.02 * exact).float().mean() < 0.002


def test_no_stray_pixel_widens_a_box(cpu: Engine) -> None:
    """Rays along a fold's edge once ran out of steps beside a polyp and counted as its pixels."""
    scene, lens = make_scene(STRAY_PIXELS), Lens(640, 360)
    pose = list(fly(scene, 52))[2]
    frames = Renderer([scene], lens, cpu).render([Shot(pose)])
    polyp = (frames.instance[0].numpy() == 1).astype(np.uint8)
    num_parts, _, parts, _ = cv2.connectedComponentsWithStats(polyp, connectivity=8)
    assert num_parts == 2, "the background and one polyp, seen whole"
    x, y, width, height, area = parts[1].tolist()
    assert area > 20_000
    assert frames.stats[0, 0, 2:].tolist() == [x, y, x + width, y + height]


def test_a_batch_renders_what_single_shots_render(cpu: Engine) -> None:
    scenes, lens = [make_scene(1), make_scene(2)], Lens(128, 72)
    shots = [Shot(pose, i % 2, i) for i in range(2) for pose in list(fly(scenes[i], 5))[1:3]]
    shots = [replace(shot, scene=k // 2) for k, shot in enumerate(shots)]
    batch = Renderer(scenes, lens, cpu, 4).render(shots)
    for k, shot in enumerate(shots):
        single = Renderer(scenes, lens, cpu).render([shot])
        assert (single.rgbi[0] == batch.rgbi[k]).all()
        assert (single.depth[0] == batch.depth[k]).all()
        assert (single.stats[0] == batch.stats[k]).all()


def test_sizes_that_no_tile_divides_are_rendered_whole(cpu: Engine) -> None:
    scene = make_scene(1)
    pose = next(fly(scene, 3))
    odd = Renderer([scene], Lens(101, 67), cpu).render([Shot(pose)])
    assert odd.rgbi.shape == (1, 67, 101, 4)
    assert (odd.rgb.float().mean(dim=-1) > 0).float().mean() > 0.99
    assert (odd.depth > 0).all()


def test_a_wall_with_nothing_on_it_is_instance_zero(cpu: Engine) -> None:
    frames = Renderer([tube()], Lens(64, 64), cpu).render([Shot(along_z())])
    assert (frames.instance == 0).all()
    assert (frames.stats[..., :2] == 0).all()


def test_a_renderer_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"--renderer metal: not available .* cpu"):
        start_engine("metal")
