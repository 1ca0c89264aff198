"""From linear light to the recorded frame: lens, sensor and video processor, in five passes.

1. `find_flow`: per tile, how the picture moves during the exposure.
2. `spread_light`: the lens's point spread, on linear light, over what the screen leaves open.
3. `expose`: blur by motion and defocus, vignette, exposure, white balance, the response to light,
   noise; coded as luma and chroma.
4. `sharpening`: the video processor's unsharp mask; frames without JPEG are done then.
5. `kernels.jpeg`: the others go through JPEG.

All but the first run one thread per column of TILE pixels: neighbours in a row read neighbouring
pixels, and what a row of pixels shares is summed once. In a pass no thread writes what another
reads: every engine makes the same picture up to the rounding of its arithmetic.

From the response on all is whole numbers, 12 bits of luma: a pixel between two passes is one word
of 32 bits where floats would be three.
"""

import quadrants as qd

from endoforge.sim.kernels.geometry import (
    scene_of,
)
from endoforge.sim.kernels.lighting import scrambled
from endoforge.sim.kernels.tone import (
    add_colour_noise,
    compressed,
    glare_across,
    glare_down,
    in_mode,
    lifted,
    steadied,
    tone_row,
)
from endoforge.sim.kernels.types import (
    CAMERA_ROWS,
    TILE,
    DarkroomBuffers,
    FrameSize,
    vec2,
    vec3,
    vec4,
)
from endoforge.sim.light import FILM_ROW, HAZE_ROW, LEVEL_ROW, MODE_ROW, MURK, TONE_ROW
from endoforge.sim.sensor import (
    CURVE_FIRST,
    CURVE_LENGTH,
    CURVE_SHIFT,
    FOCUS_MM,
    GRAIN_SIZE,
    GRAIN_STEPS,
    LUMA_TOP,
    SENSOR_ROWS,
    VEIL_ROW,
)

SPREAD = 0.1664
"""The share of a pixel's light that falls on each neighbour in a row: a Gaussian of 0.6 px."""
LEAST_BLUR_PX = 1.3
"""Blur shorter than this is left out: the point spread is as wide already."""
LONGEST_FLOW_PX = 40.0
"""Motion is cut here, where MOST_TAPS samples would lie too far apart and show as ghosts."""
LEAST_CIRCLE_PX, LARGEST_CIRCLE_PX = 0.4, 6.0
"""The radius of the circle of confusion below which light is summed along the path alone, and the
one at which it is cut."""

CONTRAST_MIDDLE, MOST_BURNT = 0.25, 2.0
"""Light that contrast leaves as it is, shown as a middling grey (0.39), and how much brighter it
makes what is brighter at most."""

LUMA_BITS = 12
OPEN = 1 << 20
"""The bit of `DarkroomBuffers.coded` that says that the picture shows here, not the screen."""
GRAIN_SCALE = LUMA_TOP / GRAIN_STEPS * 65536.0
"""Deviation 1 in luma steps per step of the grain table, in 1/65536."""


@qd.func
def in_pixels(motion, right, down):
    """Turn the motion of a direction into pixels: least squares on the picture's local basis."""
    a = right.dot(right)
    b = right.dot(down)
    c = down.dot(down)
    u = right.dot(motion)
    v = down.dot(motion)
    scale = 1.0 / qd.max(a * c - b * b, 1e-12)
    return vec2((c * u - b * v) * scale, (a * v - b * u) * scale)


@qd.func
def find_flow(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Find how the picture moves in each tile: a point P that a camera sees which moves by m and
    turns by w moves by -m - w x P.
    """
    columns = size.tiles_x * TILE + 1
    for b, ty, tx in qd.ndrange(batch, size.tiles_y, size.tiles_x):
        first = scene_of(room.cameras, b) * (size.tiles_y * TILE + 1) * columns
        half = TILE // 2
        middle = first + (ty * TILE + half) * columns + tx * TILE + half
        ray = room.rays[middle].xyz
        right = (room.rays[middle + half].xyz - room.rays[middle - half].xyz) * (1.0 / TILE)
        down = room.rays[middle + half * columns].xyz - room.rays[middle - half * columns].xyz
        down = down * (1.0 / TILE)
        # Per tile, not per pixel: within 8 pixels the lens hardly bends the motion. Its part by
        # translation is kept apart, for it shrinks with the distance, which each pixel has its own
        # of.
        turned = in_pixels(ray.cross(room.cameras[b * CAMERA_ROWS + 5].xyz), right, down)
        moved = in_pixels(-room.cameras[b * CAMERA_ROWS + 4].xyz, right, down)
        tile = (b * size.tiles_y + ty) * size.tiles_x + tx
        focal_px = 1.0 / qd.sqrt(qd.max(right.cross(down).norm(), 1e-12))
        room.flow[2 * tile] = vec4(turned.x, turned.y, moved.x, moved.y)
        room.flow[2 * tile + 1] = vec4(focal_px, ray.z, right.z, down.z)


@qd.func
def row_light(room: DarkroomBuffers, row, left, x, right):
    """Sum the light of three pixels of a row, weighted; the screen's pixels weigh nothing."""
    p = room.radiance[row + left]
    q = room.radiance[row + x]
    r = room.radiance[row + right]
    wp = qd.select(p.w > 0.0, SPREAD, 0.0)
    wq = qd.select(q.w > 0.0, 1.0 - 2.0 * SPREAD, 0.0)
    wr = qd.select(r.w > 0.0, SPREAD, 0.0)
    rgb = p.xyz * wp + q.xyz * wq + r.xyz * wr
    return vec4(rgb.x, rgb.y, rgb.z, wp + wq + wr)


@qd.func
def spread_light(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Spread the light as the lens does: over 3 x 3 pixels of a Gaussian.

    Weights are summed along with the light, for `expose` to divide by: so the picture's edge takes
    no darkness from the screen.
    """
    height = size.height
    width = size.width
    for b, ty, x in qd.ndrange(batch, size.tiles_y, width):
        left = qd.max(x - 1, 0)
        right = qd.min(x + 1, width - 1)
        first = b * height * width
        y0 = ty * TILE
        above = row_light(room, first + qd.max(y0 - 1, 0) * width, left, x, right)
        here = row_light(room, first + y0 * width, left, x, right)
        for y in range(y0, qd.min(y0 + TILE, height)):
            below = row_light(room, first + qd.min(y + 1, height - 1) * width, left, x, right)
            room.light[first + y * width + x] = (above + below) * SPREAD + here * (
                1.0 - 2.0 * SPREAD
            )
            above = here
            here = below


@qd.kernel(fastcache=True)
def let_light_in(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Find how the picture moves, and spread its light."""
    find_flow(room, size, batch)
    spread_light(room, size, batch)


@qd.func
def gather(room: DarkroomBuffers, size: FrameSize, first, y, x, path, circle, extent2):
    """Sum the light over `path` (pixels, centred) and a disk of radius `circle`.

    `extent2`, its squared extent, decides on 4, 8, 16 or 32 samples: never much more than a pixel
    apart on a path. Places are counted in 1/65536 px: one along the path costs additions and shifts
    alone. Near the edge they are kept in the frame.
    """
    # Each sample is a load of 16 bytes from a place of its own: a short blur takes few.
    log2_taps = 2
    if extent2 > 9.0:
        log2_taps = qd.select(extent2 > 49.0, qd.select(extent2 > 100.0, 5, 4), 3)
    taps = 1 << log2_taps
    path_x = qd.cast(path.x * 65536.0, qd.i32)
    path_y = qd.cast(path.y * 65536.0, qd.i32)
    step_x = path_x >> log2_taps
    step_y = path_y >> log2_taps
    # Half a step in from the path's start: the samples' mean is the path's middle.
    at_x = (x << 16) + 32768 - ((path_x - step_x) >> 1)
    at_y = (y << 16) + 32768 - ((path_y - step_y) >> 1)
    # The path and circle that need so many samples reach less far than as many pixels: only pixels
    # near the edge pay for being kept in the frame.
    inside = qd.min(qd.min(x, y), qd.min(size.width - 1 - x, size.height - 1 - y)) >= taps
    total = vec4(0.0)
    # So small a circle falls on one pixel or two: the path alone is walked.
    if inside and circle < LEAST_CIRCLE_PX:
        for _k in range(taps):
            total += room.light[first + (at_y >> 16) * size.width + (at_x >> 16)]
            at_x += step_x
            at_y += step_y
    else:
        radius = circle * 65536.0
        for k in range(taps):
            point = room.disk[k].xy
            j = (at_x + qd.cast(point.x * radius, qd.i32)) >> 16
            i = (at_y + qd.cast(point.y * radius, qd.i32)) >> 16
            if not inside:
                i = qd.math.clamp(i, 0, size.height - 1)
                j = qd.math.clamp(j, 0, size.width - 1)
            total += room.light[first + i * size.width + j]
            at_x += step_x
            at_y += step_y
    return total


@qd.func
def blurred(room: DarkroomBuffers, size: FrameSize, first, y, x, path, circle):
    """Blur the light of pixel (y, x) of the frame that starts at `first` by motion and defocus."""
    extent2 = path.dot(path) + 4.0 * circle * circle
    light = vec4(0.0)
    if extent2 < LEAST_BLUR_PX * LEAST_BLUR_PX:
        light = room.light[first + y * size.width + x]
    else:
        # Cut where 32 samples would lie more than 1.25 px apart and show as ghosts.
        if extent2 > 100.0:
            path *= qd.min(LONGEST_FLOW_PX * qd.rsqrt(path.dot(path) + 1e-6), 1.0)
            circle = qd.min(circle, LARGEST_CIRCLE_PX)
        light = gather(room, size, first, y, x, path, circle, extent2)
    return light


@qd.func
def processed(colour, saturation, contrast, veil, haze):
    """Put contrast, saturation, narrow bands and haze on linear RGB, as video processors do.

    `veil` is the row VEIL_ROW of `CameraSettings.table_rows`, `haze` the veil's colour.
    """
    # Luminance of linear light (BT.709); saturation mixes with it before the response.
    grey = colour.dot(vec3(0.2126, 0.7152, 0.0722))
    # A power of luminance, times the colour, so that hues stay. The branch is the same for a whole
    # scene: who has no contrast pays for no logarithm.
    if contrast > 0.0:
        steeper = qd.exp(contrast * qd.log(qd.max(grey, 1e-4) * (1.0 / CONTRAST_MIDDLE)))
        colour *= qd.min(steeper, MOST_BURNT)
        grey *= qd.min(steeper, MOST_BURNT)
    colour = grey + saturation * (colour - grey)
    # Light of 540 nm, seen by green, is shown as red, and that of 415 nm, seen by blue, as green
    # and blue. The factors, set by eye, make up for the dimmer bands.
    if veil.y > 0.0:
        bands = vec3(1.35 * colour.y, 1.5 * colour.z, 1.25 * colour.z)
        colour += veil.y * (bands - colour)
    # After all that scales light: a veil is lit by the lamp, not by the wall.
    return colour + veil.x * haze


@qd.func
def respond(room: DarkroomBuffers, light, curve):
    """Turn linear light into luma steps, 0..LUMA_TOP: one look-up by exponent and 7 bits more.

    `curve` is where the run's response begins in the table.
    """
    # A float's bits rise as it does. Light below 0 has the sign's bit, which lands below the first
    # step, as too dark light does.
    place = (qd.bit_cast(light, qd.i32) >> CURVE_SHIFT) - CURVE_FIRST
    place = qd.select(place < 0, 0, place)
    return room.curve[curve + qd.select(place > CURVE_LENGTH - 1, CURVE_LENGTH - 1, place)]


@qd.func
def coded_pixel(red, green, blue):
    """Code display RGB in 0..LUMA_TOP as luma and chroma of BT.601, as JPEG has them."""
    r = qd.select(red < 0, 0, qd.select(red > LUMA_TOP, LUMA_TOP, red))
    g = qd.select(green < 0, 0, qd.select(green > LUMA_TOP, LUMA_TOP, green))
    b = qd.select(blue < 0, 0, qd.select(blue > LUMA_TOP, LUMA_TOP, blue))
    # 0.299, 0.587 and 0.114 in 1/4096, which add up to 4096: grey stays grey.
    y = (1225 * r + 2404 * g + 467 * b + 2048) >> 12
    # 255 / 4095 / 1.772 and 255 / 4095 / 1.402 in 1/65536.
    cb = ((b - y) * 2303 + 8421376) >> 16
    cr = ((r - y) * 2911 + 8421376) >> 16
    return y | (cb << LUMA_BITS) | OPEN | (cr << 21)


@qd.func
def add_noise(room: DarkroomBuffers, place, variance, red, green, blue):
    """Add the grain at a place of its table to display RGB in luma steps.

    `variance` is that of read noise, and of shot noise per luma step, times GRAIN_SCALE^2.
    """
    # Green's level stands for all three: it is most of the luma, and saves two roots.
    sigma = qd.sqrt(variance.x + variance.y * qd.cast(green, qd.f32))
    strength = qd.cast(sigma, qd.i32)
    grain = room.grain[place]
    red += (strength * ((grain & 1023) - 512)) >> 16
    green += (strength * (((grain >> 10) & 1023) - 512)) >> 16
    blue += (strength * ((grain >> 20) - 512)) >> 16
    return red, green, blue


@qd.kernel(fastcache=True)
def expose(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Blur the light, weigh it by vignette, gain and white balance, respond to it, add noise."""
    width = size.width
    for b, ty, x in qd.ndrange(batch, size.tiles_y, width):
        scene = scene_of(room.cameras, b)
        balance = room.sensors[scene * SENSOR_ROWS]
        noise = room.sensors[scene * SENSOR_ROWS + 1]
        optics = room.sensors[scene * SENSOR_ROWS + 2]
        veil = room.sensors[scene * SENSOR_ROWS + VEIL_ROW]
        tone = tone_row(room.sensors, scene, TONE_ROW)
        mode = tone_row(room.sensors, scene, MODE_ROW)
        haze = tone_row(room.sensors, scene, HAZE_ROW).xyz
        curve = qd.cast(tone.x, qd.i32) * CURVE_LENGTH
        variance = vec2(
            noise.x * (GRAIN_SCALE * GRAIN_SCALE), noise.y * (GRAIN_SCALE * GRAIN_SCALE / LUMA_TOP)
        )
        tile = (b * size.tiles_y + ty) * size.tiles_x + (x >> 3)
        flow = room.flow[2 * tile]
        lens = room.flow[2 * tile + 1]
        open_px = optics.x * lens.x
        half = qd.cast(TILE // 2, qd.f32)
        # Linear within a tile: below, `dim` goes down the column in steps instead of by look-ups.
        cosine = lens.y + (qd.cast(x & (TILE - 1), qd.f32) - half) * lens.z - half * lens.w
        dim = 1.0 - noise.z * (1.0 - cosine)
        # Each tile takes its grain from another place of the table: repeated as a whole it would
        # show as a lattice.
        seed = qd.cast(room.cameras[b * CAMERA_ROWS + 2].w, qd.i32)
        patch = scrambled(scrambled(seed) + ty * size.tiles_x + (x >> 3))
        grain_x = (patch + x) & (GRAIN_SIZE - 1)
        grain_y = patch >> 12
        gain = room.gain[b] * balance.xyz
        level = tone_row(room.sensors, scene, LEVEL_ROW)
        film = tone_row(room.sensors, scene, FILM_ROW)
        steady = 1.0
        if level.x > 0.0:
            steady = steadied(room.shown, b, level.x, optics.z)
        above = vec4(0.0)
        here = vec4(0.0)
        below = vec4(0.0)
        if film.w > 0.0:
            row = b * size.tiles_y * size.tiles_x
            above = glare_across(room.glare, row + qd.max(ty - 1, 0) * size.tiles_x, x, size)
            here = glare_across(room.glare, row + ty * size.tiles_x, x, size)
            lower = qd.min(ty + 1, size.tiles_y - 1)
            below = glare_across(room.glare, row + lower * size.tiles_x, x, size)
        first = b * size.height * width
        for y in range(ty * TILE, qd.min((ty + 1) * TILE, size.height)):
            pixel = first + y * width + x
            distance = room.radiance[pixel].w
            code = 0
            if distance > 0.0:
                nearness = 1.0 / distance
                path = flow.xy + flow.zw * nearness
                circle = open_px * qd.abs(nearness - 1.0 / FOCUS_MM) + tone.z * lens.x
                glare = vec4(0.0)
                if film.w > 0.0:
                    glare = glare_down(above, here, below, y)
                    circle += film.y * lens.x * glare.w
                light = blurred(room, size, first, y, x, path, circle)
                # `light.w` has the weights of all samples: covered pixels drop out, and no blur's
                # length needs to be divided by.
                colour = light.xyz * gain * (qd.max(dim, 0.0) / light.w)
                if film.w > 0.0:
                    colour = colour * (1.0 - MURK * glare.w) + glare.xyz * balance.xyz
                if level.x > 0.0:
                    colour *= steady
                if level.y > 0.0:
                    colour = compressed(colour, level.y)
                if mode.w > 0.0:
                    colour = in_mode(room.sensors, scene, colour)
                colour = processed(colour, balance.w, optics.w, veil, haze)
                place = ((grain_y + y) & (GRAIN_SIZE - 1)) * GRAIN_SIZE + grain_x
                red, green, blue = add_noise(
                    room, place, variance,
                    lifted(respond(room, colour.x, curve), tone.y),
                    lifted(respond(room, colour.y, curve), tone.y),
                    lifted(respond(room, colour.z, curve), tone.y),
                )  # fmt: skip
                if tone.w > 0.0:
                    red, blue = add_colour_noise(room.grain, place, tone.w * GRAIN_SCALE, red, blue)
                code = coded_pixel(red, green, blue)
            room.coded[pixel] = code
            dim += noise.z * lens.w
