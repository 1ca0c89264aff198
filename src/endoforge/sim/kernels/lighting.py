"""Light as a scope has it: its fall-off, its bounces, glints of a given size, and exposure errors.

Scenes without any of it take the plain path of `shading`, bit for bit.
"""

import quadrants as qd

from endoforge.sim.kernels.types import MAX_LAMPS, SceneArrays, vec3
from endoforge.sim.light import GLINT_ROW, HAZE_ROW, SCATTER_ROW
from endoforge.sim.sensor import LIGHT_ROW, SENSOR_ROWS

WRAP = 0.25
"""Light that enters the tissue and leaves beside it brightens what looks away ("wrap" lighting)."""
NEAR_MM2 = 9.0
"""Added to squared distances: a lamp is a few millimetres wide, not a point."""
CREVICE = 0.12
"""Light that a millimetre of depth between folds takes at `crevices` 1, besides what it always
does."""
DARKEST, BRIGHTEST = 0.12, 1.25
"""What the depth between folds leaves of the light at least, and adds on crests at most."""
BOUNCED_MM2 = 2500.0
"""Light that has met the wall several times falls off over 50 mm."""


@qd.func
def light_row(scenes: SceneArrays, scene, row: qd.template()):
    """Read a row of `sim.light.LightSettings.table_rows`."""
    return scenes.sensors[scene * SENSOR_ROWS + LIGHT_ROW + row]


@qd.func
def one_lamp(to_lamp, n, n_wet, direction, power, least):
    """Work out (diffuse, glint) light of a lamp as `shading.lamp_light`, of any size of glint.

    `power` is the exponent on the squared cosine, `least` the squared cosine at which it ends.
    """
    d2 = to_lamp.dot(to_lamp)
    d = qd.sqrt(d2 + 1e-6)
    inverse = 1.0 / (d * (d2 + NEAR_MM2))
    strength = d * inverse
    unit = to_lamp * ((d2 + NEAR_MM2) * inverse)
    half = unit - direction
    cosine = n_wet.dot(half)
    sharp = cosine * cosine
    full = half.dot(half) * n_wet.dot(n_wet)
    glint = 0.0
    # Few pixels glint: the two transcendental functions are theirs alone.
    if sharp > least * full and cosine > 0.0:
        glint = qd.exp(power * qd.log(sharp / full)) * strength
    wrapped = (n.dot(unit) + WRAP) * (1.0 / (1.0 + WRAP))
    return qd.max(wrapped, 0.0) * strength, glint


@qd.func
def scope_light(scenes: SceneArrays, scene, lamps, ray, t, n, n_wet, shadow):
    """Add up the (diffuse, glint) light of all lamps at distance t along the ray.

    `n` and `n_wet` are as in `shading.lamp_light`; `shadow` has the share that each lamp keeps.
    """
    power = light_row(scenes, scene, GLINT_ROW).z
    least = light_row(scenes, scene, HAZE_ROW).w
    from_lens = ray.direction * t
    diffuse = 0.0
    glint = 0.0
    for k in qd.static(range(MAX_LAMPS)):
        if k < lamps.number:
            place = vec3(lamps.places[k, 0], lamps.places[k, 1], lamps.places[k, 2])
            one, shine = one_lamp(place - from_lens, n, n_wet, ray.direction, power, least)
            diffuse += one * shadow[k]
            glint += shine * shadow[k]
    left = 1.0 / (1.0 + light_row(scenes, scene, SCATTER_ROW).x * t * t)
    return diffuse * left, glint * left


@qd.func
def occluded(crevice, crevices):
    """Work out the share of the light that the depth between folds (mm) leaves."""
    return qd.math.clamp(1.0 - (0.085 + CREVICE * crevices) * crevice, DARKEST, BRIGHTEST)


@qd.func
def bounced(albedo, t, bounces):
    """Work out light that has met the wall several times: redder each time, and far-reaching."""
    return albedo * albedo * vec3(0.60, 0.50, 0.45) * (bounces / (t * t + BOUNCED_MM2))


@qd.func
def scrambled(x):
    """Scramble the bits of x (Wellons' lowbias32)."""
    h = qd.cast(x, qd.u32)
    h ^= h >> 16
    h *= qd.u32(0x7FEB352D)
    h ^= h >> 15
    h *= qd.u32(0x846CA68B)
    h ^= h >> 16
    return qd.cast(h, qd.i32)


@qd.func
def drawn_at(seed, place):
    """Draw a number in 0..1 for a place (whole) of a seed's series."""
    return qd.cast(scrambled(scrambled(seed) + place) & 0xFFFFFF, qd.f32) * (1.0 / 16777216.0)


@qd.func
def stray_gain(drift, time_s):
    """Work out the factor by which the automatic exposure misses at a time.

    Value noise: a number drawn for every change, and a smooth way from one to the next. `drift` is
    the row DRIFT_ROW of `sim.light.LightSettings.table_rows`.
    """
    seed = qd.cast(drift.z, qd.i32)
    place = time_s * drift.y
    whole = qd.floor(place)
    part = place - whole
    k = qd.cast(whole, qd.i32)
    part = part * part * (3.0 - 2.0 * part)
    low = drawn_at(seed, k)
    high = drawn_at(seed, k + 1)
    # Numbers even in -1..1 have the variance 1/3: 1.73 makes it 1.
    stops = drift.x * 1.73 * (2.0 * (low + (high - low) * part) - 1.0)
    return qd.exp(0.6931472 * stops)
