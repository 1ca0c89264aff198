"""Instruments before the wall, and marks on it: see `sim.instrument_rows` for their numbers.

Tools are capsules that rays are intersected with in closed form, after the wall and the polyps:
what is nearer is seen. A frame that shows none of it costs one read for each pixel.
"""

import quadrants as qd

from endoforge.sim.camera import CAMERA_ROWS, INSTRUMENT_ROW
from endoforge.sim.instruments import CAP_ROW, COUNT_ROW, MARK_ROW, MATERIAL_ROW, PART_ROW
from endoforge.sim.kernels.lesion_shapes import wave
from endoforge.sim.kernels.types import LOOK_ROWS, MAX_LAMPS, SceneArrays, View, vec3, vec4

PLASTIC_GLINT, METAL_GLINT = 1.5, 6.0
"""Light that plastic and metal throw back, against what a white surface does."""
LOG2_SHARPNESS = 6
"""The Blinn-Phong exponent of instruments is 2 to this power: duller than the wet wall."""
NEAR_MM2 = 9.0
"""As of the wall's light: a lamp is a few millimetres wide."""
SPLASH_MM = 4.5
"""Radius of the splash where a jet meets the wall."""
BENT = 1.24
"""What is farthest from the middle of a mark that is a circle but for being bent, in radii."""
RIM_MM = 0.6
"""Half the width of the edge of a cap."""
TURNS_PER_RAD = 1.0 / 6.2831853
WINDINGS_PER_RAD = 6.2831853 / 0.5
"""Wire that is wound to a tube is 0.5 mm thick."""


@qd.func
def instrument_row(view: View, b, row):
    """Read one of frame b's rows of `sim.instrument_rows`."""
    return view.cameras[b * CAMERA_ROWS + INSTRUMENT_ROW + row]


@qd.func
def met_capsule(start, end, radius, direction):
    """Find where a ray from the origin meets a capsule: the distance, or 1e9.

    After Quilez (iquilezles.org/articles/intersectors): a cylinder, then the ball at one end.
    """
    ba = end - start
    baba = ba.dot(ba)
    bard = ba.dot(direction)
    baoa = -ba.dot(start)
    rdoa = -direction.dot(start)
    a = qd.max(baba - bard * bard, 1e-7)
    half_b = baba * rdoa - baoa * bard
    c = baba * start.dot(start) - baoa * baoa - radius * radius * baba
    h = half_b * half_b - a * c
    t = 1e9
    if h >= 0.0:
        cylinder = (-half_b - qd.sqrt(h)) / a
        along = baoa + cylinder * bard
        if along > 0.0 and along < baba:
            t = cylinder
        else:
            ball = qd.select(along <= 0.0, start, end)
            to_ball = direction.dot(ball)
            inside = to_ball * to_ball - ball.dot(ball) + radius * radius
            if inside > 0.0:
                t = to_ball - qd.sqrt(inside)
    return qd.select(t > 0.05, t, 1e9)


@qd.func
def first_part(view: View, b, direction, first, number, limit):
    """Find the nearest of some capsules that a ray meets before `limit`: (distance, its place).

    Where there is none, the place is -1.
    """
    nearest = limit
    place = -1
    for k in range(first, first + number):
        row = INSTRUMENT_ROW + PART_ROW + 2 * k + b * CAMERA_ROWS
        start = view.cameras[row]
        t = met_capsule(start.xyz, view.cameras[row + 1].xyz, start.w, direction)
        if t < nearest:
            nearest = t
            place = k
    return nearest, place


@qd.func
def lit_part(lamps, ray, t, n):
    """Add up (diffuse, glint) light on an instrument: inverse square, Lambert, Blinn-Phong."""
    diffuse = 0.0
    glint = 0.0
    for k in qd.static(range(MAX_LAMPS)):
        if k < lamps.number:
            place = vec3(lamps.places[k, 0], lamps.places[k, 1], lamps.places[k, 2])
            to_lamp = place - ray.direction * t
            d2 = to_lamp.dot(to_lamp)
            unit = to_lamp / qd.sqrt(d2 + 1e-6)
            half = unit - ray.direction
            cosine = qd.max(n.dot(half) / qd.sqrt(half.dot(half) + 1e-6), 0.0)
            shine = cosine
            for _squaring in qd.static(range(LOG2_SHARPNESS)):
                shine *= shine
            diffuse += qd.max(n.dot(unit), 0.0) / (d2 + NEAR_MM2)
            glint += shine / (d2 + NEAR_MM2)
    share = 1.0 / qd.cast(lamps.number, qd.f32)
    return diffuse * share, glint * share


@qd.func
def part_light(scenes: SceneArrays, view: View, shared, ray, t, place, lamps):
    """Shade capsule `place` at distance t: its linear radiance and unit normal."""
    row = shared.number * CAMERA_ROWS + INSTRUMENT_ROW + PART_ROW + 2 * place
    start = view.cameras[row]
    end = view.cameras[row + 1]
    way = end.xyz - start.xyz
    from_start = ray.direction * t - start.xyz
    share = qd.math.clamp(from_start.dot(way) / (way.dot(way) + 1e-9), 0.0, 1.0)
    n = from_start - share * way
    n = n / qd.sqrt(n.dot(n) + 1e-9)
    kind = qd.cast(end.w, qd.i32)
    material = instrument_row(view, shared.number, MATERIAL_ROW + kind)
    colour = material.xyz
    metal = qd.min(material.w, 1.0)
    if material.w > 1.5:
        # Finer than a pixel, windings would only glitter.
        seen = qd.math.clamp(1.5 - 4.0 * shared.pixel_angle * t, 0.0, 1.0)
        turns = qd.sqrt(way.dot(way)) * share * WINDINGS_PER_RAD
        colour *= 1.0 - 0.4 * seen * (0.5 + 0.5 * qd.sin(turns))
    diffuse, glint = lit_part(lamps, ray, t, n)
    # Metal shows the wall around it: red, and brighter where it reflects what lies at its side.
    facing = qd.max(-n.dot(ray.direction), 0.0)
    scattered = scenes.looks[shared.scene * LOOK_ROWS + 7].z / (t * t + 900.0)
    mirrored = metal * (1.0 - facing) * vec3(2.6, 1.5, 1.2) * scattered
    light = colour * ((1.0 - 0.6 * metal) * diffuse) + mirrored
    light += colour * vec3(0.30, 0.16, 0.12) * scattered
    light += glint * (PLASTIC_GLINT + (METAL_GLINT - PLASTIC_GLINT) * metal)
    return light, n


@qd.func
def in_cone(view: View, b, row, direction):
    """Tell whether a direction lies in a cone of `sim.instrument_rows`; an empty one has none."""
    cone = instrument_row(view, b, row)
    return cone.xyz.dot(direction) > cone.w


@qd.func
def watered(view: View, shared, ray, t, first, number, lamps, light):
    """Lay a jet of water, capsules `first` on, and its splash over the light of what lies at t."""
    b = shared.number
    result = light
    from_jet, place = first_part(view, b, ray.direction, first, number, t)
    row = b * CAMERA_ROWS + INSTRUMENT_ROW + PART_ROW + 2 * first
    start = view.cameras[row].xyz
    way = view.cameras[row + 2 * number - 1].xyz - start
    way = way / qd.sqrt(way.dot(way) + 1e-9)
    if place >= 0:
        part = view.cameras[row + 2 * (place - first)]
        end = view.cameras[row + 2 * (place - first) + 1].xyz
        axis = end - part.xyz
        n = ray.direction * from_jet - part.xyz
        n = n - axis * (n.dot(axis) / (axis.dot(axis) + 1e-9))
        n = n / qd.sqrt(n.dot(n) + 1e-9)
        diffuse, glint = lit_part(lamps, ray, from_jet, n)
        # Water is clear in its middle and bright at its edges.
        edge = 1.0 - qd.max(-n.dot(ray.direction), 0.0)
        result += (vec3(0.5 * diffuse) - result) * (0.10 + 0.45 * edge * edge)
        result += vec3(glint * METAL_GLINT)
    # The splash lies on the wall around the jet's end, and is another in every frame.
    q = ray.direction * t - start
    beside = q - way * q.dot(way)
    d = qd.sqrt(beside.dot(beside) + 1e-9)
    if d < SPLASH_MM and q.dot(way) > 0.0:
        phase = view.cameras[b * CAMERA_ROWS + 2].w
        bent = beside + 0.6 * vec3(qd.sin(1.7 * beside.y), qd.sin(1.9 * beside.x + phase), 0.0)
        noise = qd.sin(1.6 * bent.x + phase) * qd.sin(1.9 * bent.y - 1.3 * beside.z + phase)
        ripples = qd.sin(4.0 * d + 1.5 * noise - phase)
        foam = (1.0 - d / SPLASH_MM) * (0.8 + 0.9 * noise + 0.25 * ripples)
        diffuse, _glint = lit_part(lamps, ray, t, -ray.direction)
        white = vec3(0.62 * diffuse)
        result += (white - result) * qd.math.clamp(0.75 * foam, 0.0, 0.8)
    return result


@qd.func
def through_cap(view: View, b, ray, lamps, light):
    """Look through a transparent cap: its wall veils what lies at the picture's rim, its edge
    shines or is dark.
    """
    shape = instrument_row(view, b, CAP_ROW)
    looks = instrument_row(view, b, CAP_ROW + 1)
    right = view.cameras[b * CAMERA_ROWS + 1].xyz
    down = view.cameras[b * CAMERA_ROWS + 2].xyz
    forward = view.cameras[b * CAMERA_ROWS + 3].xyz
    x = ray.direction.dot(right)
    y = ray.direction.dot(down)
    # Where the ray comes through the cylinder, whose axis lies beside the lens.
    a = x * x + y * y + 1e-6
    half_b = -looks.x * x - looks.y * y
    c = looks.x * looks.x + looks.y * looks.y - shape.y * shape.y
    t = (-half_b + qd.sqrt(half_b * half_b - a * c)) / a
    off = (t * ray.direction.dot(forward) - shape.z) / RIM_MM
    result = light
    if off < 2.0:
        inward = (right * (looks.x - t * x) + down * (looks.y - t * y)) / shape.y
        # Across its rounded edge the normal turns from the wall's to that of its front.
        turned = inward - forward * (shape.z / shape.y + 0.8 * off)
        turned = turned / qd.sqrt(turned.dot(turned) + 1e-9)
        diffuse, glint = lit_part(lamps, ray, t, turned)
        edge = shape.x / (1.0 + off * off * off * off)
        behind = shape.x * qd.math.clamp(0.5 - 2.0 * off, 0.0, 1.0)
        along = qd.sin(3.0 * inward.dot(right) + 2.0 * looks.z) * qd.sin(
            4.0 * inward.dot(down) + 5.0 * looks.w
        )
        veil = 0.06 * looks.w * (0.7 + 0.5 * along)
        drops = qd.sin(2.3 * t * x + 1.3 * t * y) * qd.sin(2.9 * t * y - 0.9 * off)
        veil += 0.12 * shape.w * qd.math.clamp(drops + 0.2 * off, 0.0, 1.0)
        result *= 1.0 - 0.45 * behind - edge * (0.3 + 0.4 * qd.max(-looks.z, 0.0))
        result += vec3(1.0, 0.97, 0.92) * (diffuse * behind * veil)
        result += vec3(edge * (0.05 * diffuse + 0.5 * glint) * qd.max(looks.z, 0.05))
    return result


@qd.func
def has_instruments(view: View, b):
    """Tell (0, 1) whether anything may stand before what frame b's rays meet."""
    counts = instrument_row(view, b, COUNT_ROW)
    return counts.x + counts.y + counts.z + instrument_row(view, b, CAP_ROW).x > 0.0


@qd.func
def before_it_all(scenes: SceneArrays, view: View, shared, ray, lamps, radiance, instance, unit):
    """Put instruments before what a ray meets: (radiance and distance, instance, unit normal)."""
    b = shared.number
    seen = radiance
    number = instance
    normal = unit
    counts = instrument_row(view, b, COUNT_ROW)
    if counts.x + counts.y + counts.z > 0.0:
        t = seen.w
        place = -1
        tool = qd.cast(counts.x, qd.i32)
        clips = qd.cast(counts.y, qd.i32)
        if tool > 0 and in_cone(view, b, 0, ray.direction):
            t, place = first_part(view, b, ray.direction, 0, tool, t)
        if clips > 0 and in_cone(view, b, 1, ray.direction):
            nearer, clip = first_part(view, b, ray.direction, tool, clips, t)
            if clip >= 0:
                t = nearer
                place = clip
        if place >= 0:
            light, normal_there = part_light(scenes, view, shared, ray, t, place, lamps)
            seen = vec4(light.x, light.y, light.z, t)
            number = 0
            normal = normal_there
        if counts.z > 0.0:
            jet = qd.cast(counts.z, qd.i32)
            wet = watered(view, shared, ray, t, tool + clips, jet, lamps, seen.xyz)
            seen = vec4(wet.x, wet.y, wet.z, t)
    if instrument_row(view, b, CAP_ROW).x > 0.0:
        veiled = through_cap(view, b, ray, lamps, seen.xyz)
        seen = vec4(veiled.x, veiled.y, veiled.z, seen.w)
    return seen, number, normal


@qd.func
def marked(scenes: SceneArrays, view: View, shared, ray, hit, bare):
    """Tint the albedo (3,) of the wall where there are marks: `sim.treatment.Mark` says how."""
    albedo = bare
    number = qd.cast(instrument_row(view, shared.number, COUNT_ROW).w, qd.i32)
    if number > 0 and hit.instance == 0:
        mucosa = scenes.looks[shared.scene * LOOK_ROWS].xyz
        for k in range(number):
            middle = instrument_row(view, shared.number, MARK_ROW + 4 * k)
            q = (ray.direction * hit.t - middle.xyz) / middle.w
            d = qd.sqrt(q.dot(q) + 1e-9)
            rim = instrument_row(view, shared.number, MARK_ROW + 4 * k + 2)
            form = instrument_row(view, shared.number, MARK_ROW + 4 * k + 3)
            if d < mark_reach(rim.w, form):
                inner = instrument_row(view, shared.number, MARK_ROW + 4 * k + 1)
                amount, at_rim = mark_amounts(
                    d, q.dot(hit.around), q.dot(hit.along), middle.w, form
                )
                # Its colour is lit by the mucosa's pattern: vessels and mottling stay to be seen.
                pattern = 0.5 + 0.5 * qd.min(bare.y / mucosa.y, 1.6)
                albedo += (inner.xyz * pattern - albedo) * (inner.w * amount)
                albedo += (rim.xyz - albedo) * (rim.w * at_rim)
    return albedo


@qd.func
def mark_reach(rim, form):
    """Bound how many radii off its middle a mark shows; `rim` and `form` are as in its rows.

    What a rim has left beyond it is less than a level of a byte.
    """
    return BENT * (1.0 + 0.35 * form.y + 0.6 * form.z + qd.select(rim > 0.0, 0.9, 0.0))


@qd.func
def mark_amounts(d, x, y, radius, form):
    """Work out how much of a mark's (inner, rim) colour lies at (x, y), in radii; d is |(x, y)|.

    `form` is softness, mottle, star, turn. No mark is quite round, and its edge is uneven.
    """
    turn = form.w * TURNS_PER_RAD
    cosine = x / d
    sine = y / d
    double = 2.0 * cosine * sine
    triple = cosine * (cosine * cosine - 3.0 * sine * sine)
    oval = (cosine * cosine - sine * sine) * wave(turn) + double * wave(turn + 0.25)
    bent = 1.0 + 0.14 * oval + 0.10 * triple * wave(2.0 * turn)
    # Noise of two sizes: bent waves of so many rad per mm, or it would show rows.
    a = TURNS_PER_RAD * x * radius
    c = TURNS_PER_RAD * y * radius
    bend = 1.1 * TURNS_PER_RAD
    p = a + bend * wave(0.8 * c + turn)
    q = c + bend * wave(0.7 * a + 2.0 * turn)
    coarse = wave(0.9 * p + turn) * wave(0.8 * q + 0.3 * p)
    fine = wave(2.6 * p + 1.9 * q) * wave(2.2 * q - 1.3 * p + 2.0 * TURNS_PER_RAD * coarse)
    noise = 0.6 * coarse + 0.4 * fine
    ray = 2.0 * triple * triple - 1.0
    edge = d / bent - 0.35 * form.y * noise - 0.6 * form.z * ray
    inside = qd.math.clamp((1.0 - edge) / form.x, 0.0, 1.0)
    away = (edge - 1.0) * 5.0
    at_rim = 1.0 / (1.0 + away * away * away * away)
    return inside * (1.0 + 0.3 * form.y * (noise - 1.0)), at_rim
