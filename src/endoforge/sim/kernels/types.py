"""What the kernels read (`SceneArrays`, `View`), write (`Target`) and develop
(`DarkroomBuffers`), as flat arrays, and what a
thread hands on to its functions.

quadrants flattens the dataclasses into kernel arguments; torch tensors pass without a copy. Its own
structs (`Ray`, `Hit` and so on) live in one thread: functions are inlined, so that a struct costs
what its parts cost. Arrays are of vectors of four wherever that fits, and numbers that are read
together stand in one: a GPU loads it by one instruction.
"""

from dataclasses import dataclass

import quadrants as qd

from endoforge.sim.camera import CAMERA_ROWS as CAMERA_ROWS
from endoforge.sim.optics import FAR_MM as FAR_MM
from endoforge.sim.optics import TILE as TILE
from endoforge.sim.polyps import POLYP_COLUMNS
from endoforge.sim.sensor import MAX_LAMPS as MAX_LAMPS

vec2 = qd.math.vec2
vec3 = qd.math.vec3
vec4 = qd.math.vec4

FloatArray = qd.types.ndarray(dtype=qd.f32, ndim=1)
IntArray = qd.types.ndarray(dtype=qd.i32, ndim=1)
Vec2Array = qd.types.ndarray(dtype=vec2, ndim=1)
Vec4Array = qd.types.ndarray(dtype=vec4, ndim=1)

CELL = 4
"""Pixels from one ray of the lattice to the next: of 16, one is traced, and most of the others only
checked."""
METERED = 3
"""Numbers a frame in `Target.light`."""
METER_STEP = 2
"""Tiles from one ray that meters the light to the next: 880 rays for a frame of 640 x 360."""
BLOCK = 16
"""Pixels a side of what JPEG codes together: four blocks of luma, one of Cb, one of Cr."""
LUMA_PER_BLOCK, CHROMA_PER_BLOCK = BLOCK * BLOCK, (BLOCK // 2) ** 2
PER_BLOCK = LUMA_PER_BLOCK + 2 * CHROMA_PER_BLOCK
"""Numbers that one takes in `DarkroomBuffers.planes`."""
POLYP_ROWS = POLYP_COLUMNS // 4
"""Rows of four numbers a polyp: see `sim.polyps.Polyp.table_row`."""
LOOK_ROWS = 9
"""Rows of four numbers a look: see `SceneArrays.looks`."""
STATS = 6
"""Numbers a polyp in `Target.stats`."""


@dataclass(frozen=True)
class FrameSize:
    """Frames of a batch in pixels, in tiles of TILE pixels and JPEG's blocks of BLOCK pixels."""

    height: qd.i32
    width: qd.i32
    tiles_y: qd.i32
    tiles_x: qd.i32
    blocks_y: qd.i32
    blocks_x: qd.i32

    @staticmethod
    def of(height: int, width: int) -> "FrameSize":
        """Count what covers frames of so many pixels; tiles and blocks reach beyond their edges."""
        tiles, blocks = ([-(-side // unit) for side in (height, width)] for unit in (TILE, BLOCK))
        return FrameSize(height, width, *tiles, *blocks)


@dataclass
class SceneArrays:
    """All scenes of a batch, one after another.

    centreline  4 rows a sample, every ALONG_STEP_MM: point in mm, curvature along the normal per
                mm | unit tangent, curvature along the binormal per mm | unit normal, narrowest
                radius nearby in mm | unit binormal, 0
    wall        radius in mm, safe step in mm per mm of gap, dR/ds, dR/dangle / R (mm per mm both)
    coat        on every second sample: crevice (radius less its blurred self, mm), tone, cover
                (stool 0..1, fluid and mucus below 0: see `scene`), stain (below 0: foam)
    looks       LOOK_ROWS each: mucosa's albedo RGB, vessels 0..1 | tone, gloss, bump (strengths),
                tangent of a tile's half angle | shift of the texture u, v in repeats, number of
                lamps, rad per pixel | stool's albedo RGB, 1 if residue is
                soft else 0 | fluid's albedo RGB, its clarity 0..1 | factor of
                a stain on the albedo RGB, 0 | capillaries, mottling, pits (strengths), repeats of
                the fine surface in one of the detail | its shift u, v in repeats, share of the
                scattered light, 0 | 0 if `sim.tissue.Tissue.is_plain`, 2 if it
                `differs`, else 1, layer of the wall in `surfaces.KINDS`, hue (strength), share of
                a dye in pits
    tissue      on every eighth sample: see `sim.tissue.tissue_table`
    sensors     SENSOR_ROWS each: see `sim.sensor.CameraSettings.table_rows`
    lamps       3 each: right, down in mm from the lens, 0, 0
    rays        unit directions in camera axes (right, down, forward), of a grid that is padded to
                whole tiles and one more row and column, row-major
    screens     a pixel each: 0 where the picture shows, else 1 << 24 | B << 16 | G << 8 | R
    detail      `sim.texture.detail_texture`
    bubbles     `sim.texture.bubble_texture`
    fine        `sim.surfaces.surface_textures`
    """

    centreline: Vec4Array
    wall: Vec4Array
    coat: Vec4Array
    looks: Vec4Array
    tissue: Vec4Array
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
             of the radius, turns at s = 0, time in s, 0 | metered pose: position, s | right, 0 |
             down, 0 | forward, 0 | instruments: see `sim.instrument_rows`
    polyps   POLYP_ROWS rows a polyp, MAX_POLYPS polyps a camera
    """

    cameras: Vec4Array
    polyps: Vec4Array


@dataclass
class Target:
    """The pictures of a batch, and what the passes hand on to each other.

    tile_t, tile_mask  per tile: distance in mm that is free for all its rays; polyps in its cone
    lattice            per lattice ray: 1 / distance, and s at the wall that it meets
    light              per frame: sum of the metered light, fixed point, in two parts (see
                       `passes.LIGHT_PART`), and number of rays
    gain               per frame: exposure over the metered light
    radiance           linear RGB before exposure, distance along the ray in mm (FAR_MM: nothing
                       is met; 0: the screen covers the pixel); until it is shaded, the wall's
                       radius there in mm in place of R
    normals            unit normal of the surface in the world's axes, and s there; in the end,
                       if they are asked for, in camera axes, 0
    shadows            per lattice ray: the share of its light that each lamp keeps there, and
                       that all light does (or of no use, where the scene has no shadows)
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
    shadows: Vec4Array
    image: IntArray
    stats: IntArray


@dataclass
class DarkroomBuffers:
    """What the passes read, write and hand on; `sim.darkroom` puts it together.

    cameras, rays    as in `types.View`
    sensors          SENSOR_ROWS rows a scene: see `sim.sensor.CameraSettings.table_rows`
    screens          per scene and pixel: 0, or 0x01000000 | R | G << 8 | B << 16 that covers it
    radiance         linear RGB before the gain; distance in mm, 0 where the screen covers it
    gain             of each frame
    image            R | G << 8 | B << 16 | instance << 24: the instance is left as it is
    flow             2 rows a tile: pixels of motion, x and y, by rotation | by translation, times
                     mm; pixels per radian, cosine off the axis, its change per pixel across, down
    light            linear RGB after the lens, weighted | its weight
    coded            luma, 12 bits | Cb, 8 bits | open, 1 bit | Cr, 8 bits
    grain            `sim.darkroom.grain_table`
    curve            `sim.darkroom.response_table`
    disk             `sim.darkroom.disk_table`
    bright           2 rows a tile: mean RGB of what burns out, 0 | mean RGB, 0
    shown            per frame: sum of the tiles' luma steps before it is steadied, their number
    glare            per tile: RGB that strays there, film on the lens 0..1
    planes           per frame luma, Cb, Cr about 0 (these two at half size), in whole JPEG blocks
    """

    cameras: Vec4Array
    rays: Vec4Array
    sensors: Vec4Array
    screens: IntArray
    radiance: Vec4Array
    gain: FloatArray
    image: IntArray
    flow: Vec4Array
    light: Vec4Array
    coded: IntArray
    grain: IntArray
    curve: IntArray
    disk: Vec4Array
    shown: IntArray
    bright: Vec4Array
    glare: Vec4Array
    planes: FloatArray


@qd.dataclass
class FrameShared:
    """What all rays of a frame share.

    number       of the frame in its batch
    scene        of the loaded ones that it shows
    swell        peristalsis: share of the radius, turns of its wave at s = 0
    pixel_angle  radians from one pixel to the next, in the middle of the picture
    """

    number: qd.i32
    scene: qd.i32
    swell: vec2
    pixel_angle: qd.f32


@qd.dataclass
class Ray:
    """From a camera: its position in mm and a unit direction, both in the world's axes, and its
    place s along the centreline, from which other points' places are guessed.
    """

    origin: vec3
    direction: vec3
    s: qd.f32


@qd.dataclass
class Hit:
    """What a ray meets.

    t            distance in mm
    c            curve coordinates (s, x, y, ds/dt along the ray)
    wall         of `geometry.wall_slopes` there
    normal       of the surface, towards the lumen; its length is that of `geometry.wall_frame`
    around       unit direction around the wall, across the centreline
    along        unit direction along the centreline
    instance     0 the wall, k polyp k - 1
    """

    t: qd.f32
    c: vec4
    wall: vec4
    normal: vec3
    around: vec3
    along: vec3
    instance: qd.i32


@qd.dataclass
class Cell:
    """What is known of a square of CELL pixels before their rays are followed.

    a00 ... a11  the lattice's rays at its corners, row by row: 1 / distance, and s
    smooth       1 if the wall between them looks like one bent sheet
    t_free       distance in mm that is free for all rays between them
    polyps       bit mask of the polyps that these may meet
    """

    a00: vec2
    a01: vec2
    a10: vec2
    a11: vec2
    smooth: qd.i32
    t_free: qd.f32
    polyps: qd.i32


@qd.dataclass
class Lamps:
    """How many lamps there are, and their places in mm from the lens, in the world's axes."""

    number: qd.i32
    places: qd.types.matrix(MAX_LAMPS, 3, qd.f32)


@qd.dataclass
class Patch:
    """The surface under a pixel, as far as it is known before any texture is looked up.

    u, v                    in repeats of the detail
    along_u, along_v        unit directions in which these grow
    footprint               of the pixel, in mm of the wall that the detail was made for
    coat                    crevice, tone, cover, stain: see `SceneArrays.coat`
    mucosa, tint            albedo RGB of the bare mucosa, and a factor on it
    pattern, vessels, mucus strengths
    on_polyp                1 on a polyp that has a surface of its own, 0 on the wall
    tissue                  blood, vessels, film, pigment: see `SceneArrays.tissue`
    layer                   of the fine surface, in `surfaces.KINDS`
    pits, scale             strength of a polyp's own, 0: the wall's; repeats in one of the detail
    spots, erosion          of a polyp: see `sim.polyp_surface.PolypSurface`
    """

    u: qd.f32
    v: qd.f32
    along_u: vec3
    along_v: vec3
    footprint: qd.f32
    coat: vec4
    mucosa: vec3
    tint: vec3
    pattern: qd.f32
    vessels: qd.f32
    mucus: qd.f32
    on_polyp: qd.i32
    tissue: vec4
    layer: qd.i32
    pits: qd.f32
    scale: qd.f32
    spots: qd.f32
    erosion: qd.f32


@qd.dataclass
class Finish:
    """What light meets on a patch: `bump` is added to the normal of the tissue, `film` to that of
    the wet film which glints, and `gloss` is a factor on the glint.
    """

    albedo: vec3
    bump: vec3
    film: vec3
    gloss: qd.f32
