"""The sheet of what few colons have: masses around the lumen, groups of polyps, a look back."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from endoforge.sim.camera import CameraState
from endoforge.sim.flight import plan_flight
from endoforge.sim.lumen import Lumen
from endoforge.sim.polyps import Polyp
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.streams import run_seed

from .layout import Picture, matrix
from .scores import is_open
from .studio import Studio, Taken, ahead, facing, plain_ranges

SEED, COLUMNS, TRIES = 77, 4, 20
NO_USUAL = {"share_ip": 0.0, "share_isp": 0.0, "share_is": 0.0, "share_iia": 0.0}


def rarity_sheet(studio: Studio, columns: int = COLUMNS) -> Picture:
    """Each in some runs (columns)."""
    rows = [[make(studio, run_seed(SEED, k), k) for k in range(columns)] for make in ROWS.values()]
    return matrix(rows, list(ROWS), [""] * columns)


def _mass(studio: Studio, seed: int, number: int) -> Picture:
    """Of a run's masses around the lumen a ring and a crescent by turns, from before it."""
    ranges = plain_ranges(count=(8, 8), **NO_USUAL, share_mass=1.0, encircling=1.0, ulcerated=0.4)
    scene = make_scene(seed, ranges)
    bands = [(polyp, polyp.band) for polyp in scene.polyps if polyp.band]
    ring = number % 2 == 1
    polyp, band = min(bands, key=lambda one: abs(one[1].turn - (3.0 if ring else 0.0)))
    lumen, foot = Lumen(scene), polyp.s_mm - 0.6 * band.half_length_mm
    states = [ahead(lumen, foot - before, before) for before in np.linspace(10.0, 34.0, TRIES)]
    return _best(studio, scene, states, partial(_shows, share=0.35))


def _group(studio: Studio, seed: int, _number: int) -> Picture:
    """A group of small polyps, from where most of them are seen."""
    scene = make_scene(seed, plain_ranges(count=(4, 4), clusters=1.0))
    members = [polyp for polyp in scene.polyps if polyp.group == 1]
    states = _towards(Lumen(scene), members[len(members) // 2])
    return _best(studio, scene, states, _number_seen)


def _look_back(studio: Studio, seed: int, _number: int) -> Picture:
    """The middle of the time in which the scope looks back; the next run's if it has no room."""
    ranges = plain_ranges()
    motion = replace(ranges.motion, retroflexion=1.0)
    scene = make_scene(seed, replace(ranges, motion=motion))
    flight = plan_flight(scene)
    tangents = flight.lumen.frames(flight.s_mm)[:, 3]
    (back,) = np.nonzero((flight.axes[:, 2] * tangents).sum(axis=1) < -0.85)
    if not len(back):
        return _look_back(studio, seed + 1, _number)
    [state] = flight.states([int(back[len(back) // 2])])
    return studio.tile_of(studio.take(scene, [state])[0])


def _towards(lumen: Lumen, polyp: Polyp) -> list[CameraState]:
    target = np.array(polyp.centre)
    return [facing(lumen, polyp.s_mm - far, target) for far in np.linspace(5.0, 32.0, TRIES)]


def _best(
    studio: Studio, scene: Scene, states: list[CameraState], score: Callable[[Taken], float]
) -> Picture:
    state = studio.best(scene, states, score)
    return studio.tile_of(studio.take(scene, [state])[0])


def _shows(taken: Taken, share: float) -> float:
    """How near to a share of the picture the polyps come, and how open it is."""
    return min(float((taken.instance > 0).mean()), share) * is_open(taken)


def _number_seen(taken: Taken) -> float:
    """How many polyps are seen; of as many, the larger."""
    pixels = np.bincount(taken.instance.ravel(), minlength=2)[1:]
    return (float((pixels > 15).sum()) + 5.0 * float(pixels.sum() / taken.instance.size)) * is_open(
        taken
    )


ROWS: dict[str, Callable[[Studio, int, int], Picture]] = {
    "encircling\nmasses around\nthe lumen": _mass,
    "clusters\nof diminutive\npolyps": _group,
    "retroflexion\nits own shaft": _look_back,
}
