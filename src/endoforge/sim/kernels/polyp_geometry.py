"""Distances from a point to a polyp, and to the wall and polyps as they blend to one surface."""

import quadrants as qd

from endoforge.sim.kernels.geometry import NP, locate, point_at, swelling, wall_slopes
from endoforge.sim.kernels.lesion_shapes import (
    around_outline,
    flat_distance,
    flat_height,
    form_of,
    uneven_distance,
    wave,
)
from endoforge.sim.kernels.types import POLYP_ROWS, SceneArrays, View, vec3


@qd.func
def lowest(mask):
    """Give the place of the lowest bit of a mask of polyps, which isn't 0.

    It is the exponent of that bit as a float: to try one place after another costs more than what
    is done for a polyp far off.
    """
    return (qd.bit_cast(qd.cast(mask & -mask, qd.f32), qd.i32) >> 23) - 127


@qd.func
def head_distance(view: View, b, k, p):
    """Measure the distance in mm from p to the head of polyp k.

    Of a flat lesion it is the distance to the body that cuts its region out of the wall.

    The ellipsoid's is the usual first-order bound (Quilez), with gentle lobes on the surface. Rays
    that look for polyps spend their time here: what doesn't change with p is in the table (row 6:
    half-axes as 1 / mm^2, lobes as turns per mm).
    """
    row = (b * NP + k) * POLYP_ROWS
    r0 = view.polyps[row]
    r1 = view.polyps[row + 1]
    q = p - r0.xyz
    r6 = view.polyps[row + 6]
    along = q.dot(r1.xyz)
    across = qd.max(q.dot(q) - along * along, 0.0)
    d = 0.0
    if form_of(view.polyps, row) == 0.0:
        e = across * r6.x
        g = along * along * r6.y
        k0 = qd.sqrt(e + g)
        k1 = qd.sqrt(e * r6.x + g * r6.y)
        # The 1e-6 is for the very centre, where both are 0.
        d = k0 * (k0 - 1.0) / (k1 + 1e-6)
        # Only near the surface, where they show: three waves for every far step would be wasted.
        if d < 1.0:
            # They go with the polyp: its base doesn't move against its head.
            w = r6.z
            turn = r0.xyz - view.polyps[row + 2].xyz
            lobes = wave(q.x * w + turn.x) * wave(q.y * w + turn.y) + wave(q.z * 1.2 * w + turn.z)
            d += view.polyps[row + 4].w * lobes
    else:
        d = uneven_distance(view.polyps, row, q, along, across)
    return d


@qd.func
def polyp_distance(view: View, b, k, p):
    """Measure the distance in mm from p to polyp k: its head, and its stalk if it has one."""
    d = head_distance(view, b, k, p)
    row = (b * NP + k) * POLYP_ROWS
    r2 = view.polyps[row + 2]
    if r2.w > 0.0:
        stalk = view.polyps[row].xyz - r2.xyz
        pa = p - r2.xyz
        h = qd.math.clamp(pa.dot(stalk) / stalk.dot(stalk), 0.0, 1.0)
        z = pa - stalk * h
        # Half as thick again at its foot, as stalks flare.
        ds = qd.sqrt(z.dot(z)) - r2.w * (1.0 + 0.5 * (1.0 - h) * (1.0 - h))
        neck = 0.6 * r2.w + 0.4
        join = qd.max(neck - qd.abs(d - ds), 0.0)
        d = qd.min(d, ds) - join * join * (0.25 / neck)
    return d


@qd.func
def down_the_stalk(view: View, b, k, p):
    """Give how far p, on polyp k, is from its head in half-widths of that; 0 without a stalk."""
    row = (b * NP + k) * POLYP_ROWS
    far = 0.0
    if view.polyps[row + 2].w > 0.0:
        far = qd.max(head_distance(view, b, k, p), 0.0) / view.polyps[row + 1].w
    return far


@qd.func
def is_flat(view: View, b, k):
    """Tell whether polyp k is a flat lesion, which has no surface but the wall's, raised."""
    return form_of(view.polyps, (b * NP + k) * POLYP_ROWS) < 0.0


@qd.func
def is_around(view: View, b, k):
    """Tell whether polyp k is a mass around the lumen: a part of the wall itself."""
    return form_of(view.polyps, (b * NP + k) * POLYP_ROWS) < -1.5


@qd.func
def outline_distance(view: View, b, k, p):
    """Measure how far in mm p is off the outline of flat lesion k, below 0 inside."""
    row = (b * NP + k) * POLYP_ROWS
    d = 0.0
    if is_around(view, b, k):
        d = around_outline(view.polyps, row, p)
    else:
        d = polyp_distance(view, b, k, p)
    return d


@qd.func
def polyp_value(view: View, b, k, p):
    """Measure the distance in mm from p to polyp k; of a flat one, its height there, below 0."""
    d = polyp_distance(view, b, k, p)
    if is_flat(view, b, k):
        d = -flat_height(view.polyps, (b * NP + k) * POLYP_ROWS, p, d)
    return d


@qd.func
def from_wall(view: View, b, k, value, d_wall):
    """Make of a `polyp_value` the distance in mm to polyp k, whatever it is, `d_wall` mm off."""
    d = value
    if is_flat(view, b, k):
        d = flat_distance(view.polyps, (b * NP + k) * POLYP_ROWS, value, d_wall)
    return d


@qd.func
def blended(scenes: SceneArrays, view: View, shared, p, direction, s_guess, mask):
    """Measure the distance from p to the wall and the masked polyps as one surface.

    Returns the distance, the nearest polyp's id (0: the wall), whether a polyp bends the surface
    here, the curve coordinates, the wall's slopes and the centreline's row. The join is the
    polynomial smooth minimum (Quilez), the id that of the nearer of the two, unblended: a label is
    cut where the two surfaces would meet, not where the fillet between them begins.
    """
    b = shared.number
    c, row = locate(scenes, shared.scene, p, direction, s_guess)
    # Read anew, for with `shared.swell` compilers round some products in another order, and the
    # distance of one pixel in 3,000 becomes another by its last bit.
    slopes = wall_slopes(scenes, shared.scene, c, swelling(view, b))
    # The gap lies along the radius; over the slope it is the distance, to first order, and so can
    # be blended with that of a polyp.
    d_wall = slopes.x / qd.sqrt(1.0 + slopes.z * slopes.z + slopes.w * slopes.w)
    d = d_wall
    nearest = d_wall
    instance = 0
    bent = 0
    rest = mask
    while rest != 0:
        k = lowest(rest)
        rest &= rest - 1
        d_polyp = from_wall(view, b, k, polyp_value(view, b, k, p), d_wall)
        blend = view.polyps[(b * NP + k) * POLYP_ROWS + 4].x
        if d_polyp < nearest:
            nearest = d_polyp
            instance = k + 1
        h = qd.max(blend - qd.abs(d - d_polyp), 0.0)
        if h > 0.0 or d_polyp < d_wall:
            bent = 1
        d = qd.min(d, d_polyp) - h * h * 0.25 / blend
    return d, instance, bent, c, slopes, row


@qd.func
def bounding_sphere(view: View, b, k):
    """Give centre and radius of a sphere that holds all of polyp k and of what it bends."""
    row = (b * NP + k) * POLYP_ROWS
    head = view.polyps[row].xyz
    towards_base = view.polyps[row + 6].w
    return head + towards_base * (view.polyps[row + 2].xyz - head), view.polyps[row + 4].y


@qd.func
def span(view: View, b, ray, k):
    """Find where the ray enters and leaves what bounds polyp k; entry > exit if it misses it.

    That is an ellipsoid, within which the polyp bends the surface; with a stalk it is a sphere. A
    sphere around a flat polyp would be mostly empty, and the rays through it would march in vain.
    """
    row = (b * NP + k) * POLYP_ROWS
    centre, bound = bounding_sphere(view, b, k)
    q = ray.origin - centre
    axis = view.polyps[row + 1].xyz
    shell = view.polyps[row + 5].z
    height = view.polyps[row].w + shell
    width = view.polyps[row + 1].w + shell
    if shell == 0.0:
        height = bound
        width = bound
    # Made a unit sphere by scaling along the axis and across it.
    q_axis = q.dot(axis)
    ray_axis = ray.direction.dot(axis)
    h = 1.0 / (height * height)
    w = 1.0 / (width * width)
    squared = (1.0 - ray_axis * ray_axis) * w + ray_axis * ray_axis * h
    mixed = (q.dot(ray.direction) - q_axis * ray_axis) * w + q_axis * ray_axis * h
    rest = (q.dot(q) - q_axis * q_axis) * w + q_axis * q_axis * h - 1.0
    root = mixed * mixed - squared * rest
    entry = 1.0
    leave = 0.0
    if root > 0.0:
        inverse = 1.0 / squared
        half = qd.sqrt(root)
        entry = qd.max((-mixed - half) * inverse, 0.0)
        leave = (half - mixed) * inverse
    return entry, leave


@qd.func
def touch(view: View, b, ray, mask, t_limit, epsilon):
    """Find the masked polyps that may bend what the ray meets before t_limit.

    Returns their mask, and the first and the last distance at which one may. The rest can't change
    the hit: most rays end here, without `blended`, which asks the wall's table at every step.
    """
    kept = 0
    first = 1e9
    last = 0.0
    rest = mask
    while rest != 0:
        k = lowest(rest)
        rest &= rest - 1
        t, leave = span(view, b, ray, k)
        leave = qd.min(leave, t_limit)
        # What is a part of the wall bends nothing.
        if is_around(view, b, k):
            leave = -1.0
        blend = view.polyps[(b * NP + k) * POLYP_ROWS + 4].x
        for _step in range(24):
            if t > leave:
                break
            apart = polyp_distance(view, b, k, point_at(ray, t)) - blend
            if apart < epsilon * t:
                break
            # A little more than is safe, and a part of a pixel: what 24 steps don't decide
            # counts as touched, which costs time but never a hit.
            t += 1.2 * apart + epsilon * t
        if t <= leave:
            kept |= 1 << k
            first = qd.min(first, t)
            last = qd.max(last, leave)
    return kept, first, last


@qd.func
def polyp_gradient(view: View, b, k, p, d, step):
    """Take the gradient of polyp k's `polyp_value` at p, where it is d, over `step` mm."""
    gradient = vec3(0.0)
    # Forward differences: d is known, so three evaluations do, and those once a hit.
    for axis in range(3):
        along = vec3(axis == 0, axis == 1, axis == 2)
        gradient += along * (polyp_value(view, b, k, p + along * step) - d)
    return gradient / step


@qd.func
def blended_normal(view: View, b, p, mask, d_wall, wall_unit, step):
    """Take the gradient of the blended distance: that of the smooth minimum, polyp by polyp.

    `d_wall` and `wall_unit` are the wall's distance and unit normal, `step` is `polyp_gradient`'s.
    """
    d = d_wall
    n = wall_unit
    rest = mask
    while rest != 0:
        k = lowest(rest)
        rest &= rest - 1
        value = polyp_value(view, b, k, p)
        d_polyp = from_wall(view, b, k, value, d_wall)
        blend = view.polyps[(b * NP + k) * POLYP_ROWS + 4].x
        h = qd.max(blend - qd.abs(d - d_polyp), 0.0)
        if h > 0.0 or d_polyp < d:
            share = 0.5 * h / blend
            if d_polyp < d:
                share = 1.0 - share
            gradient = polyp_gradient(view, b, k, p, value, step)
            if is_flat(view, b, k):
                gradient += wall_unit
            n = n * (1.0 - share) + share * gradient
        d = qd.min(d, d_polyp) - h * h * 0.25 / blend
    return n
