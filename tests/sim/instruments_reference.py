"""The slow twin of instruments and marks, in NumPy: see `tests.sim.reference`."""

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.instruments import COUNT_ROW, MATERIAL_ROW, PART_ROW
from endoforge.sim.treatment import Mark

Array = NDArray[np.float64]


def marched(rows: NDArray[np.float32], directions: Array) -> Array:
    """How far rays (N, 3) from the lens go to a frame's capsules, in small steps."""
    number = int(rows[COUNT_ROW, 0] + rows[COUNT_ROW, 1])
    t = np.full(len(directions), 0.1)
    for _ in range(2000):
        points = t[:, None] * directions
        gap = np.full(len(t), np.inf)
        for k in range(number):
            start, end = rows[PART_ROW + 2 * k].astype(float), rows[PART_ROW + 2 * k + 1]
            way = end[:3].astype(float) - start[:3]
            share = np.clip((points - start[:3]) @ way / (way @ way), 0, 1)
            beside = points - start[:3] - share[:, None] * way
            gap = np.minimum(gap, np.linalg.norm(beside, axis=1) - start[3])
        t = np.minimum(t + np.maximum(gap, 0), 100.0)
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
    rows: NDArray[np.float32], hits: Array, lamps: Array, scattered: float
) -> tuple[Array, NDArray[np.intp]]:
    """Linear light (N, 3) of capsules at (N, 3) mm from the lens, and which one each hit is on.

    `lamps` (L, 3) mm from the lens. Plastic is Lambert's; metal mirrors the red wall at its sides,
    and both glint as (n . h)^64. For materials without windings.
    """
    number = int(rows[COUNT_ROW, 0])
    parts = rows[PART_ROW : PART_ROW + 2 * number].astype(float).reshape(number, 2, 4)
    starts, ways = parts[:, 0, :3], parts[:, 1, :3] - parts[:, 0, :3]
    from_start = hits[:, None] - starts
    share = np.clip((from_start * ways).sum(-1) / (ways**2).sum(-1), 0, 1)
    beside = from_start - share[..., None] * ways
    nearest = np.abs(np.linalg.norm(beside, axis=-1) - parts[:, 0, 3]).argmin(axis=1)
    normal = _unit(beside[np.arange(len(hits)), nearest])
    material = rows[MATERIAL_ROW + parts[nearest, 1, 3].astype(int)].astype(float)
    colour, metal = material[:, :3], np.minimum(material[:, 3:], 1)
    view, t = _unit(hits), np.linalg.norm(hits, axis=1)
    diffuse, glint = np.zeros(len(hits)), np.zeros(len(hits))
    for lamp in lamps:
        to_lamp = lamp - hits
        falloff = 1 / ((to_lamp**2).sum(1) + 9)
        diffuse += np.maximum((normal * _unit(to_lamp)).sum(1), 0) * falloff
        half = _unit(_unit(to_lamp) - view)
        glint += np.maximum((normal * half).sum(1), 0) ** 64 * falloff
    diffuse, glint = diffuse[:, None] / len(lamps), glint[:, None] / len(lamps)
    wall = (scattered / (t**2 + 900))[:, None]
    side = 1 - np.maximum(-(normal * view).sum(1), 0)[:, None]
    light = colour * (1 - 0.6 * metal) * diffuse + glint * (1.5 + 4.5 * metal)
    light += wall * (metal * side * [2.6, 1.5, 1.2] + colour * [0.30, 0.16, 0.12])
    return light, nearest


def _unit(v: Array) -> Array:
    return np.asarray(v / np.linalg.norm(v, axis=-1, keepdims=True))
