"""What screen and recorder do to the exposed picture, in three passes between `develop`'s.

1. `repeat_picture`: insets of the screen show the picture again, smaller or in other colours.
2. `mix_moments`: colours taken one after another, combs of two fields, a doubled picture: each
   looks where a moment's picture was, along the motion that `develop.find_flow` has found.
3. `record`: softness or ringing, and chroma smeared to the right.

All scenes that have none of it pass through untouched: a thread asks its scene's rows and is done.
What the recorder works on is the whole screen, words and ground included, so that it is all taken
for picture by `sharpening.sharpen` afterwards. Instances stay where they are: those of the middle
of the exposure, in which lines of the first field, green and the stronger picture are.
"""

import quadrants as qd

from endoforge.sim.display import INSET_ROWS, RECORDING_ROWS
from endoforge.sim.kernels.develop import (
    LUMA_BITS,
    OPEN,
    coded_pixel,
)
from endoforge.sim.kernels.geometry import (
    scene_of,
)
from endoforge.sim.kernels.jpeg import covering_chroma
from endoforge.sim.kernels.sharpening import (
    chroma,
    screen_luma,
)
from endoforge.sim.kernels.types import (
    TILE,
    DarkroomBuffers,
    FrameSize,
    vec2,
    vec3,
    vec4,
)
from endoforge.sim.screen.insets import GREY, INSET_BIT, NARROW_BAND
from endoforge.sim.sensor import LUMA_TOP, PICTURE_ROW, SENSOR_ROWS

INSETS_ROW = PICTURE_ROW + RECORDING_ROWS
LONGEST_SHIFT_PX = 24.0
"""Moments' pictures are shifted by no more: beyond, one exposure's motion says too little."""
SMEAR = 9
"""Samples that chroma is smeared over."""


@qd.func
def display_rgb(y, cb, cr):
    """Turn luma steps and chroma about 0, in 1/255, into display RGB in luma steps (BT.601)."""
    scale = LUMA_TOP / 255.0
    return vec3(
        y + 1.402 * scale * cr, y - (0.344 * cb + 0.714 * cr) * scale, y + 1.772 * scale * cb
    )


@qd.func
def coded_rgb(rgb):
    """Code display RGB in luma steps, rounded."""
    return coded_pixel(
        qd.cast(rgb.x + 0.5, qd.i32), qd.cast(rgb.y + 0.5, qd.i32), qd.cast(rgb.z + 0.5, qd.i32)
    )


@qd.func
def recoloured(rgb, colours):
    """Show a picture without its colours, or as narrow bands would show it.

    The factors of `develop.processed` on linear light, to the power of 1 / 2 of the display.
    """
    out = rgb
    if colours == GREY:
        out = vec3(rgb.dot(vec3(0.299, 0.587, 0.114)))
    elif colours == NARROW_BAND:
        out = vec3(1.16 * rgb.y, 1.22 * rgb.z, 1.12 * rgb.z)
    return out


@qd.func
def inset_code(room: DarkroomBuffers, size: FrameSize, table, first, screen, number, y, x):
    """Code the pixel (y, x) of an inset, from the means of the picture's pixels that it shows.

    Where words or an inset lie on the picture, its mirror image across, or across and down, stands
    for it; 0 where that is covered too.
    """
    across = room.sensors[table + 1 + (number - 1) * INSET_ROWS]
    down = room.sensors[table + 2 + (number - 1) * INSET_ROWS]
    mirror_x = qd.cast(room.sensors[table].y, qd.i32)
    mirror_y = qd.cast(room.sensors[table].z, qd.i32)
    samples = qd.cast(across.w, qd.i32)
    share = 1.0 / across.w
    total = vec4(0.0)
    for k in range(samples * samples):
        at_x = qd.cast(x, qd.f32) + (qd.cast(k % samples, qd.f32) + 0.5) * share
        at_y = qd.cast(y, qd.f32) + (qd.cast(k // samples, qd.f32) + 0.5) * share
        j = qd.cast(qd.floor(across.x + across.y * at_x + across.z * at_y), qd.i32)
        i = qd.cast(qd.floor(down.x + down.y * at_x + down.z * at_y), qd.i32)
        if i >= 0 and j >= 0 and i < size.height and j < size.width:
            cover = room.screens[screen + i * size.width + j]
            if cover != 0:
                j = qd.math.clamp(mirror_x - 1 - j, 0, size.width - 1)
                cover = room.screens[screen + i * size.width + j]
            if cover != 0:
                i = qd.math.clamp(mirror_y - 1 - i, 0, size.height - 1)
                cover = room.screens[screen + i * size.width + j]
            # Only what no thread of this pass writes is read.
            if cover == 0:
                code = room.coded[first + i * size.width + j]
                cb, cr = chroma(code)
                luma = qd.cast(code & LUMA_TOP, qd.f32)
                total += vec4(luma, qd.cast(cb, qd.f32), qd.cast(cr, qd.f32), 1.0)
    code = 0
    if total.w > 0.0:
        mean = total.xyz / total.w
        rgb = display_rgb(mean.x, mean.y, mean.z)
        code = coded_rgb(recoloured(rgb, qd.cast(down.w, qd.i32)))
    return code


@qd.kernel(fastcache=True)
def repeat_picture(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Show the picture again in the screen's insets."""
    width = size.width
    for b, ty, x in qd.ndrange(batch, size.tiles_y, width):
        scene = scene_of(room.cameras, b)
        table = scene * SENSOR_ROWS + INSETS_ROW
        if room.sensors[table].x > 0.0:
            first = b * size.height * width
            screen = scene * size.height * width
            for y in range(ty * TILE, qd.min((ty + 1) * TILE, size.height)):
                number = room.screens[screen + y * width + x] >> INSET_BIT
                if number > 0:
                    room.coded[first + y * width + x] = inset_code(
                        room, size, table, first, screen, number, y, x
                    )


@qd.func
def on_screen(room: DarkroomBuffers, first, screen, place):
    """Read luma (steps), Cb and Cr (about 0) of a pixel of the picture or of the screen over it."""
    code = room.coded[first + place]
    seen = vec3(0.0)
    if code != 0:
        cb, cr = chroma(code)
        seen = vec3(qd.cast(code & LUMA_TOP, qd.f32), qd.cast(cb, qd.f32), qd.cast(cr, qd.f32))
    else:
        colour = room.screens[screen + place] & 0xFFFFFF
        cb, cr = covering_chroma(colour)
        seen = vec3(screen_luma(colour) * (LUMA_TOP / 255.0), cb, cr)
    return seen


@qd.func
def at_moment(room: DarkroomBuffers, size: FrameSize, first, screen, y, x, shift, own):
    """Show pixel (y, x) as it was when the picture lay `shift` px off, between four pixels.

    Pixels that the screen covers lend the pixel's `own` luma and chroma: the screen doesn't move.
    """
    length2 = shift.dot(shift)
    shift = shift * qd.min(LONGEST_SHIFT_PX * qd.rsqrt(length2 + 1e-6), 1.0)
    at_x = qd.math.clamp(qd.cast(x, qd.f32) + shift.x, 0.0, qd.cast(size.width - 1, qd.f32))
    at_y = qd.math.clamp(qd.cast(y, qd.f32) + shift.y, 0.0, qd.cast(size.height - 1, qd.f32))
    j0 = qd.cast(at_x, qd.i32)
    i0 = qd.cast(at_y, qd.i32)
    across = at_x - qd.cast(j0, qd.f32)
    below = at_y - qd.cast(i0, qd.f32)
    total = vec3(0.0)
    for k in qd.static(range(4)):
        i = qd.min(i0 + k // 2, size.height - 1)
        j = qd.min(j0 + k % 2, size.width - 1)
        weight = qd.select(k // 2 == 1, below, 1.0 - below) * qd.select(
            k % 2 == 1, across, 1.0 - across
        )
        place = i * size.width + j
        seen = own
        if room.screens[screen + place] == 0:
            seen = on_screen(room, first, screen, place)
        total += weight * seen
    return total


@qd.func
def mix_moments(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Read what is on the screen, each pixel, field and colour as of its own moment.

    To `light`, which is free again: luma, Cb, Cr, 0.
    """
    width = size.width
    for b, ty, x in qd.ndrange(batch, size.tiles_y, width):
        scene = scene_of(room.cameras, b)
        table = scene * SENSOR_ROWS + PICTURE_ROW
        if room.sensors[table + 1].w > 0.0:
            steps = room.sensors[table]
            first = b * size.height * width
            screen = scene * size.height * width
            tile = (b * size.tiles_y + ty) * size.tiles_x + (x >> 3)
            flow = room.flow[2 * tile]
            for y in range(ty * TILE, qd.min((ty + 1) * TILE, size.height)):
                place = y * width + x
                seen = on_screen(room, first, screen, place)
                distance = room.radiance[first + place].w
                if distance > 0.0:
                    path = flow.xy + flow.zw * (1.0 / distance)
                    own = seen
                    if steps.x > 0.0:
                        red = at_moment(room, size, first, screen, y, x, steps.x * path, own)
                        blue = at_moment(room, size, first, screen, y, x, -steps.x * path, own)
                        seen = mixed_colours(red, own, blue)
                    if steps.y > 0.0 and y % 2 == 1:
                        seen = at_moment(room, size, first, screen, y, x, steps.y * path, own)
                    if steps.w > 0.0:
                        before = at_moment(room, size, first, screen, y, x, steps.z * path, own)
                        seen += steps.w * (before - seen)
                room.light[first + place] = vec4(seen.x, seen.y, seen.z, 0.0)


@qd.func
def mixed_colours(first, second, third):
    """Take red of the first, green of the second and blue of the third of luma and chroma each."""
    red = display_rgb(first.x, first.y, first.z).x
    green = display_rgb(second.x, second.y, second.z).y
    blue = display_rgb(third.x, third.y, third.z).z
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    scale = 255.0 / LUMA_TOP
    return vec3(luma, (blue - luma) * (scale / 1.772), (red - luma) * (scale / 1.402))


@qd.func
def row_around(room: DarkroomBuffers, size: FrameSize, first, y, x, step):
    """Sum five pixels of row y around x, `step` px apart, binomially: luma, Cb and Cr, times 16.

    Rows beyond the frame are its last ones.
    """
    row = first + qd.math.clamp(y, 0, size.height - 1) * size.width
    a = room.light[row + qd.max(x - 2 * step, 0)].xyz
    b = room.light[row + qd.max(x - step, 0)].xyz
    c = room.light[row + x].xyz
    d = room.light[row + qd.min(x + step, size.width - 1)].xyz
    e = room.light[row + qd.min(x + 2 * step, size.width - 1)].xyz
    return a + e + 4.0 * (b + d) + 6.0 * c


@qd.func
def smeared(room: DarkroomBuffers, size: FrameSize, row, x, reach):
    """Average Cb and Cr over SMEAR pixels at the left of pixel x of a row, `reach` px in all."""
    total = vec2(0.0)
    for k in qd.static(range(SMEAR)):
        left = qd.cast(reach * ((k - 2) / (SMEAR - 1)) + 0.5, qd.i32)
        total += room.light[row + qd.math.clamp(x - left, 0, size.width - 1)].yz
    return total * (1.0 / SMEAR)


@qd.func
def record(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Soften or sharpen what is on the screen, smear its chroma, and take it all for picture."""
    width = size.width
    for b, ty, x in qd.ndrange(batch, size.tiles_y, width):
        table = scene_of(room.cameras, b) * SENSOR_ROWS + PICTURE_ROW
        ways = room.sensors[table + 1]
        if ways.w > 0.0:
            first = b * size.height * width
            end = qd.min((ty + 1) * TILE, size.height)
            reach = ways.z * 0.04 * qd.cast(size.height, qd.f32)
            step = 1
            if ways.x != 0.0:
                step = qd.cast(ways.y, qd.i32)
            # Every `step`-th row of the column is on one way down it, so that each row's sum serves
            # the five rows around it.
            for way in range(step):
                y = ty * TILE + way
                s0 = vec3(0.0)
                s1 = vec3(0.0)
                s2 = vec3(0.0)
                s3 = vec3(0.0)
                if ways.x != 0.0:
                    s0 = row_around(room, size, first, y - 2 * step, x, step)
                    s1 = row_around(room, size, first, y - step, x, step)
                    s2 = row_around(room, size, first, y, x, step)
                    s3 = row_around(room, size, first, y + step, x, step)
                while y < end:
                    seen = room.light[first + y * width + x].xyz
                    if ways.x != 0.0:
                        s4 = row_around(room, size, first, y + 2 * step, x, step)
                        around = (s0 + s4 + 4.0 * (s1 + s3) + 6.0 * s2) * (1.0 / 256.0)
                        s0 = s1
                        s1 = s2
                        s2 = s3
                        s3 = s4
                        luma = seen.x + ways.x * (around.x - seen.x)
                        # Ringing is of luma alone.
                        seen += qd.max(ways.x, 0.0) * (around - seen)
                        seen.x = luma
                    if ways.z > 0.0:
                        late = smeared(room, size, first + y * width, x, reach)
                        seen.y = late.x
                        seen.z = late.y
                    room.coded[first + y * width + x] = coded_yuv(seen)
                    y += step


@qd.func
def coded_yuv(seen):
    """Code luma in steps and chroma about 0 as `develop.coded_pixel` does, cut to their bounds."""
    y = qd.cast(qd.math.clamp(seen.x + 0.5, 0.0, float(LUMA_TOP)), qd.i32)
    cb = qd.cast(qd.math.clamp(seen.y + 128.5, 0.0, 255.0), qd.i32)
    cr = qd.cast(qd.math.clamp(seen.z + 128.5, 0.0, 255.0), qd.i32)
    return y | (cb << LUMA_BITS) | OPEN | (cr << 21)


@qd.kernel(fastcache=True)
def record_screen(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Mix the moments of what is on the screen, and record that."""
    mix_moments(room, size, batch)
    record(room, size, batch)
