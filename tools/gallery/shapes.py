"""The sheet of polyps that are no smooth ellipsoids: a row a shape."""

from functools import partial
from typing import Any

import numpy as np

from endoforge.sim.itinerary import viewing_distance
from endoforge.sim.lumen import Lumen
from endoforge.sim.polyps import Polyp
from endoforge.sim.scene import make_scene

from .layout import Picture, matrix
from .scores import shows_one
from .studio import FOV_RAD, Studio, plain_ranges, views_of

SEED, COLUMNS = 61, 3
NONE = {"share_ip": 0.0, "share_isp": 0.0, "share_is": 0.0, "share_iia": 0.0}
SHAPES: dict[str, dict[str, Any]] = {
    "uneven\nstretched, tilted,\nlobed": {"share_is": 1.0, "uneven": [0.8, 1.0]},
    "cauliflower\ncreases between\nbulges": {"share_is": 1.0, "cauliflower": 1.0},
    "long stalks": {"share_ip": 1.0, "long_stalks": 1.0},
    "on folds\non their crests": {"share_is": 1.0, "on_folds": 1.0, "behind_folds": 0.0},
    "mass\nof 3 to 9 heads": {"share_mass": 1.0, "mass_mm": [16.0, 30.0]},
    "ulcerated\na crater with\nslough": {"share_mass": 1.0, "ulcerated": 1.0},
    "IIb\nlevel": {"share_iib": 1.0},
    "IIc\nsunk": {"share_iic": 1.0},
    "IIa+IIc\nraised, sunk in\nthe middle": {"share_iia_iic": 1.0},
    "LST-G\nspreading,\ngranular": {"share_lst_g": 1.0},
    "LST-NG\nspreading,\nsmooth": {"share_lst_ng": 1.0},
}


def shape_sheet(studio: Studio, columns: int = COLUMNS) -> Picture:
    """Each shape, three runs, as the scope finds it."""
    rows = [
        [_portrait(studio, shape, SEED + column) for column in range(columns)]
        for shape in SHAPES.values()
    ]
    return matrix(rows, list(SHAPES), [""] * columns)


def _portrait(studio: Studio, shape: dict[str, Any], seed: int) -> Picture:
    """The best of many views from aside of the polyps of a run of that shape."""
    ranges = {"count": (8, 8), "diameter_mm": (9.0, 20.0), **NONE, **shape}
    scene = make_scene(seed, plain_ranges(**ranges))
    lumen, rng, share = Lumen(scene), np.random.default_rng(seed), 0.16
    states = [
        state
        for polyp in scene.polyps
        for state in views_of(lumen, polyp, _distance(polyp, share), rng, tries=12)
    ]
    state = studio.best(scene, states, partial(shows_one, share=share))
    return studio.tile_of(studio.take(scene, [state])[0])


def _distance(polyp: Polyp, share: float) -> float:
    return min(viewing_distance(polyp.diameter_mm, share, FOV_RAD), 32.0)
