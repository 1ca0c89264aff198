"""Drawing: what the ray of each pixel meets, how that looks, and the instruments before it.

These are three kernels, each of which hands on to the next by `Target`: one alone would need so
many registers that few of its threads could run on a GPU at a time.
"""

import quadrants as qd

from endoforge.sim.kernels.geometry import (
    locate,
    point_at,
    shared_by,
    wall_frame,
)
from endoforge.sim.kernels.passes import IN_A_TILE, is_open, pose_ray
from endoforge.sim.kernels.patches import (
    wall_radius,
)
from endoforge.sim.kernels.polyp_geometry import (
    is_flat,
)
from endoforge.sim.kernels.shading import (
    lamps_at,
    shade,
)
from endoforge.sim.kernels.shadow import is_shaded, shadow_at
from endoforge.sim.kernels.tool_tracing import before_it_all, has_instruments
from endoforge.sim.kernels.trace import label_of, meet, towards
from endoforge.sim.kernels.types import (
    CAMERA_ROWS,
    CELL,
    FAR_MM,
    Cell,
    FrameSize,
    Hit,
    SceneArrays,
    Target,
    View,
    vec2,
    vec4,
)


@qd.func
def cell_at(target: Target, b, cell_y, cell_x, size: FrameSize, use_lattice: qd.template()):
    """Read what the passes before have found for a square of pixels.

    The wall between the lattice's rays is taken for one bent sheet if both diagonals have about the
    same middle and no corner is much farther than another.
    """
    tile = (b * size.tiles_y + cell_y // IN_A_TILE) * size.tiles_x + cell_x // IN_A_TILE
    columns = size.tiles_x * IN_A_TILE + 1
    place = (b * (size.tiles_y * IN_A_TILE + 1) + cell_y) * columns + cell_x
    a00 = target.lattice[place]
    a01 = target.lattice[place + 1]
    a10 = target.lattice[place + columns]
    a11 = target.lattice[place + columns + 1]
    smooth = 0
    t_free = target.tile_t[tile]
    if qd.static(use_lattice):
        # 0 for a plane; the limits are set so that a fold's edge between the four rays fails.
        twist = qd.abs(a00.x + a11.x - a01.x - a10.x)
        farthest = qd.min(qd.min(a00.x, a01.x), qd.min(a10.x, a11.x))
        nearest = qd.max(qd.max(a00.x, a01.x), qd.max(a10.x, a11.x))
        if twist < 0.04 * (farthest + nearest) and nearest < 1.6 * farthest:
            smooth = 1
        # Even where it isn't smooth, nothing lies much nearer than the nearest of the four.
        t_free = qd.max(t_free, 0.9 / nearest)
    polyps = target.tile_mask[tile]
    return Cell(a00=a00, a01=a01, a10=a10, a11=a11, smooth=smooth, t_free=t_free, polyps=polyps)


@qd.func
def predicted(cell, y, x):
    """Predict (1 / distance, s) of pixel (y, x) of a cell, from its corner on; (0, 0): unknown."""
    guess = vec2(0.0)
    if cell.smooth:
        across = qd.cast(x, qd.f32) * (1.0 / CELL)
        below = qd.cast(y, qd.f32) * (1.0 / CELL)
        upper = cell.a00 + (cell.a01 - cell.a00) * across
        lower = cell.a10 + (cell.a11 - cell.a10) * across
        guess = upper + (lower - upper) * below
    return guess


@qd.func
def on_the_wall(view: View, shared, instance):
    """Tell whether what is met lies in the wall's shadows: heads cast their own about them."""
    return instance == 0 or is_flat(view, shared.number, qd.max(instance - 1, 0))


@qd.func
def looked_at(
    scenes: SceneArrays, view: View, target: Target, shared, ray, hit, unit, lamps, corner, y, x
):
    """Shade what a pixel's ray meets: (linear RGB, distance). `unit` is its normal.

    `corner` is the place of its cell in the lattice, how many of them are in a row, and whether
    there is any shadow in it; `y` and `x` are the pixel's place in the cell.
    """
    shadow = vec4(1.0)
    if corner.z > 0 and on_the_wall(view, shared, hit.instance):
        shadow = shadow_at(target, corner.x, corner.y, y, x, 1.0 / hit.t)
    light = shade(scenes, view, shared, ray, hit, unit, lamps, shadow)
    return vec4(light.x, light.y, light.z, hit.t)


@qd.func
def found_again(scenes: SceneArrays, shared, ray, met, found):
    """Make the `Hit` that `find_surfaces` left: the wall's radius and t, and the normal and s.

    Its place is found anew, exactly; its instance isn't known here, and its slopes aren't needed.
    """
    c, row = locate(scenes, shared.scene, point_at(ray, met.w), ray.direction, found.w)
    _slope, around, along = wall_frame(scenes, row, c, vec4(0.0))
    gap = met.x - qd.sqrt(c.y * c.y + c.z * c.z)
    wall = vec4(gap, 0.0, 0.0, 0.0)
    return Hit(t=met.w, c=c, wall=wall, normal=found.xyz, around=around, along=along, instance=0)


@qd.func
def in_camera_axes(view: View, b, unit):
    """Turn a vector of the world (3,) into camera axes, with a 0 behind it."""
    right = view.cameras[b * CAMERA_ROWS + 1].xyz
    down = view.cameras[b * CAMERA_ROWS + 2].xyz
    forward = view.cameras[b * CAMERA_ROWS + 3].xyz
    return vec4(unit.dot(right), unit.dot(down), unit.dot(forward), 0.0)


@qd.kernel(fastcache=True)
def find_surfaces(
    scenes: SceneArrays,
    view: View,
    target: Target,
    use_lattice: qd.template(),
    span: qd.template(),
    stride: qd.i32,
    size: FrameSize,
    batch: qd.i32,
):
    """Find what each pixel's ray meets, one thread a square of `span` x `span`.

    That is CELL, or 1 where threads are plenty: on a CPU a whole cell shares what is read of its
    camera and its lattice. `stride` is from a row of squares to the next that is taken.
    """
    rows = (size.height + span - 1) // span
    for b, turn, j in qd.ndrange(batch, rows, (size.width + span - 1) // span):
        i = turn * stride % rows
        shared = shared_by(scenes, view, b)
        here = view.cameras[b * CAMERA_ROWS]
        right = view.cameras[b * CAMERA_ROWS + 1].xyz
        down = view.cameras[b * CAMERA_ROWS + 2].xyz
        forward = view.cameras[b * CAMERA_ROWS + 3].xyz
        cell_y = i * span // CELL
        cell_x = j * span // CELL
        cell = cell_at(target, b, cell_y, cell_x, size, use_lattice)
        for yy in range(span):
            for xx in range(span):
                y = i * span + yy
                x = j * span + xx
                if y < size.height and x < size.width:
                    pixel = (b * size.height + y) * size.width + x
                    t = 0.0
                    radius = 0.0
                    # Under the mask nothing is traced, and much of a frame may be covered.
                    if is_open(scenes, shared, y, x, size):
                        ray = pose_ray(scenes, shared, here, right, down, forward, y, x, size)
                        guess = predicted(cell, y - cell_y * CELL, x - cell_x * CELL)
                        hit = meet(scenes, view, shared, ray, guess, cell.t_free, cell.polyps)
                        t = hit.t
                        radius = wall_radius(hit)
                        length = qd.sqrt(hit.normal.dot(hit.normal) + 1e-9)
                        unit = towards(hit.normal / length, ray.direction)
                        target.normals[pixel] = vec4(unit.x, unit.y, unit.z, hit.c.x)
                        target.image[pixel] = hit.instance << 24
                    target.radiance[pixel] = vec4(radius, 0.0, 0.0, t)


@qd.kernel(fastcache=True)
def shade_surfaces(
    scenes: SceneArrays,
    view: View,
    target: Target,
    span: qd.template(),
    size: FrameSize,
    batch: qd.i32,
):
    """Shade what `find_surfaces` has found, and label it; its threads have as many pixels."""
    for b, i, j in qd.ndrange(
        batch, (size.height + span - 1) // span, (size.width + span - 1) // span
    ):
        shared = shared_by(scenes, view, b)
        here = view.cameras[b * CAMERA_ROWS]
        right = view.cameras[b * CAMERA_ROWS + 1].xyz
        down = view.cameras[b * CAMERA_ROWS + 2].xyz
        forward = view.cameras[b * CAMERA_ROWS + 3].xyz
        lamps = lamps_at(scenes, shared.scene, right, down)
        cell_y = i * span // CELL
        cell_x = j * span // CELL
        columns = size.tiles_x * IN_A_TILE + 1
        first = (b * (size.tiles_y * IN_A_TILE + 1) + cell_y) * columns + cell_x
        shaded = is_shaded(scenes, target, shared.scene, first, columns)
        corner = qd.Vector([first, columns, shaded])
        for yy in range(span):
            for xx in range(span):
                y = i * span + yy
                x = j * span + xx
                if y < size.height and x < size.width:
                    pixel = (b * size.height + y) * size.width + x
                    label = 0
                    met = target.radiance[pixel]
                    if met.w > 0.0 and met.w < FAR_MM:
                        ray = pose_ray(scenes, shared, here, right, down, forward, y, x, size)
                        found = target.normals[pixel]
                        hit = found_again(scenes, shared, ray, met, found)
                        hit.instance = (target.image[pixel] >> 24) & 255
                        target.radiance[pixel] = looked_at(
                            scenes, view, target, shared, ray, hit, found.xyz, lamps,
                            corner, y - cell_y * CELL, x - cell_x * CELL,
                        )  # fmt: skip
                        label = label_of(view, shared, ray, hit)
                    else:
                        target.normals[pixel] = vec4(0.0)
                        target.radiance[pixel] = vec4(0.0, 0.0, 0.0, met.w)
                    target.image[pixel] = label << 24


@qd.kernel(fastcache=True)
def add_instruments(
    scenes: SceneArrays,
    view: View,
    target: Target,
    with_normals: qd.template(),
    span: qd.template(),
    size: FrameSize,
    batch: qd.i32,
):
    """Put instruments before what `shade_surfaces` has shaded, and turn normals to camera axes.

    Its threads have as many pixels: where a frame shows none, all of them cost one look.
    """
    for b, i, j in qd.ndrange(
        batch, (size.height + span - 1) // span, (size.width + span - 1) // span
    ):
        shown = has_instruments(view, b)
        if shown or qd.static(with_normals):
            shared = shared_by(scenes, view, b)
            here = view.cameras[b * CAMERA_ROWS]
            right = view.cameras[b * CAMERA_ROWS + 1].xyz
            down = view.cameras[b * CAMERA_ROWS + 2].xyz
            forward = view.cameras[b * CAMERA_ROWS + 3].xyz
            lamps = lamps_at(scenes, shared.scene, right, down)
            for yy in range(span):
                for xx in range(span):
                    y = i * span + yy
                    x = j * span + xx
                    if y < size.height and x < size.width:
                        pixel = (b * size.height + y) * size.width + x
                        radiance = target.radiance[pixel]
                        if shown and radiance.w > 0.0:
                            ray = pose_ray(scenes, shared, here, right, down, forward, y, x, size)
                            instance = (target.image[pixel] >> 24) & 255
                            unit = target.normals[pixel].xyz
                            radiance, instance, unit = before_it_all(
                                scenes, view, shared, ray, lamps, radiance, instance, unit
                            )
                            target.radiance[pixel] = radiance
                            target.image[pixel] = instance << 24
                            target.normals[pixel] = vec4(unit.x, unit.y, unit.z, 0.0)
                        if qd.static(with_normals):
                            target.normals[pixel] = in_camera_axes(
                                view, b, target.normals[pixel].xyz
                            )
