"""Light that strays in the lens, and what lies on it, against their slow twin."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.light import LightSettings
from endoforge.sim.optics import Lens
from tests.sim.develop_reference import Exposure, developed
from tests.sim.glare_reference import film, tiled_glare
from tests.sim.test_develop import PLAIN, develop, develop_all, flat_light, scenery

pytestmark = pytest.mark.usefixtures("cpu")
LENS = Lens(140, 92, 120.0)
TIME_S = 5.5
"""Within the first film, and half way through what it takes to come or go at 10 s a film."""
STRAYS: dict[str, dict[str, Any]] = {
    "bloom": {"bloom": 1.0},
    "ghosts": {"ghosts": 1.0},
    "fog": {"fog": 0.9},
    **{f"drops {seed}": {"drops": 1.0, "seed": seed} for seed in (1, 2, 4, 5)},
    "few drops": {"drops": 0.5, "fog": 0.4, "seed": 9},
}


def burning(lens: Lens) -> Exposure:
    """A scenery that burns out here and there; the screen covers a corner of it."""
    frame = replace(scenery(lens), gain=2.2)
    frame.radiance[: lens.height // 5, : lens.width // 6] = 0.0
    return frame


def settings_of(name: str) -> LightSettings:
    light = LightSettings(film_change_s=10.0, film_blur_deg=2.0, seed=1)
    return replace(light, **STRAYS[name])


@pytest.mark.parametrize("name", STRAYS)
def test_tiles_have_the_glare_and_the_film_of_the_twin(name: str) -> None:
    frame, light = burning(LENS), settings_of(name)
    for time_s in (TIME_S, 9.1):
        _, room = develop_all([frame], [replace(PLAIN, light=light)], LENS, time_s=time_s)
        expected = tiled_glare(frame.radiance, frame.gain, light, time_s)
        glare = room.glare.numpy().astype(float).reshape(expected.shape)
        assert expected.max() > 0.03
        np.testing.assert_allclose(glare, expected, rtol=1e-4, atol=3e-6)


def test_most_films_have_drops_and_one_in_three_is_clean() -> None:
    y, x = np.mgrid[-1:1:40j, -1.5:1.5:60j]
    murk = [film(LightSettings(drops=1.0, seed=seed), x, y, 2.0).max() for seed in range(200)]
    assert 0.55 < np.mean(np.array(murk) > 0) < 0.8
    assert max(murk) > 0.8


@pytest.mark.parametrize("name", ["bloom", "fog", "drops 5", "few drops"])
def test_the_picture_behind_it_is_the_twins(name: str) -> None:
    lens = Lens(72, 52, 120.0)
    frame, settings = burning(lens), replace(PLAIN, light=settings_of(name), vignette=0.3)
    screens = np.zeros((1, 52, 72), np.int32)
    screens[0][frame.radiance[..., 3] == 0] = 1 << 24
    out = develop([frame], [settings], lens, screens, TIME_S)[0, ..., :3]
    truth = developed(frame, settings, lens.focal_px, 0.0, TIME_S)
    plain = developed(frame, replace(settings, light=LightSettings()), lens.focal_px, 0.0)
    assert np.abs(truth - plain).mean() > 0.4
    error = np.abs(out - truth)
    assert np.median(error) <= 1.0
    assert np.percentile(error, 95) < 6


def test_what_burns_out_glows_over_what_is_around_it_and_nowhere_else() -> None:
    lens = Lens(160, 128, 120.0)
    frame = flat_light(lens, 0.05)
    frame.radiance[56:72, 72:88, :3] = 5.0
    plain, glowing = (
        develop([frame], [replace(PLAIN, light=LightSettings(bloom=bloom))], lens)[0, ..., 1]
        for bloom in (0.0, 1.0)
    )
    added = glowing.astype(int) - plain.astype(int)
    assert added[64, 64] > added[64, 50] > added[64, 44] >= 0
    assert added[64, 64] > 10
    assert (added[:, :24] == 0).all()
    assert (added >= 0).all()


def test_a_ghost_lies_on_the_other_side_of_the_middle() -> None:
    lens = Lens(160, 128, 120.0)
    frame = flat_light(lens, 0.02)
    frame.radiance[16:32, 16:32, :3] = 6.0
    plain, ghostly = (
        develop([frame], [replace(PLAIN, light=LightSettings(ghosts=ghosts))], lens)[0, ..., 1]
        for ghosts in (0.0, 1.0)
    )
    y, x = np.nonzero(ghostly.astype(int) - plain > 4)
    assert abs(y.mean() - (127 - 23.5)) < 3
    assert abs(x.mean() - (159 - 23.5)) < 3


def test_drops_blur_patches_and_the_lens_is_clean_without_them() -> None:
    """Of a fine chequer's contrast they leave little where they lie, and all elsewhere."""
    lens = Lens(160, 128, 120.0)
    frame = flat_light(lens, 0.1)
    y, x = np.mgrid[:128, :160]
    frame.radiance[(y // 4 + x // 4) % 2 == 0, :3] = 0.6

    def contrast(time_s: float = 5.0, **light: Any) -> NDArray[np.float64]:
        settings = replace(PLAIN, light=LightSettings(film_change_s=10.0, **light))
        out = develop([frame], [settings], lens, time_s=time_s)[0, ..., 1].astype(float)
        return np.asarray(cv2.blur(np.abs(out - cv2.blur(out, (9, 9))), (9, 9)))

    clean = contrast()
    films = [contrast(drops=1.0, film_blur_deg=3.0, seed=seed) / clean for seed in range(8)]
    wet = [float((film < 0.6).mean()) for film in films]
    assert 3 <= np.count_nonzero(wet) < 8
    assert 0.02 < np.mean(wet) < 0.6
    # A film comes and goes: at the turn from one to the next the lens is clean.
    assert (contrast(20.0, drops=1.0, film_blur_deg=3.0) / clean).min() > 0.95
