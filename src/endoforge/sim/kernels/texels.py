"""Looking tileable textures up, bilinearly in a mip level."""

import quadrants as qd

from endoforge.sim import texture
from endoforge.sim.kernels.types import vec4

TEXELS_PER_MM = texture.SIZE / texture.TILE_MM
TOP_LEVEL = texture.LEVELS - 1
PAIRS = 0x00FF00FF
"""The bytes of a texel that are interpolated together."""


@qd.func
def mix_pairs(one, other, part):
    """Mix (256 - part) / 256 of `one` and part / 256 of `other`, two bytes 16 bits apart each."""
    pairs = one * (qd.u32(256) - part) + other * part
    return ((pairs + qd.u32(0x00800080)) >> 8) & PAIRS


@qd.func
def texel(table: qd.template(), u, v, level, base=0):
    """Look a tileable texture up at (u, v) in repeats, bilinearly in a mip level: (4,) in 0..1.

    `base` is the texel of the table that the texture begins at.

    A texel is four bytes; two are interpolated at once, with weights of 8 bits.
    """
    # The levels before this one have 4/3 of what their largest has over it: a geometric series.
    n = texture.SIZE >> level
    first = base + (4 * (texture.SIZE * texture.SIZE - n * n)) // 3
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
