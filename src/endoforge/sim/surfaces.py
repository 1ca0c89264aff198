"""Surfaces of the mucosa as tileable pictures: the wall's, and those of lesions by their pits.

Each is a layer of one table, packed as `texture.fine_texture` is and laid after it: what a pixel
looks up is one number, whichever surface it shows.
"""

import heapq
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.streams import Stream, stream
from endoforge.sim.texture import (
    FINE_SCALE,
    FINE_ZERO,
    LEVELS,
    SIZE,
    Picture,
    even_points,
    fine_texture,
    fit_slopes,
    net_of,
    noise_of,
    packed,
    pits_of,
    with_mip_levels,
)

KINDS = ("net", "branching", "round", "stellar", "gyri", "villous")
"""Layers in their order. The wall has one of the first two, a net of capillaries with pits or
vessels that branch from stems with grooves around the colon; the rest are the pits of lesions:
kinds I, II, IV and the villi of Kudo's classification (Gastrointest Endosc 1996;44:8-14)."""
FIRST_OF_LESIONS = KINDS.index("round")
LAYER_TEXELS = sum((SIZE >> level) ** 2 for level in range(LEVELS))
ROOTS, ROWS = 7, 60
"""Stems that the branching vessels of one tile come from, and rows of places that they reach."""


@cache
def surface_textures() -> NDArray[np.int32]:
    """Make all layers: (len(KINDS) * LAYER_TEXELS,) texels of four bytes, as `fine_texture` has.

    The channels, lowest byte first, are the ink (vessels, or the openings of pits: 0..1), mottling
    (about -2..2), and the slopes of the relief along u and v.
    """
    rest = [_layer(number, KINDS[number]) for number in range(1, len(KINDS))]
    return np.concatenate([fine_texture(), *rest])


def _layer(number: int, kind: str) -> NDArray[np.int32]:
    rng = stream(number, Stream.SURFACES)
    ink, relief = RECIPES[kind](rng)
    mottling = (
        0.6 * noise_of(rng, 1, 12, 1.0)
        + 0.6 * noise_of(rng, 10, 60, 0.8)
        + 0.35 * noise_of(rng, 50, 200, 0.5)
    )
    level = np.stack([ink, mottling, *fit_slopes(relief)], axis=-1).astype(np.float32)
    return packed(with_mip_levels(level), FINE_ZERO, FINE_SCALE)


def _branching(rng: np.random.Generator) -> tuple[Picture, Picture]:
    """Vessels from stems to the finest, and grooves along v, which is around the colon."""
    finest = np.maximum(0.55 * net_of(rng, 20, 4.0), 0.4 * net_of(rng, 40, 3.0))
    finest *= np.clip(0.6 + 0.5 * noise_of(rng, 1, 8, 0.5), 0.0, 1)
    ink = np.maximum(_trees(rng), finest)
    grooves = _stretched(noise_of(rng, 14, 70, 0.6), 5)
    return ink, grooves / grooves.std() + 0.35 * pits_of(rng, 2200)


def _trees(rng: np.random.Generator) -> Picture:
    """Trees on scattered places, every place on the shortest way to a root.

    A stretch is as thick as the places behind it ask: the radius grows by the power 1 / 3 of what
    flows (Murray, Proc Natl Acad Sci 1926;12:207-214).
    """
    places = even_points(rng, ROWS * ROWS)
    order, parents = _ways(rng, places)
    flow = np.ones(len(places))
    for place in reversed(order):
        if parents[place] >= 0:
            flow[parents[place]] += flow[place]
    # A margin holds what goes over the tile's edges; it is laid over the opposite ones then.
    margin = 4 * SIZE // ROWS
    canvas = np.zeros((2 * SIZE + 2 * margin,) * 2, np.uint8)
    for place in sorted(order, key=lambda place: float(flow[place])):  # stems lie over the rest
        if parents[place] >= 0:
            along = (places[parents[place]] - places[place] + SIZE / 2) % SIZE - SIZE / 2
            ends = margin + 2 * np.stack([places[place], places[place] + along])
            _draw(canvas, ends, float(flow[place]) ** (1 / 3))
    for _both_ways in range(2):
        canvas[margin : 2 * margin] = np.maximum(canvas[margin : 2 * margin], canvas[-margin:])
        canvas[-2 * margin : -margin] = np.maximum(canvas[-2 * margin : -margin], canvas[:margin])
        canvas = canvas[margin:-margin].T
    whole = np.ascontiguousarray(canvas)
    soft = cv2.resize(whole, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return _bent(rng, np.asarray(soft, np.float32) / np.float32(255))


def _ways(
    rng: np.random.Generator, places: NDArray[np.float64]
) -> tuple[list[int], NDArray[np.intp]]:
    """The places in the order of their distance from a root, and the next on the way to it.

    Ways lead from each place to the eight around it on the lattice that the places are from.
    """
    row, column = np.divmod(np.arange(len(places)), ROWS)
    steps = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
    near = np.stack(
        [(row + down) % ROWS * ROWS + (column + right) % ROWS for down, right in steps], axis=1
    )
    apart = np.abs(places[:, None] - places[near])
    lengths = np.linalg.norm(np.minimum(apart, SIZE - apart), axis=2)
    ways = (lengths * rng.uniform(0.35, 2.0, lengths.shape)).tolist()
    parents = np.full(len(places), -1)
    done: dict[int, None] = {}
    queue = [(0.0, int(root), -1) for root in rng.choice(len(places), ROOTS, replace=False)]
    heapq.heapify(queue)
    while queue:
        length, place, before = heapq.heappop(queue)
        if place in done:
            continue
        done[place], parents[place] = None, before
        for other, more in zip(near[place].tolist(), ways[place], strict=True):
            if other not in done:
                heapq.heappush(queue, (length + more, other, place))
    return list(done), parents


def _draw(canvas: NDArray[np.uint8], ends: NDArray[np.float64], thickness: float) -> None:
    """Draw a stretch of a vessel between two ends (2, 2) in pixels."""
    ink, width = min(70.0 + 34.0 * thickness, 235.0), max(1, round(1.15 * thickness))
    (x0, y0), (x1, y1) = np.rint(8 * ends).astype(int).tolist()
    cv2.line(canvas, (x0, y0), (x1, y1), (ink,), width, cv2.LINE_AA, 3)


def _bent(rng: np.random.Generator, picture: Picture) -> Picture:
    """The picture, bent by noise: what was straight meanders."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    bent = [(axis + 4.0 * noise_of(rng, 4, 24, 1.2)) % SIZE for axis in (x, y)]
    soft = cv2.GaussianBlur(np.pad(picture, 8, mode="wrap"), (0, 0), 0.8)[8:-8, 8:-8]
    wrapped = np.pad(soft, ((0, 1), (0, 1)), mode="wrap")
    warped = cv2.remap(
        wrapped, bent[0].astype(np.float32), bent[1].astype(np.float32), cv2.INTER_LINEAR
    )
    return np.asarray(warped, np.float32)


def _stretched(picture: Picture, times: int) -> Picture:
    """Blur a picture along v (its rows) alone, around its edges: spots become ridges."""
    pad = 8 * times
    wrapped = np.pad(picture, ((pad, pad), (0, 0)), mode="wrap")
    blurred = cv2.GaussianBlur(wrapped, (1, 0), 0, sigmaY=2.5 * times)
    return np.asarray(blurred[pad:-pad], np.float32)


def _round(rng: np.random.Generator) -> tuple[Picture, Picture]:
    """Round pits, evenly scattered: dots."""
    distance = -pits_of(rng, 700, even=True)
    return np.asarray(np.clip(1.4 * (distance - 0.55), 0, 1), np.float32), -distance


def _stellar(rng: np.random.Generator) -> tuple[Picture, Picture]:
    """Star-shaped pits: dots whose rims other noise frays."""
    frayed = -pits_of(rng, 320, even=True) + 0.8 * noise_of(rng, 14, 60, 0.7)
    return np.asarray(np.clip(1.1 * (frayed - 0.7), 0, 1), np.float32), -frayed


def _gyri(rng: np.random.Generator) -> tuple[Picture, Picture]:
    """Gyri like a brain's: the ridges and furrows of noise of one wavelength."""
    waves = noise_of(rng, 15, 21, 0.0)
    ridges = np.tanh(1.6 * waves).astype(np.float32)
    return np.asarray(np.clip(-1.3 * waves - 0.25, 0, 1), np.float32), ridges


def _villous(rng: np.random.Generator) -> tuple[Picture, Picture]:
    """Fronds: long ridges of two widths that lie beside each other."""
    waves = _stretched(noise_of(rng, 20, 34, 0.0), 2)
    waves = _bent(rng, waves / waves.std()) + 0.4 * noise_of(rng, 40, 90, 0.5)
    return np.asarray(np.clip(-0.9 * waves - 0.35, 0, 1), np.float32), np.tanh(waves)


RECIPES: dict[str, Callable[[np.random.Generator], tuple[Picture, Picture]]] = {
    "branching": _branching,
    "round": _round,
    "stellar": _stellar,
    "gyri": _gyri,
    "villous": _villous,
}
"""How ink and relief of each layer but the first are made."""
