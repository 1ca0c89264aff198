"""Light that goes astray in the lens, and what lies on it: a value a tile, smooth in between.

1. `find_bright`: the mean light of each tile, and by how much it burns out.
2. `spread_glare`: bloom around what burns out, its ghosts, and the film of drops and fog.

`develop.expose` adds the glare and blurs behind the film. Scenes without a lens row skip all three.
"""

import quadrants as qd

from endoforge.sim.camera import WAVE_ROW
from endoforge.sim.kernels.develop import (
    respond,
)
from endoforge.sim.kernels.geometry import (
    scene_of,
)
from endoforge.sim.kernels.lighting import drawn_at
from endoforge.sim.kernels.tone import SHOWN, tone_row
from endoforge.sim.kernels.types import (
    CAMERA_ROWS,
    TILE,
    DarkroomBuffers,
    FrameSize,
    vec2,
    vec3,
    vec4,
)
from endoforge.sim.light import FILM_ROW, LENS_ROW, LEVEL_ROW, MOST_DROPS, MURK, TONE_ROW
from endoforge.sim.sensor import CURVE_LENGTH

BURNT, MOST_LIGHT = 1.3, 6.0
"""Light that begins to burn out, and what counts of a pixel's light at most."""
STEP = 2
"""Pixels from one that is looked at to the next, both ways."""
REACH = 3
"""Tiles to each side from which light blooms."""
BLOOM_TILES2 = 1.5
"""The square of the tiles at which bloom has fallen to a quarter."""
BLOOM_SHARE = 0.08
"""The share of what a tile has too much that its own place gets at bloom 1."""
GHOST_SHARE = 0.03
"""The share that a ghost shows at 1."""


@qd.func
def find_bright(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Average each tile's exposed light beyond BURNT, and all of it, over its open pixels."""
    for b, ty, tx in qd.ndrange(batch, size.tiles_y, size.tiles_x):
        scene = scene_of(room.cameras, b)
        steadiness = tone_row(room.sensors, scene, LEVEL_ROW).x
        if tone_row(room.sensors, scene, FILM_ROW).w + steadiness > 0.0:
            gain = room.gain[b]
            burnt = vec3(0.0)
            light = vec3(0.0)
            seen = 0.0
            for i in range(TILE // STEP):
                y = ty * TILE + i * STEP
                for j in range(TILE // STEP):
                    x = tx * TILE + j * STEP
                    if y < size.height and x < size.width:
                        pixel = room.radiance[(b * size.height + y) * size.width + x]
                        if pixel.w > 0.0:
                            exposed = qd.min(pixel.xyz * gain, MOST_LIGHT)
                            light += exposed
                            burnt += qd.max(exposed - BURNT, 0.0)
                            seen += 1.0
            share = 1.0 / qd.max(seen, 1.0)
            tile = (b * size.tiles_y + ty) * size.tiles_x + tx
            room.bright[2 * tile] = vec4(burnt.x, burnt.y, burnt.z, 0.0) * share
            room.bright[2 * tile + 1] = vec4(light.x, light.y, light.z, 0.0) * share
            if seen > 0.0 and steadiness > 0.0:
                grey = light.dot(vec3(0.2126, 0.7152, 0.0722)) * share
                curve = qd.cast(tone_row(room.sensors, scene, TONE_ROW).x, qd.i32) * CURVE_LENGTH
                # Whole numbers: the sum is the same in any order.
                qd.atomic_add(room.shown[SHOWN * b], respond(room, grey, curve))
                qd.atomic_add(room.shown[SHOWN * b + 1], 1)


@qd.func
def drops_at(place, seed, drops):
    """Work out how much of drops and smudges lies at a place: 0..1.

    `place` is (x, y) from the picture's middle in halves of its height; `seed` that of this film.
    """
    film = 0.0
    for k in range(MOST_DROPS):
        first = 8 * k
        if drawn_at(seed, first) < drops:
            middle = vec2(
                2.6 * drawn_at(seed, first + 1) - 1.3, 2.0 * drawn_at(seed, first + 2) - 1.0
            )
            few = drawn_at(seed, first + 3)
            radius = 0.12 + 0.5 * few * few
            away = place - middle
            # Bent, so that they are no circles; and longer one way.
            away.x += (
                0.3 * radius * qd.sin(3.0 * away.y / radius + 6.28 * drawn_at(seed, first + 4))
            )
            away.y *= 0.6 + 0.8 * drawn_at(seed, first + 5)
            inside = qd.math.clamp(1.5 * (1.0 - away.dot(away) / (radius * radius)), 0.0, 1.0)
            film = qd.max(film, inside * (0.3 + 0.7 * drawn_at(seed, first + 6)))
    return film


@qd.func
def film_at(lens, film, place, time_s):
    """Work out the film on the lens at a place and time: 0 is clean, 1 as murky as it gets.

    `lens` and `film` are the rows LENS_ROW and FILM_ROW of `LightSettings.table_rows`. Each film
    comes and goes within a quarter of its time; one in three is a clean lens.
    """
    turn = time_s * film.x
    number = qd.cast(qd.floor(turn), qd.i32)
    seed = qd.cast(film.z, qd.i32) + 64 * number
    part = turn - qd.floor(turn)
    there = qd.math.clamp(4.0 * qd.min(part, 1.0 - part), 0.0, 1.0)
    amount = 0.0
    if drawn_at(seed, 60) < 0.67:
        amount = drops_at(place, seed, lens.z)
        if lens.w > 0.0:
            lean = vec2(drawn_at(seed, 61) - 0.5, drawn_at(seed, 62) - 0.5)
            away = place + 0.8 * lean
            mist = qd.math.clamp(1.2 * (qd.sqrt(away.dot(away)) - 1.35 + lens.w), 0.0, 1.0)
            amount = qd.max(amount, lens.w * mist)
    return amount * there


@qd.func
def spread_glare(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Add up what each tile gets of astray light, and the film there: (RGB, film)."""
    for b, ty, tx in qd.ndrange(batch, size.tiles_y, size.tiles_x):
        scene = scene_of(room.cameras, b)
        lens = tone_row(room.sensors, scene, LENS_ROW)
        film = tone_row(room.sensors, scene, FILM_ROW)
        if film.w > 0.0:
            first = b * size.tiles_y * size.tiles_x
            bloom = vec3(0.0)
            around = vec3(0.0)
            tiles = 0.0
            for i in range(qd.max(ty - REACH, 0), qd.min(ty + REACH + 1, size.tiles_y)):
                for j in range(qd.max(tx - REACH, 0), qd.min(tx + REACH + 1, size.tiles_x)):
                    tile = first + i * size.tiles_x + j
                    away = qd.cast((i - ty) * (i - ty) + (j - tx) * (j - tx), qd.f32)
                    fall = 1.0 + away * (1.0 / BLOOM_TILES2)
                    bloom += room.bright[2 * tile].xyz / (fall * fall)
                    around += room.bright[2 * tile + 1].xyz
                    tiles += 1.0
            # Out of focus: over three tiles each way.
            ghost = vec3(0.0)
            for k in range(9):
                i = qd.math.clamp(size.tiles_y - 2 - ty + k // 3, 0, size.tiles_y - 1)
                j = qd.math.clamp(size.tiles_x - 2 - tx + k % 3, 0, size.tiles_x - 1)
                ghost += room.bright[2 * (first + i * size.tiles_x + j)].xyz * (1.0 / 9.0)
            glare = bloom * (BLOOM_SHARE * lens.x)
            glare += ghost * (GHOST_SHARE * lens.y)
            middle = vec2(qd.cast(size.width, qd.f32), qd.cast(size.height, qd.f32)) * 0.5
            at = vec2(
                qd.cast(tx * TILE + TILE // 2, qd.f32), qd.cast(ty * TILE + TILE // 2, qd.f32)
            )
            time_s = room.cameras[b * CAMERA_ROWS + WAVE_ROW].z
            amount = film_at(lens, film, (at - middle) / middle.y, time_s)
            glare += around * (MURK * amount / tiles)
            room.glare[first + ty * size.tiles_x + tx] = vec4(glare.x, glare.y, glare.z, amount)


@qd.kernel(fastcache=True)
def lead_astray(room: DarkroomBuffers, size: FrameSize, batch: qd.i32):
    """Work out the glare of each tile, and how bright the frame is shown."""
    find_bright(room, size, batch)
    spread_glare(room, size, batch)
