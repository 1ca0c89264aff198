"""The kernels, in the order that a batch runs them.

1. `meter` and `set_gain`: a few rays from where the camera was a moment ago give the light that the
   automatic exposure answers to.
2. `cone_march`: tiles of TILE x TILE pixels march a cone to a distance that is free for all their
   rays, and note the polyps that the cone may meet.
3. `trace_lattice`: every CELL-th pixel traces the wall.
4. `draw_pixels`: each pixel predicts its hit from the lattice, checks it with one evaluation, and
   traces only where the check fails or a polyp may be near; then it is shaded.
5. `count_polyps`: the pixels and boxes of the polyps, and how many each would have with nothing
   before it.

What the camera makes of the light is in `develop`.
"""

import quadrants as qd

from endoforge.sim.camera import METER_ROW
from endoforge.sim.kernels.geometry import (
    NP,
    bounding_sphere,
    guess_s,
    locate,
    swelling,
    wall_frame,
    wall_gap,
    wall_slopes,
)
from endoforge.sim.kernels.shading import lamps_at, shade
from endoforge.sim.kernels.trace import (
    first_polyp,
    meet,
    meets_polyp,
    newton,
    towards,
    trace_wall,
)
from endoforge.sim.kernels.types import (
    CAMERA_ROWS,
    CELL,
    FAR_MM,
    LOOK_ROWS,
    METER_STEP,
    STATS,
    TILE,
    SceneArrays,
    Target,
    View,
    vec2,
    vec3,
    vec4,
)
from endoforge.sim.sensor import SENSOR_ROWS

EXPOSURE = 1.9
"""The light that the automatic exposure aims at, before the camera's response: the root of the mean
square, so that what is bright counts more."""
LIGHT_SCALE = 1e8
"""Fixed point of `Target.light`: whole numbers add up to the same in any order."""


@qd.func
def grid_ray(scenes: SceneArrays, view: View, b, first_row, scene, y, x, tiles_y, tiles_x):
    """Make the world direction (unit) of grid point (y, x), for the pose in rows `first_row` on."""
    row_length = tiles_x * TILE + 1
    local = scenes.rays[(scene * (tiles_y * TILE + 1) + y) * row_length + x]
    row = b * CAMERA_ROWS + first_row
    right = view.cameras[row + 1].xyz
    down = view.cameras[row + 2].xyz
    forward = view.cameras[row + 3].xyz
    return right * local.x + down * local.y + forward * local.z


@qd.func
def scene_of(view: View, b):
    """Read which of the loaded scenes frame b shows."""
    return qd.cast(view.cameras[b * CAMERA_ROWS + 1].w, qd.i32)


@qd.kernel
def meter(
    scenes: SceneArrays,
    view: View,
    target: Target,
    batch: qd.i32,
    height: qd.i32,
    width: qd.i32,
    tiles_y: qd.i32,
    tiles_x: qd.i32,
):
    """Sum the light that comes back along the middle ray of every METER_STEP-th open tile."""
    for b, i, j in qd.ndrange(batch, tiles_y // METER_STEP, tiles_x // METER_STEP):
        scene = scene_of(view, b)
        y = i * METER_STEP * TILE + TILE // 2
        x = j * METER_STEP * TILE + TILE // 2
        if y < height and x < width and scenes.screens[(scene * height + y) * width + x] == 0:
            swell = swelling(view, b)
            origin = view.cameras[b * CAMERA_ROWS + METER_ROW].xyz
            ray = grid_ray(scenes, view, b, METER_ROW, scene, y, x, tiles_y, tiles_x)
            s = view.cameras[b * CAMERA_ROWS + METER_ROW].w
            t, c, row = trace_wall(scenes, scene, origin, ray, 0.2, s, swell, 0.01)
            # Those near the present pose, from which the one that meters is not far.
            near = qd.cast(view.cameras[b * CAMERA_ROWS + 3].w, qd.i32)
            t = first_polyp(view, b, origin, ray, near, t)
            slopes = wall_slopes(scenes, scene, c, swell)
            normal, _around, _along = wall_frame(scenes, row, c, slopes)
            facing = qd.max(-normal.dot(ray) / qd.sqrt(normal.dot(normal) + 1e-9), 0.0)
            # The lamps' falloff, as shading has it (9 is `shading.NEAR_MM2`); capped, or a fold at
            # the lens would turn all the rest black.
            back = qd.min(facing / (t * t + 9.0), 0.06)
            # In whole numbers: sums of floats would depend on the order of the threads.
            qd.atomic_add(target.light[2 * b], qd.cast(back * back * LIGHT_SCALE, qd.i32))
            qd.atomic_add(target.light[2 * b + 1], 1)


@qd.kernel
def set_gain(scenes: SceneArrays, view: View, target: Target, batch: qd.i32):
    """Set each frame's gain: the exposure that its camera aims at, over the metered light."""
    for b in range(batch):
        exposure = EXPOSURE * scenes.sensors[scene_of(view, b) * SENSOR_ROWS + 2].z
        rays = qd.max(target.light[2 * b + 1], 1)
        square = qd.cast(target.light[2 * b], qd.f32) / (LIGHT_SCALE * qd.cast(rays, qd.f32))
        # The bound is for a frame whose rays all end in the dark.
        target.gain[b] = exposure / qd.sqrt(qd.max(square, 1e-10))


@qd.kernel
def cone_march(
    scenes: SceneArrays,
    view: View,
    target: Target,
    batch: qd.i32,
    tiles_y: qd.i32,
    tiles_x: qd.i32,
):
    """March a cone for each tile; its half angle is that of the lens's widest tile."""
    for b, ty, tx in qd.ndrange(batch, tiles_y, tiles_x):
        origin = view.cameras[b * CAMERA_ROWS].xyz
        scene = scene_of(view, b)
        middle_y = ty * TILE + TILE // 2
        middle_x = tx * TILE + TILE // 2
        ray = grid_ray(scenes, view, b, 0, scene, middle_y, middle_x, tiles_y, tiles_x)
        swell = swelling(view, b)
        spread = scenes.looks[scene * LOOK_ROWS + 1].w
        mask = 0
        k = 0
        rest = qd.cast(view.cameras[b * CAMERA_ROWS + 3].w, qd.i32)
        while rest != 0:
            if rest & 1:
                centre, bound = bounding_sphere(view, b, k)
                v = centre - origin
                t_middle = v.dot(ray)
                # The cone against the sphere of each polyp that is near: 5 per cent of slack, once
                # a tile, saves looking at all polyps for each of its 64 pixels.
                off2 = v.dot(v) - t_middle * t_middle
                reach = bound + spread * qd.max(t_middle + bound, 0.0) * 1.05
                if t_middle > -bound and off2 < reach * reach and t_middle - bound < FAR_MM:
                    mask |= 1 << k
            rest = rest >> 1
            k += 1
        t = 0.2
        s = view.cameras[b * CAMERA_ROWS].w
        for _step in range(48):
            c, _row = locate(scenes, scene, origin + ray * t, ray, s)
            _gap, safe = wall_gap(scenes, scene, c, swell)
            # What is free for the middle ray is free for all of the cone less its radius there.
            free = safe - spread * t
            # A cone that hardly gains ground leaves the rest to its rays, each of which gets
            # further.
            if free < 0.35 * spread * t + 0.02 or t > FAR_MM:
                break
            t += free
            s = c.x + c.w * free
        tile = (b * tiles_y + ty) * tiles_x + tx
        target.tile_t[tile] = t
        target.tile_mask[tile] = mask


@qd.kernel
def trace_lattice(
    scenes: SceneArrays,
    view: View,
    target: Target,
    batch: qd.i32,
    tiles_y: qd.i32,
    tiles_x: qd.i32,
):
    """Trace the wall along every CELL-th ray of the padded grid."""
    for b, i, j in qd.ndrange(batch, tiles_y * (TILE // CELL) + 1, tiles_x * (TILE // CELL) + 1):
        origin = view.cameras[b * CAMERA_ROWS].xyz
        s_origin = view.cameras[b * CAMERA_ROWS].w
        scene = scene_of(view, b)
        swell = swelling(view, b)
        pixel_angle = scenes.looks[scene * LOOK_ROWS + 2].w
        ray = grid_ray(scenes, view, b, 0, scene, i * CELL, j * CELL, tiles_y, tiles_x)
        ty = qd.min(i * CELL // TILE, tiles_y - 1)
        tx = qd.min(j * CELL // TILE, tiles_x - 1)
        t = target.tile_t[(b * tiles_y + ty) * tiles_x + tx]
        # The last row and column lie on the very edge of their tiles' cones: a little is given
        # back.
        if i * CELL // TILE > ty or j * CELL // TILE > tx:
            t *= 0.8
        s = guess_s(scenes, scene, origin, ray, t, s_origin)
        t, c, row = trace_wall(scenes, scene, origin, ray, t, s, swell, 0.4 * pixel_angle)
        slopes = wall_slopes(scenes, scene, c, swell)
        normal, _around, _along = wall_frame(scenes, row, c, slopes)
        step = newton(slopes.x, normal, ray, t)
        t += step
        row_length = tiles_x * (TILE // CELL) + 1
        place = (b * (tiles_y * (TILE // CELL) + 1) + i) * row_length + j
        # The inverse, for it is what changes linearly across the picture of a plane.
        target.lattice[place] = vec2(1.0 / t, c.x + c.w * step)


@qd.func
def is_smooth(a00, a01, a10, a11):
    """Tell whether the wall between four lattice rays looks like one bent sheet, and 1 / distance
    of the nearest.
    """
    # 0 for a plane; the limits are set so that a fold's edge between the four rays fails.
    twist = qd.abs(a00.x + a11.x - a01.x - a10.x)
    farthest = qd.min(qd.min(a00.x, a01.x), qd.min(a10.x, a11.x))
    nearest = qd.max(qd.max(a00.x, a01.x), qd.max(a10.x, a11.x))
    smooth = 0
    if twist < 0.04 * (farthest + nearest) and nearest < 1.6 * farthest:
        smooth = 1
    return smooth, nearest


@qd.kernel
def draw_pixels(
    scenes: SceneArrays,
    view: View,
    target: Target,
    use_lattice: qd.template(),
    with_normals: qd.template(),
    span: qd.template(),
    batch: qd.i32,
    height: qd.i32,
    width: qd.i32,
    tiles_y: qd.i32,
    tiles_x: qd.i32,
):
    """Draw pixels, one thread a square of `span` x `span`: CELL, or 1 where threads are plenty."""
    lattice_y = tiles_y * (TILE // CELL) + 1
    lattice_x = tiles_x * (TILE // CELL) + 1
    grid_y = tiles_y * TILE + 1
    grid_x = tiles_x * TILE + 1
    for b, i, j in qd.ndrange(batch, (height + span - 1) // span, (width + span - 1) // span):
        row = b * CAMERA_ROWS
        origin = view.cameras[row].xyz
        s_origin = view.cameras[row].w
        right = view.cameras[row + 1].xyz
        down = view.cameras[row + 2].xyz
        forward = view.cameras[row + 3].xyz
        scene = scene_of(view, b)
        num_lamps, lamps = lamps_at(scenes, scene, right, down)
        swell = swelling(view, b)
        pixel_angle = scenes.looks[scene * LOOK_ROWS + 2].w
        tile = (b * tiles_y + i * span // TILE) * tiles_x + j * span // TILE
        tile_mask = target.tile_mask[tile]
        cell_y = i * span // CELL
        cell_x = j * span // CELL
        # Read once for all pixels of the thread: on a CPU that is a whole cell.
        place = (b * lattice_y + cell_y) * lattice_x + cell_x
        a00 = target.lattice[place]
        a01 = target.lattice[place + 1]
        a10 = target.lattice[place + lattice_x]
        a11 = target.lattice[place + lattice_x + 1]
        smooth = 0
        t_free = target.tile_t[tile]
        # Even where it isn't smooth, nothing lies much nearer than the nearest of the four.
        if qd.static(use_lattice):
            smooth, nearest = is_smooth(a00, a01, a10, a11)
            t_free = qd.max(t_free, 0.9 / nearest)
        for yy in range(span):
            for xx in range(span):
                y = i * span + yy
                x = j * span + xx
                if y < height and x < width:
                    radiance = vec4(0.0)
                    instance = 0
                    unit = vec3(0.0)
                    # Under the mask nothing is traced, and much of a frame may be covered.
                    if scenes.screens[(scene * height + y) * width + x] == 0:
                        local = scenes.rays[(scene * grid_y + y) * grid_x + x]
                        ray = right * local.x + down * local.y + forward * local.z
                        guess = vec2(0.0)
                        if smooth:
                            across = qd.cast(x - cell_x * CELL, qd.f32) * (1.0 / CELL)
                            below = qd.cast(y - cell_y * CELL, qd.f32) * (1.0 / CELL)
                            upper = a00 + (a01 - a00) * across
                            lower = a10 + (a11 - a10) * across
                            guess = upper + (lower - upper) * below
                        t, c, normal, around, along, instance_here, radius = meet(
                            scenes, view, scene, b, origin, ray, s_origin, guess, t_free,
                            tile_mask, swell, pixel_angle,
                        )  # fmt: skip
                        instance = instance_here
                        radiance.w = t
                        if t < FAR_MM:
                            unit = towards(normal / qd.sqrt(normal.dot(normal) + 1e-9), ray)
                            light = shade(
                                scenes, view, scene, b, ray, origin + ray * t, t, c, unit, around,
                                along, instance, radius, pixel_angle, num_lamps, lamps,
                            )  # fmt: skip
                            radiance = vec4(light.x, light.y, light.z, t)
                    pixel = (b * height + y) * width + x
                    target.radiance[pixel] = radiance
                    target.image[pixel] = instance << 24
                    if qd.static(with_normals):
                        seen = vec3(unit.dot(right), unit.dot(down), unit.dot(forward))
                        target.normals[pixel] = vec4(seen.x, seen.y, seen.z, 0.0)


@qd.kernel
def count_polyps(
    scenes: SceneArrays,
    view: View,
    target: Target,
    hidden: qd.i32,
    batch: qd.i32,
    height: qd.i32,
    width: qd.i32,
    tiles_y: qd.i32,
    tiles_x: qd.i32,
):
    """Count each polyp's visible pixels, their box, and its unoccluded pixels.

    These are what it would have if neither folds nor other polyps stood before it: the visible
    ones, and of the others those whose rays meet it (unless `hidden` is 0, which saves time).
    One thread a row of a tile.
    """
    for b, y, tx in qd.ndrange(batch, height, tiles_x):
        # Only polyps that the tile's cone may meet are looked for; a row's sums go out at once, for
        # atomics on one polyp's numbers wait for each other.
        mask = target.tile_mask[(b * tiles_y + y // TILE) * tiles_x + tx]
        k = 0
        while mask != 0:
            if mask & 1:
                scene = scene_of(view, b)
                visible = 0
                unoccluded = 0
                first = width
                last = 0
                for x in range(tx * TILE, qd.min((tx + 1) * TILE, width)):
                    if (target.image[(b * height + y) * width + x] >> 24) & 255 == k + 1:
                        visible += 1
                        first = qd.min(first, x)
                        last = x + 1
                    elif hidden != 0:
                        if scenes.screens[(scene * height + y) * width + x] == 0:
                            ray = grid_ray(scenes, view, b, 0, scene, y, x, tiles_y, tiles_x)
                            unoccluded += meets_polyp(
                                scenes, view, scene, b, view.cameras[b * CAMERA_ROWS].xyz, ray, k,
                                view.cameras[b * CAMERA_ROWS].w, swelling(view, b),
                            )  # fmt: skip
                place = (b * NP + k) * STATS
                if visible + unoccluded > 0:
                    qd.atomic_add(target.stats[place + 1], visible + unoccluded)
                if visible > 0:
                    qd.atomic_add(target.stats[place], visible)
                    qd.atomic_min(target.stats[place + 2], first)
                    qd.atomic_min(target.stats[place + 3], y)
                    qd.atomic_max(target.stats[place + 4], last)
                    qd.atomic_max(target.stats[place + 5], y + 1)
            mask = mask >> 1
            k += 1
