"""Distances: from a point to the wall, to a polyp, and to both as they blend.

A point's curve coordinates are (s, x, y): its place along the centreline, and its offset across it.
They are never searched for: each step of a ray carries a guess of s along, and corrects it once.
"""

import quadrants as qd

from endoforge.sim import anatomy, centreline, polyps, wall
from endoforge.sim.camera import WAVE_ROW
from endoforge.sim.kernels.lesion_shapes import (
    wave,
)
from endoforge.sim.kernels.types import (
    CAMERA_ROWS,
    LOOK_ROWS,
    FrameShared,
    SceneArrays,
    View,
    vec2,
    vec4,
)

NS = centreline.NUM_ALONG
NA = wall.NUM_AROUND
NP = polyps.MAX_POLYPS
ALONG_PER_MM = 1.0 / centreline.ALONG_STEP_MM
AROUND_PER_UNIT = NA / 4.0
TURNS_PER_MM = 1.0 / anatomy.WAVE_MM
SETTLED_MM = 2.0
"""A step of `locate` so long is still exact within a hundredth of a millimetre in most bends."""


@qd.func
def scene_of(cameras: qd.template(), b):
    """Read which of the loaded scenes frame b shows: `View.cameras` has it as a whole float."""
    return qd.cast(cameras[b * CAMERA_ROWS + 1].w, qd.i32)


@qd.func
def swelling(view: View, b):
    """Read the peristalsis of frame b: (share of the radius, turns of its wave at s = 0)."""
    row = view.cameras[b * CAMERA_ROWS + WAVE_ROW]
    return vec2(row.x, row.y)


@qd.func
def shared_by(scenes: SceneArrays, view: View, b):
    """Read what all rays of frame b share."""
    scene = scene_of(view.cameras, b)
    pixel_angle = scenes.looks[scene * LOOK_ROWS + 2].w
    return FrameShared(number=b, scene=scene, swell=swelling(view, b), pixel_angle=pixel_angle)


@qd.func
def point_at(ray, t):
    """Give the point at distance t along the ray."""
    return ray.origin + ray.direction * t


@qd.func
def locate(scenes: SceneArrays, scene, p, direction, s_guess):
    """Find the curve coordinates of p near `s_guess`: (s, x, y, ds/dt along `direction`).

    Returns them and the row of the centreline that was read. It is one Newton step from that row,
    exact where the line is straight; a step that leads far off along a bend is taken again.
    """
    s = s_guess
    row = 0
    x, y, along, stretch = 0.0, 0.0, 0.0, 1.0
    for _twice in range(2):
        j = qd.math.clamp(qd.cast(s * ALONG_PER_MM + 0.5, qd.i32), 0, NS - 1)
        row = (scene * NS + j) * 4
        r0 = scenes.centreline[row]
        r1 = scenes.centreline[row + 1]
        q = p - r0.xyz
        x = q.dot(scenes.centreline[row + 2].xyz)
        y = q.dot(scenes.centreline[row + 3].xyz)
        # Off the axis of a bend, one mm of centreline spans 1 - curvature . offset mm. Inside the
        # colon that is above 0.25 (`centreline.MOST_BENT`); the bound keeps this finite at the
        # bend's own centre, where s is undefined.
        stretch = 1.0 / qd.max(1.0 - r0.w * x - r1.w * y, 0.2)
        step = q.dot(r1.xyz) * stretch
        along = direction.dot(r1.xyz)
        s = qd.cast(j, qd.f32) * (1.0 / ALONG_PER_MM) + step
        if qd.abs(step) < SETTLED_MM:
            break
    return vec4(s, x, y, along * stretch), row


@qd.func
def guess_s(scenes: SceneArrays, scene, ray, t):
    """Guess where along the centreline the point at distance t lies."""
    j = qd.math.clamp(qd.cast(ray.s * ALONG_PER_MM + 0.5, qd.i32), 0, NS - 1)
    s = ray.s + ray.direction.dot(scenes.centreline[(scene * NS + j) * 4 + 1].xyz) * t
    # So far on, the straight guess may be off by many rows: looked up twice, it comes near enough.
    # Nearer, the one step that `locate` takes anyway does.
    if t > 15.0:
        for _twice in range(2):
            c, _row = locate(scenes, scene, point_at(ray, t), ray.direction, s)
            s = c.x
    return s


@qd.func
def diamond_angle(c):
    """Give the diamond angle (`wall.angle_to_diamond`) of curve coordinates c.

    It is a pseudo-angle that takes a division in place of an arc tangent.
    """
    # On the axis itself any angle will do.
    a = c.z / (qd.abs(c.y) + qd.abs(c.z) + 1e-8)
    a = qd.select(c.y < 0.0, 2.0 - a, a)
    return qd.select(a < 0.0, a + 4.0, a)


@qd.func
def wall_corners(scenes: SceneArrays, scene, c):
    """Read the four samples of the wall's table around c, and c's place among them."""
    fs = qd.math.clamp(c.x * ALONG_PER_MM, 0.0, NS - 1.01)
    i = qd.cast(fs, qd.i32)
    fa = diamond_angle(c) * AROUND_PER_UNIT
    j = qd.cast(fa, qd.i32)
    u = fs - qd.cast(i, qd.f32)
    v = fa - qd.cast(j, qd.f32)
    row = (scene * NS + i) * NA
    j0 = j & (NA - 1)
    j1 = (j + 1) & (NA - 1)
    h00 = scenes.wall[row + j0]
    h01 = scenes.wall[row + j1]
    h10 = scenes.wall[row + NA + j0]
    h11 = scenes.wall[row + NA + j1]
    return h00, h01, h10, h11, u, v


@qd.func
def safe_step(scenes: SceneArrays, scene, c, gap, safe):
    """Bound how far one may go from c in any direction without passing through the wall, in mm.

    The wall's slopes bound it, seen from near the wall. Near the axis all of the wall around is
    close, whatever the angle: there the narrowest radius of the neighbourhood bounds it.
    """
    r = qd.sqrt(c.y * c.y + c.z * c.z)
    step = gap * safe
    # The table is of the colon at rest: 0.95 leaves room for peristalsis, which by default narrows
    # it by 5 per cent at most. 0.2 of the gap keeps a march from standing still where r is beyond
    # the narrowest, which then says nothing.
    if r < gap:
        j = qd.math.clamp(qd.cast(c.x * ALONG_PER_MM + 0.5, qd.i32), 0, NS - 1)
        narrowest = 0.95 * scenes.centreline[(scene * NS + j) * 4 + 2].w
        step = qd.min(step, qd.max(narrowest - r, 0.2 * gap))
    return step


@qd.func
def swollen(swell, s):
    """The factor that peristalsis puts on the table's radius at s."""
    return 1.0 + swell.x * wave(s * TURNS_PER_MM + swell.y)


@qd.func
def wall_gap(scenes: SceneArrays, scene, c, swell):
    """Measure (R - r, a safe step), both in mm, at curve coordinates c.

    It is the half of `wall_slopes` that a step of a march needs; slopes are asked for at its end.
    """
    h00, h01, h10, h11, u, v = wall_corners(scenes, scene, c)
    r0 = h00.x + (h01.x - h00.x) * v
    r1 = h10.x + (h11.x - h10.x) * v
    gap = (r0 + (r1 - r0) * u) * swollen(swell, c.x) - qd.sqrt(c.y * c.y + c.z * c.z)
    return gap, safe_step(scenes, scene, c, gap, h00.y)


@qd.func
def wall_slopes(scenes: SceneArrays, scene, c, swell):
    """Look up (R - r, safe step, dR/ds, dR/dangle / R), all bilinear but the safe step.

    The slope of peristalsis itself, at most 0.05, is left out.
    """
    h00, h01, h10, h11, u, v = wall_corners(scenes, scene, c)
    # Slopes are interpolated as the radius is: a normal by samples would show facets. The safe step
    # isn't, since a mean of bounds is no bound.
    h0 = h00 + (h01 - h00) * v
    h1 = h10 + (h11 - h10) * v
    h = h0 + (h1 - h0) * u
    gap = h.x * swollen(swell, c.x) - qd.sqrt(c.y * c.y + c.z * c.z)
    # Four loads give all of this: the table keeps slopes so that a normal needs no more radii.
    return vec4(gap, h00.y, h.z, h.w)


@qd.func
def wall_frame(scenes: SceneArrays, row, c, slopes):
    """Make the wall's normal (into the lumen, not unit), around and tangent at c.

    `row` is that of the centreline which `locate` read, `slopes` what `wall_slopes` gave.
    """
    r0 = scenes.centreline[row]
    r1 = scenes.centreline[row + 1]
    n1 = scenes.centreline[row + 2].xyz
    n2 = scenes.centreline[row + 3].xyz
    inverse = 1.0 / qd.max(qd.sqrt(c.y * c.y + c.z * c.z), 1e-3)
    outward = (n1 * c.y + n2 * c.z) * inverse
    around = (n2 * c.y - n1 * c.z) * inverse
    stretch = 1.0 / qd.max(1.0 - r0.w * c.y - r1.w * c.z, 0.2)
    # The gradient of r - R, its sign turned: away from the wall. Its length tells how far the gap
    # overstates the distance.
    normal = r1.xyz * (slopes.z * stretch) + around * slopes.w - outward
    return normal, around, r1.xyz
