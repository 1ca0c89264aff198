"""Sheets of what stands on screens beside the picture, and of what recorders do to it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from endoforge.sim.display import Display, Recorder
from endoforge.sim.flight import fly
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.sensor import LONGEST_EXPOSURE_S

from .layout import Picture, matrix
from .studio import Studio, Taken, plain_ranges

PICTURE_SEED = 12
ON_SCREEN = {
    "framing": "shape, margins,\ncut edges",
    "stretched": "4:3 as 16:9, or\nthe other way",
    "ground": "grey in place\nof black",
    "panels": "beside the\npicture",
    "repeated": "the picture in\nthe picture",
    "stills": "captured\npictures",
    "twin": "in other\ncolours",
}
BY_RECORDER = {
    "colour_ghosts": "colours of three\nmoments",
    "interlaced": "lines of two\nmoments",
    "doubled": "a moment ago\nshines through",
    "soft": "shown larger\nthan recorded",
    "ringing": "sharpened once\nmore",
    "soft_chroma": "colours smear\nto the right",
}
STRENGTHS = (0.0, 0.3, 0.6, 1.0)


def screen_sheet(studio: Studio, names: Sequence[str] = tuple(ON_SCREEN)) -> Picture:
    """Each part of the screen (rows), as four runs have it (columns)."""
    scene = make_scene(PICTURE_SEED, plain_ranges())
    view = studio.best(scene, fly(scene), _shows_a_polyp)
    rows = [
        [
            studio.tile_of(studio.take(on_screen(scene, name, seed), [view])[0])
            for seed in range(1, 5)
        ]
        for name in names
    ]
    labels = [f"{name}\n{ON_SCREEN[name]}" for name in names]
    return matrix(rows, labels, [f"run {seed}" for seed in range(1, 5)])


def recording_sheet(
    studio: Studio,
    names: Sequence[str] = tuple(BY_RECORDER),
    strengths: Sequence[float] = STRENGTHS,
) -> Picture:
    """Each fault of recordings (rows) from none to all there is (columns), pixel by pixel."""
    scene = make_scene(PICTURE_SEED, plain_ranges())
    camera = replace(scene.camera, exposure_s=0.4 * LONGEST_EXPOSURE_S)
    scene = replace(scene, camera=camera)
    states = [state for state in fly(scene) if 0.5 < np.linalg.norm(state.turn_rad_s) < 1.2]
    view = studio.best(scene, states, _shows_a_polyp)
    rows = [
        [
            studio.detail_of(studio.take(replace(scene, recording=recording), [view])[0])
            for recording in (Recorder(**{name: strength}) for strength in strengths)
        ]
        for name in names
    ]
    labels = [f"{name.replace('_', ' ')}\n{BY_RECORDER[name]}" for name in names]
    headings = ["none" if strength == 0 else f"strength {strength:g}" for strength in strengths]
    return matrix(rows, labels, headings)


def on_screen(scene: Scene, name: str, seed: int) -> Scene:
    """The scene with one part of the screen, as it is drawn for the run of another seed."""
    strengths = {"framing": 0.7, "ground": 0.25 * seed, "repeated": 0.25 * seed}
    if name == "stretched":
        display = Display(stretch=(0.75, 0.87, 1.15, 1.33)[seed - 1])
    else:
        display = Display(**{name: strengths.get(name, 0.6)})
    # The ground shows around a mask alone.
    overlay = 0.3 if name in ("ground", "twin", "stretched") else 0.0
    nuisances = replace(scene.nuisances, overlay=overlay)
    return replace(scene, seed=seed, display=display, nuisances=nuisances)


def _shows_a_polyp(taken: Taken) -> float:
    """How well a polyp of middling size is seen in the middle of a bright picture."""
    height, width = taken.instance.shape
    middle = taken.instance[height // 4 : -height // 4, width // 4 : -width // 4]
    fills = float((taken.instance > 0).mean())
    bright = float(((taken.rgb > 40) & (taken.rgb < 235)).mean())
    return float((middle > 0).mean()) - abs(fills - 0.12) + bright
