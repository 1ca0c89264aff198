"""The slow twin of the surface: its colour, what lies on it, and how both bend its normals.

As `tests.sim.patch_reference`: NumPy, whole arrays, none of the kernels' code.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.scene import Look, Scene
from endoforge.sim.surfaces import LAYER_TEXELS, surface_textures
from endoforge.sim.texture import (
    BUBBLE_SCALE,
    BUBBLE_ZERO,
    DETAIL_SCALE,
    DETAIL_ZERO,
    FINE_SCALE,
    FINE_ZERO,
    TILE_MM,
    bubble_texture,
    detail_texture,
)
from tests.sim.patch_reference import FINER, Array, Hits, Patch, bled, textured


@dataclass(frozen=True)
class Mucosa:
    """(N, 3) albedo of N places; its pits' (2, N) slopes along u and v; what dyes gather in.

    These are the (N,) ink and mottling of the fine surface, and the film of mucus.
    """

    albedo: Array
    relief: Array
    ink: Array
    mottling: Array
    film: Array


@dataclass(frozen=True)
class Finish:
    """(N, 3) albedo; (N, 3) added to the normals of tissue and wet film; (N,) factor on gloss."""

    albedo: Array
    bump: Array
    film: Array
    gloss: Array


def mucosa(scene: Scene, patch: Patch, distance: Array) -> Mucosa:
    """The bare mucosa, `distance` (N,) mm from the lens."""
    look, tissue, detail = scene.look, scene.look.tissue, _detail(patch)
    shade = 1 + look.tone * (0.35 * detail[1] + 0.9 * patch.tone) + 0.26 * patch.pattern * detail[1]
    shade = np.maximum(shade, 0.1)
    inked = detail[0] * patch.vessels
    albedo = np.array(look.mucosa) * (1 - inked[:, None] * [0.30, 0.62, 0.52])
    albedo = albedo * np.stack([np.sqrt(shade), shade, shade], axis=1) * patch.tint
    own = patch.pits.any() or patch.erosion.any()
    finer = patch.repeats / (FINER if patch.on_polyp else 1)
    first = LAYER_TEXELS * patch.layer
    ink, mottling, *slopes = textured(
        surface_textures()[first : first + LAYER_TEXELS],
        patch.u * finer + look.surface_turn[0],
        patch.v * finer + look.surface_turn[1],
        patch.footprint_mm * finer,
        FINE_ZERO,
        FINE_SCALE,
    )
    albedo = albedo * (1 + look.mottling * mottling[:, None] * [0.06, 0.20, 0.17])
    depth, film = look.pits + 0 * ink, 0 * ink
    if tissue.is_plain and not own:
        shown = np.clip(0.65 + 0.9 * patch.tone - 0.12 * patch.crevice, 0, 1)
        net = look.capillaries * ink * shown
        albedo = albedo * (1 - net[:, None] * [0.22, 0.60, 0.48])
    elif patch.pits.any():
        depth = np.maximum(depth, patch.pits)
        albedo = _pitted(albedo, patch, ink)
    else:
        shown = np.clip(0.9 + 0.5 * patch.tone - 0.12 * patch.crevice, 0, 1.2)
        net = look.capillaries * ink * shown * patch.seen
        if patch.on_polyp:
            net = net * np.minimum(1.3 * patch.vessels, 1)
        albedo = albedo * (1 - (net / (1 + 2.3 * net))[:, None] * [0.6, 2.3, 1.75])
    if tissue.differs:
        albedo, film = _living(look, patch, detail[1], mottling, albedo)
    if patch.erosion.any():
        raw = detail[1] + 0.15 * mottling + 1.6 * patch.erosion - 1.3
        raw = np.where(patch.erosion > 0, np.clip(2.2 * raw, 0, 2), 0)
        albedo = albedo * (1 - np.minimum(raw, 1)[:, None] * [0.38, 0.84, 0.80])
        albedo = _mixed(albedo, [0.70, 0.60, 0.40], np.maximum(raw - 1.25, 0))
    relief = np.array(slopes) * 0.5 * depth / (1 + 0.02 * distance)
    return Mucosa(albedo, relief, ink, mottling, film)


def finished(scene: Scene, patch: Patch, hits: Hits) -> Finish:
    """The surface with all that lies on it."""
    look, detail = scene.look, _detail(patch)
    bare = mucosa(scene, patch, hits.distance)
    cap = np.clip(1.5 * (patch.mucus + 0.45 * detail[1] - 0.42), 0, 0.6) * (patch.mucus > 0)
    albedo = _mixed(bare.albedo, [0.62, 0.45, 0.21], cap)
    albedo, rough, gloss = _covered(scene, patch, detail[1], bare, albedo)
    steep = look.bump * (1 + 1.3 * patch.pattern) / (1 + 0.02 * hits.distance)
    pits = (rough * bare.relief)[:, :, None]
    pitted = pits[0] * patch.along_u + pits[1] * patch.along_v
    grain = (steep * rough * detail[2:])[:, :, None]
    bump = grain[0] * patch.along_u + grain[1] * patch.along_v + 0.6 * pitted
    film, gloss = 1.1 * bump + pitted, gloss + 0.6 * bare.film
    light = scene.camera.light
    if light.ripples + light.wet_patches > 0:
        repeats = 1.3 / light.ripple_mm
        _, wet, *slopes = textured(
            detail_texture(),
            patch.u * repeats + 0.37,
            patch.v * 0.6 * repeats + 0.61,
            patch.footprint_mm * repeats,
            DETAIL_ZERO,
            DETAIL_SCALE,
            finest=3,
        )
        waves = 0.6 * slopes[0][:, None] * patch.along_u
        waves = waves + 0.42 * slopes[1][:, None] * patch.along_v
        film = film * (1 - light.ripples) + light.ripples * waves
        gloss = gloss * (1 - light.wet_patches * (1 - np.clip(1 + 3 * wet, 0, 2)))
    return _foamy(patch, Finish(albedo, bump, film, gloss))


def soft_residue(
    bare: Array, patch_cover: Array, tone: Array, grain: Array, look: Look
) -> tuple[Array, Array, Array]:
    """(N, 3) albedo of `bare` (N, 3) under soft residue; (N,) factors on bumps and gloss.

    Covers (N,) are the coat's: stool above 0, mucus below it, and below -0.15 fluid. `tone` (N,) is
    that of the wall's patches, `grain` that of its detail.
    """
    cover, below = patch_cover, np.array(look.mucosa)
    stool, fluid = np.array(look.stool), np.array(look.fluid)
    film = 0.85 * np.clip(cover / 0.35, 0, 1) * np.clip(0.8 + 0.6 * grain, 0, 1)
    filmed = bare * (1 + film[:, None] * (_hue(stool / below) - 1))
    other = np.clip(0.5 * tone, -0.4, 0.4)[:, None]
    clump = stool * (1 + 0.5 * grain[:, None]) * (1 + other * [0.3, 1.0, 0.5])
    clumped = np.clip(5 * (cover - 0.39 + 0.12 * grain), 0, 1)
    dry = filmed + clumped[:, None] * (clump - filmed)
    depth = -cover - 0.15
    tint = np.minimum(0.5 + 1.5 * depth, 1)[:, None]
    hidden = np.minimum(0.3 + 0.8 * depth, 1)[:, None] * (1 - look.clarity)
    tinted = bare * (1 + tint * (_hue(fluid / below) - 1))
    drowned = tinted + hidden * (fluid - tinted)
    slimy = np.minimum(-1.3 * cover / 0.15, 0.8) * np.clip(0.9 + 0.8 * grain, 0, 1)
    slimed = _mixed(bare, [0.92, 0.62, 0.42], slimy)
    cases = [cover > 0, cover < -0.15]
    albedo = np.select([case[:, None] for case in cases], [dry, drowned], slimed)
    rough = np.select(cases, [1 + 0.9 * clumped, 0.12 + 0 * cover], 1 - 0.5 * slimy)
    gloss = np.select(cases, [1 + 0.3 * film / 0.85 - 0.5 * clumped, 1.6 + 0 * cover], 1 + slimy)
    return albedo, rough, gloss


def _hard_residue(
    bare: Array, cover: Array, grain: Array, look: Look, fluid: Array
) -> tuple[Array, Array, Array]:
    stool = np.clip(1.6 * cover + 0.5 * grain - 0.3, 0, 1) * (cover > 0)
    brown = np.array(look.stool) * (1 + 0.45 * grain[:, None])
    caked = bare + stool[:, None] * (brown - bare)
    drowned = _mixed(bare, fluid, np.minimum(0.3 + 0.8 * (-cover - 0.15), 1))
    wet = cover < -0.15
    albedo = np.where(wet[:, None], drowned, caked)
    return albedo, np.where(wet, 0.12, 1 + 1.2 * stool), np.where(wet, 1.6, 1.0)


def _covered(
    scene: Scene, patch: Patch, grain: Array, bare: Mucosa, albedo: Array
) -> tuple[Array, Array, Array]:
    """Blood, dye, stool and fluid: albedo, and factors on bumps and gloss."""
    look, deposits = scene.look, scene.anatomy.deposits
    in_pits = look.tissue.dye_in_pits * deposits.in_grooves
    stain = np.maximum(patch.stain, 0)
    if in_pits > 0:
        # Of a dye some lies in pits, opaque, and the rest is a thin film.
        pit = 0.55 + 0.35 * grain + 0.30 * bare.mottling + 0.5 * bare.ink
        film = np.minimum(stain, 1) * (0.9 - 0.3 * in_pits)
        stained = albedo * [0.25, 0.75, 1.0] + [0.0, 0.10, 0.22]
        albedo = albedo + film[:, None] * (stained - albedo)
        opaque = np.minimum(0.85 * in_pits * stain * np.clip(pit, 0, 1.4), 0.9)
        albedo = _mixed(albedo, [0.012, 0.19, 0.34], opaque)
    else:
        share = np.minimum(stain * (1 + 0.5 * grain), 1)
        albedo = albedo * (1 + share[:, None] * (np.array(deposits.stain_colour) - 1))
    if look.soft_residue:
        return soft_residue(albedo, patch.cover, patch.tone, grain, look)
    return _hard_residue(albedo, patch.cover, grain, look, np.array(deposits.fluid_colour))


def _foamy(patch: Patch, bare: Finish) -> Finish:
    """Bubbles, where there is enough foam for each of them."""
    repeats = TILE_MM / 22
    u, v = patch.u * repeats, patch.v * repeats
    dome_u, dome_v, rim, needed = textured(
        bubble_texture(), u, v, patch.footprint_mm * repeats, BUBBLE_ZERO, BUBBLE_SCALE
    )
    there = np.clip(-12 * (needed + 1.15 * patch.stain + 0.05), 0, 1) * (patch.stain < 0)
    domes = 1.3 * (dome_u[:, None] * patch.along_u + dome_v[:, None] * patch.along_v)
    return Finish(
        _mixed(bare.albedo, [0.85, 0.83, 0.76], there * (0.10 + 0.45 * rim)),
        bare.bump,
        bare.film + there[:, None] * (domes - bare.film),
        bare.gloss + there * (3 - bare.gloss),
    )


def _pitted(albedo: Array, patch: Patch, ink: Array) -> Array:
    """The openings of a lesion's pits: darker, or red or white."""
    albedo = albedo * (1 - (ink * patch.pits)[:, None] * [0.10, 0.34, 0.30])
    red, white = np.maximum(patch.spots, 0) * ink, np.maximum(-patch.spots, 0) * ink
    albedo = albedo * (1 - red[:, None] * [0.22, 0.72, 0.66])
    return _mixed(albedo, [0.86, 0.76, 0.60], 0.75 * white)


def _living(
    look: Look, patch: Patch, grain: Array, mottling: Array, albedo: Array
) -> tuple[Array, Array]:
    """Blood and pallor, sores, pigment and film: albedo, and how much film there is."""
    ridge = np.clip(-0.25 * patch.crevice, -0.5, 1)
    albedo = bled(albedo, patch.blood + look.tissue.hue * (0.35 * ridge + 0.2 * grain))
    sore = np.clip(patch.blood - 1, 0, 1)
    dots = sore * np.clip(1.4 * mottling - 0.9, 0, 1)
    albedo = albedo * (1 - dots[:, None] * [0.2, 0.65, 0.6])
    slough = 0.45 * sore * np.clip(-1.6 * mottling - 1.7, 0, 1)
    albedo = _mixed(albedo, [0.78, 0.68, 0.48], slough)
    brown = patch.pigment * np.clip(0.62 + 0.42 * mottling, 0.08, 1)
    albedo = albedo * (1 - brown[:, None] * [0.54, 0.66, 0.68])
    film = np.clip(patch.film * (1 + 0.4 * grain + 0.12 * mottling), 0, 1)
    albedo = albedo * (1 - film[:, None] * [0.03, 0.10, 0.42])
    return _mixed(albedo, [0.60, 0.47, 0.17], 0.35 * np.clip(2 * film - 1, 0, 1)), film


def _detail(patch: Patch) -> Array:
    """(4, N): vessels, tone and slopes of the detail."""
    return textured(
        detail_texture(), patch.u, patch.v, patch.footprint_mm, DETAIL_ZERO, DETAIL_SCALE
    )


def _mixed(albedo: Array, other: list[float] | Array, part: Array) -> Array:
    mixed: Array = albedo + (np.array(other) - albedo) * part[:, None]
    return mixed


def _hue(share: NDArray[np.float64]) -> Array:
    return np.asarray(0.25 + 0.75 * share / share.max())
