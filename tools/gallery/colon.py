"""The sheets of the colon itself: its folds, what looks like a polyp on it, and residue."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from endoforge.sim.anatomy import make_anatomy
from endoforge.sim.centreline import ALONG_STEP_MM
from endoforge.sim.flight import fly
from endoforge.sim.lookalikes import Lookalikes
from endoforge.sim.lumen import Lumen
from endoforge.sim.randomization import Randomization
from endoforge.sim.ranges.values import Nuisance
from endoforge.sim.scene import Scene, make_scene
from endoforge.sim.wall import COLUMN_ANGLES

from .layout import Picture, matrix
from .studio import Studio, Taken, ahead, facing, plain_ranges, spread

FOLD_SEED, LOOKALIKE_SEED, RESIDUE_SEED = 8, 4, 9
STRENGTHS = (0.0, 0.3, 0.6, 1.0)
MATT = 0.1
"""Gloss that hides no small shape under glints."""
FOLDS = {
    "fold_thickness": ("1 to 2.5\ntimes", 1.0, 1.5),
    "fold_roundness": ("crests", 0.0, 1.0),
    "extra_folds": ("doubles, branches,\nparts", 0.0, 1.0),
    "wrinkles": ("where it isn't\nstretched", 0.0, 1.0),
    "collapse": ("too little air", 0.0, 1.0),
}
"""Of each range: what it is, its value at strength 0, and what strength 1 adds."""
LOOKALIKES = {
    "knobs": "pieces and ends\nof folds", "follicles": "lymphoid,\nin patches",
    "suction": "marks of the\nscope", "valve": "thick lips,\nfat, papilla",
    "appendix": "bulging or\ninside out", "cushions": "haemorrhoids",
    "inverted": "diverticula\ninside out", "villi": "around the\nvalve",
}  # fmt: skip
RESIDUE = {
    "soft": "stool in clumps\nand films", "bile": "a yellow film",
    "mucus": "threads, flakes", "clarity": "of fluid",
}  # fmt: skip


def fold_sheet(
    studio: Studio, names: Sequence[str] = tuple(FOLDS), strengths: Sequence[float] = STRENGTHS
) -> Picture:
    """What folds and wall may be like (rows), from narrow and stretched on (columns)."""
    rows = [_folds(studio, name, strengths) for name in names]
    about = {name: FOLDS[name][0] for name in names}
    return _sheet(rows, about, strengths)


def _folds(studio: Studio, name: str, strengths: Sequence[float]) -> list[Picture]:
    scenes = [make_scene(FOLD_SEED, _with_folds(name, strength)) for strength in strengths]
    least, most = scenes[0].anatomy.radius, scenes[-1].anatomy.radius
    changed = np.abs(most - least).mean(axis=1)
    over = np.convolve(changed, np.ones(40), mode="same")[400:1200]
    place = ALONG_STEP_MM * float(400 + over.argmax()) - 20.0
    states = [ahead(Lumen(scene), place, 45.0) for scene in scenes]
    views = zip(scenes, states, strict=True)
    return [studio.tile_of(studio.take(scene, [state])[0]) for scene, state in views]


def _with_folds(name: str, strength: float) -> Randomization:
    ranges = plain_ranges(count=(0, 0))
    _, least, more = FOLDS[name]
    changes: dict[str, Any] = {"fold_spacing_mm": (13.0, 22.0), "fold_roundness": (0.5, 0.5)}
    changes[name] = (least + more * strength,) * 2
    return replace(ranges, anatomy=replace(ranges.anatomy, **changes))


def lookalike_sheet(
    studio: Studio, names: Sequence[str] = tuple(LOOKALIKES), strengths: Sequence[float] = STRENGTHS
) -> Picture:
    """What looks like a polyp but is none (rows), from none to all there is (columns)."""
    base = make_scene(LOOKALIKE_SEED, plain_ranges(count=(0, 0)))
    base = replace(base, look=replace(base.look, gloss=MATT))
    rows = [_lookalike(studio, base, name, strengths) for name in names]
    return _sheet(rows, {name: LOOKALIKES[name] for name in names}, strengths)


def _lookalike(studio: Studio, base: Scene, name: str, strengths: Sequence[float]) -> list[Picture]:
    scenes = [with_lookalike(base, name, strength) for strength in strengths]
    # The first that are drawn are there at every strength.
    least = scenes[1].anatomy
    raised = np.abs(least.radius - base.anatomy.radius)
    row, column = np.unravel_index(raised.argmax(), raised.shape)
    s_mm, lumen = ALONG_STEP_MM * float(row), Lumen(base)
    before = s_mm - 16.0 if s_mm > 45.0 else s_mm + 20.0
    wall, _, _ = least.wall_at(s_mm, float(COLUMN_ANGLES[column]))
    state = facing(lumen, before, wall)
    return [studio.tile_of(studio.take(scene, [state])[0]) for scene in scenes]


def with_lookalike(scene: Scene, name: str, strength: float) -> Scene:
    """The scene with one kind of what looks like a polyp, at a strength."""
    there = Lookalikes(**{name: strength})
    anatomy = make_anatomy(scene.seed, scene.ranges.anatomy, scene.nuisances, there)
    return replace(scene, anatomy=anatomy)


def residue_sheet(
    studio: Studio, names: Sequence[str] = tuple(RESIDUE), strengths: Sequence[float] = STRENGTHS
) -> Picture:
    """Soft residue (rows), from none to all there is (columns)."""
    rows = [_residue(studio, name, strengths) for name in names]
    return _sheet(rows, {name: RESIDUE[name] for name in names}, strengths)


def _residue(studio: Studio, name: str, strengths: Sequence[float]) -> list[Picture]:
    scenes = [make_scene(RESIDUE_SEED, _with_residue(name, strength)) for strength in strengths]
    states = [s for s in fly(scenes[-1]) if s.pose.s_mm < scenes[-1].anatomy.length_mm - 90.0]
    states = spread(states, studio.tries)
    series = [studio.take(scene, states, small=True) for scene in (scenes[0], scenes[-1])]
    state = states[max(range(len(states)), key=lambda k: _changed(series[0][k], series[1][k]))]
    return [studio.tile_of(studio.take(scene, [state])[0]) for scene in scenes]


def _with_residue(name: str, strength: float) -> Randomization:
    """Ranges with this residue alone, at that strength: stool, bile, mucus, or pools of fluid."""
    plain = plain_ranges(count=(0, 0))
    always = Nuisance(probability=1.0, strength=(strength, strength))
    residue: dict[str, Any] = {"soft": 1.0}
    nuisances: dict[str, Any] = {}
    if name == "soft":
        nuisances["stool"] = always
    elif name == "clarity":
        nuisances["fluid"] = Nuisance(probability=1.0, strength=(0.9, 0.9))
        residue["clarity"] = (strength, strength)
    else:
        residue[name] = always
    return replace(
        plain,
        nuisances=replace(plain.nuisances, **nuisances),
        residue=replace(plain.residue, **residue),
    )


def _changed(one: Taken, other: Taken) -> float:
    """How differently two pictures look, where neither is right before the lens nor dark."""
    bright = (one.rgb.mean(axis=2) > 40) & (one.rgb.mean(axis=2) < 225) & (one.depth > 9)
    apart = np.abs(one.rgb.astype(float) - other.rgb).mean(axis=2)
    return float(np.minimum(apart, 60.0)[bright].sum() / bright.size)


def _sheet(
    rows: Sequence[Sequence[Picture]], about: dict[str, str], strengths: Sequence[float]
) -> Picture:
    labels = [
        f"{name.removeprefix('fold_').replace('_', ' ')}\n{words}" for name, words in about.items()
    ]
    headings = ["none" if strength == 0 else f"strength {strength:g}" for strength in strengths]
    return matrix(rows, labels, headings)


COLON_SHEETS: dict[str, Callable[[Studio], Picture]] = {
    "folds": fold_sheet,
    "lookalikes": lookalike_sheet,
    "residue": residue_sheet,
}
"""Each sheet by its file's name."""
