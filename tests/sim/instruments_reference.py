"""The slow twin of instruments and marks, in NumPy: see `tests.sim.reference`."""

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.instruments import COUNT_ROW, MATERIAL_ROW, PART_ROW, Cap
from endoforge.sim.treatment import Mark

Array = NDArray[np.float64]


def marched(
    rows: NDArray[np.float32], directions: Array, first: int = 0, number: int | None = None
) -> Array:
    """How far rays (N, 3) from the lens go to a frame's capsules, in small steps.

    To `number` capsules from `first` on; to those of the tool and the clips if nothing is said.
    """
    number = int(rows[COUNT_ROW, :2].sum()) if number is None else number
    t = np.full(len(directions), 0.1)
    gap = np.full(len(t), np.inf)
    marching = np.ones(len(t), bool)
    for _ in range(2000):
        places = t[marching, None] * directions[marching]
        _, _, beside = _beside(rows, first, number, places)
        radii = rows[PART_ROW + 2 * first : PART_ROW + 2 * (first + number) : 2, 3].astype(float)
        gap[marching] = (np.linalg.norm(beside, axis=-1) - radii).min(axis=1)
        t[marching] = np.minimum(t[marching] + np.maximum(gap[marching], 0), 100.0)
        marching[marching] = (gap[marching] > 1e-5) & (t[marching] < 100.0)
        if not marching.any():
            break
    return np.where(gap < 1e-3, t, np.inf)


def tinted(mark: Mark, middle: Array, places: Array, mucosa: Array) -> Array:
    """The albedo (..., 3) at places (..., 3) of a straight tube along z, plain but for a mark."""
    q = (places - middle) / mark.radius_mm
    d = np.linalg.norm(q, axis=-1)
    outward = places * [1, 1, 0]
    outward = outward / np.linalg.norm(outward, axis=-1, keepdims=True)
    around = np.cross([0.0, 0.0, 1.0], outward)
    x, y = (q * around).sum(axis=-1), q[..., 2]
    way = (x + 1j * y) / d
    bent = 1 + 0.14 * (way**2 * np.exp(1j * mark.turn)).imag
    bent += 0.10 * (way**3).real * np.sin(2 * mark.turn)
    noise = _noise(x * mark.radius_mm, y * mark.radius_mm, mark.turn)
    edge = d / bent - 0.35 * mark.mottle * noise - 0.6 * mark.star * (2 * (way**3).real ** 2 - 1)
    inside = np.clip((1 - edge) / mark.softness, 0, 1)
    inner = mark.amount * inside * (1 + 0.3 * mark.mottle * (noise - 1))
    rim = mark.rim_amount / (1 + (5 * (edge - 1)) ** 4)
    albedo = mucosa + inner[..., None] * (np.array(mark.colour) - mucosa)
    return np.asarray(albedo + rim[..., None] * (np.array(mark.rim) - albedo))


def _noise(x: Array, y: Array, turn: float) -> Array:
    a, c = x + 1.1 * np.sin(0.8 * y + turn), y + 1.1 * np.sin(0.7 * x + 2 * turn)
    coarse = np.sin(0.9 * a + turn) * np.sin(0.8 * c + 0.3 * a)
    fine = np.sin(2.6 * a + 1.9 * c) * np.sin(2.2 * c - 1.3 * a + 2 * coarse)
    return np.asarray(0.6 * coarse + 0.4 * fine)


def part_light(
    rows: NDArray[np.float32],
    hits: Array,
    lamps: Array,
    scattered: float,
    pixel_angle: float,
) -> tuple[Array, NDArray[np.intp]]:
    """Linear light (N, 3) of capsules at (N, 3) mm from the lens, and which one each hit is on.

    `lamps` (L, 3) mm from the lens. Plastic is Lambert's; metal mirrors the red wall at its sides,
    and both glint. A tube wound of wire is darker between its windings, which are 0.5 mm apart and
    fade out where a pixel, `pixel_angle` rad wide, is too wide for them.
    """
    number = int(rows[COUNT_ROW, 0])
    ways, share, beside = _beside(rows, 0, number, hits)
    parts = rows[PART_ROW : PART_ROW + 2 * number].astype(float).reshape(number, 2, 4)
    nearest = np.abs(np.linalg.norm(beside, axis=-1) - parts[:, 0, 3]).argmin(axis=1)
    one = np.arange(len(hits)), nearest
    normal = _unit(beside[one])
    material = rows[MATERIAL_ROW + parts[nearest, 1, 3].astype(int)].astype(float)
    colour, metal = material[:, :3], np.minimum(material[:, 3:], 1)
    view, t = _unit(hits), np.linalg.norm(hits, axis=1)
    wound = np.where(material[:, 3] > 1.5, np.clip(1.5 - 4 * pixel_angle * t, 0, 1), 0)
    along = np.linalg.norm(ways[nearest], axis=1) * share[one]
    colour = colour * (1 - 0.4 * wound * (0.5 + 0.5 * np.sin(2 * np.pi * along / 0.5)))[:, None]
    diffuse, glint = (part[:, None] for part in lamp_light(hits, normal, lamps))
    wall = (scattered / (t**2 + 900))[:, None]
    side = 1 - np.maximum(-(normal * view).sum(1), 0)[:, None]
    light = colour * (1 - 0.6 * metal) * diffuse + glint * (1.5 + 4.5 * metal)
    light += wall * (metal * side * [2.6, 1.5, 1.2] + colour * [0.30, 0.16, 0.12])
    return light, nearest


def lamp_light(places: Array, normal: Array, lamps: Array) -> tuple[Array, Array]:
    """(N,) Lambert light and glints, as (n . h)^64, at (N, 3) mm from the lens."""
    diffuse, glint = np.zeros(len(places)), np.zeros(len(places))
    for lamp in lamps:
        to_lamp = lamp - places
        falloff = 1 / ((to_lamp**2).sum(1) + 9) / len(lamps)
        diffuse += np.maximum((normal * _unit(to_lamp)).sum(1), 0) * falloff
        half = _unit(_unit(to_lamp) - _unit(places))
        glint += np.maximum((normal * half).sum(1), 0) ** 64 * falloff
    return diffuse, glint


def through_cap(cap: Cap, rays: Array, lamps: Array, behind: Array) -> Array:
    """What light (N, 3) is left of, and added to, where rays (N, 3) look through a cap.

    All is in the camera's axes: right, down, forward.
    """
    across, axis = rays[:, :2], np.array(cap.axis)
    low, high = np.zeros(len(rays)), 1e4 * np.ones(len(rays))
    for _ in range(60):  # the lens is within the cylinder, which each ray leaves once
        middle = (low + high) / 2
        inside = np.linalg.norm(middle[:, None] * across - axis, axis=1) < cap.radius_mm
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    wall = low[:, None] * rays
    beyond = (wall[:, 2] - cap.height_mm) / 0.6
    inward = (axis - wall[:, :2]) / cap.radius_mm
    back = cap.height_mm / cap.radius_mm + 0.8 * beyond
    diffuse, glint = lamp_light(wall, _unit(np.column_stack([inward, -back])), lamps)
    edge = cap.strength / (1 + beyond**4)
    plastic = cap.strength * np.clip(0.5 - 2 * beyond, 0, 1)
    streaks = np.sin(3 * inward[:, 0] + 2 * cap.rim) * np.sin(4 * inward[:, 1] + 5 * cap.veil)
    drops = np.sin(2.3 * wall[:, 0] + 1.3 * wall[:, 1]) * np.sin(2.9 * wall[:, 1] - 0.9 * beyond)
    veil = 0.06 * cap.veil * (0.7 + 0.5 * streaks)
    veil = veil + 0.12 * cap.fog * np.clip(drops + 0.2 * beyond, 0, 1)
    kept = 1 - 0.45 * plastic - edge * (0.3 + 0.4 * max(-cap.rim, 0.0))
    shine = edge * (0.05 * diffuse + 0.5 * glint) * max(cap.rim, 0.05)
    seen = behind * kept[:, None] + shine[:, None]
    seen += (diffuse * plastic * veil)[:, None] * [1.0, 0.97, 0.92]
    return np.asarray(np.where((beyond < 2)[:, None], seen, behind))


def under_water(
    rows: NDArray[np.float32], hits: Array, lamps: Array, behind: Array, phase: float
) -> Array:
    """Light (N, 3) of places (N, 3) mm from the lens, through a frame's jet and its splash.

    `phase` in rad is what differs from frame to frame.
    """
    first, number = int(rows[COUNT_ROW, :2].sum()), int(rows[COUNT_ROW, 2])
    view = _unit(hits)
    jet = rows[PART_ROW + 2 * first : PART_ROW + 2 * (first + number)].astype(float)
    met = marched(rows, view, first, number)
    wet = met < np.linalg.norm(hits, axis=1)
    seen = behind.copy()
    if wet.any():
        skin = met[wet, None] * view[wet]
        ways, _, beside = _beside(rows, first, number, skin)
        gaps = np.abs(np.linalg.norm(beside, axis=-1) - jet[::2, 3])
        nearest = gaps.argmin(axis=1)
        axis = _unit(ways[nearest])
        off = skin - jet[::2, :3][nearest]
        normal = _unit(off - (off * axis).sum(axis=1, keepdims=True) * axis)
        diffuse, glint = (part[:, None] for part in lamp_light(skin, normal, lamps))
        edge = 1 - np.maximum(-(normal * view[wet]).sum(axis=1, keepdims=True), 0)
        seen[wet] += (0.5 * diffuse - seen[wet]) * (0.10 + 0.45 * edge**2) + 6 * glint
    start, way = jet[0, :3], _unit(jet[-1, :3] - jet[0, :3])
    beside = hits - start - np.outer((hits - start) @ way, way)
    d = np.linalg.norm(beside, axis=1)
    x, y, z = beside.T
    x, y = x + 0.6 * np.sin(1.7 * y), y + 0.6 * np.sin(1.9 * x + phase)
    noise = np.sin(1.6 * x + phase) * np.sin(1.9 * y - 1.3 * z + phase)
    ripples = np.sin(4 * d + 1.5 * noise - phase)
    foam = (1 - d / 4.5) * (0.8 + 0.9 * noise + 0.25 * ripples)
    foam = np.where(((hits - start) @ way > 0) & (d < 4.5), np.clip(0.75 * foam, 0, 0.8), 0)
    diffuse, _ = lamp_light(hits, -view, lamps)
    return np.asarray(seen + foam[:, None] * (0.62 * diffuse[:, None] - seen))


def _beside(
    rows: NDArray[np.float32], first: int, number: int, places: Array
) -> tuple[Array, Array, Array]:
    """The ways (K, 3) of capsules, and of places (N, 3) their (N, K) share of each way.

    And, (N, K, 3), what they lie beside it.
    """
    parts = rows[PART_ROW + 2 * first : PART_ROW + 2 * (first + number)].astype(float)
    starts, ways = parts[::2, :3], parts[1::2, :3] - parts[::2, :3]
    off = places[:, None] - starts
    share = np.clip((off * ways).sum(-1) / (ways**2).sum(-1), 0, 1)
    return ways, share, off - share[..., None] * ways


def _unit(v: Array) -> Array:
    return np.asarray(v / np.linalg.norm(v, axis=-1, keepdims=True))
