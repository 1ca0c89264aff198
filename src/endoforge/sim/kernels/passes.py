"""The kernels, in the order that a batch runs them.

1. `cone_march`: tiles of TILE x TILE pixels march a cone to a distance that is free for all their
   rays, and note the polyps that the cone may meet.
2. `trace_lattice`: every CELL-th pixel traces the wall; the light that comes back is metered.
3. `draw`: each pixel predicts its hit from the lattice, checks it with one evaluation, and traces
   only where the check fails or a polyp may be near; then it is shaded.
4. `count_unoccluded`: how many pixels each polyp would have with nothing in front of it.
"""

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
from endoforge.sim.kernels.shading import develop, pack, shade
from endoforge.sim.kernels.types import (
    CAMERA_ROWS,
    CELL,
    FAR_MM,
    STATS,
    TILE,
    Target,
    View,
    World,
    vec2,
    vec3,
    vec4,
)

MAX_STEPS = 64
OVER_RELAXED = 1.3
"""Steps on the wall go this much beyond the safe one; the final check pulls an overshoot back."""
TOLERANCE = 0.03
"""Share of the distance by which a predicted hit may be off before its pixel is traced."""
LIGHT_SCALE = 1e5
"""Fixed point of `Target.light`: whole numbers add up to the same in any order."""


@qd.func
def camera_ray(view: View, b, y, x, row_length):
    """Unit direction in the world of grid point (y, x) of frame b."""
    local = view.rays[y * row_length + x]
    row = b * CAMERA_ROWS
    right = view.cameras[row + 1].xyz
    down = view.cameras[row + 2].xyz
    forward = view.cameras[row + 3].xyz
    return right * local.x + down * local.y + forward * local.z


@qd.kernel
def cone_march(
    world: World,
    view: View,
    target: Target,
    spread: qd.f32,
    batch: qd.i32,
    tiles_y: qd.i32,
    tiles_x: qd.i32,
):
    """Tiles: `spread` is the tangent of the largest half angle of a tile's cone."""
    for b, ty, tx in qd.ndrange(batch, tiles_y, tiles_x):
        origin = view.cameras[b * CAMERA_ROWS].xyz
        scene = qd.cast(view.cameras[b * CAMERA_ROWS + 1].w, qd.i32)
        ray = camera_ray(view, b, ty * TILE + TILE // 2, tx * TILE + TILE // 2, tiles_x * TILE + 1)
        mask = 0
        t_limit = FAR_MM
        for k in range(NP):
            row = (scene * NP + k) * ROWS
            v = world.polyps[row].xyz - origin
            bound = world.polyps[row + 4].y
            t_middle = v.dot(ray)
            off2 = v.dot(v) - t_middle * t_middle
            reach = bound + spread * qd.max(t_middle + bound, 0.0) * 1.05
            if t_middle > -bound and off2 < reach * reach and t_middle - bound < FAR_MM:
                mask |= 1 << k
                t_limit = qd.min(t_limit, qd.max(t_middle - reach * 1.05, 0.0))
        t = 0.2
        s = view.cameras[b * CAMERA_ROWS].w
        for _step in range(48):
            c = locate(world, scene, origin + ray * t, ray, s)
            gap, safe = wall_gap(world, scene, c)
            free = gap * safe - spread * t
            if free < 0.35 * spread * t + 0.02 or t > t_limit:
                break
            t += free
            s = c.x + c.w * free
        tile = (b * tiles_y + ty) * tiles_x + tx
        target.tile_t[tile] = qd.min(t, t_limit)
        target.tile_mask[tile] = mask


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
        step = gap * safe * OVER_RELAXED + 0.25 * epsilon * t
        t += step
        s = c.x + c.w * step
    return t, c


@qd.func
def trace_blended(world: World, scene, origin, ray, t_start, s_start, epsilon, mask):
    """Sphere tracing of wall and polyps: (distance, curve coordinates there)."""
    t = t_start
    s = s_start
    c = vec4(0.0)
    for _step in range(MAX_STEPS + 16):
        d, safe, _id, _bent, c_here, _sl = blended(world, scene, origin + ray * t, ray, s, mask)
        c = c_here
        if d < epsilon * t * 0.2 or t > FAR_MM:
            break
        step = qd.max(safe * 0.95, 0.2 * epsilon * t)
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


@qd.kernel
def trace_lattice(
    world: World,
    view: View,
    target: Target,
    pixel_angle: qd.f32,
    batch: qd.i32,
    tiles_y: qd.i32,
    tiles_x: qd.i32,
):
    """Every CELL-th ray of the padded grid."""
    for b, i, j in qd.ndrange(batch, tiles_y * (TILE // CELL) + 1, tiles_x * (TILE // CELL) + 1):
        origin = view.cameras[b * CAMERA_ROWS].xyz
        s_origin = view.cameras[b * CAMERA_ROWS].w
        scene = qd.cast(view.cameras[b * CAMERA_ROWS + 1].w, qd.i32)
        ray = camera_ray(view, b, i * CELL, j * CELL, tiles_x * TILE + 1)
        ty = qd.min(i * CELL // TILE, tiles_y - 1)
        tx = qd.min(j * CELL // TILE, tiles_x - 1)
        t = target.tile_t[(b * tiles_y + ty) * tiles_x + tx]
        if i * CELL // TILE > ty or j * CELL // TILE > tx:
            t *= 0.8
        s = guess_s(world, scene, origin, ray, t, s_origin)
        t, c = trace_wall(world, scene, origin, ray, t, s, 0.4 * pixel_angle)
        slopes = wall_slopes(world, scene, c)
        normal, _around, _tangent = wall_frame(world, scene, c, slopes)
        step = newton(slopes.x, normal, ray, t)
        t += step
        row_length = tiles_x * (TILE // CELL) + 1
        place = (b * (tiles_y * (TILE // CELL) + 1) + i) * row_length + j
        target.lattice[place] = vec2(1.0 / t, c.x + c.w * step)
        facing = qd.max(-normal.dot(ray) / qd.sqrt(normal.dot(normal) + 1e-9), 0.0)
        back = qd.min(facing / (t * t + 9.0), 0.02)
        qd.atomic_add(target.light[b], qd.cast(back * LIGHT_SCALE, qd.i32))


@qd.func
def towards(normal, ray):
    """The normal, turned to face the ray a little if it looks away, as at grazing edges."""
    away = qd.max(normal.dot(ray) + 0.05, 0.0)
    turned = normal - away * ray
    return turned / qd.sqrt(turned.dot(turned) + 1e-9)


@qd.func
def note_pixel(target: Target, b, instance, y, x):
    """Count a visible pixel of a polyp and widen its box (right and bottom edges exclusive)."""
    place = (b * NP + instance - 1) * STATS
    qd.atomic_add(target.stats[place], 1)
    qd.atomic_min(target.stats[place + 2], x)
    qd.atomic_min(target.stats[place + 3], y)
    qd.atomic_max(target.stats[place + 4], x + 1)
    qd.atomic_max(target.stats[place + 5], y + 1)


@qd.kernel
def draw(
    world: World,
    view: View,
    target: Target,
    pixel_angle: qd.f32,
    exposure: qd.f32,
    use_lattice: qd.template(),
    batch: qd.i32,
    height: qd.i32,
    width: qd.i32,
    tiles_y: qd.i32,
    tiles_x: qd.i32,
):
    """Pixels, one thread a cell of CELL x CELL; the gain is `exposure` over the metered light."""
    cells_y = (height + CELL - 1) // CELL
    cells_x = (width + CELL - 1) // CELL
    lattice_y = tiles_y * (TILE // CELL) + 1
    lattice_x = tiles_x * (TILE // CELL) + 1
    for b, i, j in qd.ndrange(batch, cells_y, cells_x):
        row = b * CAMERA_ROWS
        origin = view.cameras[row].xyz
        s_origin = view.cameras[row].w
        scene = qd.cast(view.cameras[row + 1].w, qd.i32)
        seed = qd.cast(view.cameras[row + 2].w, qd.i32)
        lamp = view.cameras[row + 4]
        shift = view.cameras[row + 1].xyz * lamp.x + view.cameras[row + 2].xyz * lamp.y
        lamp_a = origin + shift
        lamp_b = origin - shift
        metered = qd.cast(target.light[b], qd.f32) / (
            LIGHT_SCALE * qd.cast(lattice_y * lattice_x, qd.f32)
        )
        gain = exposure * view.cameras[row + 3].w / qd.max(metered, 1e-5)
        noise = world.looks[scene * 3 + 1].w
        tile = (b * tiles_y + i * CELL // TILE) * tiles_x + j * CELL // TILE
        tile_mask = target.tile_mask[tile]
        place = (b * lattice_y + i) * lattice_x + j
        a00 = target.lattice[place]
        a01 = target.lattice[place + 1]
        a10 = target.lattice[place + lattice_x]
        a11 = target.lattice[place + lattice_x + 1]
        twist = qd.abs(a00.x + a11.x - a01.x - a10.x)
        farthest = qd.min(qd.min(a00.x, a01.x), qd.min(a10.x, a11.x))
        nearest = qd.max(qd.max(a00.x, a01.x), qd.max(a10.x, a11.x))
        smooth = 0
        t_free = target.tile_t[tile]
        if qd.static(use_lattice):
            t_free = qd.max(t_free, 0.9 / nearest)
            if twist < 0.04 * (farthest + nearest) and nearest < 1.6 * farthest:
                smooth = 1
        for yy in range(CELL):
            for xx in range(CELL):
                y = i * CELL + yy
                x = j * CELL + xx
                if y < height and x < width:
                    ray = camera_ray(view, b, y, x, tiles_x * TILE + 1)
                    t = 0.0
                    c = vec4(0.0)
                    slopes = vec4(0.0)
                    normal = vec3(0.0)
                    around = vec3(0.0)
                    tangent = vec3(0.0)
                    predicted = smooth
                    if smooth:
                        fy = qd.cast(yy, qd.f32) * (1.0 / CELL)
                        fx = qd.cast(xx, qd.f32) * (1.0 / CELL)
                        upper = a00 + (a01 - a00) * fx
                        lower = a10 + (a11 - a10) * fx
                        guess = upper + (lower - upper) * fy
                        t = 1.0 / guess.x
                        c = locate(world, scene, origin + ray * t, ray, guess.y)
                        slopes = wall_slopes(world, scene, c)
                        normal, around, tangent = wall_frame(world, scene, c, slopes)
                        if qd.abs(slopes.x) >= -TOLERANCE * t * normal.dot(ray):
                            predicted = 0
                    mask = 0
                    entry = 0.0
                    if tile_mask != 0:
                        t_wall = FAR_MM
                        if predicted:
                            t_wall = t * 1.03 + 0.2
                        mask, entry = touch(
                            world, scene, origin, ray, tile_mask, t_wall, pixel_angle
                        )
                    gap = slopes.x
                    instance = 0
                    if mask != 0:
                        t = entry
                        if not predicted:
                            t = qd.min(t_free, entry)
                        s = guess_s(world, scene, origin, ray, t, s_origin)
                        t, c = trace_blended(world, scene, origin, ray, t, s, pixel_angle, mask)
                        p = origin + ray * t
                        d, _safe, instance, bent, c, slopes = blended(
                            world, scene, p, ray, c.x, mask
                        )
                        gap = slopes.x
                        normal, around, tangent = wall_frame(world, scene, c, slopes)
                        if bent:
                            steepness = qd.sqrt(normal.dot(normal) + 1e-9)
                            normal = blended_normal(
                                world, scene, p, mask, slopes.x / steepness,
                                normal / steepness, 0.06 + 0.0015 * t,
                            )  # fmt: skip
                            gap = d
                    elif predicted == 0:
                        s = guess_s(world, scene, origin, ray, t_free, s_origin)
                        t, c = trace_wall(world, scene, origin, ray, t_free, s, 0.4 * pixel_angle)
                        slopes = wall_slopes(world, scene, c)
                        gap = slopes.x
                        normal, around, tangent = wall_frame(world, scene, c, slopes)
                    step = newton(gap, normal, ray, t)
                    wall_radius = slopes.x + qd.sqrt(c.y * c.y + c.z * c.z)
                    t += step
                    c.x += c.w * step
                    colour = vec3(0.0)
                    if t < FAR_MM:
                        unit = towards(normal / qd.sqrt(normal.dot(normal) + 1e-9), ray)
                        radiance = shade(
                            world, scene, origin, ray, t, c, unit, around, tangent,
                            instance, wall_radius, pixel_angle, lamp_a, lamp_b, gain,
                        )  # fmt: skip
                        colour = develop(radiance, noise, seed, y * width + x)
                    else:
                        instance = 0
                        t = FAR_MM
                    pixel = (b * height + y) * width + x
                    target.image[pixel] = pack(colour, instance)
                    target.depth[pixel] = t
                    if instance > 0:
                        note_pixel(target, b, instance, y, x)


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


@qd.kernel
def count_unoccluded(
    world: World,
    view: View,
    target: Target,
    batch: qd.i32,
    height: qd.i32,
    width: qd.i32,
    tiles_y: qd.i32,
    tiles_x: qd.i32,
):
    """Pixels that each polyp would have if neither folds nor other polyps stood before it."""
    for b, ty, tx in qd.ndrange(batch, tiles_y, tiles_x):
        mask = target.tile_mask[(b * tiles_y + ty) * tiles_x + tx]
        k = 0
        while mask != 0:
            if mask & 1:
                origin = view.cameras[b * CAMERA_ROWS].xyz
                s_origin = view.cameras[b * CAMERA_ROWS].w
                scene = qd.cast(view.cameras[b * CAMERA_ROWS + 1].w, qd.i32)
                count = 0
                for yy in range(TILE):
                    for xx in range(TILE):
                        y = ty * TILE + yy
                        x = tx * TILE + xx
                        if y < height and x < width:
                            ray = camera_ray(view, b, y, x, tiles_x * TILE + 1)
                            count += meets_polyp(world, scene, origin, ray, k, s_origin)
                if count > 0:
                    qd.atomic_add(target.stats[(b * NP + k) * STATS + 1], count)
            mask = mask >> 1
            k += 1
