"""Shadows of folds and polyps on the wall: one look a ray of the lattice, soft in between.

Lamps stand beside the lens, so that what is near casts a sliver of shadow past its edge. A point is
in the shadow of a lamp if on the way there something lies before it: the wall, as the lattice sees
it (a screen-space test), or a polyp's head, taken as its ellipsoid; of a mass, each of its heads.
"""

import quadrants as qd

from endoforge.sim.kernels.geometry import (
    NP,
    scene_of,
)
from endoforge.sim.kernels.lesion_shapes import FIRST_HEAD, form_of
from endoforge.sim.kernels.lighting import light_row
from endoforge.sim.kernels.polyp_geometry import lowest
from endoforge.sim.kernels.types import (
    CAMERA_ROWS,
    CELL,
    FAR_MM,
    LOOK_ROWS,
    MAX_LAMPS,
    POLYP_ROWS,
    TILE,
    FrameSize,
    SceneArrays,
    Target,
    View,
    vec3,
    vec4,
)
from endoforge.sim.light import SHADE_ROW

STOPS = 2
"""Points on the way to a lamp at which the wall is looked for."""
STOP_SHARE = 0.24
"""The share of the way from one to the next: what is nearer to the lamp than half casts little."""
SLACK, SOFT = 0.04, 0.16
"""By how much of its distance the wall has to lie before a point to shade it, and to do so fully:
lamps are a few millimetres wide."""
POLYP_EDGE, POLYP_SOFT = 1.1, 0.45
"""The half widths off a polyp's middle at which its shadow begins, and over which it deepens."""
FOOT_REACH = 0.22
"""The half widths from a polyp at which the wall has three quarters of its light back."""
UNSHADED = 0.998
"""A share of the light above this is taken for all of it: a byte doesn't show the difference."""
MOST_FOOT = 0.75
"""What the nearness of a polyp takes of the light at `foot` 1."""


@qd.func
def wall_nearness(target: Target, first, rows, columns, y, x):
    """Read 1 / distance of the wall at a place of the frame, in cells, bilinearly."""
    fy = qd.math.clamp(y, 0.0, qd.cast(rows, qd.f32) - 1.001)
    fx = qd.math.clamp(x, 0.0, qd.cast(columns, qd.f32) - 1.001)
    i = qd.cast(fy, qd.i32)
    j = qd.cast(fx, qd.i32)
    v = fy - qd.cast(i, qd.f32)
    u = fx - qd.cast(j, qd.f32)
    place = first + i * columns + j
    upper = target.lattice[place].x * (1.0 - u) + target.lattice[place + 1].x * u
    lower = (
        target.lattice[place + columns].x * (1.0 - u) + target.lattice[place + columns + 1].x * u
    )
    return upper * (1.0 - v) + lower * v


@qd.func
def shaded_by_wall(target: Target, first, rows, columns, y, x, point, lamp, across, below):
    """Work out how much the wall hides a lamp from a point: 0..1; both in camera axes.

    `across` and `below` are the changes of the ray's direction per cell of the lattice.
    """
    distance = qd.sqrt(point.dot(point))
    direction = point / distance
    aa = 1.0 / across.dot(across)
    bb = 1.0 / below.dot(below)
    hidden = 0.0
    for k in range(STOPS):
        stop = point + (lamp - point) * (STOP_SHARE * qd.cast(k + 1, qd.f32) - 0.06)
        away = qd.sqrt(stop.dot(stop))
        turn = stop / away - direction
        # Rows and columns of the lattice are nearly square to each other everywhere.
        nearness = wall_nearness(
            target, first, rows, columns, y + turn.dot(below) * bb, x + turn.dot(across) * aa
        )
        hidden = qd.max(hidden, (nearness * away - 1.0 - SLACK) * (1.0 / SOFT))
    return qd.math.clamp(hidden, 0.0, 1.0)


@qd.func
def rounded(view: View, row, head, point):
    """Give a point about a polyp's middle, in the space where its head is a ball, and its radius.

    `head` is which of a mass's, about the middle of which it then is.
    """
    away = point - view.polyps[row].xyz
    width = view.polyps[row + 1].w
    if form_of(view.polyps, row) > 1.5:
        one = view.polyps[row + FIRST_HEAD + head]
        away -= one.xyz
        width = one.w
    else:
        axis = view.polyps[row + 1].xyz
        away += axis * (away.dot(axis) * (view.polyps[row + 1].w / view.polyps[row].w - 1.0))
    return away, width


@qd.func
def shaded_by_ball(at, lamp, width):
    """Work out how much a ball about 0 hides a lamp from a point: 0..1."""
    way = lamp - at
    part = qd.math.clamp(-at.dot(way) / way.dot(way), 0.0, 1.0)
    nearest = at + way * part
    off = qd.sqrt(nearest.dot(nearest)) / width
    hidden = qd.math.clamp((POLYP_EDGE - off) * (1.0 / POLYP_SOFT), 0.0, 1.0)
    # What it stands on is no shadow's: there the way only begins.
    return hidden * qd.math.clamp(8.0 * part, 0.0, 1.0)


@qd.func
def is_looked_at(scenes: SceneArrays, scene, i, j, size: FrameSize):
    """Tell (0, 1) whether any pixel of the four cells about ray (i, j) of the lattice is open.

    Of most that aren't covered, the first pixel is.
    """
    seen = 0
    for y in range(qd.max((i - 1) * CELL, 0), qd.min((i + 1) * CELL, size.height)):
        for x in range(qd.max((j - 1) * CELL, 0), qd.min((j + 1) * CELL, size.width)):
            if scenes.screens[(scene * size.height + y) * size.width + x] == 0:
                seen = 1
                break
        if seen == 1:
            break
    return seen


@qd.kernel(fastcache=True)
def cast_shadows(scenes: SceneArrays, view: View, target: Target, size: FrameSize, batch: qd.i32):
    """Work out each lamp's share of light, and that of all light, at every ray of the lattice."""
    rows = size.tiles_y * (TILE // CELL) + 1
    columns = size.tiles_x * (TILE // CELL) + 1
    for b, i, j in qd.ndrange(batch, rows, columns):
        scene = scene_of(view.cameras, b)
        shade = light_row(scenes, scene, SHADE_ROW)
        if shade.x + shade.y > 0.0:
            first = b * rows * columns
            nearness = target.lattice[first + i * columns + j].x
            light = vec4(1.0)
            if nearness * FAR_MM > 1.0 and is_looked_at(scenes, scene, i, j, size):
                grid = scene * (size.tiles_y * TILE + 1)
                row_length = size.tiles_x * TILE + 1
                left = qd.max(j - 1, 0)
                right = qd.min(j + 1, columns - 1)
                above = qd.max(i - 1, 0)
                below = qd.min(i + 1, rows - 1)
                middle = (grid + i * CELL) * row_length
                ray = scenes.rays[middle + j * CELL].xyz
                across = (
                    scenes.rays[middle + right * CELL].xyz - scenes.rays[middle + left * CELL].xyz
                ) / qd.cast(right - left, qd.f32)
                down = (
                    scenes.rays[(grid + below * CELL) * row_length + j * CELL].xyz
                    - scenes.rays[(grid + above * CELL) * row_length + j * CELL].xyz
                ) / qd.cast(below - above, qd.f32)
                point = ray / nearness
                camera = b * CAMERA_ROWS
                here = view.cameras[camera].xyz
                axis_x = view.cameras[camera + 1].xyz
                axis_y = view.cameras[camera + 2].xyz
                axis_z = view.cameras[camera + 3].xyz
                place = here + axis_x * point.x + axis_y * point.y + axis_z * point.z
                number = qd.cast(scenes.looks[scene * LOOK_ROWS + 2].z, qd.i32)
                y = qd.cast(i, qd.f32)
                x = qd.cast(j, qd.f32)
                hidden = vec3(0.0)
                foot = 0.0
                for k in qd.static(range(MAX_LAMPS)):
                    if k < number:
                        at = scenes.lamps[scene * MAX_LAMPS + k]
                        lamp = vec3(at.x, at.y, 0.0)
                        hidden[k] = shaded_by_wall(
                            target, first, rows, columns, y, x, point, lamp, across, down
                        )
                mask = qd.cast(view.cameras[camera + 3].w, qd.i32)
                while mask != 0:
                    row = (b * NP + lowest(mask)) * POLYP_ROWS
                    mask &= mask - 1
                    # What is flat casts none of its own: it bends the wall by little.
                    if form_of(view.polyps, row) >= 0.0:
                        # Far beside its shadow's longest sliver, most are done with.
                        from_middle = place - view.polyps[row].xyz
                        if from_middle.dot(from_middle) < 3600.0:
                            for head in range(
                                qd.max(qd.cast(form_of(view.polyps, row), qd.i32), 1)
                            ):
                                at, width = rounded(view, row, head, place)
                                near = qd.max(qd.sqrt(at.dot(at)) / width - 1.0, 0.0) / FOOT_REACH
                                foot = qd.max(
                                    foot, 1.0 / ((1.0 + near * near) * (1.0 + near * near))
                                )
                                for k in qd.static(range(MAX_LAMPS)):
                                    if k < number:
                                        beside = scenes.lamps[scene * MAX_LAMPS + k]
                                        lamp = here + axis_x * beside.x + axis_y * beside.y
                                        lamp_at, _width = rounded(view, row, head, lamp)
                                        hidden[k] = qd.max(
                                            hidden[k], shaded_by_ball(at, lamp_at, width)
                                        )
                left_over = 1.0 - shade.x * hidden
                light = vec4(
                    left_over.x, left_over.y, left_over.z, 1.0 - shade.y * MOST_FOOT * foot
                )
            target.shadows[first + i * columns + j] = light


@qd.func
def is_shaded(scenes: SceneArrays, target: Target, scene, first, columns):
    """Tell (0, 1) whether the cell of the lattice at place `first` has any shadow to be seen.

    Most have none, so that one look spares their pixels the mixing.
    """
    shade = light_row(scenes, scene, SHADE_ROW)
    shaded = 0
    if shade.x + shade.y > 0.0:
        least = qd.min(
            qd.min(target.shadows[first], target.shadows[first + 1]),
            qd.min(target.shadows[first + columns], target.shadows[first + columns + 1]),
        )
        if qd.min(qd.min(least.x, least.y), qd.min(least.z, least.w)) < UNSHADED:
            shaded = 1
    return shaded


@qd.func
def shadow_at(target: Target, first, columns, y, x, nearness):
    """Mix a pixel's shadow from the four rays of the lattice about it, by nearness in depth.

    `first` is the place of the cell's corner, `y` and `x` the pixel's in the cell; `nearness` is
    1 / its distance: what lies before or behind it in another depth lends it little.
    """
    v = (qd.cast(y, qd.f32)) * (1.0 / CELL)
    u = (qd.cast(x, qd.f32)) * (1.0 / CELL)
    total = vec4(0.0)
    weights = 0.0
    for k in qd.static(range(4)):
        place = first + (k // 2) * columns + k % 2
        share = qd.select(k % 2 == 1, u, 1.0 - u) * qd.select(k // 2 == 1, v, 1.0 - v)
        # As (share + 1e-3) / (0.02 + their difference over the nearness), times what is the same
        # for all four.
        apart = qd.abs(target.lattice[place].x - nearness)
        weight = (share + 1e-3) / (0.02 * nearness + apart)
        total += weight * target.shadows[place]
        weights += weight
    return total / weights
