"""Where something round could be: maxima of blob and contour evidence over a pyramid."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.detect.classical.view import Plane, ScopeView

RADIUS_PX = 5.0
"""Radius, in pixels of its level, of what a level of the pyramid looks for."""

STEP = 1.5
"""Ratio of the radii of two neighbouring levels."""

NUM_LEVELS = 7
PEAKS_A_MAP = 6
"""Candidates of a level by each kind of evidence, at most."""

NOISE = 0.02
"""Gradient in log intensity a pixel that counts half: what is fainter may be noise."""


@dataclass(frozen=True)
class Level:
    """A view shrunk `scale` times; `planes` is that of the ScopeView, blurred by the shrinking."""

    scale: float
    planes: Plane
    shares: Plane
    """Shares of the view and of glints in each pixel, (h, w, 2) in 0..1."""


@dataclass(frozen=True)
class Candidates:
    """N places where to look for a contour.

    `centres` is (N, 2), x and y in inner pixels; `levels` (N,) the places of their levels;
    `evidence` (N, 4) what the maps of evidence say there.
    """

    centres: Plane
    levels: NDArray[np.intp]
    evidence: Plane

    def __len__(self) -> int:
        return len(self.levels)


def find_candidates(levels: list[Level]) -> Candidates:
    """Find the candidates of all levels, fine to coarse."""
    parts = [_peaks(level, evidence_maps(level)) for level in levels]
    return Candidates(
        np.concatenate([centres for centres, _ in parts]),
        np.repeat(np.arange(len(parts)), [len(centres) for centres, _ in parts]),
        np.concatenate([evidence for _, evidence in parts]),
    )


def pyramid(view: ScopeView) -> list[Level]:
    """The view at NUM_LEVELS scales, fine to coarse, each STEP times smaller than the last."""
    levels = [Level(1.0, view.planes, cv2.merge([view.valid, view.glints]))]
    for number in range(1, NUM_LEVELS):
        size = tuple(max(6, round(side / STEP**number)) for side in view.size)
        parts = (levels[-1].planes, levels[-1].shares)
        shrunk = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in parts)
        levels.append(Level(view.size[0] / size[0], *shrunk))
    return levels


def evidence_maps(level: Level) -> Plane:
    """Four maps of evidence, (h, w, 4): blobs bright and red against the surrounding; edges that
    close around a place, and edges that close around something brighter."""
    blobs = _difference_of_gaussians(level.planes[..., 1:3])
    return np.dstack([blobs, _contour_maps(level)])


def _difference_of_gaussians(planes: Plane) -> Plane:
    inner = cv2.GaussianBlur(planes, (0, 0), RADIUS_PX * 0.6, borderType=cv2.BORDER_REPLICATE)
    outer = cv2.GaussianBlur(planes, (0, 0), RADIUS_PX * 1.1, borderType=cv2.BORDER_REPLICATE)
    return inner - outer


def _contour_maps(level: Level) -> Plane:
    """Sums over a ring around each pixel of how the edges there lie.

    With the ring's direction d and a gradient of direction g, cos(2g - 2d) is 1 where the edge
    runs along the ring, whichever side is brighter, and -1 where it crosses; -cos(g - d) is 1
    where the inside is brighter. Both are convolutions, for cos(a - b) = cos a cos b + sin a sin b.
    """
    smooth = cv2.GaussianBlur(level.planes[..., 0], (0, 0), 1.0)
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    square = dx * dx + dy * dy + 1e-12
    length = np.sqrt(square)
    trust = level.shares[..., 0] * length / (length + NOISE)
    cos, sin = dx / length, dy / length
    parts = (trust * cos, trust * sin, trust * (cos * cos - sin * sin), trust * 2 * cos * sin)
    x, y, double_x, double_y = (
        cv2.filter2D(part, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
        for part, kernel in zip(parts, RING, strict=True)
    )
    return np.dstack([double_x + double_y, -x - y])


def _ring() -> list[Plane]:
    """Convolution kernels: cos and sin of the ring's direction, then of twice the direction."""
    reach = int(np.ceil(RADIUS_PX * 1.35))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    radius = np.hypot(x, y)
    weight = np.exp(-0.5 * ((radius - RADIUS_PX) / (0.18 * RADIUS_PX)) ** 2)
    weight /= weight.sum()
    angle = np.arctan2(y, x)
    return [
        (weight * wave).astype(np.float32)
        for wave in (np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle))
    ]


RING = _ring()


def _peaks(level: Level, maps: Plane) -> tuple[Plane, Plane]:
    """The best maxima of each map: centres in inner pixels, and the evidence there."""
    flat = maps.reshape(-1, maps.shape[2])
    allowed = level.shares[..., 0].ravel() > 0.5
    places = []
    for number in range(maps.shape[2]):
        plane = np.ascontiguousarray(maps[..., number])
        top = cv2.dilate(plane, np.ones((5, 5), np.uint8))
        peaks = np.flatnonzero((plane >= top).ravel() & (plane.ravel() > 0) & allowed)
        order = np.argsort(-flat[peaks, number], kind="stable")
        places.append(peaks[order[:PEAKS_A_MAP]])
    chosen = np.unique(np.concatenate(places))
    y, x = np.divmod(chosen, maps.shape[1])
    centres = np.stack([x, y], axis=1).astype(np.float32)
    return (centres + 0.5) * level.scale - 0.5, flat[chosen]
