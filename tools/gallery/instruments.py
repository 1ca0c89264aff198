"""The sheet of instruments and of what treatment leaves on the wall."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from endoforge.sim.camera import CameraState
from endoforge.sim.flight import fly
from endoforge.sim.lumen import Lumen
from endoforge.sim.ranges.values import Nuisance
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.streams import run_seed

from .layout import Picture, matrix
from .studio import Studio, Taken, facing, plain_ranges

SEED = 51
ABOUT = {
    "snare": "a loop of\nwire", "forceps": "two cups", "needle": "on a tube",
    "cap": "its rim and\nwall", "jet": "of water, with\nits splash",
    "lift": "injected,\ndyed", "ulcers": "after a\nresection", "scars": "pale stars",
    "tattoo": "ink in the\nwall", "clips": "of metal",
}  # fmt: skip
ON_THE_WALL = ("lift", "ulcers", "scars", "tattoo", "clips")


def instrument_sheet(
    studio: Studio, names: Sequence[str] = tuple(ABOUT), columns: int = 4
) -> Picture:
    """Each instrument and each thing that treatment leaves (rows), in some runs (columns)."""
    rows = [[_example(studio, name, k) for k in range(columns)] for name in names]
    return matrix(rows, [f"{name}\n{ABOUT[name]}" for name in names], [""] * columns)


def _example(studio: Studio, name: str, number: int) -> Picture:
    """The view of a run that shows most of that thing."""
    always = Nuisance(probability=1.0, strength=(0.5, 1.0))
    ranges = plain_ranges()
    bare = make_scene(run_seed(SEED, number), ranges)
    held = replace(ranges, instruments=replace(ranges.instruments, **{name: always}))
    scene = make_scene(bare.seed, held)
    states = _close_ups(scene) if name in ON_THE_WALL else fly(scene)[len(fly(scene)) // 2 :]
    some = states[:: max(len(states) // studio.tries, 1)]
    without = studio.take(bare, some, small=True)
    scores = [
        _shown(one, other)
        for one, other in zip(studio.take(scene, some, small=True), without, strict=True)
    ]
    return studio.tile_of(studio.take(scene, [some[int(np.argmax(scores))]])[0])


def _close_ups(scene: Scene) -> list[CameraState]:
    """Views of every mark and clip, from the rectum's side."""
    lumen = Lumen(scene)
    places = [(mark.s_mm, mark.centre) for mark in scene.treatment.marks]
    places += [(clip.s_mm, clip.foot) for clip in scene.treatment.clips]
    return [
        facing(lumen, s_mm - before, np.array(centre))
        for s_mm, centre in places
        for before in (10.0, 15.0, 21.0)
    ]


def _shown(one: Taken, bare: Taken) -> float:
    """How much of the picture differs from the bare run's, with a polyp if there can be one."""
    changed = float((np.abs(one.rgb - bare.rgb.astype(float)).max(axis=2) > 24).mean())
    polyp = any(view.box_px is not None for view in one.views)
    room = min(float(np.median(one.depth)) / 20.0, 1.0)
    return (min(changed, 0.4) + 0.1 * polyp) * room
