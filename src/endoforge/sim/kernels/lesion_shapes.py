"""Shapes beyond the plain ellipsoid: uneven heads, masses, craters, and lesions flat on the wall.

`sim.shapes` says what they are; what they cost is paid only for polyps that are of such a shape.
"""

import quadrants as qd

from endoforge.sim.shapes import BEYOND, RIM, STEEP

FIRST_HEAD = 11
"""The row of a polyp at which the heads of a mass begin, or the profile of a flat lesion."""
MEAN_BULGE = 0.5
"""About the mean of `bulges`: creases are cut as deep as bulges are raised."""


@qd.func
def wave(turns):
    """Approximate sin(2 pi turns) within 0.001, by parabolas: cheaper than the sine."""
    y = turns - qd.floor(turns) - 0.5
    x = -16.0 * y * (0.5 - qd.abs(y))
    return x * (0.775 + 0.225 * qd.abs(x))


@qd.func
def bulges(turns):
    """Give 0..1.4, round on bulges and narrow in the creases between them: a folded gyroid."""
    gyroid = (
        wave(turns.x) * wave(turns.y + 0.25)
        + wave(turns.y) * wave(turns.z + 0.25)
        + wave(turns.z) * wave(turns.x + 0.25)
    )
    # About the absolute value, but for the bottom of a crease, which isn't quite sharp.
    return gyroid * gyroid / (qd.abs(gyroid) + 0.15)


@qd.func
def form_of(polyps: qd.template(), row):
    """Read what the polyp at `row` is: 0 plain, 1 uneven, n > 1 a mass of n heads, -1 flat, -2 a
    mass around the lumen.
    """
    return polyps[row + 8].w


@qd.func
def mass_distance(polyps: qd.template(), row, q):
    """Measure the distance in mm from q, off the centre, to the heads of a mass, merged."""
    join = polyps[row + 8].x
    number = qd.cast(polyps[row + 8].w, qd.i32)
    d = 1e6
    for i in range(number):
        head = polyps[row + FIRST_HEAD + i]
        z = q - head.xyz
        one = qd.sqrt(z.dot(z)) - head.w
        h = qd.max(join - qd.abs(d - one), 0.0)
        d = qd.min(d, one) - h * h * (0.25 / join)
    return d


@qd.func
def band_distance(polyps: qd.template(), row, q):
    """Measure the distance in mm from q, off the centre, to a `sim.shapes.Band`, below 0 inside."""
    band = polyps[row + FIRST_HEAD + 2]
    rounding = polyps[row + FIRST_HEAD + 1].z
    axis = polyps[row + 1].xyz
    out = q - axis * band.z
    ahead = out.dot(polyps[row + 7].xyz)
    off = qd.sqrt(qd.max(out.dot(out) - ahead * ahead, 0.0))
    d = qd.abs(ahead) - band.x
    side = out.dot(axis) - band.y * off
    h = qd.max(rounding - qd.abs(d - side), 0.0)
    d = qd.max(d, side) + h * h * (0.25 / rounding)
    # Beyond the wall and its pouches lie other parts of the colon.
    return qd.max(d, off - BEYOND * band.w)


@qd.func
def around_outline(polyps: qd.template(), row, p):
    """Measure about how far p is off the outline of a mass around the lumen, below 0 inside.

    By itself, for whatever `uneven_distance` asks costs rays that look for other polyps.
    """
    q = p - polyps[row].xyz
    per_mm = polyps[row + 6].z
    lobes = polyps[row + 4].w
    turns = q * per_mm + (polyps[row].xyz - polyps[row + 2].xyz)
    low = wave(turns.x) * wave(turns.y) + wave(turns.z + 0.2 * per_mm * q.z)
    return (band_distance(polyps, row, q) + lobes * low) / (1.0 + STEEP * per_mm * lobes)


@qd.func
def uneven_distance(polyps: qd.template(), row, q, along, across):
    """Measure the distance in mm from q, off the centre, to an uneven head, or to a mass.

    `along` is q's part along the axis, `across` the square of what is across it.
    """
    r6 = polyps[row + 6]
    r7 = polyps[row + 7]
    r8 = polyps[row + 8]
    d = 0.0
    if r8.w > 1.5:
        d = mass_distance(polyps, row, q)
    else:
        # As `polyp_distance`, on a head made one of revolution: w is 1 / stretch^2 - 1.
        long = q.dot(r7.xyz)
        taper = 1.0 + r8.x * qd.math.clamp(along / polyps[row].w, -1.2, 1.2)
        wide = r6.x / (taper * taper)
        e = qd.max(across + long * long * r7.w, 0.0) * wide
        e1 = qd.max(across + long * long * (r7.w * (r7.w + 2.0)), 0.0) * (wide * wide)
        g = along * along * r6.y
        k0 = qd.sqrt(e + g)
        # The taper's own slope is left out, for which the distance is taken a little shorter.
        d = k0 * (k0 - 1.0) / (qd.sqrt(e1 + g * r6.y) + 1e-6) * (1.0 - 0.4 * qd.abs(r8.x))
    lobes = polyps[row + 4].w
    reach = 2.0 * lobes + r8.y
    steep = 1.0 + STEEP * r6.z * (lobes + r8.y)
    # As far as it can bend the wall: where bulges ended sooner, a ring would show in that.
    if d < reach + steep * polyps[row + 4].x:
        turns = q * r6.z + (polyps[row].xyz - polyps[row + 2].xyz)
        low = wave(turns.x) * wave(turns.y) + wave(turns.z + 0.2 * r6.z * q.z)
        d += lobes * low
        if r8.y > 0.0:
            d -= r8.y * (bulges(turns) - MEAN_BULGE)
        # Lobes and creases are steep: a step of what is left of it is safe across them.
        d *= 1.0 / steep
    else:
        d -= reach
    if r8.z > 0.0:
        apart = crater_depth(polyps, row, q)
        rim = 0.4 * r8.z
        h = qd.max(rim - qd.abs(d - apart), 0.0)
        d = qd.max(d, apart) + h * h * (0.25 / rim)
    return d


@qd.func
def crater_depth(polyps: qd.template(), row, q):
    """Measure how deep in mm q, off the centre, lies in the ball that is cut out of the top."""
    radius = polyps[row + 8].z
    z = q - polyps[row + 1].xyz * (polyps[row].w + 0.3 * radius)
    return radius - qd.sqrt(z.dot(z))


@qd.func
def flat_height(polyps: qd.template(), row, p, outline):
    """Give how high in mm a flat lesion stands off the wall at p, `outline` mm off its outline."""
    height = 0.0
    if outline < 0.0:
        profile = polyps[row + FIRST_HEAD]
        inside = -outline / profile.y
        x = qd.min(inside, 1.0)
        rise = x * x * (3.0 - 2.0 * x)
        y = qd.math.clamp(inside - RIM, 0.0, 1.0)
        height = profile.x * rise * (1.0 - profile.z * y * y * (3.0 - 2.0 * y))
        if profile.w > 0.0:
            turns = (p - polyps[row].xyz) * polyps[row + FIRST_HEAD + 1].x
            height += profile.w * rise * bulges(turns + polyps[row + 1].xyz)
    return height


@qd.func
def flat_distance(polyps: qd.template(), row, value, d_wall):
    """Give the distance in mm to a flat lesion where the wall is `d_wall` mm away.

    `value` is its height, below 0. Where the profile is steep it is less than what is left.
    """
    d = d_wall + value
    # On neither side of the surface more than `d_wall`: all of the region is the lesion's.
    d = qd.min(d, d * polyps[row + FIRST_HEAD + 1].y)
    # Outside of its region a flat lesion is nowhere.
    return qd.select(value < 0.0, d, 1e6)


@qd.func
def fade_in(polyps: qd.template(), row, outline):
    """Give the share of its own colour that a flat lesion has `outline` mm off its outline."""
    return qd.math.clamp(-outline / polyps[row + FIRST_HEAD].y, 0.0, 1.0)


@qd.func
def slough(polyps: qd.template(), row, p):
    """Give how much slough lies at p, 0..1: all over the crater of an ulcerated polyp."""
    covered = 0.0
    radius = polyps[row + 8].z
    if form_of(polyps, row) < -1.5:
        profile = polyps[row + FIRST_HEAD]
        inside = -band_distance(polyps, row, p - polyps[row].xyz) / profile.y
        ulcer = qd.math.clamp(4.0 * profile.z - 1.4, 0.0, 1.0)
        covered = ulcer * qd.math.clamp(1.5 * (inside - RIM), 0.0, 1.0)
    if radius > 0.0:
        depth = crater_depth(polyps, row, p - polyps[row].xyz)
        covered = qd.math.clamp(1.0 + 5.0 * depth / radius, 0.0, 1.0)
    return covered
