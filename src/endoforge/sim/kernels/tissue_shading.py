"""What colours the mucosa beyond its vessels: blood and pallor, film, pigment, pits and sores.

It is looked up on the fine surface that is looked up anyway. A run without any of it skips it.
"""

import quadrants as qd

from endoforge.sim import surfaces, texture
from endoforge.sim.kernels.geometry import (
    ALONG_PER_MM,
    AROUND_PER_UNIT,
    NA,
    NS,
)
from endoforge.sim.kernels.texels import mip_level, texel
from endoforge.sim.kernels.types import LOOK_ROWS, SceneArrays, vec2, vec3, vec4
from endoforge.sim.tissue import TISSUE_STEP

TISSUE_ROWS, TISSUE_COLUMNS = NS // TISSUE_STEP, NA // TISSUE_STEP
MIDDLE = 0.5 - 0.5 / TISSUE_STEP
"""The middle of a sample, which is the mean of TISSUE_STEP of the wall's, in samples."""
FINE_ZERO, FINE_SCALE = vec4(*texture.FINE_ZERO), vec4(*texture.FINE_SCALE)
POLYP_SCALE = 2.6
"""The detail of a polyp's surface is this much finer than the wall's."""
FIRST_ROW = 8
"""Of a look's rows, the first that says what is here."""
SURFACE_ROW = 9
"""Of a polyp's rows, the first of its `sim.polyp_surface.PolypSurface`."""


@qd.func
def tissue_at(scenes: SceneArrays, scene, s, a):
    """Look up (blood, vessels, film, pigment) of the wall at s in mm and the diamond angle a."""
    fs = qd.math.clamp(s * (ALONG_PER_MM / TISSUE_STEP) - MIDDLE, 0.0, TISSUE_ROWS - 1.01)
    fa = a * (AROUND_PER_UNIT / TISSUE_STEP) - MIDDLE
    fa = qd.select(fa < 0.0, fa + TISSUE_COLUMNS, fa)
    i = qd.cast(fs, qd.i32)
    j = qd.cast(fa, qd.i32)
    u = fs - qd.cast(i, qd.f32)
    v = fa - qd.cast(j, qd.f32)
    row = (scene * TISSUE_ROWS + i) * TISSUE_COLUMNS
    j0 = j & (TISSUE_COLUMNS - 1)
    j1 = (j + 1) & (TISSUE_COLUMNS - 1)
    p = scenes.tissue[row + j0]
    p += (scenes.tissue[row + j1] - p) * v
    q = scenes.tissue[row + TISSUE_COLUMNS + j0]
    q += (scenes.tissue[row + TISSUE_COLUMNS + j1] - q) * v
    return p + (q - p) * u


@qd.func
def bled(albedo, blood):
    """Redden by more blood; below 0 pale by less, and yellow."""
    more = qd.max(blood, 0.0)
    less = qd.max(-blood, 0.0)
    # One division for three colours: what green is left with is 1 / (1 + 0.6 more).
    taken = more / (1.0 + 0.6 * more)
    return albedo * (1.0 - taken * vec3(0.10, 0.60, 0.45)) * (1.0 + less * vec3(0.04, 0.26, 0.10))


@qd.func
def tissue_colour(hue, patch, detail, mottling, bare):
    """Colour the mucosa by its place: returns (albedo, amount of film)."""
    # Ridges hold more blood, for they stand under tension; a crevice's number is below 0 there.
    ridge = qd.math.clamp(-0.25 * patch.coat.x, -0.5, 1.0)
    blood = patch.tissue.x + hue * (0.35 * ridge + 0.2 * detail.y)
    albedo = bled(bare, blood)
    # Sore mucosa is spotted: dots that bled, and dots of slough.
    sore = qd.math.clamp(patch.tissue.x - 1.0, 0.0, 1.0)
    if sore > 0.0:
        spots = sore * qd.math.clamp(1.4 * mottling - 0.9, 0.0, 1.0)
        albedo *= 1.0 - spots * vec3(0.2, 0.65, 0.6)
        slough = 0.45 * sore * qd.math.clamp(-1.6 * mottling - 1.7, 0.0, 1.0)
        albedo += (vec3(0.78, 0.68, 0.48) - albedo) * slough
    if patch.tissue.w > 0.0:
        # Dark cells with a paler net between them.
        brown = patch.tissue.w * qd.math.clamp(0.62 + 0.42 * mottling, 0.08, 1.0)
        albedo *= 1.0 - brown * vec3(0.54, 0.66, 0.68)
    film = 0.0
    if patch.tissue.z > 0.0:
        film = qd.math.clamp(patch.tissue.z * (1.0 + 0.4 * detail.y + 0.12 * mottling), 0.0, 1.0)
        thick = qd.math.clamp(2.0 * film - 1.0, 0.0, 1.0)
        albedo *= 1.0 - film * vec3(0.03, 0.10, 0.42)
        albedo += (vec3(0.60, 0.47, 0.17) - albedo) * (0.35 * thick)
    return albedo, film


@qd.func
def living_surface(scenes: SceneArrays, scene, patch, t, detail, bare):
    """Draw vessels, pits and colours on the mucosa at distance t, of one look-up.

    As `shading.fine_surface`, with what differs from place to place and from polyp to polyp.
    Returns (albedo, relief of its pits, (ink, mottling, film)).
    """
    fine = scenes.looks[scene * LOOK_ROWS + 6]
    place = scenes.looks[scene * LOOK_ROWS + 7]
    differs = scenes.looks[scene * LOOK_ROWS + FIRST_ROW]
    scale = fine.w
    if patch.pits > 0.0:
        scale = patch.scale
    if patch.on_polyp:
        scale *= 1.0 / POLYP_SCALE
    near = texel(
        scenes.fine,
        patch.u * scale + place.x,
        patch.v * scale + place.y,
        mip_level(patch.footprint * scale),
        patch.layer * surfaces.LAYER_TEXELS,
    )
    near = (near - FINE_ZERO) * FINE_SCALE
    albedo = bare * (1.0 + fine.y * near.y * vec3(0.06, 0.20, 0.17))
    depth = fine.z
    if patch.pits > 0.0:
        albedo = pitted_colour(patch, near.x, albedo)
        depth = qd.max(depth, patch.pits)
    else:
        # Vessels of the wall are pressed flat on folds. Thick ones shine through bluish tissue.
        shown = qd.math.clamp(0.9 + 0.5 * patch.coat.y - 0.12 * patch.coat.x, 0.0, 1.2)
        net = fine.x * near.x * shown * patch.tissue.y
        if patch.on_polyp:
            # A lesion has lost as much of the net as of the larger vessels.
            net *= qd.min(1.3 * patch.vessels, 1.0)
        taken = net / (1.0 + 2.3 * net)
        albedo *= 1.0 - taken * vec3(0.6, 2.3, 1.75)
    film = 0.0
    if differs.x > 1.0:
        albedo, film = tissue_colour(differs.z, patch, detail, near.y, albedo)
    if patch.erosion > 0.0:
        albedo = eroded(patch, detail, near.y, albedo)
    relief = vec2(near.z, near.w) * (0.5 * depth / (1.0 + 0.02 * t))
    return albedo, relief, vec3(near.x, near.y, film)


@qd.func
def polyp_surface(polyp, wall_vessels, pits, marks, low, inside):
    """Give a polyp's patch its own surface, of the rows of its `sim.polyp_surface.PolypSurface`.

    `wall_vessels` is the strength of those of the wall, `low` 0 at the polyp's top and 1 at its
    equator, `inside` 0 at its margin's edge and 1 from its margin on.
    """
    patch = polyp
    own = (1.0 - pits.w) * inside
    patch.tint = 1.0 + (patch.tint - 1.0) * own
    patch.pattern *= own
    patch.mucus *= own
    patch.vessels += (wall_vessels - patch.vessels) * (1.0 - own)
    top = marks.y * qd.max(1.0 - 1.2 * low, 0.0)
    patch.tint = bled(patch.tint, 1.2 * top)
    if pits.y > 0.0:
        patch.layer = qd.cast(pits.x, qd.i32)
        patch.pits = qd.max(pits.y * own, 1e-3)
        patch.scale = pits.z
    patch.spots = marks.z * own
    patch.erosion = marks.w * own
    return patch


@qd.func
def pitted_colour(patch, ink, albedo):
    """Colour the openings of a lesion's pits: darker, or its red or white spots."""
    open_pits = ink * patch.pits
    albedo *= 1.0 - open_pits * vec3(0.10, 0.34, 0.30)
    red = qd.max(patch.spots, 0.0) * ink
    albedo *= 1.0 - red * vec3(0.22, 0.72, 0.66)
    white = qd.max(-patch.spots, 0.0) * ink
    return albedo + (vec3(0.86, 0.76, 0.60) - albedo) * (0.75 * white)


@qd.func
def eroded(patch, detail, mottling, albedo):
    """Lay raw spots on a lesion: blood around, slough within."""
    raw = qd.math.clamp(2.2 * (detail.y + 0.15 * mottling + 1.6 * patch.erosion - 1.3), 0.0, 2.0)
    blood = qd.min(raw, 1.0)
    albedo *= 1.0 - blood * vec3(0.38, 0.84, 0.80)
    slough = qd.max(raw - 1.25, 0.0)
    return albedo + (vec3(0.70, 0.60, 0.40) - albedo) * slough


@qd.func
def dyed(bare, amount, share, detail, marks):
    """Stain by a dye of which a share lies in pits, opaque, and the rest is a thin film."""
    pit = qd.math.clamp(0.55 + 0.35 * detail.y + 0.30 * marks.y + 0.5 * marks.x, 0.0, 1.4)
    film = qd.min(amount, 1.0) * (0.9 - 0.3 * share)
    stained = bare * vec3(0.25, 0.75, 1.0) + vec3(0.0, 0.10, 0.22)
    albedo = bare + (stained - bare) * film
    opaque = qd.min(0.85 * share * amount * pit, 0.9)
    return albedo + (vec3(0.012, 0.19, 0.34) - albedo) * opaque
