"""Screens with panels and insets, and what recorders do to the picture: never a wrong label."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.camera import CameraState
from endoforge.sim.display import MOST_INSETS, Display, Recorder, make_display, make_recording
from endoforge.sim.engine import start_engine
from endoforge.sim.ranges.values import Nuisance
from endoforge.sim.renderer import CameraShot, RenderedFrames, Renderer
from endoforge.sim.scene import Scene
from endoforge.sim.screen import COVERED, make_screen
from endoforge.sim.screen.insets import AS_IT_IS, GREY, INSET_BIT, NARROW_BAND
from tests.plain_ranges import PLAIN
from tests.sim.scenes import PLAIN_CAMERA, along_z, ball, still, tube

SIZES = [(320, 256), (256, 256), (101, 67), (64, 64), (360, 640), (640, 360)]
FULL = Display(stretch=1.3, framing=1.0, ground=0.5, panels=1.0, repeated=1.0, stills=1.0, twin=1.0)
W, H = 160, 128


def shoot(scene: Scene, state: CameraState | None = None) -> RenderedFrames:
    renderer = Renderer(W, H, start_engine("cpu"))
    renderer.load([scene])
    return renderer.render([CameraShot(state or still(along_z()), noise_seed=5)])


def picture(scene: Scene, state: CameraState | None = None) -> NDArray[np.int64]:
    return np.asarray(shoot(scene, state).rgb[0].numpy().astype(np.int64))


def turning(rad_s: float = 1.0) -> CameraState:
    """A camera that turns to the right."""
    return replace(still(along_z()), turn_rad_s=np.array([0.0, rad_s, 0.0]))


def test_by_default_there_is_none_of_it() -> None:
    for seed in range(5):
        assert make_display(seed, PLAIN.screen) == Display()
        assert make_recording(seed, PLAIN.recording) == Recorder()


def test_ranges_are_drawn_apart_from_each_other() -> None:
    always = Nuisance(probability=1.0, strength=(0.3, 0.6))
    one = make_display(3, replace(PLAIN.screen, panels=always))
    both = make_display(3, replace(PLAIN.screen, panels=always, stretched=always))
    assert 0.3 <= one.panels == both.panels <= 0.6
    assert one.stretch == 1.0
    assert both.stretch != 1.0
    soft = make_recording(3, replace(PLAIN.recording, soft=always))
    assert replace(soft, soft=0.0) == Recorder()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("overlay", [0.0, 0.6])
def test_full_screens_of_any_size_leave_some_picture(
    width: int, height: int, overlay: float
) -> None:
    for seed in range(8):
        screen = make_screen(seed, overlay, width, height, FULL)
        assert (screen.pixels == 0).mean() > 0.06
        covered = screen.pixels[screen.pixels != 0]
        assert ((covered & COVERED) != 0).all()
        numbers = np.unique(covered >> INSET_BIT)
        assert numbers.max() <= screen.insets[0, 0] <= MOST_INSETS
        again = make_screen(seed, overlay, width, height, FULL)
        assert (again.pixels == screen.pixels).all()


def test_insets_see_the_picture_where_they_say_so() -> None:
    """Each pixel that is marked for an inset looks at a place within the picture's mask."""
    display = Display(framing=0.8, repeated=0.7, stills=0.5)
    for seed in range(12):
        screen = make_screen(seed, 0.0, 320, 256, display)
        mask = make_screen(seed, 0.0, 320, 256, Display(framing=0.8)).pixels == 0
        for number in range(1, int(screen.insets[0, 0]) + 1):
            across, down = screen.insets[2 * number - 1 : 2 * number + 1, :3].astype(float)
            y, x = np.nonzero(screen.pixels >> INSET_BIT == number)
            places = np.stack([np.ones(len(x)), x + 0.5, y + 0.5])
            j, i = np.floor(across @ places).astype(int), np.floor(down @ places).astype(int)
            assert (~mask[i, j]).sum() <= 0.01 * len(x)


def test_a_polyp_in_an_inset_has_no_label_and_covers_the_picture() -> None:
    scene = tube(ball(130.0, 4.0, 8.0))
    plain = shoot(scene).instance[0].numpy().copy()
    changed = 0
    for seed in range(6):
        repeated = replace(scene, seed=seed, display=Display(repeated=1.0))
        frames = shoot(repeated)
        instance = frames.instance[0].numpy()
        cover = repeated.screen(W, H).pixels
        assert (cover >> INSET_BIT).any()
        assert (instance == np.where(cover == 0, plain, 0)).all()
        assert frames.stats[0, 0, 0] == (instance == 1).sum()
        assert (frames.depth[0].numpy()[cover != 0] == 0).all()
        changed += int((instance != plain).any())
    assert changed > 0


COLOURS = {
    AS_IT_IS: np.eye(3),
    GREY: np.tile([0.299, 0.587, 0.114], (3, 1)),
    NARROW_BAND: np.array([[0.0, 1.16, 0.0], [0.0, 0.0, 1.22], [0.0, 0.0, 1.12]]),
}
"""What insets make of display RGB."""


@pytest.mark.parametrize("colours", COLOURS)
def test_an_inset_shows_the_means_of_what_it_repeats(colours: int) -> None:
    repeated = replace(tube(ball(130.0, 4.0, 8.0)), display=Display(repeated=0.6))
    scenes = (replace(repeated, seed=seed) for seed in range(99))
    scene = next(one for one in scenes if one.screen(W, H).insets[2, 3] == colours)
    shown = picture(scene)
    screen = scene.screen(W, H)
    across, down = screen.insets[1:3].astype(float)
    y, x = np.nonzero(screen.pixels >> INSET_BIT)
    samples = int(across[3])
    total = np.zeros((len(x), 3))
    for k in range(samples**2):
        at_x = x + (k % samples + 0.5) / samples
        at_y = y + (k // samples + 0.5) / samples
        j = np.floor(across[0] + across[1] * at_x + across[2] * at_y).astype(int)
        i = np.floor(down[0] + down[1] * at_x + down[2] * at_y).astype(int)
        inside = (i >= 0) & (j >= 0) & (i < H) & (j < W)
        i, j = i.clip(0, H - 1), j.clip(0, W - 1)
        j = np.where(screen.pixels[i, j] != 0, W - 1 - j, j)
        i = np.where(screen.pixels[i, j] != 0, H - 1 - i, i)
        total += np.where(inside[:, None], shown[i, j], 0)
    expected = np.clip(total / samples**2 @ COLOURS[colours].T, 0, 255)
    error = np.abs(shown[y, x] - expected).max(axis=1)
    # In the scene that has narrow bands some places lie on the border of two pixels.
    assert np.percentile(error, 98.5 if colours == NARROW_BAND else 100) < 3


def test_other_scenes_of_the_batch_are_left_alone() -> None:
    plain = tube(ball(130.0, 4.0, 8.0))
    changed = replace(plain, display=FULL, recording=Recorder(soft=1.0, soft_chroma=1.0))
    renderer = Renderer(W, H, start_engine("cpu"), 2)
    renderer.load([changed, plain])
    shots = [CameraShot(still(along_z()), scene, noise_seed=5) for scene in (0, 1)]
    both = renderer.render(shots).rgb.numpy().astype(int)
    assert (both[1] == picture(plain)).all()
    assert (both[0] != both[1]).any()


@pytest.mark.parametrize("stretch", [0.75, 1.0, 1.33])
def test_a_stretched_picture_is_as_much_too_wide(stretch: float) -> None:
    """A ball on the axis is seen as wide as high with square pixels."""
    scene = replace(tube(ball(130.0)), display=Display(stretch=stretch))
    _, _, x0, y0, x1, y1 = shoot(scene).stats[0, 0].tolist()
    assert (x1 - x0) / (y1 - y0) == pytest.approx(stretch, abs=0.07)
    lens = scene.lens(W, H)
    directions = lens.rays(H, W)
    assert directions[..., 2].min() > np.cos(np.radians(PLAIN_CAMERA.fov_deg / 2)) - 1e-6
    y, x = np.mgrid[0:H, 0:W]
    np.testing.assert_allclose(lens.project(directions), np.stack([x, y], axis=-1), atol=1e-3)
    assert lens.intrinsics()["fx"] / lens.intrinsics()["fy"] == pytest.approx(stretch)  # type: ignore[operator]
