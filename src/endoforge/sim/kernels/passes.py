"""The kernels, in the order that a batch runs them.

1. `meter` and `set_gain`: a few rays from where the camera was a moment ago give the light that the
   automatic exposure answers to.
2. `cone_march`: tiles of TILE x TILE pixels march a cone to a distance that is free for all their
   rays, and note the polyps that the cone may meet.
3. `trace_lattice`: every CELL-th pixel traces the wall.
4. `pixels`: each pixel predicts its hit from the lattice, checks it with one evaluation, and
   traces only where the check fails or a polyp may be near; then it is shaded.
5. `count_polyps`: the pixels and boxes of the polyps, and how many each would have with nothing
   before it.

What the camera makes of the light is in `develop`. Most of the time goes into drawing, which
looks for polyps and shades; the passes before it are there to spare it steps.
"""

import quadrants as qd

from endoforge.sim.camera import METER_ROW, WAVE_ROW
from endoforge.sim.kernels.geometry import (
    NP,
    guess_s,
    locate,
    point_at,
    scene_of,
    shared_by,
    wall_gap,
)
from endoforge.sim.kernels.lighting import light_row, stray_gain
from endoforge.sim.kernels.polyp_geometry import (
    bounding_sphere,
    lowest,
)
from endoforge.sim.kernels.trace import (
    first_polyp,
    meets_polyp,
    newton,
    on_wall,
    trace_wall,
)
from endoforge.sim.kernels.types import (
    CAMERA_ROWS,
    CELL,
    FAR_MM,
    LOOK_ROWS,
    METER_STEP,
    METERED,
    STATS,
    TILE,
    FrameSize,
    Ray,
    SceneArrays,
    Target,
    View,
    vec2,
)
from endoforge.sim.light import DRIFT_ROW
from endoforge.sim.sensor import SENSOR_ROWS

EXPOSURE = 1.9
"""The light that the automatic exposure aims at, before the camera's response: the root of the mean
square, so that what is bright counts more."""
LIGHT_SCALE = 1e8
"""Fixed point of `Target.light`: whole numbers add up to the same in any order."""
LIGHT_PART = 1 << 10
"""A ray's light is summed in two parts, multiples of this and the rest: one sum alone of a frame's
rays, all of which end at a wall close by, would take more than 31 bits from 1,250 x 1,250 px on."""
IN_A_TILE = TILE // CELL
"""Cells of the lattice along a tile's side."""


@qd.func
def lens_ray(scenes: SceneArrays, shared, y, x, size: FrameSize):
    """Read the unit direction of grid point (y, x) in camera axes."""
    row_length = size.tiles_x * TILE + 1
    return scenes.rays[(shared.scene * (size.tiles_y * TILE + 1) + y) * row_length + x].xyz


@qd.func
def pose_ray(scenes: SceneArrays, shared, here, right, down, forward, y, x, size: FrameSize):
    """Make the ray of grid point (y, x) for a pose that was read: position and s, and its axes."""
    local = lens_ray(scenes, shared, y, x, size)
    direction = right * local.x + down * local.y + forward * local.z
    return Ray(origin=here.xyz, direction=direction, s=here.w)


@qd.func
def grid_ray(scenes: SceneArrays, view: View, shared, first_row, y, x, size: FrameSize):
    """Make the ray of grid point (y, x), for the pose in the camera's rows `first_row` on."""
    row = shared.number * CAMERA_ROWS + first_row
    here = view.cameras[row]
    right = view.cameras[row + 1].xyz
    down = view.cameras[row + 2].xyz
    forward = view.cameras[row + 3].xyz
    return pose_ray(scenes, shared, here, right, down, forward, y, x, size)


@qd.func
def near_polyps(view: View, b):
    """Read the bit mask of the polyps that may be near frame b: a float holds 24 bits exactly."""
    return qd.cast(view.cameras[b * CAMERA_ROWS + 3].w, qd.i32)


@qd.func
def is_open(scenes: SceneArrays, shared, y, x, size: FrameSize):
    """Tell whether the picture shows at pixel (y, x), not the screen."""
    return scenes.screens[(shared.scene * size.height + y) * size.width + x] == 0


@qd.func
def meter(scenes: SceneArrays, view: View, target: Target, size: FrameSize, batch: qd.i32):
    """Sum the light that comes back along the middle ray of every METER_STEP-th open tile.

    Lambert and inverse square from the lens stand for lamps, texture and gloss: what the exposure
    answers to is how near the wall is.
    """
    for b, i, j in qd.ndrange(batch, size.tiles_y // METER_STEP, size.tiles_x // METER_STEP):
        shared = shared_by(scenes, view, b)
        y = i * METER_STEP * TILE + TILE // 2
        x = j * METER_STEP * TILE + TILE // 2
        if (
            y < size.height
            and x < size.width
            and is_open(scenes, shared, y, x, size)
            and lens_ray(scenes, shared, y, x, size).z
            >= light_row(scenes, shared.scene, DRIFT_ROW).w
        ):
            ray = grid_ray(scenes, view, shared, METER_ROW, y, x, size)
            t, c, row = trace_wall(scenes, shared, ray, 0.2, ray.s, 0.01)
            # Those near the present pose, from which the one that meters is not far.
            t = first_polyp(view, b, ray, near_polyps(view, b), t)
            normal = on_wall(scenes, shared, t, c, row).normal
            facing = qd.max(-normal.dot(ray.direction) / qd.sqrt(normal.dot(normal) + 1e-9), 0.0)
            # The lamps' falloff, as shading has it (9 is `shading.NEAR_MM2`); capped, or a fold at
            # the lens would turn all the rest black.
            back = qd.min(facing / (t * t + 9.0), 0.06)
            # In whole numbers: sums of floats would depend on the order of the threads.
            light = qd.cast(back * back * LIGHT_SCALE, qd.i32)
            qd.atomic_add(target.light[METERED * b], light // LIGHT_PART)
            qd.atomic_add(target.light[METERED * b + 1], light % LIGHT_PART)
            qd.atomic_add(target.light[METERED * b + 2], 1)


@qd.func
def set_gain(scenes: SceneArrays, view: View, target: Target, batch: qd.i32):
    """Set each frame's gain: the exposure that its camera aims at, over the metered light."""
    for b in range(batch):
        exposure = EXPOSURE * scenes.sensors[scene_of(view.cameras, b) * SENSOR_ROWS + 2].z
        rest = target.light[METERED * b + 1]
        # Carried, both parts are exact as floats, and their sum is rounded once.
        parts = qd.cast(target.light[METERED * b] + rest // LIGHT_PART, qd.f32)
        light = parts * LIGHT_PART + qd.cast(rest % LIGHT_PART, qd.f32)
        rays = qd.max(target.light[METERED * b + 2], 1)
        square = light / (LIGHT_SCALE * qd.cast(rays, qd.f32))
        # The bound is for a frame whose rays all end in the dark.
        target.gain[b] = exposure / qd.sqrt(qd.max(square, 1e-10))
        drift = light_row(scenes, scene_of(view.cameras, b), DRIFT_ROW)
        if drift.x > 0.0:
            target.gain[b] *= stray_gain(drift, view.cameras[b * CAMERA_ROWS + WAVE_ROW].z)


@qd.func
def polyps_in_cone(view: View, b, ray, spread):
    """Find the polyps whose bounding spheres the cone around a ray may meet: their bit mask.

    `spread` is the tangent of its half angle. A sphere that the cone touches lies off the ray by no
    more than its radius and the cone's, taken where the sphere ends; 5 per cent are for the slant.
    Done once a tile, that saves looking at all polyps for each of its 64 pixels.
    """
    mask = 0
    rest = near_polyps(view, b)
    while rest != 0:
        k = lowest(rest)
        rest &= rest - 1
        centre, bound = bounding_sphere(view, b, k)
        v = centre - ray.origin
        t_middle = v.dot(ray.direction)
        off2 = v.dot(v) - t_middle * t_middle
        reach = bound + spread * qd.max(t_middle + bound, 0.0) * 1.05
        if t_middle > -bound and off2 < reach * reach and t_middle - bound < FAR_MM:
            mask |= 1 << k
    return mask


@qd.func
def cone_march(scenes: SceneArrays, view: View, target: Target, size: FrameSize, batch: qd.i32):
    """March a cone for each tile; its half angle is that of the lens's widest tile."""
    for b, ty, tx in qd.ndrange(batch, size.tiles_y, size.tiles_x):
        shared = shared_by(scenes, view, b)
        ray = grid_ray(scenes, view, shared, 0, ty * TILE + TILE // 2, tx * TILE + TILE // 2, size)
        spread = scenes.looks[shared.scene * LOOK_ROWS + 1].w
        t = 0.2
        s = ray.s
        for _step in range(48):
            c, _row = locate(scenes, shared.scene, point_at(ray, t), ray.direction, s)
            _gap, safe = wall_gap(scenes, shared.scene, c, shared.swell)
            # What is free for the middle ray is free for all of the cone less its radius there.
            free = safe - spread * t
            # A cone that hardly gains ground leaves the rest to its rays, each of which gets
            # further.
            if free < 0.35 * spread * t + 0.02 or t > FAR_MM:
                break
            t += free
            s = c.x + c.w * free
        tile = (b * size.tiles_y + ty) * size.tiles_x + tx
        target.tile_t[tile] = t
        target.tile_mask[tile] = polyps_in_cone(view, b, ray, spread)


@qd.func
def trace_lattice(scenes: SceneArrays, view: View, target: Target, size: FrameSize, batch: qd.i32):
    """Trace the wall along every CELL-th ray of the padded grid."""
    rows = size.tiles_y * IN_A_TILE + 1
    columns = size.tiles_x * IN_A_TILE + 1
    for b, i, j in qd.ndrange(batch, rows, columns):
        shared = shared_by(scenes, view, b)
        ray = grid_ray(scenes, view, shared, 0, i * CELL, j * CELL, size)
        ty = qd.min(i * CELL // TILE, size.tiles_y - 1)
        tx = qd.min(j * CELL // TILE, size.tiles_x - 1)
        t = target.tile_t[(b * size.tiles_y + ty) * size.tiles_x + tx]
        # The last row and column lie on the very edge of their tiles' cones: a little is given
        # back.
        if i * CELL // TILE > ty or j * CELL // TILE > tx:
            t *= 0.8
        s = guess_s(scenes, shared.scene, ray, t)
        t, c, row = trace_wall(scenes, shared, ray, t, s, 0.4 * shared.pixel_angle)
        hit = on_wall(scenes, shared, t, c, row)
        step = newton(hit.wall.x, hit.normal, ray.direction, t)
        t += step
        # The inverse, for it is what changes linearly across the picture of a plane.
        target.lattice[(b * rows + i) * columns + j] = vec2(1.0 / t, c.x + c.w * step)


@qd.kernel(fastcache=True)
def look_ahead(scenes: SceneArrays, view: View, target: Target, size: FrameSize, batch: qd.i32):
    """Meter the light and trace the wall's lattice: one start for four passes, each a loop."""
    meter(scenes, view, target, size, batch)
    set_gain(scenes, view, target, batch)
    cone_march(scenes, view, target, size, batch)
    trace_lattice(scenes, view, target, size, batch)


@qd.kernel(fastcache=True)
def count_polyps(
    scenes: SceneArrays,
    view: View,
    target: Target,
    hidden: qd.i32,
    stride: qd.i32,
    size: FrameSize,
    batch: qd.i32,
):
    """Count each polyp's visible pixels, their box, and its unoccluded pixels.

    These are what it would have if neither folds nor other polyps stood before it: the visible
    ones, and of the others those whose rays meet it (unless `hidden` is 0, which saves time).
    One thread a row of a tile; `stride` is from a row of pixels to the next that is taken.
    """
    for b, turn, tx in qd.ndrange(batch, size.height, size.tiles_x):
        y = turn * stride % size.height
        # Only polyps that the tile's cone may meet are looked for; a row's sums go out at once, for
        # atomics on one polyp's numbers wait for each other.
        mask = target.tile_mask[(b * size.tiles_y + y // TILE) * size.tiles_x + tx]
        while mask != 0:
            k = lowest(mask)
            shared = shared_by(scenes, view, b)
            visible = 0
            unoccluded = 0
            first = size.width
            last = 0
            for x in range(tx * TILE, qd.min((tx + 1) * TILE, size.width)):
                pixel = (b * size.height + y) * size.width + x
                if (target.image[pixel] >> 24) & 255 == k + 1:
                    visible += 1
                    first = qd.min(first, x)
                    last = x + 1
                elif hidden != 0:
                    if is_open(scenes, shared, y, x, size):
                        ray = grid_ray(scenes, view, shared, 0, y, x, size)
                        # What it looks for lies behind what the pixel shows, or nowhere.
                        shown = target.radiance[pixel].w
                        unoccluded += meets_polyp(scenes, view, shared, ray, k, shown)
            place = (b * NP + k) * STATS
            if visible + unoccluded > 0:
                qd.atomic_add(target.stats[place + 1], visible + unoccluded)
            if visible > 0:
                qd.atomic_add(target.stats[place], visible)
                qd.atomic_min(target.stats[place + 2], first)
                qd.atomic_min(target.stats[place + 3], y)
                qd.atomic_max(target.stats[place + 4], last)
                qd.atomic_max(target.stats[place + 5], y + 1)
            mask &= mask - 1
