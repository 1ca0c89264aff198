"""Tone: what stray light and processors make of brightness and colour, up to luma's steps."""

import quadrants as qd

from endoforge.sim.kernels.types import TILE, FrameSize, vec3
from endoforge.sim.light import MODE_ROW
from endoforge.sim.sensor import GRAIN_SIZE, LIGHT_ROW, LUMA_TOP, SENSOR_ROWS

SHOWN = 2
"""Numbers a frame in `DarkroomBuffers.shown`."""
AIMED = 0.51
"""The mean brightness, of the display's range, that a steady processor aims at for exposure 1."""
SHOWN_POWER = 1.9
"""Light goes by this power of the brightness that it is shown with."""


@qd.func
def steadied(shown: qd.template(), b, steadiness, exposure):
    """Work out the factor on a frame's light that brings its brightness to what is aimed at."""
    steps = qd.cast(shown[SHOWN * b], qd.f32)
    mean = steps / (LUMA_TOP * qd.cast(qd.max(shown[SHOWN * b + 1], 1), qd.f32))
    apart = AIMED * qd.sqrt(exposure) / qd.max(mean, 0.02)
    return qd.exp(SHOWN_POWER * steadiness * qd.log(apart))


@qd.func
def compressed(colour, compression):
    """Narrow linear RGB's range by a power of its luminance: hues stay, and light of 0.25.

    What is beyond 1 is only scaled: glints stay white.
    """
    grey = qd.math.clamp(colour.dot(vec3(0.2126, 0.7152, 0.0722)), 1e-3, 1.0)
    return colour * qd.exp(-compression * qd.log(4.0 * grey))


@qd.func
def tone_row(sensors: qd.template(), scene, row: qd.template()):
    """Read a row of `sim.light.LightSettings.table_rows`."""
    return sensors[scene * SENSOR_ROWS + LIGHT_ROW + row]


@qd.func
def in_mode(sensors: qd.template(), scene, colour):
    """Put linear RGB into the run's colour mode, as far as that goes."""
    red = tone_row(sensors, scene, MODE_ROW)
    green = tone_row(sensors, scene, MODE_ROW + 1).xyz
    blue = tone_row(sensors, scene, MODE_ROW + 2).xyz
    shown = vec3(red.xyz.dot(colour), green.dot(colour), blue.dot(colour))
    return colour + red.w * (shown - colour)


@qd.func
def lifted(step, black):
    """Raise the luma step of black to a share of white; white stays."""
    return step + qd.cast(qd.cast(LUMA_TOP - step, qd.f32) * black, qd.i32)


@qd.func
def add_colour_noise(grain: qd.template(), place, sigma, red, blue):
    """Add noise to red and to blue of their own, in luma steps: the grain of two other places.

    `sigma` is its deviation times `develop.GRAIN_SCALE`.
    """
    strength = qd.cast(sigma, qd.i32)
    one = grain[(place + 37 * GRAIN_SIZE + 61) & (GRAIN_SIZE * GRAIN_SIZE - 1)]
    other = grain[(place + 83 * GRAIN_SIZE + 29) & (GRAIN_SIZE * GRAIN_SIZE - 1)]
    red += (strength * ((one & 1023) - 512)) >> 16
    blue += (strength * ((other & 1023) - 512)) >> 16
    return red, blue


@qd.func
def glare_across(glare: qd.template(), row, x, size: FrameSize):
    """Read the glare of a row of tiles, which begins at `row`, in column x: linear in between."""
    place = (qd.cast(x, qd.f32) + 0.5) * (1.0 / TILE) - 0.5
    place = qd.math.clamp(place, 0.0, qd.cast(size.tiles_x - 1, qd.f32))
    left = qd.cast(place, qd.i32)
    part = place - qd.cast(left, qd.f32)
    one = glare[row + left]
    other = glare[row + qd.min(left + 1, size.tiles_x - 1)]
    return one + (other - one) * part


@qd.func
def glare_down(above, here, below, y):
    """Mix the glare of three tiles below each other for row y of the middle one."""
    part = (qd.cast(y & (TILE - 1), qd.f32) + 0.5) * (1.0 / TILE) - 0.5
    next_ = below
    if part < 0.0:
        next_ = above
    return here + (next_ - here) * qd.abs(part)
