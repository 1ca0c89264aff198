"""The patch of surface under a pixel: where on the wall or on a polyp, and what is its own there.

Who moves a line here changes last bits: compilers group sums and products by what is made first.
"""

import quadrants as qd

from endoforge.sim.kernels.geometry import (
    ALONG_PER_MM,
    AROUND_PER_UNIT,
    NA,
    NP,
    NS,
    diamond_angle,
    point_at,
)
from endoforge.sim.kernels.lesion_shapes import fade_in, form_of, slough
from endoforge.sim.kernels.polyp_geometry import down_the_stalk, outline_distance
from endoforge.sim.kernels.tissue_shading import (
    FIRST_ROW,
    POLYP_SCALE,
    SURFACE_ROW,
    polyp_surface,
    tissue_at,
)
from endoforge.sim.kernels.types import LOOK_ROWS, POLYP_ROWS, Patch, SceneArrays, View, vec3, vec4
from endoforge.sim.polyps import LABELLED_STALK
from endoforge.sim.texture import TILE_MM

COAT_ROWS, COAT_COLUMNS = NS // 2, NA // 2


@qd.func
def coat_at(scenes: SceneArrays, scene, c):
    """Look up (crevice, tone, cover, stain) of the wall at c, and c's diamond angle."""
    a = diamond_angle(c)
    # Each sample is the mean of two of the wall's: its middle lies half a fine sample on, a quarter
    # of its own.
    fs = qd.math.clamp(c.x * (0.5 * ALONG_PER_MM) - 0.25, 0.0, COAT_ROWS - 1.01)
    fa = a * (0.5 * AROUND_PER_UNIT) - 0.25
    fa = qd.select(fa < 0.0, fa + COAT_COLUMNS, fa)
    i = qd.cast(fs, qd.i32)
    j = qd.cast(fa, qd.i32)
    u = fs - qd.cast(i, qd.f32)
    v = fa - qd.cast(j, qd.f32)
    row = (scene * COAT_ROWS + i) * COAT_COLUMNS
    j0 = j & (COAT_COLUMNS - 1)
    j1 = (j + 1) & (COAT_COLUMNS - 1)
    p = scenes.coat[row + j0]
    p += (scenes.coat[row + j1] - p) * v
    q = scenes.coat[row + COAT_COLUMNS + j0]
    q += (scenes.coat[row + COAT_COLUMNS + j1] - q) * v
    return p + (q - p) * u, a


@qd.func
def polyp_place(view: View, b, instance, p, turn):
    """Make texture coordinates on a polyp, azimuthal equidistant about its axis.

    The ellipsoid is made round; the angle over its sine is a fitted parabola in 1 - cosine. Returns
    u, v, the directions along both, and how far from the top p is (0 the top, 1 the equator).
    """
    row = (b * NP + instance - 1) * POLYP_ROWS
    axis = view.polyps[row + 1].xyz
    width = view.polyps[row + 1].w
    q = p - view.polyps[row].xyz
    # Any direction across the axis does; no axis is likely to be along this one.
    along_u = axis.cross(vec3(0.31, 0.52, 0.79))
    along_u = along_u / qd.sqrt(along_u.dot(along_u) + 1e-6)
    along_v = axis.cross(along_u)
    q = q + axis * (q.dot(axis) * (width / view.polyps[row].w - 1.0))
    q = q / qd.sqrt(q.dot(q) + 1e-6)
    # The parabola stands for an arc cosine and a division.
    low = 1.0 - q.dot(axis)
    spread = width * (POLYP_SCALE / TILE_MM) * (1.0 + low * (0.36 + 0.21 * low))
    u = q.dot(along_u) * spread + turn.y + 0.37 * qd.cast(instance, qd.f32)
    v = q.dot(along_v) * spread + turn.x
    from_head = p - view.polyps[row].xyz
    if from_head.dot(from_head) > 1.5 * width * width:
        # The stalk: straight along it, and across the view of most of it.
        u = from_head.dot(along_u + along_v) * (0.7 * POLYP_SCALE / TILE_MM) + turn.y
        v = from_head.dot(axis) * (POLYP_SCALE / TILE_MM) + turn.x
    return u, v, along_u, along_v, low


@qd.func
def wall_radius(hit):
    """Give the wall's radius in mm at the curve coordinates of a hit."""
    return hit.wall.x + qd.sqrt(hit.c.y * hit.c.y + hit.c.z * hit.c.z)


@qd.func
def wall_patch(scenes: SceneArrays, shared, ray, hit, n):
    """Map the wall along the centreline and around it, at a hit whose unit normal is n."""
    mucosa = scenes.looks[shared.scene * LOOK_ROWS]
    turn = scenes.looks[shared.scene * LOOK_ROWS + 2]
    coat, a = coat_at(scenes, shared.scene, hit.c)
    # The bound keeps grazing pixels from the blurriest level: mip levels blur both ways alike.
    facing = qd.max(-n.dot(ray.direction), 0.15)
    # A fold's flank climbs over hardly any s: the radius counts as way, or it would be smeared.
    radius = wall_radius(hit)
    differs = scenes.looks[shared.scene * LOOK_ROWS + FIRST_ROW]
    tissue = vec4(0.0, 1.0, 0.0, 0.0)
    vessels = mucosa.w
    if differs.x > 1.0:
        tissue = tissue_at(scenes, shared.scene, hit.c.x, a)
        vessels *= tissue.y
    return Patch(
        u=(hit.c.x - 0.9 * radius) * (1.0 / TILE_MM) + turn.x,
        v=a + radius * 0.015 + turn.y,
        along_u=hit.along,
        along_v=hit.around,
        footprint=hit.t * shared.pixel_angle / facing,
        coat=coat,
        mucosa=mucosa.xyz,
        tint=vec3(1.0),
        pattern=0.0,
        vessels=vessels,
        mucus=0.0,
        on_polyp=0,
        tissue=tissue,
        layer=qd.cast(differs.y, qd.i32),
        pits=0.0,
        scale=0.0,
        spots=0.0,
        erosion=0.0,
    )


@qd.func
def flat_patch(view: View, shared, ray, hit, wall):
    """Map a flat lesion as the wall under it; its own colour and surface fade in at its margin."""
    patch = wall
    row = (shared.number * NP + hit.instance - 1) * POLYP_ROWS
    if view.polyps[row + 5].w == 0.0:
        p = point_at(ray, hit.t)
        own = fade_in(view.polyps, row, outline_distance(view, shared.number, hit.instance - 1, p))
        patch.tint = view.polyps[row + 3].xyz
        patch.pattern = view.polyps[row + 3].w
        patch.vessels *= 0.5 * view.polyps[row + 5].x
        patch.mucus = view.polyps[row + 5].y
        surface, marks = view.polyps[row + SURFACE_ROW], view.polyps[row + SURFACE_ROW + 1]
        patch = polyp_surface(patch, wall.vessels, surface, marks, 1.0 - own, own)
    return patch


@qd.func
def stalk_surface(polyp, wall_vessels, far):
    """Make a polyp's patch the wall's mucosa down its stalk, `far` of `down_the_stalk`."""
    patch = polyp
    if far > 0.0:
        own = qd.math.clamp(1.5 - far / LABELLED_STALK, 0.0, 1.0)
        patch.tint = 1.0 + (patch.tint - 1.0) * own
        patch.pattern *= own
        patch.mucus *= own
        patch.vessels = wall_vessels + (patch.vessels - wall_vessels) * own
        if patch.pits > 0.0:
            patch.pits = qd.max(patch.pits * own, 1e-3)
        patch.spots *= own
        patch.erosion *= own
    return patch


@qd.func
def polyp_patch(scenes: SceneArrays, view: View, shared, ray, hit, wall):
    """Map the polyp that was hit, by angle from its axis; `wall` is the patch of the wall there.

    One that looks like the wall (`sim.polyps.Polyp.like_wall`) is mapped as the wall is.
    """
    patch = wall
    row = (shared.number * NP + hit.instance - 1) * POLYP_ROWS
    if form_of(view.polyps, row) < 0.0:
        patch = flat_patch(view, shared, ray, hit, wall)
    elif view.polyps[row + 5].w == 0.0:
        turn = scenes.looks[shared.scene * LOOK_ROWS + 2]
        p = point_at(ray, hit.t)
        u, v, along_u, along_v, low = polyp_place(view, shared.number, hit.instance, p, turn)
        patch.u = u
        patch.v = v
        patch.along_u = along_u
        patch.along_v = along_v
        patch.tint = view.polyps[row + 3].xyz
        patch.pattern = view.polyps[row + 3].w
        patch.vessels *= 1.2 * view.polyps[row + 5].x
        patch.mucus = view.polyps[row + 5].y * qd.max(1.0 - 0.8 * low, 0.0)
        patch.footprint *= POLYP_SCALE
        patch.on_polyp = 1
        own = view.polyps[row + SURFACE_ROW]
        marks = view.polyps[row + SURFACE_ROW + 1]
        if own.y + own.w + marks.x + marks.w > 0.0 or marks.y != 0.0:
            inside = 1.0
            if marks.x > 0.0:
                height = wall_radius(hit) - qd.sqrt(hit.c.y * hit.c.y + hit.c.z * hit.c.z)
                inside = qd.math.clamp(height / marks.x, 0.0, 1.0)
            patch = polyp_surface(patch, wall.vessels, own, marks, low, inside)
        patch = stalk_surface(
            patch, wall.vessels, down_the_stalk(view, shared.number, hit.instance - 1, p)
        )
    patch.mucus = qd.max(patch.mucus, slough(view.polyps, row, point_at(ray, hit.t)))
    # The wall's crevices shade the foot of a polyp only, and little sticks to its top.
    gap = wall_radius(hit) - qd.sqrt(hit.c.y * hit.c.y + hit.c.z * hit.c.z)
    at_foot = qd.math.clamp(1.0 - 0.4 * gap, 0.0, 1.0)
    patch.coat.x *= at_foot
    patch.coat.z *= at_foot
    if patch.pits > 0.0:
        # Dye gathers in the pits of a polyp as it does in the wall's grooves.
        at_foot = qd.max(at_foot, patch.pits)
    patch.coat.w *= at_foot
    return patch
