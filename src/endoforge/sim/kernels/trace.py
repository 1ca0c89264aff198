"""Along a ray: what it meets, and where."""

import quadrants as qd

from endoforge.sim.kernels.geometry import (
    NP,
    ROWS,
    blended,
    blended_normal,
    guess_s,
    locate,
    polyp_distance,
    sphere_span,
    touch,
    wall_frame,
    wall_gap,
    wall_slopes,
)
from endoforge.sim.kernels.types import FAR_MM, World, vec4

MAX_STEPS = 64
OVER_RELAXED = 1.3
"""Steps on the wall go this much beyond the safe one; `newton` pulls an overshoot back."""
TOLERANCE = 0.03
"""Share of the distance by which a predicted hit may be off before its pixel is traced."""


@qd.func
def trace_wall(world: World, scene, origin, ray, t_start, s_start, epsilon):
    """Sphere tracing of the wall alone: (distance, curve coordinates there)."""
    t = t_start
    s = s_start
    c = vec4(0.0)
    for _step in range(MAX_STEPS):
        c = locate(world, scene, origin + ray * t, ray, s)
        gap, safe = wall_gap(world, scene, c)
        if gap < epsilon * t or t > FAR_MM:
            break
        step = safe * OVER_RELAXED + 0.25 * epsilon * t
        t += step
        s = c.x + c.w * step
    return t, c


@qd.func
def trace_blended(world: World, scene, origin, ray, t_start, s_start, epsilon, mask):
    """Sphere tracing of wall and polyps: (distance, curve coordinates there)."""
    t = t_start
    s = s_start
    c = vec4(0.0)
    for _step in range(2 * MAX_STEPS):
        d, safe, _id, _bent, c_here, _sl = blended(world, scene, origin + ray * t, ray, s, mask)
        c = c_here
        if d < epsilon * t * 0.1 or t > FAR_MM:
            break
        step = qd.max(safe * 0.95, 0.1 * epsilon * t)
        t += step
        s = c.x + c.w * step
    return t, c


@qd.func
def newton(gap, normal, ray, t):
    """The last correction to a hit: gap over closing speed, at most a few per cent of t."""
    closing = -normal.dot(ray)
    step = 0.0
    if closing > 0.05 * qd.sqrt(normal.dot(normal)):
        step = qd.math.clamp(gap / closing, -0.06 * t, 0.03 * t)
    return step


@qd.func
def towards(normal, ray):
    """The normal, turned to face the ray a little if it looks away, as at grazing edges."""
    away = qd.max(normal.dot(ray) + 0.05, 0.0)
    turned = normal - away * ray
    return turned / qd.sqrt(turned.dot(turned) + 1e-9)


@qd.func
def check_guess(world: World, scene, origin, ray, guess):
    """1 if the ray meets the wall near the guess (1 / distance, s), and the guess's place.

    Near: the gap to the wall is small against the speed at which the ray closes it.
    """
    t = 1.0 / guess.x
    c = locate(world, scene, origin + ray * t, ray, guess.y)
    slopes = wall_slopes(world, scene, c)
    normal, _around, _tangent = wall_frame(world, scene, c, slopes)
    good = 1
    if qd.abs(slopes.x) >= -TOLERANCE * t * normal.dot(ray):
        good = 0
    return good, t, c


@qd.func
def meet(world: World, scene, origin, ray, s_origin, guessed, t, c, t_free, tile_mask, pixel_angle):
    """What the ray meets first.

    `guessed` says that (t, c) is close to where it meets the wall; else nothing is known but that
    it is free up to `t_free`. Returns the distance, the curve coordinates there, the normal (not
    unit), the directions around and along the wall, the instance, and the wall's radius there.
    """
    mask = 0
    entry = 0.0
    if tile_mask != 0:
        t_wall = FAR_MM
        if guessed:
            t_wall = t * (1.0 + TOLERANCE) + 0.2
        mask, entry = touch(world, scene, origin, ray, tile_mask, t_wall, pixel_angle)
    instance = 0
    bent = 0
    d = 0.0
    if mask != 0:
        t_start = entry
        if not guessed:
            t_start = qd.min(t_free, entry)
        s = guess_s(world, scene, origin, ray, t_start, s_origin)
        t, c = trace_blended(world, scene, origin, ray, t_start, s, pixel_angle, mask)
        d, _safe, instance, bent, c, _slopes = blended(
            world, scene, origin + ray * t, ray, c.x, mask
        )
        if d > 0.5 * pixel_angle * t:
            instance = 0  # out of steps in mid-air, beside an edge: that is no polyp's pixel
    elif not guessed:
        s = guess_s(world, scene, origin, ray, t_free, s_origin)
        t, c = trace_wall(world, scene, origin, ray, t_free, s, 0.4 * pixel_angle)
    slopes = wall_slopes(world, scene, c)
    normal, around, tangent = wall_frame(world, scene, c, slopes)
    gap = slopes.x
    if bent:
        steepness = qd.sqrt(normal.dot(normal) + 1e-9)
        d_wall = slopes.x / steepness
        sample = 0.06 + 0.0015 * t
        p = origin + ray * t
        normal = blended_normal(world, scene, p, mask, d_wall, normal / steepness, sample)
        gap = d
    wall_radius = slopes.x + qd.sqrt(c.y * c.y + c.z * c.z)
    step = newton(gap, normal, ray, t)
    t += step
    c.x += c.w * step
    if t >= FAR_MM:
        t = FAR_MM
        instance = 0
    return t, c, normal, around, tangent, instance, wall_radius


@qd.func
def meets_polyp(world: World, scene, origin, ray, k, s_origin):
    """1 if the ray, with nothing else in its way, first meets polyp k on its side in the lumen."""
    t, leave = sphere_span(world, scene, origin, ray, k)
    near = 0.002 * world.polyps[(scene * NP + k) * ROWS + 4].y
    met = 0
    d = 1e9
    for _step in range(32):
        if t > leave or d < near:
            break
        d = polyp_distance(world, scene, k, origin + ray * t)
        if d >= near:
            t += 0.95 * d
    if d < near:
        s = guess_s(world, scene, origin, ray, t, s_origin)
        c = locate(world, scene, origin + ray * t, ray, s)
        gap, _safe = wall_gap(world, scene, c)
        if gap >= 0.0:
            met = 1
    return met
