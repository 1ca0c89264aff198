"""Light: lamps beside the lens, a wet and vessel-covered mucosa, and what lies on it.

Who moves a line here changes last bits: compilers group sums and products by what is made first.
"""

import quadrants as qd

from endoforge.sim import texture
from endoforge.sim.kernels.geometry import (
    ALONG_PER_MM,
    AROUND_PER_UNIT,
    NA,
    NP,
    NS,
    diamond_angle,
    point_at,
    polyp_distance,
)
from endoforge.sim.kernels.lesions import fade_in, form_of, slough
from endoforge.sim.kernels.types import (
    LOOK_ROWS,
    MAX_LAMPS,
    POLYP_ROWS,
    Finish,
    Lamps,
    Patch,
    SceneArrays,
    View,
    vec2,
    vec3,
    vec4,
)

TILE_MM = texture.TILE_MM
BUBBLE_TILE_MM = 22.0
"""The length of wall that one repeat of the bubbles covers."""
TEXELS_PER_MM = texture.SIZE / TILE_MM
TOP_LEVEL = texture.LEVELS - 1
LOG2_SHARPNESS = 9
"""The Blinn-Phong exponent of the wet surface is 2 to this power."""
LEAST_SHINE2 = 0.973
"""Squared cosine below which a glint is under a thousandth of its peak."""
WET_ROUGHNESS = 1.1
"""The film of mucus is this much bumpier than the tissue under it."""
GLINT = 8.0
"""Light that the film throws back, against what tissue of albedo 1 does."""
WRAP = 0.25
"""Light that enters the tissue and leaves beside it brightens what looks away ("wrap" lighting)."""
NEAR_MM2 = 9.0
"""Added to squared distances: a lamp is a few millimetres wide, not a point."""
PAIRS = 0x00FF00FF
"""The bytes of a texel that are interpolated together."""
DETAIL_ZERO, DETAIL_SCALE = vec4(*texture.DETAIL_ZERO), vec4(*texture.DETAIL_SCALE)
FINE_ZERO, FINE_SCALE = vec4(*texture.FINE_ZERO), vec4(*texture.FINE_SCALE)
BUBBLE_ZERO, BUBBLE_SCALE = vec4(*texture.BUBBLE_ZERO), vec4(*texture.BUBBLE_SCALE)
COAT_ROWS, COAT_COLUMNS = NS // 2, NA // 2
POLYP_SCALE = 2.6
"""The detail of a polyp's surface is this much finer than the wall's."""


@qd.func
def mix_pairs(one, other, part):
    """Mix (256 - part) / 256 of `one` and part / 256 of `other`, two bytes 16 bits apart each."""
    pairs = one * (qd.u32(256) - part) + other * part
    return ((pairs + qd.u32(0x00800080)) >> 8) & PAIRS


@qd.func
def texel(table: qd.template(), u, v, level):
    """Look a tileable texture up at (u, v) in repeats, bilinearly in a mip level: (4,) in 0..1.

    A texel is four bytes; two are interpolated at once, with weights of 8 bits.
    """
    # The levels before this one have 4/3 of what their largest has over it: a geometric series.
    n = texture.SIZE >> level
    first = (4 * (texture.SIZE * texture.SIZE - n * n)) // 3
    fu = u * qd.cast(n, qd.f32)
    fv = v * qd.cast(n, qd.f32)
    floor_u = qd.floor(fu)
    floor_v = qd.floor(fv)
    iu = qd.cast(floor_u, qd.i32)
    iv = qd.cast(floor_v, qd.i32)
    # Weights of 8 bits, so that two bytes at 16 bits apart can share a multiplication.
    a = qd.cast(qd.cast((fu - floor_u) * 256.0, qd.i32), qd.u32)
    b = qd.cast(qd.cast((fv - floor_v) * 256.0, qd.i32), qd.u32)
    last = n - 1
    i0 = iu & last
    i1 = (iu + 1) & last
    j0 = (iv & last) * n + first
    j1 = ((iv + 1) & last) * n + first
    t00 = qd.cast(table[j0 + i0], qd.u32)
    t01 = qd.cast(table[j0 + i1], qd.u32)
    t10 = qd.cast(table[j1 + i0], qd.u32)
    t11 = qd.cast(table[j1 + i1], qd.u32)
    even = mix_pairs(
        mix_pairs(t00 & PAIRS, t01 & PAIRS, a), mix_pairs(t10 & PAIRS, t11 & PAIRS, a), b
    )
    odd = mix_pairs(
        mix_pairs((t00 >> 8) & PAIRS, (t01 >> 8) & PAIRS, a),
        mix_pairs((t10 >> 8) & PAIRS, (t11 >> 8) & PAIRS, a),
        b,
    )
    x = qd.cast(qd.cast(even & 255, qd.i32), qd.f32)
    y = qd.cast(qd.cast(odd & 255, qd.i32), qd.f32)
    z = qd.cast(qd.cast(even >> 16, qd.i32), qd.f32)
    w = qd.cast(qd.cast(odd >> 16, qd.i32), qd.f32)
    return vec4(x, y, z, w) * (1.0 / 255.0)


@qd.func
def mip_level(millimetres):
    """Pick the level whose texels are about as large as a pixel's footprint on the surface.

    Levels aren't blended: that would take a second look-up.
    """
    texels = qd.max(millimetres * TEXELS_PER_MM, 1.0)
    # A float's exponent is the whole part of its logarithm to base 2.
    exponent = (qd.bit_cast(texels, qd.i32) >> 23) - 127
    return qd.math.clamp(exponent, 0, TOP_LEVEL)


@qd.func
def coat_at(scenes: SceneArrays, scene, c):
    """Look up (crevice, tone, cover, stain) of the wall at c, and c's diamond angle."""
    a = diamond_angle(c)
    # Each sample is the mean of two of the wall's: its middle lies half a fine sample on, a quarter
    # of its own.
    fs = qd.math.clamp(c.x * (0.5 * ALONG_PER_MM) - 0.25, 0.0, COAT_ROWS - 1.01)
    fa = a * (0.5 * AROUND_PER_UNIT) - 0.25
    fa = qd.select(fa < 0.0, fa + COAT_COLUMNS, fa)
    i = qd.cast(fs, qd.i32)
    j = qd.cast(fa, qd.i32)
    u = fs - qd.cast(i, qd.f32)
    v = fa - qd.cast(j, qd.f32)
    row = (scene * COAT_ROWS + i) * COAT_COLUMNS
    j0 = j & (COAT_COLUMNS - 1)
    j1 = (j + 1) & (COAT_COLUMNS - 1)
    p = scenes.coat[row + j0]
    p += (scenes.coat[row + j1] - p) * v
    q = scenes.coat[row + COAT_COLUMNS + j0]
    q += (scenes.coat[row + COAT_COLUMNS + j1] - q) * v
    return p + (q - p) * u, a


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
def polyp_place(view: View, b, instance, p, turn):
    """Make texture coordinates on a polyp, azimuthal equidistant about its axis.

    The ellipsoid is made round; the angle over its sine is a fitted parabola in 1 - cosine. Returns
    u, v, the directions along both, and how far from the top p is (0 the top, 1 the equator).
    """
    row = (b * NP + instance - 1) * POLYP_ROWS
    axis = view.polyps[row + 1].xyz
    width = view.polyps[row + 1].w
    q = p - view.polyps[row].xyz
    # Any direction across the axis does; no axis is likely to be along this one.
    along_u = axis.cross(vec3(0.31, 0.52, 0.79))
    along_u = along_u / qd.sqrt(along_u.dot(along_u) + 1e-6)
    along_v = axis.cross(along_u)
    q = q + axis * (q.dot(axis) * (width / view.polyps[row].w - 1.0))
    q = q / qd.sqrt(q.dot(q) + 1e-6)
    # The parabola stands for an arc cosine and a division.
    low = 1.0 - q.dot(axis)
    spread = width * (POLYP_SCALE / TILE_MM) * (1.0 + low * (0.36 + 0.21 * low))
    u = q.dot(along_u) * spread + turn.y + 0.37 * qd.cast(instance, qd.f32)
    v = q.dot(along_v) * spread + turn.x
    from_head = p - view.polyps[row].xyz
    if from_head.dot(from_head) > 1.5 * width * width:
        # The stalk: straight along it, and across the view of most of it.
        u = from_head.dot(along_u + along_v) * (0.7 * POLYP_SCALE / TILE_MM) + turn.y
        v = from_head.dot(axis) * (POLYP_SCALE / TILE_MM) + turn.x
    return u, v, along_u, along_v, low


@qd.func
def wall_radius(hit):
    """Give the wall's radius in mm at the curve coordinates of a hit."""
    return hit.wall.x + qd.sqrt(hit.c.y * hit.c.y + hit.c.z * hit.c.z)


@qd.func
def wall_patch(scenes: SceneArrays, shared, ray, hit, n):
    """Map the wall along the centreline and around it, at a hit whose unit normal is n."""
    mucosa = scenes.looks[shared.scene * LOOK_ROWS]
    turn = scenes.looks[shared.scene * LOOK_ROWS + 2]
    coat, a = coat_at(scenes, shared.scene, hit.c)
    # The bound keeps grazing pixels from the blurriest level: mip levels blur both ways alike.
    facing = qd.max(-n.dot(ray.direction), 0.15)
    # A fold's flank climbs over hardly any s: the radius counts as way, or it would be smeared.
    radius = wall_radius(hit)
    return Patch(
        u=(hit.c.x - 0.9 * radius) * (1.0 / TILE_MM) + turn.x,
        v=a + radius * 0.015 + turn.y,
        along_u=hit.along,
        along_v=hit.around,
        footprint=hit.t * shared.pixel_angle / facing,
        coat=coat,
        mucosa=mucosa.xyz,
        tint=vec3(1.0),
        pattern=0.0,
        vessels=mucosa.w,
        mucus=0.0,
        on_polyp=0,
    )


@qd.func
def flat_patch(view: View, shared, ray, hit, wall):
    """Map a flat lesion as the wall under it; its own colour and surface fade in at its margin."""
    patch = wall
    row = (shared.number * NP + hit.instance - 1) * POLYP_ROWS
    if view.polyps[row + 5].w == 0.0:
        p = point_at(ray, hit.t)
        own = fade_in(view.polyps, row, polyp_distance(view, shared.number, hit.instance - 1, p))
        patch.tint = 1.0 + own * (view.polyps[row + 3].xyz - 1.0)
        patch.pattern = own * view.polyps[row + 3].w
        patch.vessels *= 1.0 + own * (0.5 * view.polyps[row + 5].x - 1.0)
        patch.mucus = own * view.polyps[row + 5].y
    return patch


@qd.func
def polyp_patch(scenes: SceneArrays, view: View, shared, ray, hit, wall):
    """Map the polyp that was hit, by angle from its axis; `wall` is the patch of the wall there.

    One that looks like the wall (`sim.polyps.Polyp.like_wall`) is mapped as the wall is.
    """
    patch = wall
    row = (shared.number * NP + hit.instance - 1) * POLYP_ROWS
    if form_of(view.polyps, row) < 0.0:
        patch = flat_patch(view, shared, ray, hit, wall)
    elif view.polyps[row + 5].w == 0.0:
        turn = scenes.looks[shared.scene * LOOK_ROWS + 2]
        u, v, along_u, along_v, low = polyp_place(
            view, shared.number, hit.instance, point_at(ray, hit.t), turn
        )
        patch.u = u
        patch.v = v
        patch.along_u = along_u
        patch.along_v = along_v
        patch.tint = view.polyps[row + 3].xyz
        patch.pattern = view.polyps[row + 3].w
        patch.vessels *= 1.2 * view.polyps[row + 5].x
        patch.mucus = view.polyps[row + 5].y * qd.max(1.0 - 0.8 * low, 0.0)
        patch.footprint *= POLYP_SCALE
        patch.on_polyp = 1
    patch.mucus = qd.max(patch.mucus, slough(view.polyps, row, point_at(ray, hit.t)))
    # The wall's crevices shade the foot of a polyp only, and little sticks to its top.
    gap = wall_radius(hit) - qd.sqrt(hit.c.y * hit.c.y + hit.c.z * hit.c.z)
    at_foot = qd.math.clamp(1.0 - 0.4 * gap, 0.0, 1.0)
    patch.coat.x *= at_foot
    patch.coat.z *= at_foot
    patch.coat.w *= at_foot
    return patch


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
def cover_up(scenes: SceneArrays, scene, albedo, coat, detail):
    """Lay stain, stool and fluid on the mucosa; returns (albedo, bump factor, gloss factor)."""
    rough = 1.0
    wet = 1.0
    if coat.w > 0.0:
        stain = scenes.looks[scene * LOOK_ROWS + 5].xyz
        albedo *= 1.0 + (stain - 1.0) * qd.min(coat.w * (1.0 + 0.5 * detail.y), 1.0)
    if coat.z > 1.0:
        # Shallow fluid only tints.
        depth = coat.z - 1.0
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
    scale = TILE_MM / BUBBLE_TILE_MM
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
def finished(scenes: SceneArrays, scene, patch, t):
    """Make the `Finish` of a patch at distance t: its mucosa, and what lies on it."""
    style = scenes.looks[scene * LOOK_ROWS + 1]
    # One look-up gives vessels, tone and both slopes.
    detail = texel(scenes.detail, patch.u, patch.v, mip_level(patch.footprint))
    detail = (detail - DETAIL_ZERO) * DETAIL_SCALE
    albedo = mucosa_albedo(scenes, scene, patch, detail)
    albedo, relief = fine_surface(scenes, scene, patch, t, albedo)
    # Flatter with distance: bumps of less than a pixel would glitter.
    slope = style.z * (1.0 + 1.3 * patch.pattern) / (1.0 + 0.02 * t)
    if patch.mucus > 0.0:
        cap = qd.math.clamp(1.5 * (patch.mucus + 0.45 * detail.y - 0.42), 0.0, 0.6)
        albedo += (vec3(0.62, 0.45, 0.21) - albedo) * cap
    rough = 1.0
    wet = 1.0
    # Most of a wall is clean, and skips this.
    if patch.coat.w != 0.0 or patch.coat.z > 0.0:
        albedo, rough, wet = cover_up(scenes, scene, albedo, patch.coat, detail)
    bump = slope * rough * (detail.z * patch.along_u + detail.w * patch.along_v)
    pitted = rough * (relief.x * patch.along_u + relief.y * patch.along_v)
    # The tissue glows from below its surface, which evens small pits out; the film shows them all,
    # and breaks one large glint into many.
    bump += 0.6 * pitted
    finish = Finish(albedo=albedo, bump=bump, film=WET_ROUGHNESS * bump + pitted, gloss=wet)
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
def shade(scenes: SceneArrays, view: View, shared, ray, hit, n, lamps):
    """Work out the linear radiance (3,) of a hit whose unit normal is n."""
    style = scenes.looks[shared.scene * LOOK_ROWS + 1]
    patch = wall_patch(scenes, shared, ray, hit, n)
    if hit.instance > 0:
        patch = polyp_patch(scenes, view, shared, ray, hit, patch)
    finish = finished(scenes, shared.scene, patch, hit.t)
    albedo = finish.albedo
    # Two normals: diffuse light comes from the tissue, glints from the film on it.
    tissue = n + finish.bump
    tissue = tissue / qd.sqrt(tissue.dot(tissue) + 1e-9)
    wet = n + finish.film
    occlusion = qd.math.clamp(1.0 - 0.085 * patch.coat.x, 0.3, 1.25)
    diffuse, glint = lit(lamps, ray, hit.t, tissue, wet)
    share = 1.0 / qd.cast(lamps.number, qd.f32)
    # Light that the lumen's walls pass on: weak, and redder with every bounce. It falls off over
    # 30 mm (900 is the square), about the lumen's width.
    t = hit.t
    scattered = scenes.looks[shared.scene * LOOK_ROWS + 7].z * occlusion / (t * t + 900.0)
    light = vec3(diffuse * share * occlusion) + albedo * vec3(0.30, 0.16, 0.12) * scattered
    return albedo * light + vec3(1.0, 0.98, 0.94) * (GLINT * share * glint * style.y * finish.gloss)
