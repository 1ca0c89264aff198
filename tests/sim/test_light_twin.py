"""All light that comes back from the wall and from polyps, pixel by pixel, against NumPy's."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from endoforge.sim.camera import look_at
from endoforge.sim.centreline import NUM_ALONG
from endoforge.sim.engine import Engine
from endoforge.sim.light import LightSettings
from endoforge.sim.polyp_surface import PolypSurface
from endoforge.sim.polyps import Polyp
from endoforge.sim.renderer import CameraShot, Renderer
from endoforge.sim.residue import FILM
from endoforge.sim.scene import Scene
from endoforge.sim.shapes import Flat
from endoforge.sim.tissue import Tissue
from endoforge.sim.wall import NUM_AROUND
from tests.sim.light_reference import radiance
from tests.sim.patch_reference import hits_of, polyp_patch, wall_patch
from tests.sim.reference import polyp_distance
from tests.sim.scenes import still, tube
from tests.sim.test_encircling import crescent
from tests.sim.test_lesions import flat, mass, on_the_wall

Array = NDArray[np.float64]
Scenes = tuple[Callable[[], Scene], Callable[[], Scene]]
WIDTH, HEIGHT = 96, 64
HERE = np.array([0.0, 7.0, 100.0])
DOWN = look_at(HERE, HERE + np.array([0.0, 1.0, 0.5]), np.array([0.0, 0.0, 1.0]), 100.0)
"""A view of the tube's lower side from 13 mm, and along it."""


@pytest.fixture(scope="module")
def renderer(cpu: Engine) -> Renderer:
    return Renderer(WIDTH, HEIGHT, cpu, normals=True)


def scene_with(*polyps: Polyp, light: Any = None, **look: Any) -> Scene:
    """The dry and rough tube, whose wall is by turns a crest and a crevice."""
    scene = tube(*polyps)
    rough = {"gloss": 0.0, "bump": 0.1, "surface_repeat_mm": 20.0, **look}
    camera = replace(scene.camera, light=LightSettings(**(light or {})))
    return replace(scene, look=replace(scene.look, **rough), camera=camera)


BANDS = np.fromfunction(
    lambda row, column: 0.5 + 0.5 * np.sin(2 * np.pi * (row / 24 + column * 2 / NUM_AROUND)),
    (NUM_ALONG, NUM_AROUND),
).astype(np.float32)
"""Amounts 0..1 on the wall, in bands askew to it."""


def creviced(scene: Scene) -> Scene:
    """The same, as if its wall had crevices and crests of up to 3 mm."""
    depth = np.roll(BANDS, 7, axis=0)[::2, ::2].ravel()
    coat = scene.tables.coat.copy()
    coat[:, 0] = 6 * depth - 3
    vars(scene)["tables"] = replace(scene.tables, coat=coat)
    return scene


def lying(scene: Scene, **amounts: Any) -> Scene:
    """The scene with deposits."""
    deposits = replace(scene.anatomy.deposits, **amounts)
    return replace(scene, anatomy=replace(scene.anatomy, deposits=deposits))


def soft(**look: Any) -> Scene:
    return scene_with(
        soft_residue=1.0, stool=(0.7, 0.35, 0.05), fluid=(0.3, 0.2, 0.05), clarity=0.5, **look
    )


BLOOD, DYE = (0.75, 0.12, 0.10), (0.35, 0.75, 1.0)
LIVING = Tissue(True, 0.8, 0.8, 0.8, 0.8, 0.8, 0.6)
PLAIN = scene_with
FINE = {"capillaries": 0.8, "mottling": 0.5}


def light(gloss: float = 0.0, **light: Any) -> Scenes:
    return lambda: scene_with(light=light, gloss=gloss), lambda: scene_with(gloss=gloss)


def deposited(bare: Callable[[], Scene], **amounts: Any) -> Scenes:
    return lambda: lying(bare(), **amounts), bare


WALLS: dict[str, Scenes] = {
    "vessels": (PLAIN, lambda: scene_with(vessels=0.0)),
    "tone": (PLAIN, lambda: scene_with(tone=0.0)),
    "bump": (lambda: scene_with(bump=0.3), lambda: scene_with(bump=0.0)),
    "gloss": (lambda: scene_with(gloss=0.6), PLAIN),
    "scattered": (PLAIN, lambda: scene_with(scattered=0.0)),
    "capillaries": (lambda: scene_with(capillaries=0.8), PLAIN),
    "mottling": (lambda: scene_with(mottling=0.6), PLAIN),
    "pits": (lambda: scene_with(pits=1.0), PLAIN),
    "wet pits": (lambda: scene_with(pits=0.7, gloss=0.6), lambda: scene_with(gloss=0.6)),
    **{
        name: (
            partial(scene_with, tissue=Tissue(True, **{name: 0.9}), **FINE),
            partial(scene_with, tissue=Tissue(True), **FINE),
        )
        for name in ("vessel_patches", "hue", "inflamed", "melanosis", "film")
    },
    "falloff": light(falloff=0.8),
    "bounces": light(bounces=1.0),
    "crevices": light(crevices=1.0),
    "glint_deg": light(0.6, glint_deg=6.0),
    "ripples": light(0.6, ripples=1.0, ripple_mm=3.0),
    "wet_patches": light(0.6, wet_patches=1.0),
    "blood": deposited(PLAIN, stain=BANDS, stain_colour=BLOOD),
    "dye in pits": deposited(
        lambda: scene_with(tissue=LIVING), stain=BANDS, stain_colour=DYE, in_grooves=1.0
    ),
    "stool": deposited(PLAIN, stool=BANDS),
    "fluid": deposited(PLAIN, fluid=9 * BANDS - 2, fluid_colour=(0.4, 0.3, 0.1)),
    "foam": deposited(lambda: scene_with(gloss=0.6), foam=0.3 + 0.7 * BANDS),
    "soft stool": deposited(soft, stool=BANDS),
    "bile": deposited(soft, stool=FILM * BANDS),
    "mucus": deposited(soft, mucus=BANDS),
    "clear fluid": deposited(soft, fluid=9 * BANDS - 2),
}
"""Scenes whose wall has something, and the same without it."""


def shown(renderer: Renderer, scene: Scene, pose: Any) -> tuple[Array, Array, Array, Array]:
    """(H, W, 3) light, (H, W) depth in mm, (H, W) instance, (H, W, 3) normals."""
    renderer.load([scene])
    frames = renderer.render([CameraShot(still(pose))])
    light = renderer.target.radiance.view(HEIGHT, WIDTH, 4)[..., :3].numpy().astype(float)
    assert frames.normals is not None
    return (
        light,
        frames.depth[0].numpy().astype(float),
        frames.instance[0].numpy().copy(),
        frames.normals[0].numpy().astype(float),
    )


def agree(light: Array, expected: Array, without: Array) -> None:
    """Pixels (N, 3) are as the twin says, and so is the factor that the part in question is."""
    assert np.median(np.abs(light / expected - 1)) < 4.5e-3
    seen, change = np.log(light / without), np.log(expected / without)
    much = np.abs(change).mean(axis=0) > 0.01
    assert much.any()
    seen, change = seen[:, much], change[:, much]
    # Texels are mixed in steps of 1/256, and mip levels change within a pixel.
    share = (seen * change).sum(axis=0) / (change**2).sum(axis=0)
    rest = np.linalg.norm(seen - change, axis=0) / np.linalg.norm(change, axis=0)
    assert np.abs(share - 1).max() < 5e-3
    assert rest.max() < 0.15


@pytest.mark.parametrize("name", WALLS)
def test_the_wall_gives_back_the_light_that_the_twin_says(renderer: Renderer, name: str) -> None:
    scene, without = (creviced(make()) for make in WALLS[name])
    lens = scene.lens(WIDTH, HEIGHT)
    light, depth, _, _ = shown(renderer, scene, DOWN)
    near = depth < 60
    hits = hits_of(DOWN, lens.rays(HEIGHT, WIDTH)[near], depth[near], 1 / lens.focal_px)
    expected, bare = (
        radiance(each, DOWN, wall_patch(each, hits), hits) for each in (scene, without)
    )
    agree(light[near], expected, bare)


SOLID = replace(on_the_wall(108.0), tint=(0.9, 0.6, 0.7), pattern=0.8, vessels=0.8, mucus=0.0)
SPOTTED = replace(SOLID, surface=PolypSurface(kind="round", pits=0.3, repeat_mm=12.0))
LEVEL = replace(flat(0.5), centre=(0.0, 20.0, 108.0), tint=(0.9, 0.6, 0.7), mucus=0.0)
ULCER = replace(mass(crater_mm=3.0), centre=(0.0, 19.0, 108.0), base=(0.0, 20.0, 108.0))
ROUND = replace(
    crescent(), centre=(0.0, 10.0, 112.0), base=(0.0, 20.0, 112.0), vessels=0.5,
    flat=Flat(6.0, 4.0, 0.6, 0.0, 0.06, crescent().band),
)  # fmt: skip
"""The region of an ulcerated mass around the lumen; the wall isn't raised there."""
HANGING = replace(
    SOLID, half_width_mm=4.0, half_height_mm=3.0, centre=(1.0, 14.0, 112.0), stalk_mm=1.5,
    base=(0.0, 21.0, 110.0), mucus=0.8, surface=replace(SPOTTED.surface, spots=0.9, erosion=0.5),
)  # fmt: skip


def surfaced(polyp: Polyp, **surface: Any) -> tuple[Polyp, Polyp]:
    return replace(polyp, surface=replace(polyp.surface, **surface)), polyp


POLYPS: dict[str, tuple[Polyp, Polyp]] = {
    "tint": (SOLID, replace(SOLID, tint=(1.0, 1.0, 1.0))),
    "pattern": (SOLID, replace(SOLID, pattern=0.0)),
    "vessels": (SOLID, replace(SOLID, vessels=0.0)),
    "mucus": (replace(SOLID, mucus=0.9), SOLID),
    "pits": surfaced(SOLID, kind="gyri", pits=0.8, repeat_mm=12.0),
    "red spots": surfaced(SPOTTED, spots=0.9),
    "white spots": surfaced(SPOTTED, spots=-0.9),
    "erosion": surfaced(SOLID, erosion=0.9),
    "margin": surfaced(SOLID, margin_mm=4.0),
    "red top": surfaced(SOLID, top=0.8),
    "pale top": surfaced(SOLID, top=-0.8),
    "wall part": surfaced(SOLID, wall_part=0.7),
    "pits of a flat one": surfaced(LEVEL, kind="gyri", pits=0.8, repeat_mm=12.0),
    "erosion of a flat one": surfaced(LEVEL, erosion=0.9),
    "slough": (ULCER, replace(ULCER, uneven=replace(ULCER.uneven, crater_mm=0.0))),
    "slough around the lumen": (ROUND, replace(ROUND, flat=crescent().flat)),
    "stalk": (HANGING, replace(HANGING, stalk_mm=0.0)),
}
"""Polyps that have something, and the same without it."""


@pytest.mark.parametrize(
    ("name", "dyed"), [*((name, False) for name in POLYPS), ("pits", True), ("tint", True)]
)
def test_a_polyp_gives_back_the_light_that_the_twin_says(
    renderer: Renderer, name: str, dyed: bool
) -> None:
    """By the normals that the renderer has found."""

    def around(polyp: Polyp) -> Scene:
        scene = scene_with(polyp, **FINE)
        return creviced(lying(scene, stain=BANDS, stain_colour=DYE) if dyed else scene)

    scene, without = (around(polyp) for polyp in POLYPS[name])
    lens = scene.lens(WIDTH, HEIGHT)
    light, depth, instance, normals = shown(renderer, scene, DOWN)
    rays = lens.rays(HEIGHT, WIDTH)
    on = instance == 1
    if scene.polyps[0].stalk_mm > 0:
        # Of a stalk only the uppermost part is labelled.
        places = (DOWN.position + rays @ DOWN.axes * depth[..., None]).reshape(-1, 3)
        height = 20 - np.hypot(places[:, 0], places[:, 1])
        on = (polyp_distance(scene.polyps[0], places) < height).reshape(on.shape)
        assert (instance[on] == 0).sum() > 50
    assert on.sum() > 300
    rays = rays[on]
    hits = hits_of(DOWN, rays, depth[on], 1 / lens.focal_px, normals[on])
    expected, bare = (
        radiance(each, DOWN, polyp_patch(each, hits, 1), hits) for each in (scene, without)
    )
    agree(light[on], expected, bare)
