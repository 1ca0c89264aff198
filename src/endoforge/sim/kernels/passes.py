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
    guess_s,
    locate,
    wall_frame,
    wall_gap,
    wall_slopes,
)
from endoforge.sim.kernels.shading import develop, pack, shade
from endoforge.sim.kernels.trace import check_guess, meet, meets_polyp, newton, towards, trace_wall
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
            _gap, safe = wall_gap(world, scene, c)
            free = safe - spread * t
            if free < 0.35 * spread * t + 0.02 or t > t_limit:
                break
            t += free
            s = c.x + c.w * free
        tile = (b * tiles_y + ty) * tiles_x + tx
        target.tile_t[tile] = qd.min(t, t_limit)
        target.tile_mask[tile] = mask


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
def note_pixel(target: Target, b, instance, y, x):
    """Count a visible pixel of a polyp and widen its box (right and bottom edges exclusive)."""
    place = (b * NP + instance - 1) * STATS
    qd.atomic_add(target.stats[place], 1)
    qd.atomic_min(target.stats[place + 2], x)
    qd.atomic_min(target.stats[place + 3], y)
    qd.atomic_max(target.stats[place + 4], x + 1)
    qd.atomic_max(target.stats[place + 5], y + 1)


@qd.func
def exposed(view: View, target: Target, b, exposure, num_rays):
    """Gain of frame b: `exposure` over the mean light that its lattice metered."""
    metered = qd.cast(target.light[b], qd.f32) / (LIGHT_SCALE * qd.cast(num_rays, qd.f32))
    return exposure * view.cameras[b * CAMERA_ROWS + 3].w / qd.max(metered, 1e-5)


@qd.func
def is_smooth(a00, a01, a10, a11):
    """1 if the wall between four lattice rays looks like one bent sheet."""
    twist = qd.abs(a00.x + a11.x - a01.x - a10.x)
    farthest = qd.min(qd.min(a00.x, a01.x), qd.min(a10.x, a11.x))
    nearest = qd.max(qd.max(a00.x, a01.x), qd.max(a10.x, a11.x))
    smooth = 0
    if twist < 0.04 * (farthest + nearest) and nearest < 1.6 * farthest:
        smooth = 1
    return smooth, nearest


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
        gain = exposed(view, target, b, exposure, lattice_y * lattice_x)
        noise = world.looks[scene * 3 + 1].w
        tile = (b * tiles_y + i * CELL // TILE) * tiles_x + j * CELL // TILE
        place = (b * lattice_y + i) * lattice_x + j
        a00 = target.lattice[place]
        a01 = target.lattice[place + 1]
        a10 = target.lattice[place + lattice_x]
        a11 = target.lattice[place + lattice_x + 1]
        smooth = 0
        t_free = target.tile_t[tile]
        if qd.static(use_lattice):
            smooth, nearest = is_smooth(a00, a01, a10, a11)
            t_free = qd.max(t_free, 0.9 / nearest)
        for yy in range(CELL):
            for xx in range(CELL):
                y = i * CELL + yy
                x = j * CELL + xx
                if y < height and x < width:
                    ray = camera_ray(view, b, y, x, tiles_x * TILE + 1)
                    guessed = 0
                    t = 0.0
                    c = vec4(0.0)
                    if smooth:
                        across = qd.cast(xx, qd.f32) * (1.0 / CELL)
                        upper = a00 + (a01 - a00) * across
                        lower = a10 + (a11 - a10) * across
                        guess = upper + (lower - upper) * (qd.cast(yy, qd.f32) * (1.0 / CELL))
                        guessed, t, c = check_guess(world, scene, origin, ray, guess)
                    t, c, normal, around, tangent, instance, radius = meet(
                        world, scene, origin, ray, s_origin, guessed, t, c, t_free,
                        target.tile_mask[tile], pixel_angle,
                    )  # fmt: skip
                    colour = vec3(0.0)
                    if t < FAR_MM:
                        unit = towards(normal / qd.sqrt(normal.dot(normal) + 1e-9), ray)
                        radiance = shade(
                            world, scene, origin, ray, t, c, unit, around, tangent, instance,
                            radius, pixel_angle, origin + shift, origin - shift, gain,
                        )  # fmt: skip
                        colour = develop(radiance, noise, seed, y * width + x)
                    pixel = (b * height + y) * width + x
                    target.image[pixel] = pack(colour, instance)
                    target.depth[pixel] = t
                    if instance > 0:
                        note_pixel(target, b, instance, y, x)


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
