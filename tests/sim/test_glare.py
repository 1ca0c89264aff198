"""Light that strays in the lens, and what lies on it, against their slow twin."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from endoforge.sim.light import LightSettings
from endoforge.sim.optics import Lens
from tests.sim.develop_reference import Exposure, developed
from tests.sim.glare_reference import film, tiled_glare
from tests.sim.test_develop import PLAIN, develop, develop_all, scenery

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
