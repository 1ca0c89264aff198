"""JPEG's losses: chroma at half size, 8 x 8 cosine transforms, quantisation. No bits are written.

(ITU-T T.81; the chroma comes back by the triangle filter of libjpeg's "fancy upsampling".)
All on `DarkroomBuffers.planes`, in place; frames whose scene has no JPEG are passed over. A cosine
transform of a block is one of its columns and then one of its rows: so three passes, columns, rows
(there and, quantised, back), columns back, each thread with eight numbers of its own.

Entropy coding loses nothing, so it is left out: what is decoded again is what is quantised here.
"""

import math

import quadrants as qd

from endoforge.sim.kernels.geometry import (
    scene_of,
)
from endoforge.sim.kernels.sharpening import (
    chroma,
    packed_rgb,
)
from endoforge.sim.kernels.types import (
    BLOCK,
    CHROMA_PER_BLOCK,
    LUMA_PER_BLOCK,
    PER_BLOCK,
    TILE,
    DarkroomBuffers,
    FrameSize,
)
from endoforge.sim.sensor import QUANTISATION_ROW, SENSOR_ROWS

vec8 = qd.types.vector(8, qd.f32)

C1, C2, C3, C4, C5, C6, C7 = (0.5 * math.cos(k * math.pi / 16) for k in range(1, 8))


@qd.func
def forward(v):
    """Transform 8 numbers by the orthonormal DCT-II, even and odd parts apart."""
    s0, s1, s2, s3 = v[0] + v[7], v[1] + v[6], v[2] + v[5], v[3] + v[4]
    d0, d1, d2, d3 = v[0] - v[7], v[1] - v[6], v[2] - v[5], v[3] - v[4]
    return vec8(
        C4 * (s0 + s1 + s2 + s3),
        C1 * d0 + C3 * d1 + C5 * d2 + C7 * d3,
        C2 * (s0 - s3) + C6 * (s1 - s2),
        C3 * d0 - C7 * d1 - C1 * d2 - C5 * d3,
        C4 * (s0 - s1 - s2 + s3),
        C5 * d0 - C1 * d1 + C7 * d2 + C3 * d3,
        C6 * (s0 - s3) - C2 * (s1 - s2),
        C7 * d0 - C5 * d1 + C3 * d2 - C1 * d3,
    )


@qd.func
def inverse(f):
    """Undo `forward`, by its transpose."""
    p, q = C4 * (f[0] + f[4]), C4 * (f[0] - f[4])
    r, s = C2 * f[2] + C6 * f[6], C6 * f[2] - C2 * f[6]
    e0, e1, e2, e3 = p + r, q + s, q - s, p - r
    o0 = C1 * f[1] + C3 * f[3] + C5 * f[5] + C7 * f[7]
    o1 = C3 * f[1] - C7 * f[3] - C1 * f[5] - C5 * f[7]
    o2 = C5 * f[1] - C1 * f[3] + C7 * f[5] + C3 * f[7]
    o3 = C7 * f[1] - C5 * f[3] + C3 * f[5] - C1 * f[7]
    return vec8(e0 + o0, e1 + o1, e2 + o2, e3 + o3, e3 - o3, e2 - o2, e1 - o1, e0 - o0)


@qd.func
def has_jpeg(room: DarkroomBuffers, b):
    """Tell whether frame b goes through JPEG: scenes of one batch may differ in that."""
    return room.sensors[scene_of(room.cameras, b) * SENSOR_ROWS + 2].y > 0.0


@qd.func
def plane_starts(size: FrameSize, b):
    """Find where luma, Cb and Cr of frame b begin among the planes."""
    blocks = size.blocks_y * size.blocks_x
    luma = b * blocks * PER_BLOCK
    cb = luma + blocks * LUMA_PER_BLOCK
    return luma, cb, cb + blocks * CHROMA_PER_BLOCK


@qd.func
def covering_chroma(colour):
    """Work out Cb and Cr about 0 of a pixel of the screen."""
    r = qd.cast(colour & 255, qd.f32)
    g = qd.cast((colour >> 8) & 255, qd.f32)
    b = qd.cast((colour >> 16) & 255, qd.f32)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    return (b - luma) * (1.0 / 1.772), (r - luma) * (1.0 / 1.402)


@qd.func
def fill_planes(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Average chroma over 2 x 2 pixels; beyond the frame's edge all repeats its last pixels.

    Luma within the frame is there already, from `sharpening.sharpen`.
    """
    height = size.height
    width = size.width
    for b, y, x in qd.ndrange(batch, size.blocks_y * 8, size.blocks_x * 8):
        if has_jpeg(room, b):
            luma, cb_plane, cr_plane = plane_starts(size, b)
            luma_width = size.blocks_x * BLOCK
            screen = scene_of(room.cameras, b) * height * width
            cb = 0.0
            cr = 0.0
            for k in qd.static(range(4)):
                i = qd.min(y * 2 + k // 2, height - 1)
                j = qd.min(x * 2 + k % 2, width - 1)
                code = room.coded[(b * height + i) * width + j]
                if code != 0:
                    u, v = chroma(code)
                    cb += qd.cast(u, qd.f32)
                    cr += qd.cast(v, qd.f32)
                else:
                    u, v = covering_chroma(room.screens[screen + i * width + j])
                    cb += u
                    cr += v
                if y * 2 + k // 2 > i or x * 2 + k % 2 > j:
                    place = luma + (y * 2 + k // 2) * luma_width + x * 2 + k % 2
                    room.planes[place] = room.planes[luma + i * luma_width + j]
            place = y * size.blocks_x * 8 + x
            room.planes[cb_plane + place] = cb * 0.25
            room.planes[cr_plane + place] = cr * 0.25


@qd.func
def transform_columns(room: DarkroomBuffers, back: qd.template(), size: FrameSize, batch: qd.i32):
    """Transform the columns of all blocks, or back.

    A strip of eight rows has the columns of luma and, beside them, half as many of chroma. Cr's
    blocks follow Cb's, as if one plane of twice the height: as many strips as luma's.
    """
    for b, strip, x in qd.ndrange(batch, size.blocks_y * 2, size.blocks_x * 24):
        if has_jpeg(room, b):
            luma, cb, _cr = plane_starts(size, b)
            stride = size.blocks_x * BLOCK
            place = luma + strip * 8 * stride + x
            if x >= stride:
                place = cb + strip * 8 * (size.blocks_x * 8) + x - stride
                stride = size.blocks_x * 8
            v = vec8(0.0)
            for k in qd.static(range(8)):
                v[k] = room.planes[place + k * stride]
            if qd.static(back):
                v = inverse(v)
            else:
                v = forward(v)
            for k in qd.static(range(8)):
                room.planes[place + k * stride] = v[k]


@qd.func
def quantise_rows(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Transform the rows of all blocks, round them to the quantisation's steps, and back.

    Rows and chroma are laid out as in `transform_columns`.
    """
    for b, row, block in qd.ndrange(batch, size.blocks_y * 16, size.blocks_x * 3):
        if has_jpeg(room, b):
            luma, cb, _cr = plane_starts(size, b)
            place = luma + row * size.blocks_x * BLOCK + block * 8
            table = scene_of(room.cameras, b) * SENSOR_ROWS + QUANTISATION_ROW + (row & 7) * 2
            if block >= size.blocks_x * 2:
                place = cb + row * size.blocks_x * 8 + (block - size.blocks_x * 2) * 8
                table += 16
            v = vec8(0.0)
            for k in qd.static(range(8)):
                v[k] = room.planes[place + k]
            v = forward(v)
            low = room.sensors[table]
            high = room.sensors[table + 1]
            for k in qd.static(range(4)):
                v[k] = low[k] * qd.floor(v[k] / low[k] + 0.5)
                v[k + 4] = high[k] * qd.floor(v[k + 4] / high[k] + 0.5)
            v = inverse(v)
            for k in qd.static(range(8)):
                room.planes[place + k] = v[k]


@qd.func
def show(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Write luma, and chroma between its four nearest samples, to the image.

    Weights 9, 3, 3 and 1: a pixel's middle lies a quarter of a sample of chroma from the nearest
    one's, each way.
    """
    columns = size.blocks_x * 8
    for b, ty, x in qd.ndrange(batch, size.tiles_y, size.width):
        if has_jpeg(room, b):
            luma, cb, cr = plane_starts(size, b)
            near = x >> 1
            far = qd.math.clamp(near - 1 + 2 * (x & 1), 0, columns - 1)
            for y in range(ty * TILE, qd.min((ty + 1) * TILE, size.height)):
                row = (y >> 1) * columns
                other = qd.math.clamp((y >> 1) - 1 + 2 * (y & 1), 0, size.blocks_y * 8 - 1)
                other *= columns
                u = 9.0 * room.planes[cb + row + near] + room.planes[cb + other + far]
                u += 3.0 * (room.planes[cb + row + far] + room.planes[cb + other + near])
                v = 9.0 * room.planes[cr + row + near] + room.planes[cr + other + far]
                v += 3.0 * (room.planes[cr + row + far] + room.planes[cr + other + near])
                bright = room.planes[luma + y * size.blocks_x * BLOCK + x] + 128.0
                pixel = (b * size.height + y) * size.width + x
                colour = packed_rgb(
                    qd.cast(bright * 65536.0, qd.i32), qd.cast(u, qd.i32), qd.cast(v, qd.i32)
                )
                # 0xFF000000 as a signed number: the instance stays.
                room.image[pixel] = (room.image[pixel] & -16777216) | colour


@qd.kernel(fastcache=True)
def lose(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Put frames through JPEG: one start for five passes."""
    fill_planes(room, size, batch)
    transform_columns(room, False, size, batch)
    quantise_rows(room, size, batch)
    transform_columns(room, True, size, batch)
    show(room, size, batch)
