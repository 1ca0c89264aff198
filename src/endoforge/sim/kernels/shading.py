"""Light: two lamps beside the lens, a wet and vessel-covered mucosa, and the camera's response."""

import quadrants as qd

from endoforge.sim import texture
from endoforge.sim.kernels.geometry import NA, NP, NS, ROWS, wall_index
from endoforge.sim.kernels.types import World, vec3

TILE_MM = 30.0
"""Length of the wall that one repeat of the detail texture covers."""
TEXELS_PER_MM = texture.SIZE / TILE_MM
TOP_LEVEL = texture.LEVELS - 1
LOG2_SHARPNESS = 8
"""Blinn-Phong exponent of the wet surface: 2 to this power."""
WET_ROUGHNESS = 1.7
"""The film of mucus is this much bumpier than the tissue under it."""
WRAP = 0.25
"""Light that enters the tissue and leaves beside it brightens what looks away ("wrap" lighting)."""
NEAR_MM2 = 9.0
"""Added to squared distances: a lamp is a few millimetres wide, not a point."""


@qd.func
def texel(world: World, u, v, level):
    """Bilinear look-up of the tileable texture at (u, v) in repeats, in a mip level."""
    n = texture.SIZE >> level
    first = (4 * (texture.SIZE * texture.SIZE - n * n)) // 3
    fu = u * qd.cast(n, qd.f32)
    fv = v * qd.cast(n, qd.f32)
    iu = qd.cast(qd.floor(fu), qd.i32)
    iv = qd.cast(qd.floor(fv), qd.i32)
    a = fu - qd.cast(iu, qd.f32)
    b = fv - qd.cast(iv, qd.f32)
    last = n - 1
    i0 = iu & last
    i1 = (iu + 1) & last
    j0 = (iv & last) * n + first
    j1 = ((iv + 1) & last) * n + first
    p = world.texture[j0 + i0]
    p += (world.texture[j0 + i1] - p) * a
    q = world.texture[j1 + i0]
    q += (world.texture[j1 + i1] - q) * a
    return p + (q - p) * b


@qd.func
def mip_level(millimetres):
    """Level whose texels are about as large as a pixel's footprint on the surface."""
    texels = qd.max(millimetres * TEXELS_PER_MM, 1.0)
    exponent = (qd.bit_cast(texels, qd.i32) >> 23) - 127
    return qd.math.clamp(exponent, 0, TOP_LEVEL)


@qd.func
def lamp_light(lamp, p, n, n_wet, ray):
    """(diffuse, glint) light of a lamp at `lamp` on p: inverse square, Lambert, Blinn-Phong.

    `n_wet` is the normal of the film of mucus that glints: rougher than the tissue's, `n`.
    """
    to_lamp = lamp - p
    d2 = to_lamp.dot(to_lamp)
    to_lamp = to_lamp / qd.sqrt(d2 + 1e-6)
    strength = 1.0 / (d2 + NEAR_MM2)
    half = to_lamp - ray
    half = half / qd.sqrt(half.dot(half) + 1e-6)
    shine = qd.max(n_wet.dot(half), 0.0)
    for _squaring in qd.static(range(LOG2_SHARPNESS)):
        shine *= shine
    wrapped = (n.dot(to_lamp) + WRAP) * (1.0 / (1.0 + WRAP))
    return qd.max(wrapped, 0.0) * strength, shine * strength


@qd.func
def hash_bits(x):
    """Scrambled bits of x (Wellons' lowbias32)."""
    h = qd.cast(x, qd.u32)
    h ^= h >> 16
    h *= qd.u32(0x7FEB352D)
    h ^= h >> 15
    h *= qd.u32(0x846CA68B)
    h ^= h >> 16
    return h


@qd.func
def grain(seed, pixel):
    """Sensor noise of a pixel's three channels: triangular, in -1..1, deviation 0.41."""
    a = hash_bits(pixel ^ (seed * 0x2545))
    b = hash_bits(qd.cast(a, qd.i32) + 0x51ED27)
    out = vec3(0.0)
    for k in qd.static(range(3)):
        both = ((a >> (10 * k)) & qd.u32(1023)) + ((b >> (10 * k)) & qd.u32(1023))
        out[k] = qd.cast(qd.cast(both, qd.i32), qd.f32) * (1.0 / 1023.0) - 1.0
    return out


@qd.func
def surface(world: World, scene, p, t, c, n, ray, instance, pixel_angle, radius, around, tangent):
    """(albedo, bump to add to the normal, crevice) at a point p of the surface.

    The wall is mapped along the centreline and around it, a polyp by angle from its axis.
    """
    mucosa = world.looks[scene * 3]
    style = world.looks[scene * 3 + 1]
    turn = world.looks[scene * 3 + 2]
    i, j, _u, _v, a = wall_index(c)
    crevice = world.crevice[(scene * NS + i) * NA + (j & (NA - 1))]
    facing = qd.max(-n.dot(ray), 0.15)
    footprint = t * pixel_angle / facing
    u = (c.x - 0.9 * radius) * (1.0 / TILE_MM) + turn.x
    v = a + radius * 0.015 + turn.y
    along_u = tangent
    along_v = around
    vessels = mucosa.w
    pattern = 0.0
    tint = vec3(1.0)
    scale = 1.0
    if instance > 0:
        row = (scene * NP + instance - 1) * ROWS
        axis = world.polyps[row + 1].xyz
        width = world.polyps[row + 1].w
        q = p - world.polyps[row].xyz
        along_u = axis.cross(vec3(0.31, 0.52, 0.79))
        along_u = along_u / qd.sqrt(along_u.dot(along_u) + 1e-6)
        along_v = axis.cross(along_u)
        scale = 2.6
        # Azimuthal equidistant about the axis, on the ellipsoid made round: the angle over its
        # sine, by a fitted parabola in 1 - cosine.
        q = q + axis * (q.dot(axis) * (width / world.polyps[row].w - 1.0))
        q = q / qd.sqrt(q.dot(q) + 1e-6)
        low = 1.0 - q.dot(axis)
        spread = width * (scale / TILE_MM) * (1.0 + low * (0.36 + 0.21 * low))
        u = q.dot(along_u) * spread + turn.y
        v = q.dot(along_v) * spread + turn.x
        tint = world.polyps[row + 3].xyz
        pattern = world.polyps[row + 3].w
        vessels *= 0.35
        # The wall's crevices shade the foot of a polyp only.
        gap = radius - qd.sqrt(c.y * c.y + c.z * c.z)
        crevice *= qd.math.clamp(1.0 - 0.4 * gap, 0.0, 1.0)
    detail = texel(world, u, v, mip_level(footprint * scale))
    broad = texel(world, u * 0.25 + 0.37, v * 0.25 + 0.11, TOP_LEVEL - 2)
    inked = detail.x * vessels
    tone = 1.0 + style.x * (0.35 * detail.y + 0.9 * broad.y) + 0.22 * pattern * detail.y
    albedo = vec3(
        mucosa.x * (1.0 - 0.30 * inked),
        mucosa.y * (1.0 - 0.62 * inked),
        mucosa.z * (1.0 - 0.52 * inked),
    )
    albedo *= vec3(qd.sqrt(qd.max(tone, 0.1)), qd.max(tone, 0.1), qd.max(tone, 0.1)) * tint
    bump = style.z * (1.0 + 1.2 * pattern) / (1.0 + 0.02 * t)
    return albedo, bump * (detail.z * along_u + detail.w * along_v), crevice


@qd.func
def develop(radiance, noise, seed, pixel):
    """Linear light to display values in 0..1: a soft shoulder, gamma of about 1.7, sensor noise."""
    out = vec3(0.0)
    rough = grain(seed, pixel)
    for k in qd.static(range(3)):
        x = qd.max(radiance[k], 0.0)
        x = x + 0.5 * x * x
        bright = qd.sqrt(x / (1.0 + x))
        out[k] = bright * (0.82 + 0.18 * bright) + noise * rough[k]
    return out


@qd.func
def pack(colour, instance):
    """Display values in 0..1 and an instance id as one 32-bit number."""
    r = qd.cast(qd.math.clamp(colour.x, 0.0, 1.0) * 255.0 + 0.5, qd.i32)
    g = qd.cast(qd.math.clamp(colour.y, 0.0, 1.0) * 255.0 + 0.5, qd.i32)
    b = qd.cast(qd.math.clamp(colour.z, 0.0, 1.0) * 255.0 + 0.5, qd.i32)
    return r | (g << 8) | (b << 16) | (instance << 24)


@qd.func
def shade(
    world: World,
    scene,
    origin,
    ray,
    t,
    c,
    n,
    around,
    tangent,
    instance,
    wall_radius,
    pixel_angle,
    lamp_a,
    lamp_b,
    gain,
):
    """Linear radiance (3,) of the point at distance t along the ray, times the exposure `gain`."""
    style = world.looks[scene * 3 + 1]
    p = origin + ray * t
    albedo, bump, crevice = surface(
        world, scene, p, t, c, n, ray, instance, pixel_angle, wall_radius, around, tangent
    )
    tissue = n + bump
    tissue = tissue / qd.sqrt(tissue.dot(tissue) + 1e-9)
    wet = n + WET_ROUGHNESS * bump
    wet = wet / qd.sqrt(wet.dot(wet) + 1e-9)
    occlusion = qd.math.clamp(1.0 - 0.085 * crevice, 0.3, 1.25)
    diffuse_a, glint_a = lamp_light(lamp_a, p, tissue, wet, ray)
    diffuse_b, glint_b = lamp_light(lamp_b, p, tissue, wet, ray)
    direct = (diffuse_a + diffuse_b) * gain * 0.5
    glint = qd.min((glint_a + glint_b) * gain, 4.0) * style.y
    # Light that the lumen's walls pass on: weak, and redder with every bounce.
    scattered = gain * occlusion / (t * t + 900.0)
    light = vec3(direct * occlusion)
    light += albedo * vec3(0.30, 0.16, 0.12) * scattered
    return albedo * light + vec3(1.0, 0.98, 0.94) * glint
