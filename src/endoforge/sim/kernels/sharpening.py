"""The video processor's unsharp mask, and what its codes of pixels mean as RGB and luma."""

import quadrants as qd

from endoforge.sim.kernels.develop import LUMA_BITS, OPEN
from endoforge.sim.kernels.geometry import scene_of
from endoforge.sim.kernels.types import BLOCK, PER_BLOCK, DarkroomBuffers, FrameSize
from endoforge.sim.optics import TILE
from endoforge.sim.sensor import CORING, LUMA_TOP, SENSOR_ROWS

COUNTED = OPEN | LUMA_TOP
"""Luma and the bit above it: sums of up to 256 of them keep apart."""
# In the units of `sharpen`'s differences: luma steps, times the 256 that its weights add up to.
CORE2 = (CORING * LUMA_TOP * 256) ** 2


@qd.func
def row_sum(room: DarkroomBuffers, row, x, width):
    """Sum five pixels of a row, binomially: their luma, and how many are open."""
    e = room.coded[row + qd.max(x - 2, 0)] & COUNTED
    d = room.coded[row + qd.max(x - 1, 0)] & COUNTED
    c = room.coded[row + x] & COUNTED
    b = room.coded[row + qd.min(x + 1, width - 1)] & COUNTED
    a = room.coded[row + qd.min(x + 2, width - 1)] & COUNTED
    return a + e + 4 * (b + d) + 6 * c


@qd.func
def byte(value):
    """Round a number in 1/65536 to 0..255."""
    whole = (value + 32768) >> 16
    return qd.select(whole < 0, 0, qd.select(whole > 255, 255, whole))


@qd.func
def packed_rgb(y, cb, cr):
    """Pack luma 0..255 in 1/65536 and chroma about 0 in 1/16 as R | G << 8 | B << 16 (BT.601)."""
    # 1.402, 0.344, 0.714 and 1.772 in 1/4096: chroma comes in 1/16.
    r = byte(y + 5743 * cr)
    g = byte(y - 1410 * cb - 2925 * cr)
    b = byte(y + 7258 * cb)
    return r | (g << 8) | (b << 16)


@qd.func
def chroma(code):
    """Read Cb and Cr about 0 of a coded pixel."""
    return ((code >> LUMA_BITS) & 255) - 128, ((code >> 21) & 255) - 128


@qd.func
def screen_luma(colour):
    """Work out the luma 0..255 of a pixel of the screen."""
    r = qd.cast(colour & 255, qd.f32)
    g = qd.cast((colour >> 8) & 255, qd.f32)
    b = qd.cast((colour >> 16) & 255, qd.f32)
    return 0.299 * r + 0.587 * g + 0.114 * b


@qd.func
def sharpened(own, total, amount):
    """Give a pixel's luma, `own`, plus `amount` of its difference to its surroundings.

    `total` is the binomial sum over 5 x 5 pixels, weights 256 in all, of COUNTED.
    """
    # The bits above luma count the weights of open pixels; beside the screen the mean is of these
    # alone, or its black would be sharpened into the picture.
    open_share = total >> 20
    apart = own * open_share - (total & (OPEN - 1))
    if open_share != 256:
        apart = apart * 256 // open_share
    far = qd.cast(apart, qd.f32)
    # Coring: a difference well below CORING may be noise, and is hardly raised.
    luma = own + qd.cast(far * amount * (1.0 - CORE2 / (far * far + CORE2)), qd.i32)
    return qd.select(luma < 0, 0, qd.select(luma > LUMA_TOP, LUMA_TOP, luma))


@qd.kernel(fastcache=True)
def sharpen(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Add luma's difference to a Gaussian of 1 px, unless that is small: the unsharp mask.

    To the image, or to JPEG's luma plane. Chroma stays as soft as it is.
    """
    height = size.height
    width = size.width
    for b, ty, x in qd.ndrange(batch, size.tiles_y, width):
        scene = scene_of(room.cameras, b)
        amount = room.sensors[scene * SENSOR_ROWS + 1].w * (1.0 / 256.0)
        jpeg = room.sensors[scene * SENSOR_ROWS + 2].y
        first = b * height * width
        screen = scene * height * width
        y0 = ty * TILE
        s0 = row_sum(room, first + qd.max(y0 - 2, 0) * width, x, width)
        s1 = row_sum(room, first + qd.max(y0 - 1, 0) * width, x, width)
        s2 = row_sum(room, first + y0 * width, x, width)
        s3 = row_sum(room, first + qd.min(y0 + 1, height - 1) * width, x, width)
        for y in range(y0, qd.min(y0 + TILE, height)):
            s4 = row_sum(room, first + qd.min(y + 2, height - 1) * width, x, width)
            # Separable: each row's sum serves the five rows around it.
            total = s0 + s4 + 4 * (s1 + s3) + 6 * s2
            s0 = s1
            s1 = s2
            s2 = s3
            s3 = s4
            pixel = first + y * width + x
            code = room.coded[pixel]
            luma = 0.0
            colour = 0
            if code == 0:
                colour = room.screens[screen + y * width + x] & 0xFFFFFF
                luma = screen_luma(colour)
            else:
                own = sharpened(code & LUMA_TOP, total, amount)
                luma = qd.cast(own, qd.f32) * (255.0 / LUMA_TOP)
                cb, cr = chroma(code)
                colour = packed_rgb(own * 4081, cb * 16, cr * 16)
            if jpeg > 0.0:
                place = (b * size.blocks_y * PER_BLOCK + y * BLOCK) * size.blocks_x + x
                room.planes[place] = luma - 128.0
            else:
                # 0xFF000000 as a signed number: the instance stays.
                room.image[pixel] = (room.image[pixel] & -16777216) | colour
