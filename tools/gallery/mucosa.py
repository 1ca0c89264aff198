"""Sheets of the mucosa: what its tissue differs in, and what lesions look like from near."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from endoforge.sim.anatomy import make_anatomy
from endoforge.sim.flight import fly
from endoforge.sim.itinerary import viewing_distance
from endoforge.sim.lumen import Lumen
from endoforge.sim.nuisances import Nuisances
from endoforge.sim.polyp_surface import PolypSurface
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.surfaces import FIRST_OF_LESIONS, KINDS
from endoforge.sim.tissue import Tissue

from .layout import Picture, matrix
from .studio import FOV_RAD, SHINE, Studio, Taken, plain_ranges, spread, views_of

TISSUE_SEED, LESION_SEED, LESION_MM, LESION_SHARE = 12, 35, 12.0, 0.12
STRENGTHS = (0.0, 0.3, 0.6, 1.0)
ABOUT = {
    "branching": "vessels from\nstems, grooves", "vessel_patches": "denser here,\nnone there",
    "hue": "redder folds,\nyellower flats", "inflamed": "swollen and red,\nwith red spots",
    "melanosis": "brown as a\nleopard", "film": "mucus, tinted\nby bile",
    "dye_in_pits": "dye in the finest\npits, opaque",
}  # fmt: skip
LESIONS: dict[str, Sequence[PolypSurface]] = {
    "pits\nround, stellar,\ngyri, villi": [
        PolypSurface(kind=kind, pits=0.8, repeat_mm=16.0) for kind in KINDS[FIRST_OF_LESIONS:]
    ],
    "wall part\nhow much of the\nwall's colour": [
        PolypSurface(wall_part=part, margin_mm=1.0) for part in STRENGTHS
    ],
    "top\npaler to redder": [PolypSurface(top=top) for top in (-0.8, -0.4, 0.5, 1.0)],
    "spots\nwhite to red": [
        PolypSurface(kind="round", pits=0.2, repeat_mm=14.0, spots=spots)
        for spots in (-1.0, -0.4, 0.4, 1.0)
    ],
    "erosion\nblood and slough": [PolypSurface(erosion=strength) for strength in STRENGTHS],
}
"""Rows of four."""


def tissue_sheet(studio: Studio) -> Picture:
    """Each part of the tissue (rows) from none to all there is (columns)."""
    base = make_scene(TISSUE_SEED, plain_ranges())
    rows = [
        _row(studio, [_with_tissue(base, name, strength) for strength in STRENGTHS])
        for name in ABOUT
    ]
    labels = [f"{name.replace('_', ' ')}\n{about}" for name, about in ABOUT.items()]
    headings = ["none" if strength == 0 else f"strength {strength:g}" for strength in STRENGTHS]
    return matrix(rows, labels, headings)


def _with_tissue(scene: Scene, name: str, strength: float) -> Scene:
    """The scene with one part of the tissue; vessels that branch have capillaries as strong."""
    change: dict[str, Any] = {name: strength}
    look = replace(scene.look, capillaries=0.0, mottling=0.2, pits=0.1)
    if name == "branching":
        change = {name: strength > 0}
        look = replace(look, capillaries=strength)
    if name == "vessel_patches":
        change["branching"] = True
        look = replace(look, capillaries=0.8)
    if name == "dye_in_pits":
        dyed = Nuisances(highlights=SHINE, dye=0.8)
        scene = replace(scene, anatomy=make_anatomy(scene.seed, scene.ranges.anatomy, dyed))
    return replace(scene, look=replace(look, tissue=Tissue(**change)))


def _row(studio: Studio, scenes: Sequence[Scene]) -> list[Picture]:
    """The view of the flight that tells most between the first and the last."""
    before_cecum = scenes[0].anatomy.length_mm - 90.0
    states = [state for state in fly(scenes[-1]) if state.pose.s_mm < before_cecum]
    states = spread(states, studio.tries)
    first, last = (studio.take(scene, states, small=True) for scene in (scenes[0], scenes[-1]))
    tells = [_difference(one, other) for one, other in zip(first, last, strict=True)]
    state = states[int(np.argmax(tells))]
    return [studio.tile_of(studio.take(scene, [state])[0]) for scene in scenes]


def _difference(one: Taken, other: Taken) -> float:
    """0..1: how differently the middling bright parts of two pictures look."""
    bright = one.rgb.mean(axis=2)
    open_ = float(((bright > 40) & (bright < 225) & (one.depth > 9)).mean())
    return open_**3 * float(np.sqrt(np.square(one.rgb.astype(float) - other.rgb).mean())) / 255


def lesion_sheet(studio: Studio) -> Picture:
    """What lesions look like from near (rows), by degrees or kinds (columns)."""
    size = (LESION_MM, LESION_MM)
    ranges = plain_ranges(
        count=(14, 14), diameter_mm=size, mucus=(0.0, 0.0), lobes=(0.3, 0.5), redness=(0.1, 0.2)
    )
    scene = make_scene(LESION_SEED, ranges)
    lumen, rng = Lumen(scene), np.random.default_rng(LESION_SEED)
    away = viewing_distance(LESION_MM, LESION_SHARE, FOV_RAD)
    states = [
        state for polyp in scene.polyps for state in views_of(lumen, polyp, away, rng, tries=6)
    ]
    state = studio.best(scene, states, _shows_much)
    rows = []
    for surfaces in LESIONS.values():
        scenes = [
            replace(scene, polyps=tuple(replace(polyp, surface=surface) for polyp in scene.polyps))
            for surface in surfaces
        ]
        rows.append([studio.tile_of(studio.take(one, [state])[0]) for one in scenes])
    return matrix(rows, list(LESIONS), [""] * len(STRENGTHS))


def _shows_much(taken: Taken) -> float:
    """How well one polyp is seen: large, whole, neither dark nor burnt."""
    height, width = taken.instance.shape
    views = [view for view in taken.views if view.box_px is not None]
    if len(views) != 1 or views[0].box_px is None:
        return -1.0
    x0, y0, x1, y1 = views[0].box_px
    cut = x0 <= 1 or y0 <= 1 or x1 >= width - 1 or y1 >= height - 1
    on = taken.instance == views[0].instance
    bright = taken.rgb[on].mean(axis=1)
    return float(views[0].visibility * ((bright > 60) & (bright < 220)).mean()) - cut


MUCOSA_SHEETS: dict[str, Callable[[Studio], Picture]] = {
    "tissue": tissue_sheet,
    "lesions": lesion_sheet,
}
"""Each sheet by its file's name."""
