"""Following a ray: what it meets, and where."""

import quadrants as qd

from endoforge.sim.kernels.geometry import (
    NP,
    blended,
    blended_normal,
    guess_s,
    locate,
    polyp_distance,
    span,
    touch,
    wall_frame,
    wall_gap,
    wall_slopes,
)
from endoforge.sim.kernels.types import FAR_MM, POLYP_ROWS, SceneArrays, View, vec4

MAX_STEPS = 64
OVER_RELAXED = 1.3
"""Steps on the wall go this much beyond the safe one; `newton` pulls an overshoot back."""
POLYP_RELAXED = 1.35
"""The same on polyps, which are thick: what this steps across is thinner than a pixel."""
STRAIGHT = 0.65
"""A ray that closes so much of each step as it comes within a pixel's width will hit a polyp."""
TOLERANCE = 0.03
"""Share of the distance by which a predicted hit may be off before its pixel is traced."""


@qd.func
def trace_wall(scenes: SceneArrays, scene, origin, ray, t_start, s_start, swell, epsilon):
    """Sphere-trace the wall alone: (distance, curve coordinates there, centreline's row)."""
    t = t_start
    s = s_start
    c = vec4(0.0)
    last = 0
    for _step in range(MAX_STEPS):
        c, row = locate(scenes, scene, origin + ray * t, ray, s)
        last = row
        gap, safe = wall_gap(scenes, scene, c, swell)
        if gap < epsilon * t or t > FAR_MM:
            break
        # The part of a pixel ends the march of rays that graze the wall and would creep.
        step = safe * OVER_RELAXED + 0.25 * epsilon * t
        t += step
        s = c.x + c.w * step
    return t, c, last


@qd.func
def newton(gap, normal, ray, t):
    """The last correction to a hit in mm: gap over closing speed, at most a few per cent of t."""
    # A ray that runs along the wall closes nothing: there the quotient would be wild.
    closing = -normal.dot(ray)
    step = 0.0
    if closing > 0.05 * qd.sqrt(normal.dot(normal)):
        step = qd.math.clamp(gap / closing, -0.06 * t, 0.03 * t)
    return step


@qd.func
def towards(normal, ray):
    """Give the normal, turned to face the ray a little if it looks away, as at grazing edges."""
    away = normal.dot(ray) + 0.05
    turned = normal
    if away > 0.0:
        turned = normal - away * ray
        turned = turned / qd.sqrt(turned.dot(turned) + 1e-9)
    return turned


@qd.func
def meet_wall(scenes: SceneArrays, scene, origin, ray, s_origin, guess, t_free, swell, pixel_angle):
    """Find where the ray meets the wall, polyps aside.

    `guess` is (1 / distance, s) as the lattice predicts them, or (0, 0). It is taken if the gap to
    the wall there is small against the speed at which the ray closes it; else the ray is traced
    from `t_free` on. Returns the distance, the curve coordinates, the slopes and the frame there.
    """
    t = 0.0
    c = vec4(0.0)
    # Without a guess, a gap that fails the check below.
    slopes = vec4(1e9, 0.0, 0.0, 0.0)
    normal = ray
    around = ray
    tangent = ray
    if guess.x > 0.0:
        t = 1.0 / guess.x
        c, row = locate(scenes, scene, origin + ray * t, ray, guess.y)
        slopes = wall_slopes(scenes, scene, c, swell)
        normal, around, tangent = wall_frame(scenes, row, c, slopes)
    # Fails too where the wall faces away: then the guess lies behind what the ray meets first.
    # A guess that holds costs one evaluation of the wall, a trace one for each of its steps.
    if qd.abs(slopes.x) >= -TOLERANCE * t * normal.dot(ray):
        s = guess_s(scenes, scene, origin, ray, t_free, s_origin)
        t, c, row = trace_wall(scenes, scene, origin, ray, t_free, s, swell, 0.4 * pixel_angle)
        slopes = wall_slopes(scenes, scene, c, swell)
        normal, around, tangent = wall_frame(scenes, row, c, slopes)
    return t, c, slopes, normal, around, tangent


@qd.func
def meet_polyps(
    scenes: SceneArrays,
    view: View,
    scene,
    b,
    origin,
    ray,
    s_origin,
    entry,
    t_wall,
    mask,
    pixel_angle,
):
    """Find where the ray, from `entry` on, meets what the polyps of `mask` make of the wall.

    They only add to it, so that the wall itself stands in the way nowhere before `t_wall`, and a
    ray that comes so far has met no polyp. The march ends well below a pixel's width from the
    surface; a little earlier where the gap shrinks fast, for `newton` closes the rest. Rays that
    graze an edge so don't count as hits.

    Returns whether it met anything, the distance, and what `blended` says there.
    """
    t = entry
    s = guess_s(scenes, scene, origin, ray, entry, s_origin)
    before = 0.0
    step = 0.0
    met = 0
    d, instance, bent, c, slopes, row = 0.0, 0, 0, vec4(0.0), vec4(0.0), 0
    for _step in range(MAX_STEPS):
        d, instance, bent, c, slopes, row = blended(
            scenes, view, scene, b, origin + ray * t, ray, s, mask
        )
        near = pixel_angle * t
        # `before - d` over `step` is the speed at which the gap shrinks.
        straight = d < near and (before - d) * step > STRAIGHT * step * step
        if qd.abs(d) < 0.1 * near or (d > -near and (d < 0.0 or straight)):
            met = 1
            break
        if t > t_wall and d > 0.0:
            break
        before = d
        step = d
        if d > 0.0:
            step = qd.max(POLYP_RELAXED * d, 0.1 * near)
        t += step
        s = c.x + c.w * step
    return met, t, d, instance, bent, c, slopes, row


@qd.func
def meet(
    scenes: SceneArrays,
    view: View,
    scene,
    b,
    origin,
    ray,
    s_origin,
    guess,
    t_free,
    tile_mask,
    swell,
    pixel_angle,
):
    """Find what the ray meets first.

    Returns the distance, the curve coordinates there, the normal (not unit), the directions
    around and along the wall, the instance, and the wall's radius there.
    """
    t, c, slopes, normal, around, tangent = meet_wall(
        scenes, scene, origin, ray, s_origin, guess, t_free, swell, pixel_angle
    )
    gap = slopes.x
    instance = 0
    if tile_mask != 0:
        t_wall = t + newton(gap, normal, ray, t)
        # The 0.2 mm let in a polyp whose foot lies in the wall that the ray meets.
        mask, entry = touch(view, b, origin, ray, tile_mask, t_wall + 0.2, pixel_angle)
        if mask != 0:
            met, t_met, d, nearest, bent, c_met, slopes_met, row = meet_polyps(
                scenes, view, scene, b, origin, ray, s_origin, entry, t_wall, mask, pixel_angle
            )
            # Met but not bent is the wall's own hit: `meet_wall` has that more exactly.
            if met and bent:
                t = t_met
                c = c_met
                slopes = slopes_met
                gap = d
                instance = nearest
                normal, around, tangent = wall_frame(scenes, row, c, slopes)
                steepness = qd.sqrt(normal.dot(normal) + 1e-9)
                # Its differences widen with the distance: what is finer than a pixel would only
                # glitter.
                normal = blended_normal(
                    view, b, origin + ray * t, mask, slopes.x / steepness, normal / steepness,
                    0.06 + 0.0015 * t,
                )  # fmt: skip
    wall_radius = slopes.x + qd.sqrt(c.y * c.y + c.z * c.z)
    step = newton(gap, normal, ray, t)
    t += step
    c.x += c.w * step
    if t >= FAR_MM:
        t = FAR_MM
        instance = 0
    return t, c, normal, around, tangent, instance, wall_radius


@qd.func
def first_polyp(view: View, b, origin, ray, mask, t_limit):
    """Find the distance to the first masked polyp, unblended, or t_limit: enough to meter."""
    first = t_limit
    k = 0
    rest = mask
    while rest != 0:
        if rest & 1:
            t, leave = span(view, b, origin, ray, k)
            # Few steps, coarse: the meter wants the light of a region, not of a pixel.
            for _step in range(12):
                if t > qd.min(leave, first):
                    break
                d = polyp_distance(view, b, k, origin + ray * t)
                if d < 0.02 * t:
                    first = qd.min(first, t)
                    break
                t += d
        rest = rest >> 1
        k += 1
    return first


@qd.func
def meets_polyp(scenes: SceneArrays, view: View, scene, b, origin, ray, k, s_origin, swell):
    """Tell (0, 1) whether the ray, all else away, first meets polyp k on its side in the lumen."""
    t, leave = span(view, b, origin, ray, k)
    # Relative to its size: the count of pixels needs an outline, not a depth.
    near = 0.002 * view.polyps[(b * NP + k) * POLYP_ROWS + 4].y
    met = 0
    d = 1e9
    for _step in range(32):
        if t > leave or d < near:
            break
        d = polyp_distance(view, b, k, origin + ray * t)
        if d >= near:
            t += 0.95 * d
    if d < near:
        s = guess_s(scenes, scene, origin, ray, t, s_origin)
        c, _row = locate(scenes, scene, origin + ray * t, ray, s)
        gap, _safe = wall_gap(scenes, scene, c, swell)
        # The part of a polyp that is sunk in the wall was never to be seen: it doesn't count.
        if gap >= 0.0:
            met = 1
    return met
