"""Tone: what video processors make of the light, from the sensor to its steps."""

import quadrants as qd

from endoforge.sim.kernels.types import vec3
from endoforge.sim.light import MODE_ROW
from endoforge.sim.sensor import GRAIN_SIZE, LIGHT_ROW, LUMA_TOP, SENSOR_ROWS


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
