"""Sheets of the light: how it falls, glints, strays in the lens, and what processors make of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from endoforge.sim.camera import CameraState
from endoforge.sim.flight import fly
from endoforge.sim.light import COLOUR_MODES, LightSettings
from endoforge.sim.scene import Scene, make_scene

from .layout import Picture, grid, matrix
from .studio import Studio, Taken, plain_ranges, spread

SCENE_SEED = 12
STRENGTHS = (0.0, 0.3, 0.6, 1.0)
FALLING = {
    "falloff": "what is far\nis darker", "bounces": "red light that\nwalls pass on",
    "crevices": "darker between\nfolds", "shadows": "of folds and\npolyps",
    "foot": "darker at the\nfoot of polyps",
}  # fmt: skip
GLINTING = {
    "ripples": "glints on the\nfilm of mucus", "glints": "larger ones",
    "wet_patches": "the rest is dry",
}  # fmt: skip
IN_THE_LENS = {
    "bloom": "glow around\nwhat burns out", "ghosts": "reflections in\nthe lens",
    "drops": "drops and\nsmudges", "fog": "from the rim",
}  # fmt: skip
OF_THE_PROCESSOR = {
    "hardness": "highlights\nthat clip", "black_level": "black is grey",
    "steadiness": "shown as bright\nas is aimed at",
    "compression": "bright held back,\ndark lifted",
    "softness": "detail, pixel\nby pixel", "oversharp": "detail, pixel\nby pixel",
    "colour_noise": "detail, pixel\nby pixel", "exposure_error": "too bright",
}  # fmt: skip
DETAILS = ("softness", "oversharp", "colour_noise")
MOST = {
    "black_level": 0.1, "softness": 1.0, "colour_noise": 0.04, "exposure_error": 1.0,
}  # fmt: skip
"""What strength 1 is of ranges that aren't shares."""


def light_sheet(
    studio: Studio, names: dict[str, str], strengths: Sequence[float] = STRENGTHS
) -> Picture:
    """Each part of the light (rows) from none to all there is (columns)."""
    base = _wet(make_scene(SCENE_SEED, plain_ranges()))
    rows = [_strengths(studio, base, name, strengths) for name in names]
    labels = [
        f"{name.removesuffix('_error').replace('_', ' ')}\n{about}" for name, about in names.items()
    ]
    headings = ["none" if strength == 0 else f"strength {strength:g}" for strength in strengths]
    return matrix(rows, labels, headings)


def mode_sheet(studio: Studio) -> Picture:
    """One view in white light and in each colour mode."""
    base = make_scene(SCENE_SEED, plain_ranges())
    modes = {"white light": LightSettings()} | {
        name: LightSettings(mode=mode, mode_strength=1.0) for name, mode in COLOUR_MODES.items()
    }
    scenes = [with_light(base, light) for light in modes.values()]
    state = _telling(studio, scenes[:2])
    tiles = [studio.tile_of(studio.take(scene, [state])[0]) for scene in scenes]
    return grid(tiles, list(modes), columns=3)


def with_light(scene: Scene, light: LightSettings) -> Scene:
    """The scene in this light."""
    return replace(scene, camera=replace(scene.camera, light=light))


def light_at(name: str, strength: float) -> LightSettings:
    """The plain light with one thing at a strength."""
    plain = LightSettings(seed=4, film_change_s=60.0)
    # Glints are seen where there are some: on ripples.
    if name in GLINTING:
        plain = replace(plain, ripples=1.0)
    # A film of many drops, well out of focus.
    if name in IN_THE_LENS:
        plain = replace(plain, seed=9, film_blur_deg=2.5)
    if name == "glints":
        return replace(plain, glint_deg=2.0 + 6.0 * strength)
    change: dict[str, Any] = {name: strength * MOST.get(name, 1.0)}
    if name == "bloom":
        change["hardness"] = 0.5
    return replace(plain, **change)


def _wet(scene: Scene) -> Scene:
    return replace(scene, look=replace(scene.look, gloss=0.6))


def _strengths(studio: Studio, base: Scene, name: str, strengths: Sequence[float]) -> list[Picture]:
    scenes = [with_light(base, light_at(name, strength)) for strength in strengths]
    state = _telling(studio, [scenes[0], scenes[-1]])
    tile = studio.detail_of if name in DETAILS else studio.tile_of
    return [tile(studio.take(scene, [state])[0]) for scene in scenes]


def _telling(studio: Studio, scenes: Sequence[Scene]) -> CameraState:
    """Of the flight, the view that differs most between two scenes and shows a polyp."""
    before_cecum = scenes[0].anatomy.length_mm - 90.0
    states = [state for state in fly(scenes[-1]) if state.pose.s_mm < before_cecum]
    states = spread(states, studio.tries)
    first, last = (studio.take(scene, states, small=True) for scene in scenes)
    scores = [_told(one, other) for one, other in zip(first, last, strict=True)]
    return states[int(np.argmax(scores))]


def _told(one: Taken, other: Taken) -> float:
    apart = np.square(one.rgb.astype(float) - other.rgb).mean()
    brightness = one.rgb.mean(axis=2)
    open_ = float(((one.depth > 9) & (brightness > 25) & (brightness < 235)).mean())
    polyp = any(view.box_px is not None for view in one.views)
    return float(min(np.sqrt(apart) / 255, 0.1) * (1.0 + 0.6 * polyp) * open_**3)


LIGHT_SHEETS: dict[str, Callable[[Studio], Picture]] = {
    "light-falling": partial(light_sheet, names=FALLING),
    "light-glints": partial(light_sheet, names=GLINTING),
    "light-lens": partial(light_sheet, names=IN_THE_LENS),
    "light-processor": partial(light_sheet, names=OF_THE_PROCESSOR),
    "light-modes": mode_sheet,
}
"""Each sheet by its file's name."""
