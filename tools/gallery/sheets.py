"""The sheets of the gallery: what each shows."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import cv2
import matplotlib
import numpy as np

from endoforge.sim.anatomy import Anatomy
from endoforge.sim.camera import CameraState
from endoforge.sim.centreline import SEGMENTS
from endoforge.sim.flight import fly
from endoforge.sim.itinerary import viewing_distance
from endoforge.sim.lumen import Lumen
from endoforge.sim.polyps import KINDS, Paris
from endoforge.sim.randomization import load_randomization
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.streams import run_seed

from .colon import COLON_SHEETS
from .instruments import instrument_sheet
from .layout import Picture, captioned, grid, matrix, with_scale
from .light import LIGHT_SHEETS
from .mucosa import MUCOSA_SHEETS
from .pictures import recording_sheet, screen_sheet
from .rarities import rarity_sheet
from .scores import is_open, shows_one
from .shapes import shape_sheet
from .studio import (
    FOV_RAD,
    SURFACE,
    Studio,
    Taken,
    ahead,
    facing,
    plain_ranges,
    spread,
    views_of,
    with_strength,
)

SEGMENT_SEED, POLYP_SEED, NUISANCE_SEED, TRUTH_SEED, RANDOM_SEED = 4, 33, 12, 3, 2026
SIZES_MM = (6.0, 10.0, 18.0)
USUAL = KINDS[:4]
"""Those that come in all sizes; `shapes` shows the others."""
STRENGTHS = (0.0, 0.3, 0.6, 1.0)
ON_THE_WALL = ("highlights", "bubbles", "stool", "fluid")
COLOURING = ("blood", "dye", "diverticula")
OF_THE_LIGHT = ("contrast", "scattered", "haze", "narrow_band")
OF_THE_CAMERA = ("defocus", "motion_blur", "jpeg", "overlay")
DETAILS = (*SURFACE, "defocus", "motion_blur", "jpeg")
ABOUT = {
    "capillaries": "the finest\nvessels", "mottling": "redness and\npallor",
    "pits": "and grooves,\nwith glints",
    "contrast": "near burns out,\nfar is black", "scattered": "light that\nwalls pass on",
    "haze": "vapour, smoke", "narrow_band": "green and blue\nlight",
    "highlights": "glints on wet\nmucosa", "bubbles": "and foam", "stool": "residue",
    "fluid": "pools on the\nlower side", "blood": "streaks, stains",
    "dye": "indigo carmine\nin grooves",
    "diverticula": "pouches of\nthe wall",
    "defocus": "detail, pixel\nby pixel", "motion_blur": "detail, pixel\nby pixel",
    "jpeg": "detail, pixel\nby pixel", "overlay": "mask, text,\ninset",
}  # fmt: skip
DEPTHS_MM = (0.0, 80.0)
APART_S, FAR_AWAY_MM = 8.0, 1000.0
INSTANCE_COLOURS = matplotlib.colormaps["Set2"].colors  # type: ignore[attr-defined]


def segment_sheet(studio: Studio) -> Picture:
    """The way in: six segments, a flexure, the ileocecal valve, the appendix's orifice."""
    scene = make_scene(SEGMENT_SEED, plain_ranges(count=(0, 0)))
    lumen, ends = Lumen(scene), [0.0, *scene.anatomy.segment_ends]
    stops = {
        name.capitalize(): ahead(lumen, 0.55 * start + 0.45 * end, 40.0)
        for name, start, end in zip(SEGMENTS, ends, ends[1:], strict=False)
    }
    stops["Cecum"] = ahead(lumen, ends[-1] - 85.0, 40.0)
    places = {
        "Hepatic flexure": ahead(lumen, ends[4] - 24.0, 40.0),
        "Ileocecal valve": _towards(scene.anatomy, lumen, valve_at(scene.anatomy), 20.0),
        "Appendix's orifice": _towards(scene.anatomy, lumen, appendix_at(scene.anatomy), 24.0),
    }
    stops |= places
    tiles = [studio.tile_of(taken) for taken in studio.take(scene, stops.values())]
    return grid(tiles, list(stops), columns=3)


def valve_at(anatomy: Anatomy) -> tuple[float, float]:
    """Where (s mm, angle) two lips with a slit in between stand in the cecum."""

    def lips(s_mm: float, angle: float) -> float:
        beside = [anatomy.radius_at(s_mm + off, angle) for off in (-4.5, 4.5)]
        return anatomy.radius_at(s_mm, angle) - max(beside) - 0.3 * sum(beside)

    return _best_place(lips, anatomy.length_mm - 64.0, anatomy.length_mm - 52.0)


def appendix_at(anatomy: Anatomy) -> tuple[float, float]:
    """Where (s mm, angle) there is a pit in the end of the cecum."""

    def pit(s_mm: float, angle: float) -> float:
        around = [anatomy.radius_at(s_mm, angle + turn) for turn in (-0.4, 0.4)]
        return anatomy.radius_at(s_mm, angle) - sum(around) / 2

    return _best_place(pit, anatomy.length_mm - 19.0, anatomy.length_mm - 14.0)


def _best_place(
    score: Callable[[float, float], float], first_mm: float, last_mm: float
) -> tuple[float, float]:
    places = [
        (float(s), float(a))
        for s in np.arange(first_mm, last_mm, 0.75)
        for a in np.linspace(-np.pi, np.pi, 128)
    ]
    return max(places, key=lambda place: score(*place))


def _towards(
    anatomy: Anatomy, lumen: Lumen, place: tuple[float, float], before_mm: float
) -> CameraState:
    wall, _, _ = anatomy.wall_at(*place)
    return facing(lumen, place[0] - before_mm, wall)


def polyp_sheet(
    studio: Studio, kinds: Sequence[Paris] = USUAL, sizes_mm: Sequence[float] = SIZES_MM
) -> Picture:
    """Each Paris kind (rows) at each size (columns), as the scope finds it."""
    rows = [[_portrait(studio, kind, size) for size in sizes_mm] for kind in kinds]
    about = {"Ip": "on a stalk", "Isp": "on a short,\nbroad neck", "Is": "sits on the\nwall"}
    labels = [f"{kind}\n{about.get(kind, 'slightly raised')}" for kind in kinds]
    return matrix(rows, labels, [f"{size:g} mm" for size in sizes_mm])


def _portrait(studio: Studio, kind: Paris, size_mm: float) -> Picture:
    """The best of many views from aside of polyps of that kind and size."""
    shares = {f"share_{name.lower()}": float(name == kind) for name in USUAL}
    seed = POLYP_SEED + KINDS.index(kind)
    scene = make_scene(seed, plain_ranges(count=(14, 14), diameter_mm=(size_mm, size_mm), **shares))
    lumen, rng, share = Lumen(scene), np.random.default_rng(seed), 0.011 * size_mm
    states = [
        state
        for polyp in scene.polyps
        for state in views_of(lumen, polyp, viewing_distance(size_mm, share, FOV_RAD), rng)
    ]
    state = studio.best(scene, states, partial(shows_one, share=share))
    return studio.tile_of(studio.take(scene, [state])[0])


def nuisance_sheet(
    studio: Studio, names: Sequence[str], strengths: Sequence[float] = STRENGTHS
) -> Picture:
    """Each nuisance, or part of the look, (rows) from none to all there is (columns)."""
    base = make_scene(NUISANCE_SEED, plain_ranges())
    rows = [_strengths(studio, base, name, strengths) for name in names]
    labels = [f"{name.replace('_', ' ').replace('jpeg', 'JPEG')}\n{ABOUT[name]}" for name in names]
    headings = ["none" if strength == 0 else f"strength {strength:g}" for strength in strengths]
    return matrix(rows, labels, headings)


def _strengths(studio: Studio, base: Scene, name: str, strengths: Sequence[float]) -> list[Picture]:
    scenes = [with_strength(base, name, strength) for strength in strengths]
    detail = name in DETAILS
    # A wall that moves a little moves all its glints, which would count for more than a pouch.
    changed = _deepened if name == "diverticula" else _changed
    state = _telling_view(studio, scenes, changed, evenly=not detail)
    tile = studio.detail_of if detail else studio.tile_of
    return [tile(studio.take(scene, [state])[0]) for scene in scenes]


def _telling_view(
    studio: Studio,
    scenes: Sequence[Scene],
    changed: Callable[[Taken, Taken], float],
    *,
    evenly: bool,
) -> CameraState:
    """Of the flight, the view that differs most between the strengths, preferably with a polyp.

    `changed` says how much two pictures differ. `evenly`: from each strength to the next; else in
    all, and seen from near.
    """
    before_cecum = scenes[0].anatomy.length_mm - 90.0
    states = [state for state in fly(scenes[-1]) if state.pose.s_mm < before_cecum]
    states = spread(states, studio.tries)
    series = [studio.take(scene, states, small=True) for scene in scenes]

    def score(place: int) -> float:
        shots = [taken[place] for taken in series]
        steps = [changed(a, b) for a, b in pairwise(shots)]
        polyp = any(view.box_px is not None for view in shots[0].views)
        tells = min(min(steps) * evenly + (0.03 if evenly else 1.0) * sum(steps), 0.08)
        covered = float(
            (np.abs(shots[0].rgb - shots[-1].rgb.astype(float)).max(axis=2) > 50).mean()
        )
        tells *= 1.0 - max(covered - 0.3, 0.0)
        if not evenly:
            tells *= 15.0 / max(float(np.median(shots[0].depth)), 6.0)
        return tells * (1.0 + 0.3 * polyp) * is_open(shots[0]) ** 3 * is_open(shots[-1]) ** 3

    return states[max(range(len(states)), key=score)]


def _changed(one: Taken, other: Taken) -> float:
    """0..1: how differently two pictures look, most of all in a part of them."""
    return float(np.sqrt(np.square(one.rgb.astype(float) - other.rgb).mean())) / 255


def _deepened(one: Taken, other: Taken) -> float:
    """0..: how differently far away the wall is, most of all in a part of two pictures."""
    return float(np.sqrt(np.square(np.log(one.depth / other.depth)).mean()))


def red_out_sheet(studio: Studio, strengths: Sequence[float] = STRENGTHS[1:]) -> Picture:
    """How often the tip comes to the wall: the moments of a run in which it is nearest."""
    base = make_scene(NUISANCE_SEED, plain_ranges())
    rows = [_nearest(studio, with_strength(base, "red_out", strength)) for strength in strengths]
    labels = [f"strength {strength:g}\nnearest moments\nof a run" for strength in strengths]
    return matrix(rows, labels, [""] * len(rows[0]))


def _nearest(studio: Studio, scene: Scene, count: int = 4) -> list[Picture]:
    """Moments some seconds apart, in their order."""
    states = spread(fly(scene), 8 * studio.tries)
    away = np.array([_middle_mm(taken) for taken in studio.take(scene, states, small=True)])
    times = np.array([state.time_s for state in states])
    chosen = []
    for _ in range(count):
        chosen.append(int(away.argmin()))
        away[np.abs(times - times[chosen[-1]]) < APART_S] += FAR_AWAY_MM
    pictures = studio.take(scene, [states[place] for place in sorted(chosen)])
    return [captioned(studio.tile_of(one), f"{_middle_mm(one):.0f} mm") for one in pictures]


def _middle_mm(taken: Taken) -> float:
    """The most of the distances to the wall in the middle; FAR_AWAY_MM where there is a polyp."""
    height, width = taken.depth.shape
    middle = slice(height // 4, -height // 4), slice(width // 4, -width // 4)
    return (
        FAR_AWAY_MM
        if taken.instance[middle].any()
        else float(np.percentile(taken.depth[middle], 90))
    )


def truth_sheet(studio: Studio) -> Picture:
    """One frame as RGB, instance, depth and normals."""
    scene = make_scene(TRUTH_SEED, plain_ranges(count=(24, 24), diameter_mm=(5.0, 11.0)))
    states = [state for state in fly(scene) if state.pose.s_mm < scene.anatomy.length_mm - 60]
    state = studio.best(scene, states, _shows_several, 6 * studio.tries)
    taken = studio.take(scene, [state])[0]
    tiles = [taken.rgb, _instances(taken), _depths(taken), _normals(taken)]
    captions = [
        "RGB",
        "Instance, with boxes",
        "Depth in mm along the ray",
        "Normals: right, down, forward as RGB",
    ]
    return grid(tiles, captions, columns=2)


def _shows_several(taken: Taken) -> float:
    """How well the largest three polyps are seen, and how deep the picture goes."""
    height, width = taken.instance.shape
    shares = []
    for view in taken.views:
        x0, y0, x1, y1 = view.box_px or (0, 0, 0, 0)
        if min(x0, y0) > 2 and x1 < width - 2 and y1 < height - 2 and view.visibility > 0.8:
            shares.append(float((taken.instance == view.instance).mean()))
    seen = sum(min(share, 0.03) ** 0.5 for share in sorted(shares)[-3:])
    deep = min(float(np.percentile(taken.depth, 95)) / DEPTHS_MM[1], 1.0)
    return float(seen * deep * is_open(taken) ** 2)


def _instances(taken: Taken) -> Picture:
    """Each polyp in a colour of its own on the dimmed picture, with its box."""
    grey = cv2.cvtColor(cv2.cvtColor(taken.rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    picture = (0.4 * grey).astype(np.uint8)
    line = max(taken.rgb.shape[0] // 180, 1)
    for number, view in enumerate(view for view in taken.views if view.box_px is not None):
        colour = tuple(round(255 * part) for part in INSTANCE_COLOURS[number % 8])
        picture[taken.instance == view.instance] = colour
        x0, y0, x1, y1 = view.box_px or (0, 0, 0, 0)
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), colour, line)
    return picture


def _depths(taken: Taken) -> Picture:
    least, most = DEPTHS_MM
    ramp = matplotlib.colormaps["turbo_r"]
    shares = np.clip((taken.depth - least) / (most - least), 0, 1)
    picture = (255 * ramp(shares)[..., :3]).astype(np.uint8)
    bar = (255 * ramp(np.linspace(1, 0, 256))[:, None, :3]).astype(np.uint8)
    marks = [(k / 4, f"{least + k / 4 * (most - least):.0f}") for k in range(5)]
    return with_scale(picture, bar, marks)


def _normals(taken: Taken) -> Picture:
    return np.asarray(np.rint((taken.normals + 1) * 127.5), np.uint8)


def random_sheet(studio: Studio, count: int = 24, columns: int = 4) -> Picture:
    """Frames of the ranges for real footage: a run each, a moment of it each, none picked."""
    tiles = [_random_tile(studio, number) for number in range(count)]
    return grid(tiles, [""] * count, columns)


def _random_tile(studio: Studio, number: int) -> Picture:
    scene = make_scene(run_seed(RANDOM_SEED, number), load_randomization("real"))
    states = fly(scene)
    moment = int(np.random.default_rng([RANDOM_SEED, number]).integers(len(states)))
    return studio.tile_of(studio.take(scene, [states[moment]])[0])


SHEETS: dict[str, Callable[[Studio], Picture]] = {
    "segments": segment_sheet,
    **COLON_SHEETS,
    "surface": partial(nuisance_sheet, names=tuple(SURFACE)),
    "tissue": MUCOSA_SHEETS["tissue"],
    "polyps": polyp_sheet,
    "shapes": shape_sheet,
    "lesions": MUCOSA_SHEETS["lesions"],
    "rarities": rarity_sheet,
    "nuisances-wall": partial(nuisance_sheet, names=ON_THE_WALL),
    "nuisances-colour": partial(nuisance_sheet, names=COLOURING),
    "red-out": red_out_sheet,
    "nuisances-light": partial(nuisance_sheet, names=OF_THE_LIGHT),
    "nuisances-camera": partial(nuisance_sheet, names=OF_THE_CAMERA),
    **LIGHT_SHEETS,
    "screens": screen_sheet,
    "recordings": recording_sheet,
    "instruments": instrument_sheet,
    "truth": truth_sheet,
    "random": random_sheet,
}
"""Each sheet by its file's name."""
