"""The slow twin of instruments and marks, in NumPy: see `tests.sim.reference`."""

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.instruments import COUNT_ROW, PART_ROW
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
