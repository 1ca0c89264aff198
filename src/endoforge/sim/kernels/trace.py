"""Following a ray: what it meets, and where.

Most pixels never march: `meet_wall` takes the lattice's prediction after one look at the wall, and
`touch` says that no polyp is near. What marches does so by sphere tracing (Hart 1996): each step
goes as far as nothing can be.
"""

import quadrants as qd

from endoforge.sim.kernels.geometry import (
    NP,
    guess_s,
    locate,
    point_at,
    wall_frame,
    wall_gap,
    wall_slopes,
)
from endoforge.sim.kernels.lesion_shapes import around_outline
from endoforge.sim.kernels.polyp_geometry import (
    blended,
    blended_normal,
    down_the_stalk,
    is_around,
    is_flat,
    lowest,
    outline_distance,
    polyp_distance,
    span,
    touch,
)
from endoforge.sim.kernels.types import FAR_MM, POLYP_ROWS, Hit, SceneArrays, View, vec4
from endoforge.sim.polyps import LABELLED_STALK

MAX_STEPS = 64
LATE_STEPS = 32
"""After MAX_STEPS a ray that still creeps along an edge goes on in so many coarser ones, or it
would end in the air."""
OVER_RELAXED = 1.3
"""Steps on the wall go this much beyond the safe one; `newton` pulls an overshoot back."""
POLYP_RELAXED = 1.35
"""The same on polyps, which are thick: what this steps across is thinner than a pixel."""
STRAIGHT = 0.65
"""A ray that closes so much of each step as it comes within a pixel's width will hit a polyp."""
TOLERANCE = 0.03
"""Share of the distance by which a predicted hit may be off before its pixel is traced."""


@qd.func
def trace_wall(scenes: SceneArrays, shared, ray, t_start, s_start, epsilon):
    """Sphere-trace the wall alone: (distance, curve coordinates there, centreline's row).

    It ends where the gap is less than `epsilon` times the distance.
    """
    t = t_start
    s = s_start
    c = vec4(0.0)
    last = 0
    for k in range(MAX_STEPS + LATE_STEPS):
        c, row = locate(scenes, shared.scene, point_at(ray, t), ray.direction, s)
        last = row
        gap, safe = wall_gap(scenes, shared.scene, c, shared.swell)
        if gap < epsilon * t or t > FAR_MM:
            break
        # The part of a pixel ends the march of rays that graze the wall and would creep.
        step = safe * OVER_RELAXED + 0.25 * epsilon * t
        if k >= MAX_STEPS:
            step += epsilon * t * qd.cast(k - MAX_STEPS, qd.f32)
        t += step
        s = c.x + c.w * step
    return t, c, last


@qd.func
def newton(gap, normal, direction, t):
    """The last correction to a hit in mm: gap over closing speed, at most a few per cent of t.

    Back it may go farther than on, for over-relaxed steps end behind the wall.
    """
    # A ray that runs along the wall closes nothing: there the quotient would be wild.
    closing = -normal.dot(direction)
    step = 0.0
    if closing > 0.05 * qd.sqrt(normal.dot(normal)):
        step = qd.math.clamp(gap / closing, -0.06 * t, 0.03 * t)
    return step


@qd.func
def towards(normal, direction):
    """Give the normal, turned to face the ray a little if it looks away, as at grazing edges."""
    away = normal.dot(direction) + 0.05
    turned = normal
    if away > 0.0:
        turned = normal - away * direction
        turned = turned / qd.sqrt(turned.dot(turned) + 1e-9)
    return turned


@qd.func
def on_wall(scenes: SceneArrays, shared, t, c, row):
    """Make the `Hit` of the bare wall at distance t, curve coordinates c; `row` is `locate`'s."""
    slopes = wall_slopes(scenes, shared.scene, c, shared.swell)
    normal, around, along = wall_frame(scenes, row, c, slopes)
    return Hit(t=t, c=c, wall=slopes, normal=normal, around=around, along=along, instance=0)


@qd.func
def meet_wall(scenes: SceneArrays, shared, ray, guess, t_free):
    """Find where the ray meets the wall, polyps aside: a `Hit` before its last correction.

    `guess` is (1 / distance, s) as the lattice predicts them, or (0, 0). It is taken if the gap to
    the wall there is small against the speed at which the ray closes it; else the ray is traced
    from `t_free` on.
    """
    # Without a guess, a gap that fails the check below.
    hit = Hit(
        t=0.0,
        c=vec4(0.0),
        wall=vec4(1e9, 0.0, 0.0, 0.0),
        normal=ray.direction,
        around=ray.direction,
        along=ray.direction,
        instance=0,
    )
    if guess.x > 0.0:
        t = 1.0 / guess.x
        c, row = locate(scenes, shared.scene, point_at(ray, t), ray.direction, guess.y)
        hit = on_wall(scenes, shared, t, c, row)
    # Fails too where the wall faces away: then the guess lies behind what the ray meets first.
    # A guess that holds costs one evaluation of the wall, a trace one for each of its steps.
    if qd.abs(hit.wall.x) >= -TOLERANCE * hit.t * hit.normal.dot(ray.direction):
        s = guess_s(scenes, shared.scene, ray, t_free)
        t, c, row = trace_wall(scenes, shared, ray, t_free, s, 0.4 * shared.pixel_angle)
        hit = on_wall(scenes, shared, t, c, row)
    return hit


@qd.func
def meet_polyps(scenes: SceneArrays, view: View, shared, ray, entry, leave, mask):
    """Find where the ray, from `entry` to `leave`, meets what polyps of `mask` make of the wall.

    They only add to it, and only up to `leave`, which is no farther than the bare wall: a ray that
    comes so far has met no polyp. The march ends well below a pixel's width from the
    surface; a little earlier where the gap shrinks fast, for `newton` closes the rest. Rays that
    graze an edge so don't count as hits.

    Returns whether it met anything, the distance, and what `blended` says there.
    """
    t = entry
    s = guess_s(scenes, shared.scene, ray, entry)
    before = 0.0
    step = 0.0
    met = 0
    d, instance, bent, c, slopes, row = 0.0, 0, 0, vec4(0.0), vec4(0.0), 0
    for k in range(MAX_STEPS + LATE_STEPS):
        d, instance, bent, c, slopes, row = blended(
            scenes, view, shared, point_at(ray, t), ray.direction, s, mask
        )
        near = shared.pixel_angle * t
        # `before - d` over `step` is the speed at which the gap shrinks.
        straight = d < near and (before - d) * step > STRAIGHT * step * step
        late = qd.select(k < MAX_STEPS, 0.0, qd.cast(k + 1 - MAX_STEPS, qd.f32))
        if qd.abs(d) < 0.1 * near or (d > -near * (1.0 + late) and (d < 0.0 or straight)):
            met = 1
            break
        # Beyond, it would creep up to the bare wall, which `meet_wall` has met already.
        if t > leave and d > 0.0:
            break
        before = d
        step = d
        if d > 0.0:
            step = qd.max(POLYP_RELAXED * d, qd.max(0.1, 0.5 * late) * near)
        t += step
        s = c.x + c.w * step
    return met, t, d, instance, bent, c, slopes, row


@qd.func
def mass_there(view: View, b, p, mask):
    """Find the number of the masked mass around the lumen that the wall at p is part of, or 0."""
    instance = 0
    rest = mask
    while rest != 0:
        k = lowest(rest)
        rest &= rest - 1
        if is_around(view, b, k):
            if around_outline(view.polyps, (b * NP + k) * POLYP_ROWS, p) < 0.0:
                instance = k + 1
    return instance


@qd.func
def meet(scenes: SceneArrays, view: View, shared, ray, guess, t_free, tile_mask):
    """Find the `Hit` of what the ray meets first; its normal isn't a unit vector.

    The wall comes first, since its distance bounds the search for polyps, which is the dear part.
    """
    hit = meet_wall(scenes, shared, ray, guess, t_free)
    gap = hit.wall.x
    if tile_mask != 0:
        b = shared.number
        t_wall = hit.t + newton(gap, hit.normal, ray.direction, hit.t)
        # The 0.2 mm let in a polyp whose foot lies in the wall that the ray meets.
        mask, entry, leave = touch(view, b, ray, tile_mask, t_wall + 0.2, shared.pixel_angle)
        if mask != 0:
            met, t, d, nearest, bent, c, slopes, row = meet_polyps(
                scenes, view, shared, ray, entry, qd.min(leave, t_wall), mask
            )
            # Met but not bent is the wall's own hit: `meet_wall` has that more exactly.
            if met and bent:
                normal, around, along = wall_frame(scenes, row, c, slopes)
                steepness = qd.sqrt(normal.dot(normal) + 1e-9)
                # Its differences widen with the distance, by about a pixel's width: what is finer
                # would only glitter.
                normal = blended_normal(
                    view, b, point_at(ray, t), mask, slopes.x / steepness, normal / steepness,
                    0.06 + 0.0015 * t,
                )  # fmt: skip
                hit = Hit(
                    t=t, c=c, wall=slopes, normal=normal, around=around, along=along,
                    instance=nearest,
                )  # fmt: skip
                gap = d
    step = newton(gap, hit.normal, ray.direction, hit.t)
    hit.t += step
    hit.c.x += hit.c.w * step
    if hit.instance == 0:
        hit.instance = mass_there(view, shared.number, point_at(ray, hit.t), tile_mask)
    if hit.t >= FAR_MM:
        hit.t = FAR_MM
        hit.instance = 0
    return hit


@qd.func
def label_of(view: View, shared, ray, hit):
    """Give the instance that a hit is labelled with: none on a stalk, off its polyp's head."""
    label = hit.instance
    if label > 0:
        place = point_at(ray, hit.t)
        if down_the_stalk(view, shared.number, label - 1, place) > LABELLED_STALK:
            label = 0
    return label


@qd.func
def first_polyp(view: View, b, ray, mask, t_limit):
    """Find the distance to the first masked polyp, unblended, or t_limit: enough to meter.

    Flat lesions are as far as the wall.
    """
    first = t_limit
    rest = mask
    while rest != 0:
        k = lowest(rest)
        rest &= rest - 1
        t, leave = span(view, b, ray, k)
        if is_flat(view, b, k):
            leave = -1.0
        # Few steps, coarse: the meter wants the light of a region, not of a pixel.
        for _step in range(12):
            if t > qd.min(leave, first):
                break
            d = polyp_distance(view, b, k, point_at(ray, t))
            if d < 0.02 * t:
                first = qd.min(first, t)
                break
            t += d
    return first


@qd.func
def meets_solid(scenes: SceneArrays, view: View, shared, ray, k, t_free):
    """Tell (0, 1) whether the ray first meets polyp k, which isn't flat, on its lumen's side."""
    b = shared.number
    entry, leave = span(view, b, ray, k)
    t = qd.max(entry, t_free)
    # Relative to its size: the count of pixels needs an outline, not a depth.
    near = 0.002 * view.polyps[(b * NP + k) * POLYP_ROWS + 4].y
    met = 0
    d = 1e9
    for _step in range(32):
        if t > leave or d < near:
            break
        d = polyp_distance(view, b, k, point_at(ray, t))
        if d >= near:
            t += 0.95 * d
    if d < near:
        s = guess_s(scenes, shared.scene, ray, t)
        c, _row = locate(scenes, shared.scene, point_at(ray, t), ray.direction, s)
        gap, _safe = wall_gap(scenes, shared.scene, c, shared.swell)
        # The part of a polyp that is sunk in the wall was never to be seen: it doesn't count.
        if gap >= 0.0 and down_the_stalk(view, b, k, point_at(ray, t)) <= LABELLED_STALK:
            met = 1
    return met


@qd.func
def meets_flat(scenes: SceneArrays, view: View, shared, ray, k, t_free):
    """Tell (0, 1) whether the ray enters the wall anywhere in the region of flat lesion k."""
    b = shared.number
    entry, leave = span(view, b, ray, k)
    t = qd.max(entry, t_free)
    least = 0.02 * view.polyps[(b * NP + k) * POLYP_ROWS + 4].y
    s = guess_s(scenes, shared.scene, ray, t)
    met = 0
    outside = 0
    for _step in range(48):
        if t > leave or met == 1:
            break
        c, _row = locate(scenes, shared.scene, point_at(ray, t), ray.direction, s)
        gap, _safe = wall_gap(scenes, shared.scene, c, shared.swell)
        # From the lumen into the wall: folds that stand before it are gone through.
        if gap < 0.0 and outside == 1 and outline_distance(view, b, k, point_at(ray, t)) < 0.0:
            met = 1
        outside = qd.select(gap < 0.0, 0, 1)
        step = qd.max(0.7 * qd.abs(gap), least)
        t += step
        s = c.x + c.w * step
    return met


@qd.func
def meets_polyp(scenes: SceneArrays, view: View, shared, ray, k, t_free):
    """Tell (0, 1) whether the ray, all else away, first meets polyp k on its side in the lumen.

    Up to `t_free` it meets nothing.
    """
    met = 0
    if is_flat(view, shared.number, k):
        met = meets_flat(scenes, view, shared, ray, k, t_free)
    else:
        met = meets_solid(scenes, view, shared, ray, k, t_free)
    return met
