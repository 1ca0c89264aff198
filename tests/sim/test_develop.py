"""From linear light to the recorded frame: hand-worked answers, closed forms and the slow twin."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from endoforge.sim.darkroom import Darkroom, disk_table, grain_table
from endoforge.sim.kernels.types import CAMERA_ROWS, TILE
from endoforge.sim.light import COLOUR_MODES, LightSettings
from endoforge.sim.needs import Needs
from endoforge.sim.optics import Lens
from endoforge.sim.sensor import (
    CHROMA_STEPS,
    LUMA_STEPS,
    WIDEST_APERTURE_MM,
    CameraSettings,
    quantisation_table,
)
from tests.sim.develop_reference import Exposure, developed, respond
from tests.sim.scenes import PLAIN_CAMERA

PLAIN = replace(PLAIN_CAMERA, fov_deg=120.0, lamps=((3.0, 0.0),))
pytestmark = pytest.mark.usefixtures("cpu")

Image = NDArray[np.uint8]
INSTANCE = 7


def develop(
    frames: list[Exposure],
    settings: list[CameraSettings],
    lens: Lens,
    screens: NDArray[np.int32] | None = None,
    time_s: float = 0.0,
) -> Image:
    """(B, H, W, 4) uint8: frame k through scene k's camera; the instance is 7 everywhere."""
    return develop_all(frames, settings, lens, screens, time_s)[0]


def develop_all(
    frames: list[Exposure],
    settings: list[CameraSettings],
    lens: Lens,
    screens: NDArray[np.int32] | None = None,
    time_s: float = 0.0,
) -> tuple[Image, Any]:
    """The same, and the `DarkroomBuffers` that it was developed in."""
    height, width, count = lens.height, lens.width, len(frames)
    grid = lens.rays(-(-height // TILE) * TILE + 1, -(-width // TILE) * TILE + 1).reshape(-1, 3)
    cameras = np.zeros((count, CAMERA_ROWS, 4), np.float32)
    for k, frame in enumerate(frames):
        cameras[k, 1, 3], cameras[k, 2, 3] = k, 11 + k
        cameras[k, 4, :3], cameras[k, 5, :3] = frame.movement, frame.rotation
        cameras[k, 6, 2] = time_s
    if screens is None:
        screens = np.zeros((count, height, width), np.int32)

    def flat(values: NDArray[np.float32] | NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32).reshape(-1, 4))

    rays = np.tile(np.concatenate([grid, np.zeros((len(grid), 1))], axis=1), (count, 1))
    world = SimpleNamespace(
        sensors=flat(np.concatenate([each.table_rows() for each in settings])),
        screens=torch.from_numpy(screens.reshape(-1)),
        rays=flat(rays),
    )
    view = SimpleNamespace(cameras=flat(cameras))
    target = SimpleNamespace(
        radiance=flat(np.stack([frame.radiance for frame in frames])),
        gain=torch.tensor([frame.gain for frame in frames], dtype=torch.float32),
        image=torch.full((count * height * width,), INSTANCE << 24, dtype=torch.int32),
    )
    with_jpeg = any(each.jpeg > 0 for each in settings)
    darkroom = Darkroom(world, view, target, count, height, width, with_jpeg=with_jpeg)
    darkroom.develop(count, Needs())
    pixels: Image = target.image.numpy().view(np.uint8).reshape(count, height, width, 4)
    return pixels, darkroom.room


def flat_light(lens: Lens, value: float, distance: float = 16.0) -> Exposure:
    radiance = np.full((lens.height, lens.width, 4), value)
    radiance[..., 3] = distance
    return Exposure(radiance, lens.rays(lens.height, lens.width))


def scenery(lens: Lens, seed: int = 3) -> Exposure:
    """Smooth coloured light with a bright blob, a wall at 8 to 60 mm."""
    rng = np.random.default_rng(seed)
    size = (lens.height, lens.width)
    noise = [cv2.GaussianBlur(rng.normal(size=size), (0, 0), 4) * 8 for _ in range(4)]
    radiance = np.stack([np.exp(0.5 * part - 0.5) for part in noise], axis=-1)
    radiance[..., :3] *= [0.9, 0.5, 0.35]
    radiance[10:14, 20:25, :3] = 5.0
    radiance[..., 3] = 20 * np.exp(0.5 * np.clip(noise[3], -2, 2))
    return Exposure(radiance, lens.rays(*size))


def test_with_all_at_zero_light_comes_out_as_the_response_says() -> None:
    lens = Lens(101, 67, 120.0)
    for light in (0.02, 0.5, 1.0, 10.0):
        out = develop([flat_light(lens, light)], [PLAIN], lens)[0]
        expected = min(float(respond(np.array(light))), 1.0) * 255
        assert np.abs(out[..., :3] - expected).max() <= 0.8
        assert (out[..., 3] == INSTANCE).all()
    # By hand: 1.5 goes into the shoulder, b = sqrt(0.6) = 0.7746, b (0.64 + 0.43 b) = 0.7537.
    assert (abs(develop([flat_light(lens, 1.0)], [PLAIN], lens)[0, ..., 0] - 192.2) < 1).all()
    assert (develop([flat_light(lens, 4.0)], [PLAIN], lens)[0, ..., :3] == 255).all()


def test_gain_and_white_balance_multiply_the_light() -> None:
    lens = Lens(64, 64, 120.0)
    settings = replace(PLAIN, white_balance=(1.2, 1.0, 0.8))
    frame = replace(flat_light(lens, 0.25), gain=2.0)
    out = develop([frame], [settings], lens)[0, 30, 30, :3]
    np.testing.assert_allclose(out, respond(np.array([0.6, 0.5, 0.4])) * 255, atol=1.5)


def test_no_saturation_is_grey() -> None:
    lens = Lens(64, 64, 120.0)
    out = develop([scenery(lens)], [replace(PLAIN, saturation=0.0)], lens)[0, ..., :3].astype(int)
    assert np.ptp(out, axis=-1).max() <= 1


def test_contrast_makes_bright_brighter_and_dark_darker() -> None:
    """Light x becomes x (x / 0.25)^0.4, and at most 2 x; 0.25 stays."""
    lens = Lens(64, 64, 120.0)
    for light, expected in ((0.25, 0.25), (0.5, 0.6598), (0.0625, 0.0359), (2.0, 4.0)):
        out = develop([flat_light(lens, light)], [replace(PLAIN, contrast=0.4)], lens)[0, 30, 30, 1]
        assert out == pytest.approx(min(float(respond(np.array(expected))), 1) * 255, abs=1)


def test_a_steady_processor_shows_every_light_as_bright_as_it_aims_at() -> None:
    """Light shown as y is multiplied by (0.51 / y)^1.9, or by its root if half as steady."""
    lens = Lens(64, 64, 120.0)
    for light, steadiness in ((0.1, 1.0), (1.2, 1.0), (0.1, 0.5)):
        settings = replace(PLAIN, light=LightSettings(steadiness=steadiness))
        out = develop([flat_light(lens, light)], [settings], lens)[0, 30, 30, 1]
        factor = (0.51 / float(respond(np.array(light)))) ** (1.9 * steadiness)
        assert out == pytest.approx(float(respond(np.array(light * factor))) * 255, abs=2)


def test_haze_lifts_black_most() -> None:
    """At half its strength it adds light of 0.09, of which blue has a little less."""
    lens = Lens(64, 64, 120.0)
    lifted = []
    for light in (0.0, 0.8):
        clear, hazy = develop(
            [flat_light(lens, light)] * 2, [PLAIN, replace(PLAIN, haze=0.5)], lens
        )[:, 30, 30, :3].astype(int)
        expected = respond(light + 0.09 * np.array([1.0, 0.96, 0.92])) * 255
        np.testing.assert_allclose(hazy, expected, atol=1.5)
        lifted.append((hazy - clear).mean())
    assert lifted[0] > 2 * lifted[1] > 0


def test_narrow_bands_hold_no_red_light() -> None:
    """Red shows the green light, green and blue the blue: tissue turns from salmon to brown."""
    lens = Lens(64, 64, 120.0)
    frames = [flat_light(lens, 0.0) for _ in range(2)]
    for frame, red in zip(frames, (0.8, 0.4), strict=True):
        frame.radiance[..., :3] = [red, 0.3, 0.2]
    bands = replace(PLAIN, narrow_band=1.0)
    one, other = develop(frames, [bands] * 2, lens)[:, 30, 30, :3].astype(int)
    np.testing.assert_allclose(one, respond(np.array([0.405, 0.3, 0.25])) * 255, atol=1.5)
    assert (one == other).all()
    # In part, red light counts in part: 0.5 x 0.8 + 0.5 x 0.405.
    half = develop([frames[0]], [replace(PLAIN, narrow_band=0.5)], lens)[0, 30, 30, 0]
    assert half == pytest.approx(float(respond(np.array(0.6025))) * 255, abs=1.5)


def test_the_corner_lacks_the_vignettes_share_of_light() -> None:
    lens = Lens(161, 121, 120.0)
    out = develop([flat_light(lens, 0.8)], [replace(PLAIN, vignette=0.5)], lens)[0, ..., 1]
    assert out[60, 80] == pytest.approx(float(respond(np.array(0.8))) * 255, abs=1)
    for y, x in ((0, 0), (0, 160), (120, 0), (120, 160)):
        assert out[y, x] == pytest.approx(float(respond(np.array(0.4))) * 255, abs=2)


def test_a_point_smears_exactly_along_its_motion() -> None:
    """Turning by 8 px to the right moves the picture 8 px to the left: a streak 8 px long."""
    lens = Lens(96, 64, 100.0)
    frame = flat_light(lens, 0.0)
    frame.radiance[32, 48, :3] = 2.0
    turned = replace(frame, rotation=(0.0, 8 / lens.focal_px, 0.0))
    out = develop([turned], [PLAIN], lens)[0, ..., 1]
    rows, columns = np.nonzero(out)
    assert set(rows) == {31, 32, 33}, "the lens's own spread, and no more"
    assert columns.min() in (42, 43, 44)
    assert columns.max() in (52, 53, 54)
    streak = out[32, 44:53]
    assert streak.min() > 0.6 * streak.max()
    still = develop([frame], [PLAIN], lens)[0, ..., 1]
    assert (np.nonzero(still)[1].min(), np.nonzero(still)[1].max()) == (47, 49)


def test_motion_forward_blurs_the_rim_and_not_the_middle() -> None:
    lens = Lens(96, 64, 100.0)
    frame = flat_light(lens, 0.0)
    for x in (47, 85):
        frame.radiance[32, x, :3] = 2.0
    forward = replace(frame, movement=(0.0, 0.0, 2.0))
    row = develop([forward], [PLAIN], lens)[0, 32, :, 1]
    assert np.count_nonzero(row[:66]) == 3
    # At an angle a off the axis, 2 mm at 16 mm are 2 / 16 sin(a) rad.
    angle = (85 - 47.5) / lens.focal_px
    length = lens.focal_px * 2 / 16 * math.sin(angle)
    assert np.count_nonzero(row[66:]) == pytest.approx(length + 3, abs=1.6)


def test_what_is_out_of_focus_spreads_over_its_circle_of_confusion() -> None:
    lens = Lens(96, 64, 100.0)
    settings = replace(PLAIN, defocus=1.0)
    areas = []
    for distance in (16.0, 8.0, 6.0):
        frame = flat_light(lens, 0.0, distance)
        frame.radiance[32, 48, :3] = 50.0
        out = develop([frame], [settings], lens)[0, ..., 1]
        areas.append(np.count_nonzero(out))
    radii = [lens.focal_px * WIDEST_APERTURE_MM * abs(1 / d - 1 / 16) for d in (16.0, 8.0, 6.0)]
    assert areas[0] == 9
    for area, radius in zip(areas[1:], radii[1:], strict=True):
        assert math.pi * radius**2 * 0.7 < area < math.pi * (radius + 2) ** 2


@pytest.mark.parametrize("light", [0.1, 0.8])
def test_noise_has_the_deviation_that_is_set(light: float) -> None:
    lens = Lens(256, 256, 120.0)
    settings = replace(PLAIN, read_noise=0.012, shot_noise=0.02)
    out = develop([flat_light(lens, light)], [settings], lens)[0, ..., :3] / 255
    shown = float(respond(np.array(light)))
    expected = math.sqrt(0.012**2 + 0.02**2 * shown)
    assert out.mean() == pytest.approx(shown, abs=0.002)
    for channel in range(3):
        assert out[..., channel].std() == pytest.approx(expected, rel=0.06)


def test_colour_noise_is_of_red_and_of_blue_by_themselves() -> None:
    lens = Lens(256, 256, 120.0)
    settings = replace(PLAIN, light=LightSettings(colour_noise=0.03))
    red, green, blue = develop([flat_light(lens, 0.3)], [settings], lens)[0].T[:3] / 255
    assert red.std() == pytest.approx(0.03, rel=0.03)
    assert blue.std() == pytest.approx(0.03, rel=0.03)
    assert green.std() < 0.005
    assert abs(np.corrcoef(red.ravel(), blue.ravel())[0, 1]) < 0.05


def test_noise_differs_between_frames_and_comes_again_with_its_seed() -> None:
    lens = Lens(64, 64, 120.0)
    noisy = replace(PLAIN, read_noise=0.02)
    two = develop([flat_light(lens, 0.3)] * 2, [noisy] * 2, lens)
    again = develop([flat_light(lens, 0.3)], [noisy], lens)
    assert (two[0] != two[1]).any(axis=-1).mean() > 0.8
    assert (two[0] == again[0]).all()


def test_sharpening_adds_a_halo_to_an_edge_and_leaves_flat_light() -> None:
    lens = Lens(64, 64, 120.0)
    frame = flat_light(lens, 0.2)
    frame.radiance[:, 32:, :3] = 0.6
    soft = develop([frame], [PLAIN], lens)[0, 32, :, 1].astype(int)
    sharp = develop([frame], [replace(PLAIN, sharpening=0.9)], lens)[0, 32, :, 1].astype(int)
    assert (soft[:28] == sharp[:28]).all()
    assert sharp[:32].min() < soft[0] - 5
    assert sharp[32:].max() > soft[-1] + 5


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sharpening": 0.9, "vignette": 0.4, "saturation": 1.2},
        {"defocus": 0.7},
        {"sharpening": 0.3, "defocus": 0.3},
        {"contrast": 0.4, "saturation": 1.2, "white_balance": (1.1, 1.0, 0.9)},
        {"haze": 0.6, "contrast": 0.2},
        {"narrow_band": 0.7, "saturation": 1.2, "haze": 0.2},
        {"light": LightSettings(hardness=1.0, black_level=0.05)},
        {"light": LightSettings(hardness=0.4, haze_colour=0.7), "haze": 0.4},
        {"light": LightSettings(compression=0.4)},
        {"light": LightSettings(compression=0.1), "contrast": 0.3},
        {"light": LightSettings(softness=1.2, oversharp=0.5)},
        {"light": LightSettings(mode=COLOUR_MODES["narrow bands"], mode_strength=0.8)},
    ],
)
def test_the_kernels_match_their_slow_twin(changes: dict[str, Any]) -> None:
    lens = Lens(72, 52, 120.0)
    settings = replace(PLAIN, **changes)
    frame = replace(scenery(lens), gain=1.3, movement=(0.4, 0.1, 0.5), rotation=(0.01, 0.02, 0.05))
    frame.radiance[:9, :12] = 0.0  # the screen covers a corner
    screens = np.zeros((1, 52, 72), np.int32)
    screens[0, :9, :12] = 1 << 24
    out = develop([frame], [settings], lens, screens)[0, ..., :3]
    truth = developed(frame, settings, lens.focal_px, WIDEST_APERTURE_MM * settings.defocus)
    error = np.abs(out - truth)
    # The kernels take a tile's motion for all its pixels: a tap may land a pixel beside.
    assert np.median(error) <= 1.0
    assert np.percentile(error, 95) < 6


def jpeg_by_opencv(image: NDArray[np.uint8], quality: int) -> NDArray[np.int64]:
    encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1].astype(np.int64)


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("size", [(96, 64), (101, 67)])
def test_jpeg_is_what_an_encoder_makes_of_the_frame(strength: float, size: tuple[int, int]) -> None:
    lens = Lens(*size, 120.0)
    settings = replace(PLAIN, jpeg=strength)
    plain, lossy = develop([scenery(lens)] * 2, [PLAIN, settings], lens)[..., :3].astype(int)
    expected = jpeg_by_opencv(plain.astype(np.uint8), settings.quality)
    loss = np.abs(expected - plain).mean()
    assert np.abs(lossy - expected).mean() < max(0.35 * loss, 1.0)
    assert np.abs(lossy - plain).mean() == pytest.approx(loss, rel=0.2)


def test_quality_is_95_at_least_and_20_at_most() -> None:
    assert replace(PLAIN, jpeg=1.0).quality == 20
    assert replace(PLAIN, jpeg=0.0).quality == 95
    assert quantisation_table(LUMA_STEPS, 50).tolist() == list(LUMA_STEPS)
    assert quantisation_table(CHROMA_STEPS, 25).tolist()[0] == 34  # doubled


@pytest.mark.parametrize("jpeg", [0.0, 0.3])
def test_the_screen_keeps_its_colour_and_lends_none_to_the_picture(jpeg: float) -> None:
    lens = Lens(96, 64, 120.0)
    screens = np.zeros((1, 64, 96), np.int32)
    screens[:, :, :32] = 1 << 24 | 10 | 200 << 8 | 60 << 16
    frame = replace(flat_light(lens, 0.5), movement=(1.0, 0.0, 0.0), rotation=(0.0, 0.02, 0.0))
    frame.radiance[:, :32] = 0.0
    settings = replace(PLAIN, jpeg=jpeg, sharpening=0.9, defocus=0.5)
    out = develop([frame], [settings], lens, screens)[0].astype(int)
    picture = round(float(respond(np.array(0.5))) * 255)
    # JPEG itself mixes the chroma of neighbours, and rings a little.
    reach, slack = (0, 1) if jpeg == 0 else (1, 12)
    assert np.abs(out[:, : 32 - reach, :3] - [10, 200, 60]).max() <= slack * reach
    assert np.abs(out[:, 32 + reach :, :3] - picture).max() <= slack
    assert (out[..., 3] == INSTANCE).all()


def test_the_disk_is_covered_evenly_about_its_middle() -> None:
    points = disk_table()[:, :2]
    for taps in (2, 4, 8, 32):
        np.testing.assert_allclose(points[:taps].mean(axis=0), 0, atol=1e-6)
    # An even disk of radius 1 has a mean squared radius of 1/2.
    assert (points**2).sum(axis=1).mean() == pytest.approx(0.5, abs=0.06)


def test_grain_is_of_unit_deviation_and_bends_colours_less_than_light() -> None:
    table = grain_table()
    channels = np.stack([(table >> shift) & 1023 for shift in (0, 10, 20)]) / 102.0 - 512 / 102
    np.testing.assert_allclose(channels.std(axis=1), 1, atol=0.01)
    np.testing.assert_allclose(channels.mean(axis=1), 0, atol=0.03)
    assert np.asarray(np.corrcoef(channels))[0, 2] > 0.4
