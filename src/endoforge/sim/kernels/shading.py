"""Light: lamps beside the lens, a wet and vessel-covered mucosa, and what lies on it.

Who moves a line here changes last bits: compilers group sums and products by what is made first.
"""

import quadrants as qd

from endoforge.sim import texture
from endoforge.sim.kernels.lighting import (
    NEAR_MM2,
    WRAP,
    bounced,
    light_row,
    occluded,
    scope_light,
)
from endoforge.sim.kernels.patches import polyp_patch, wall_patch
from endoforge.sim.kernels.residue_coat import MUCUS, residue_over
from endoforge.sim.kernels.texels import mip_level, texel
from endoforge.sim.kernels.tissue_shading import (
    FINE_SCALE,
    FINE_ZERO,
    FIRST_ROW,
    POLYP_SCALE,
    dyed,
    living_surface,
)
from endoforge.sim.kernels.tool_tracing import marked
from endoforge.sim.kernels.types import (
    LOOK_ROWS,
    MAX_LAMPS,
    Finish,
    Lamps,
    SceneArrays,
    View,
    vec2,
    vec3,
    vec4,
)
from endoforge.sim.light import GLINT_ROW, SCATTER_ROW

BUBBLE_TILE_MM = 22.0
"""The length of wall that one repeat of the bubbles covers."""
LOG2_SHARPNESS = 9
"""The Blinn-Phong exponent of the wet surface is 2 to this power."""
LEAST_SHINE2 = 0.973
"""Squared cosine below which a glint is under a thousandth of its peak."""
WET_ROUGHNESS = 1.1
"""The film of mucus is this much bumpier than the tissue under it."""
GLINT = 8.0
"""Light that the film throws back, against what tissue of albedo 1 does."""
CALM = 3
"""The finest mip level of the detail that ripples of the film have: they are smooth."""
RIPPLE_SLOPE = 0.6
"""Ripples are so much as steep as the slopes of the detail at that level."""
DETAIL_ZERO, DETAIL_SCALE = vec4(*texture.DETAIL_ZERO), vec4(*texture.DETAIL_SCALE)
BUBBLE_ZERO, BUBBLE_SCALE = vec4(*texture.BUBBLE_ZERO), vec4(*texture.BUBBLE_SCALE)


@qd.func
def lamps_at(scenes: SceneArrays, scene, right, down):
    """Read the `Lamps` of a scene, for a camera of these axes."""
    places = qd.Matrix.zero(qd.f32, MAX_LAMPS, 3)
    for k in qd.static(range(MAX_LAMPS)):
        place = scenes.lamps[scene * MAX_LAMPS + k]
        lamp = right * place.x + down * place.y
        for axis in qd.static(range(3)):
            places[k, axis] = lamp[axis]
    return Lamps(number=qd.cast(scenes.looks[scene * LOOK_ROWS + 2].z, qd.i32), places=places)


@qd.func
def lamp_light(to_lamp, n, n_wet, direction):
    """Work out (diffuse, glint) light of a lamp: inverse square, Lambert, Blinn-Phong.

    `n_wet` is the normal, of any length, of the film of mucus that glints: rougher than the
    tissue's, `n`.
    """
    d2 = to_lamp.dot(to_lamp)
    d = qd.sqrt(d2 + 1e-6)
    # One division gives both the falloff and the unit vector.
    inverse = 1.0 / (d * (d2 + NEAR_MM2))
    strength = d * inverse
    unit = to_lamp * ((d2 + NEAR_MM2) * inverse)
    half = unit - direction
    cosine = n_wet.dot(half)
    sharp = cosine * cosine
    # Squared cosines: neither vector has to be made unit, and most glints end at one comparison.
    full = half.dot(half) * n_wet.dot(n_wet)
    glint = 0.0
    if sharp > LEAST_SHINE2 * full and cosine > 0.0:
        shine = sharp / full
        for _squaring in qd.static(range(LOG2_SHARPNESS - 1)):
            shine *= shine
        glint = shine * strength
    wrapped = (n.dot(unit) + WRAP) * (1.0 / (1.0 + WRAP))
    return qd.max(wrapped, 0.0) * strength, glint


@qd.func
def mucosa_albedo(scenes: SceneArrays, scene, patch, detail):
    """Colour the mucosa: its large vessels, and patches that differ in tone."""
    style = scenes.looks[scene * LOOK_ROWS + 1]
    mucosa = patch.mucosa
    inked = detail.x * patch.vessels
    tone = 1.0 + style.x * (0.35 * detail.y + 0.9 * patch.coat.y) + 0.26 * patch.pattern * detail.y
    # Blood takes green light most, blue less, red least.
    albedo = vec3(
        mucosa.x * (1.0 - 0.30 * inked),
        mucosa.y * (1.0 - 0.62 * inked),
        mucosa.z * (1.0 - 0.52 * inked),
    )
    tone = qd.max(tone, 0.1)
    # Patches of mucosa differ in how much blood they hold, which hardly changes red.
    return albedo * (vec3(qd.sqrt(tone), tone, tone) * patch.tint)


@qd.func
def fine_surface(scenes: SceneArrays, scene, patch, t, albedo):
    """Draw capillaries and mottling on the mucosa at distance t: (albedo, relief of its pits)."""
    fine = scenes.looks[scene * LOOK_ROWS + 6]
    relief = vec2(0.0)
    # One look-up serves all three, and a run without any of them doesn't pay for it.
    if fine.x + fine.y + fine.z > 0.0:
        place = scenes.looks[scene * LOOK_ROWS + 7]
        scale = fine.w
        # A polyp's coordinates are already finer than the wall's: without this, so would be its
        # vessels and pits, where only its detail is meant to be.
        if patch.on_polyp:
            scale *= 1.0 / POLYP_SCALE
        near = texel(
            scenes.fine,
            patch.u * scale + place.x,
            patch.v * scale + place.y,
            mip_level(patch.footprint * scale),
        )
        near = (near - FINE_ZERO) * FINE_SCALE
        # Vessels of the wall show in patches and are pressed flat on folds. Shares of the light
        # taken are as those of the large vessels, less for red: thin ones hold less blood.
        shown = qd.math.clamp(0.65 + 0.9 * patch.coat.y - 0.12 * patch.coat.x, 0.0, 1.0)
        net = fine.x * near.x * shown
        albedo *= vec3(1.0 - 0.22 * net, 1.0 - 0.60 * net, 1.0 - 0.48 * net)
        # More blood or less, so red hardly changes. No factor gets below 0.4: a byte of the texture
        # holds 3 at most.
        blush = fine.y * near.y
        albedo *= 1.0 + blush * vec3(0.06, 0.20, 0.17)
        relief = vec2(near.z, near.w) * (0.5 * fine.z / (1.0 + 0.02 * t))
    return albedo, relief


@qd.func
def cover_up(scenes: SceneArrays, scene, albedo, coat, detail, marks):
    """Lay stain, stool and fluid on the mucosa; returns (albedo, bump factor, gloss factor)."""
    rough = 1.0
    wet = 1.0
    in_pits = scenes.looks[scene * LOOK_ROWS + FIRST_ROW].w
    if coat.w > 0.0 and in_pits > 0.0:
        albedo = dyed(albedo, coat.w, in_pits, detail, marks)
    elif coat.w > 0.0:
        stain = scenes.looks[scene * LOOK_ROWS + 5].xyz
        albedo *= 1.0 + (stain - 1.0) * qd.min(coat.w * (1.0 + 0.5 * detail.y), 1.0)
    if scenes.looks[scene * LOOK_ROWS + 3].w > 0.0:
        albedo, rough, wet = residue_over(scenes, scene, albedo, coat, detail.y)
    elif coat.z < -MUCUS:
        # Shallow fluid only tints.
        depth = -coat.z - MUCUS
        fluid = scenes.looks[scene * LOOK_ROWS + 4].xyz
        albedo += (fluid - albedo) * qd.min(0.3 + 0.8 * depth, 1.0)
        rough = 0.12
        wet = 1.6
    elif coat.z > 0.0:
        # Its edge frays with the detail's tone.
        stool = qd.math.clamp(coat.z * 1.6 + 0.5 * detail.y - 0.3, 0.0, 1.0)
        brown = scenes.looks[scene * LOOK_ROWS + 3].xyz * (1.0 + 0.45 * detail.y)
        albedo += (brown - albedo) * stool
        rough += 1.2 * stool
    return albedo, rough, wet


@qd.func
def foam_over(scenes: SceneArrays, patch, bare):
    """Lay foam on a finish: bubbles where there is enough of it."""
    finish = bare
    scale = texture.TILE_MM / BUBBLE_TILE_MM
    foam = texel(
        scenes.bubbles, patch.u * scale, patch.v * scale, mip_level(patch.footprint * scale)
    )
    foam = (foam - BUBBLE_ZERO) * BUBBLE_SCALE
    # The stain is below 0 where there is foam: the more, the more bubbles pass their threshold. 12
    # makes their rims sharp.
    there = qd.math.clamp((foam.w + patch.coat.w * 1.15 + 0.05) * -12.0, 0.0, 1.0)
    domes = foam.x * patch.along_u + foam.y * patch.along_v
    finish.film = finish.film * (1.0 - there) + there * 1.3 * domes
    finish.albedo += (vec3(0.85, 0.83, 0.76) - finish.albedo) * there * (0.10 + 0.45 * foam.z)
    finish.gloss += (3.0 - finish.gloss) * there
    return finish


@qd.func
def rippled(scenes: SceneArrays, patch, still, film):
    """Lay ripples on the film of mucus, longer around the wall than along it, in wet patches.

    `film` is the row GLINT_ROW of `sim.light.LightSettings.table_rows`.
    """
    finish = still
    scale = film.y
    near = texel(
        scenes.detail,
        patch.u * scale + 0.37,
        patch.v * (0.6 * scale) + 0.61,
        qd.max(mip_level(patch.footprint * scale), CALM),
    )
    near = (near - DETAIL_ZERO) * DETAIL_SCALE
    ripples = near.z * patch.along_u + 0.7 * near.w * patch.along_v
    finish.film = finish.film * (1.0 - film.x) + (film.x * RIPPLE_SLOPE) * ripples
    finish.gloss *= 1.0 - film.w * (1.0 - qd.math.clamp(1.0 + 3.0 * near.y, 0.0, 2.0))
    return finish


@qd.func
def finished(scenes: SceneArrays, scene, patch, t):
    """Make the `Finish` of a patch at distance t: its mucosa, and what lies on it."""
    style = scenes.looks[scene * LOOK_ROWS + 1]
    # One look-up gives vessels, tone and both slopes.
    detail = texel(scenes.detail, patch.u, patch.v, mip_level(patch.footprint))
    detail = (detail - DETAIL_ZERO) * DETAIL_SCALE
    albedo = mucosa_albedo(scenes, scene, patch, detail)
    relief = vec2(0.0)
    marks = vec3(0.0)
    if scenes.looks[scene * LOOK_ROWS + FIRST_ROW].x + patch.pits + patch.erosion > 0.0:
        albedo, relief, marks = living_surface(scenes, scene, patch, t, detail, albedo)
    else:
        albedo, relief = fine_surface(scenes, scene, patch, t, albedo)
    # Flatter with distance: bumps of less than a pixel would glitter.
    slope = style.z * (1.0 + 1.3 * patch.pattern) / (1.0 + 0.02 * t)
    if patch.mucus > 0.0:
        cap = qd.math.clamp(1.5 * (patch.mucus + 0.45 * detail.y - 0.42), 0.0, 0.6)
        albedo += (vec3(0.62, 0.45, 0.21) - albedo) * cap
    rough = 1.0
    wet = 1.0
    # Most of a wall is clean, and skips this.
    if patch.coat.w != 0.0 or patch.coat.z != 0.0:
        albedo, rough, wet = cover_up(scenes, scene, albedo, patch.coat, detail, marks)
    if marks.z > 0.0:
        wet += 0.6 * marks.z
    bump = slope * rough * (detail.z * patch.along_u + detail.w * patch.along_v)
    pitted = rough * (relief.x * patch.along_u + relief.y * patch.along_v)
    # The tissue glows from below its surface, which evens small pits out; the film shows them all,
    # and breaks one large glint into many.
    bump += 0.6 * pitted
    finish = Finish(albedo=albedo, bump=bump, film=WET_ROUGHNESS * bump + pitted, gloss=wet)
    film = light_row(scenes, scene, GLINT_ROW)
    if film.x + film.w > 0.0:
        finish = rippled(scenes, patch, finish, film)
    if patch.coat.w < 0.0:
        finish = foam_over(scenes, patch, finish)
    return finish


@qd.func
def lit(lamps, ray, t, n, n_wet):
    """Add up the (diffuse, glint) light of all lamps at distance t along the ray.

    `n` and `n_wet` are as in `lamp_light`.
    """
    places = lamps.places
    from_lens = ray.direction * t
    to_lamp = vec3(places[0, 0], places[0, 1], places[0, 2]) - from_lens
    diffuse, glint = lamp_light(to_lamp, n, n_wet, ray.direction)
    for k in qd.static(range(1, MAX_LAMPS)):
        if k < lamps.number:
            to_lamp = vec3(places[k, 0], places[k, 1], places[k, 2]) - from_lens
            one, shine = lamp_light(to_lamp, n, n_wet, ray.direction)
            diffuse += one
            glint += shine
    return diffuse, glint


@qd.func
def shade(scenes: SceneArrays, view: View, shared, ray, hit, n, lamps, shadow):
    """Work out the linear radiance (3,) of a hit whose unit normal is n.

    `shadow` has the share of its light that each lamp keeps, and that all light does.
    """
    style = scenes.looks[shared.scene * LOOK_ROWS + 1]
    patch = wall_patch(scenes, shared, ray, hit, n)
    if hit.instance > 0:
        patch = polyp_patch(scenes, view, shared, ray, hit, patch)
    finish = finished(scenes, shared.scene, patch, hit.t)
    albedo = marked(scenes, view, shared, ray, hit, finish.albedo)
    # Two normals: diffuse light comes from the tissue, glints from the film on it.
    tissue = n + finish.bump
    tissue = tissue / qd.sqrt(tissue.dot(tissue) + 1e-9)
    wet = n + finish.film
    share = 1.0 / qd.cast(lamps.number, qd.f32)
    radiance = vec3(0.0)
    scatter = light_row(scenes, shared.scene, SCATTER_ROW)
    if scatter.w > 0.0:
        diffuse, glint = scope_light(scenes, shared.scene, lamps, ray, hit.t, tissue, wet, shadow)
        occlusion = occluded(patch.coat.x, scatter.z) * shadow.w
        t = hit.t
        scattered = scenes.looks[shared.scene * LOOK_ROWS + 7].z / (t * t + 900.0)
        light = vec3(diffuse * share) + albedo * vec3(0.30, 0.16, 0.12) * scattered
        light = (light + bounced(albedo, t, scatter.y)) * occlusion
        shine = GLINT * share * glint * style.y * finish.gloss
        radiance = albedo * light + vec3(1.0, 0.98, 0.94) * shine
    else:
        occlusion = qd.math.clamp(1.0 - 0.085 * patch.coat.x, 0.3, 1.25)
        diffuse, glint = lit(lamps, ray, hit.t, tissue, wet)
        # Light that the lumen's walls pass on: weak, and redder with every bounce. It falls off
        # over 30 mm (900 is the square), about the lumen's width.
        t = hit.t
        scattered = scenes.looks[shared.scene * LOOK_ROWS + 7].z * occlusion / (t * t + 900.0)
        light = vec3(diffuse * share * occlusion) + albedo * vec3(0.30, 0.16, 0.12) * scattered
        radiance = albedo * light + vec3(1.0, 0.98, 0.94) * (
            GLINT * share * glint * style.y * finish.gloss
        )
    return radiance
