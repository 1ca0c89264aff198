"""What the kernels read (`World`, `View`) and write (`Target`), as flat arrays.

quadrants flattens these dataclasses into kernel arguments; torch tensors pass without a copy.
"""

from dataclasses import dataclass

import quadrants as qd

vec2 = qd.math.vec2
vec3 = qd.math.vec3
vec4 = qd.math.vec4

FloatArray = qd.types.ndarray(dtype=qd.f32, ndim=1)
IntArray = qd.types.ndarray(dtype=qd.i32, ndim=1)
Vec2Array = qd.types.ndarray(dtype=vec2, ndim=1)
Vec4Array = qd.types.ndarray(dtype=vec4, ndim=1)

TILE = 8
"""Pixels a side of the tiles that are cone-marched first."""
CELL = 4
"""Pixels between the rays of the lattice."""
FAR_MM = 280.0
"""Rays end here: nothing is lit farther away."""
CAMERA_ROWS = 5
"""Rows of four numbers a camera: see `View.cameras`."""
STATS = 6
"""Numbers a polyp in `Target.stats`."""


@dataclass
class World:
    """All scenes of a batch, one after another.

    centreline  4 rows a sample: point, curvature 1 | tangent, curvature 2 | normal, narrowest
                radius within 10 mm | binormal, 0
    wall        radius, safe step per mm of gap, dR/ds, dR/dangle / R
    crevice     radius less its blurred self, mm: positive in crevices, negative on crests
    polyps      5 rows each: see `sim.polyps.Polyp.table_row`
    looks       3 rows each: mucosa RGB, vessels | tone, gloss, bump, noise | turn u, turn v, 0, 0
    texture     `sim.texture.detail_texture`
    """

    centreline: Vec4Array
    wall: Vec4Array
    crevice: FloatArray
    polyps: Vec4Array
    looks: Vec4Array
    texture: Vec4Array


@dataclass
class View:
    """The batch's cameras.

    cameras  CAMERA_ROWS rows each: position, s | right, scene | down, frame seed | forward, gain |
             lamp offset along right, along down, 0, 0
    rays     unit directions in camera axes (right, down, forward), of a grid that is padded to
             whole tiles and one more row and column, row-major
    """

    cameras: Vec4Array
    rays: Vec4Array


@dataclass
class Target:
    """The pictures of a batch, and what the passes hand on to each other.

    tile_t, tile_mask  per tile: distance in mm that is free for all its rays; polyps in its cone
    lattice            per lattice ray: 1 / distance, and s at the wall that it meets
    light              per frame: sum over the lattice of the light that comes back, fixed point
    image              R | G << 8 | B << 16 | instance << 24
    depth              distance along the ray in mm (FAR_MM where nothing is met)
    stats              per frame and polyp: visible pixels, unoccluded pixels, x0, y0, x1, y1
    """

    tile_t: FloatArray
    tile_mask: IntArray
    lattice: Vec2Array
    light: IntArray
    image: IntArray
    depth: FloatArray
    stats: IntArray
