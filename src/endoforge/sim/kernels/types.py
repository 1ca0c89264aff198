"""What the kernels read (`SceneArrays`, `View`) and write (`Target`), as flat arrays.

quadrants flattens these dataclasses into kernel arguments; torch tensors pass without a copy.
"""

from dataclasses import dataclass

import quadrants as qd

from endoforge.sim.camera import CAMERA_ROWS as CAMERA_ROWS
from endoforge.sim.optics import FAR_MM as FAR_MM
from endoforge.sim.optics import TILE as TILE

vec2 = qd.math.vec2
vec3 = qd.math.vec3
vec4 = qd.math.vec4

FloatArray = qd.types.ndarray(dtype=qd.f32, ndim=1)
IntArray = qd.types.ndarray(dtype=qd.i32, ndim=1)
Vec2Array = qd.types.ndarray(dtype=vec2, ndim=1)
Vec4Array = qd.types.ndarray(dtype=vec4, ndim=1)

CELL = 4
"""Pixels from one ray of the lattice to the next."""
METER_STEP = 2
"""Tiles from one ray that meters the light to the next."""
POLYP_ROWS = 7
"""Rows of four numbers a polyp: see `sim.polyps.Polyp.table_row`."""
LOOK_ROWS = 8
"""Rows of four numbers a look: see `SceneArrays.looks`."""
STATS = 6
"""Numbers a polyp in `Target.stats`."""


@dataclass
class SceneArrays:
    """All scenes of a batch, one after another.

    centreline  4 rows a sample, every ALONG_STEP_MM: point in mm, curvature along the normal per
                mm | unit tangent, curvature along the binormal per mm | unit normal, narrowest
                radius nearby in mm | unit binormal, 0
    wall        radius in mm, safe step in mm per mm of gap, dR/ds, dR/dangle / R (mm per mm both)
    coat        on every second sample: crevice (radius less its blurred self, mm), tone, cover
                (stool 0..1, fluid 1..2), stain (below 0: foam)
    looks       LOOK_ROWS each: mucosa's albedo RGB, vessels 0..1 | tone, gloss, bump (strengths),
                tangent of a tile's half angle | shift of the texture u, v in repeats, number of
                lamps, rad per pixel | stool's albedo RGB, 0 | fluid's albedo RGB, 0 | factor of
                a stain on the albedo RGB, 0 | capillaries, mottling, pits (strengths), repeats of
                the fine surface in one of the detail | its shift u, v in repeats, share of the
                scattered light, 0
    sensors     SENSOR_ROWS each: see `sim.sensor.CameraSettings.table_rows`
    lamps       3 each: right, down in mm from the lens, 0, 0
    rays        unit directions in camera axes (right, down, forward), of a grid that is padded to
                whole tiles and one more row and column, row-major
    screens     a pixel each: 0 where the picture shows, else 1 << 24 | B << 16 | G << 8 | R
    detail      `sim.texture.detail_texture`
    bubbles     `sim.texture.bubble_texture`
    fine        `sim.texture.fine_texture`
    """

    centreline: Vec4Array
    wall: Vec4Array
    coat: Vec4Array
    looks: Vec4Array
    sensors: Vec4Array
    lamps: Vec4Array
    rays: Vec4Array
    screens: IntArray
    detail: IntArray
    bubbles: IntArray
    fine: IntArray


@dataclass
class View:
    """The batch's cameras, and the polyps as they are at each camera's time.

    cameras  CAMERA_ROWS rows each: position, s | right, scene | down, frame seed | forward, bit
             mask of the polyps that may be near | movement during the exposure in mm along right,
             down, forward, 0 | turn during the exposure in rad, 0 | peristalsis: share
             of the radius, turns at s = 0, 0, 0 | metered pose: position, s | right, 0 | down, 0 |
             forward, 0
    polyps   POLYP_ROWS rows a polyp, MAX_POLYPS polyps a camera
    """

    cameras: Vec4Array
    polyps: Vec4Array


@dataclass
class Target:
    """The pictures of a batch, and what the passes hand on to each other.

    tile_t, tile_mask  per tile: distance in mm that is free for all its rays; polyps in its cone
    lattice            per lattice ray: 1 / distance, and s at the wall that it meets
    light              per frame: sum of the metered light, fixed point, and number of rays
    gain               per frame: exposure over the metered light
    radiance           linear RGB before exposure, distance along the ray in mm (FAR_MM: nothing
                       is met; 0: the screen covers the pixel)
    normals            unit normal of the surface in camera axes, 0 (or of no use: one element)
    image              R | G << 8 | B << 16 | instance << 24
    stats              per frame and polyp: visible pixels, unoccluded pixels, x0, y0, x1, y1
    """

    tile_t: FloatArray
    tile_mask: IntArray
    lattice: Vec2Array
    light: IntArray
    gain: FloatArray
    radiance: Vec4Array
    normals: Vec4Array
    image: IntArray
    stats: IntArray
