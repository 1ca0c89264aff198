"""The closed contour around a candidate: the best path through edges seen from its centre."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.detect.classical.blobs import RADIUS_PX, Candidates, Level
from endoforge.detect.classical.view import Plane

NUM_ANGLES = 16
RADII = np.geomspace(0.2, 2.3, 22).astype(np.float32)
"""Distances at which rays are sampled, in radii of the level; the step is 12 %."""

ANGLES = np.arange(NUM_ANGLES, dtype=np.float32) * (2 * np.pi / NUM_ANGLES)
BEND_COST = 0.25
"""What a step of one radius between neighbouring rays costs, in edges of full strength."""

PRIOR_COST = 0.08
"""What it costs that a contour is at twice or half the level's radius."""

RAYS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)

EDGE_INTENSITY, EDGE_COLOUR = 0.12, 0.08
"""Step in the logarithms across an edge that counts half."""

INTENSITY, EVEN, REDNESS, YELLOWNESS, VALID, GLINT = range(6)


@dataclass(frozen=True)
class Contours:
    """Contours of N candidates, seen from their centres along A rays of R samples.

    `samples` is (N, A, R, 6): the four planes, and the shares of view and glints; `steps` is
    (N, A, R, 4), outside minus inside; `edges` (N, A, R) in 0..1; `path` (N, A) is the sample on
    each ray where the contour is. `centres` (N, 2) and `scale` (N,) bring all of it to inner
    pixels; `evidence` is that of the candidates.
    """

    samples: Plane
    steps: Plane
    edges: Plane
    path: NDArray[np.intp]
    centres: Plane
    scale: Plane
    evidence: Plane

    def points(self) -> Plane:
        """The contours' points in inner pixels: (N, A, 2), x then y."""
        radii = RADII[self.path] * RADIUS_PX * self.scale[:, None]
        return np.asarray(self.centres[:, None] + radii[..., None] * RAYS)

    def __len__(self) -> int:
        return len(self.scale)


def trace(levels: list[Level], candidates: Candidates) -> Contours:
    """Trace the contour of each candidate on the level where it was found."""
    samples = np.empty((len(candidates), NUM_ANGLES, len(RADII), 6), np.float32)
    for number, level in enumerate(levels):
        rows = np.flatnonzero(candidates.levels == number)
        if len(rows):
            samples[rows] = _sample(level, candidates.centres[rows])
    steps = _steps(samples)
    edges = _edges(samples, steps)
    scale = np.array([level.scale for level in levels], np.float32)[candidates.levels]
    return Contours(
        samples, steps, edges, best_paths(edges), candidates.centres, scale, candidates.evidence
    )


def _sample(level: Level, centres: Plane) -> Plane:
    """(N, A, R, 6) samples of a level along rays from (N, 2) centres."""
    centres = (centres + 0.5) / level.scale - 0.5
    places = centres[:, None, None] + RAYS[:, None] * (RADII * RADIUS_PX)[:, None]
    shape = len(centres), NUM_ANGLES * len(RADII)
    x, y = (np.ascontiguousarray(places[..., axis]).reshape(shape) for axis in (0, 1))
    planes = cv2.remap(level.planes, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    shares = cv2.remap(level.shares, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    both = np.concatenate([planes, shares], axis=2)
    return both.reshape(len(centres), NUM_ANGLES, len(RADII), 6)


def _steps(samples: Plane) -> Plane:
    """Outside minus inside at each sample, the means of two samples each; 0 at a ray's ends."""
    planes = samples[..., :4]
    pairs = planes[:, :, 1:] + planes[:, :, :-1]
    # Two samples on each side: the noise of one alone would make edges.
    steps = np.zeros(planes.shape, np.float32)
    steps[:, :, 2:-2] = (pairs[:, :, 3:] - pairs[:, :, :-3]) / 2
    return steps


def _edges(samples: Plane, steps: Plane) -> Plane:
    """0..1: how much of an edge there is across the ray, in any plane."""
    square = steps[..., INTENSITY] ** 2 * EDGE_INTENSITY**-2
    square += (steps[..., REDNESS] ** 2 + steps[..., YELLOWNESS] ** 2) * EDGE_COLOUR**-2
    return np.asarray(square / (1 + square) * samples[..., VALID], np.float32)


def best_paths(edges: Plane) -> NDArray[np.intp]:
    """(N, A): on each ray the sample of the closed path with most edge and least bending.

    Viterbi's algorithm around the circle one and a half times; what the second half lap says of
    the first rays agrees with the last ones.
    """
    prior = PRIOR_COST * np.log2(RADII) ** 2
    gains = edges - prior
    count, angles, radii = edges.shape
    # A closed path must end where it began. Fixing the first sample and trying all of them would
    # cost 22 times as much; half a lap more lets the path forget where it started.
    order = [step % angles for step in range(angles + angles // 2)]
    total = gains[:, order[0]].copy()
    came = np.zeros((len(order), count, radii), np.int8)
    for lap, ray in enumerate(order[1:], start=1):
        padded = np.full((count, radii + 2), -np.inf, np.float32)
        padded[:, 1:-1] = total
        inward, outward = padded[:, :-2] - BEND_COST, padded[:, 2:] - BEND_COST
        best = np.maximum(inward, outward)
        move = np.where(inward >= outward, -1, 1).astype(np.int8)
        stays = total >= best
        came[lap] = np.where(stays, 0, move)
        total = np.where(stays, total, best) + gains[:, ray]
    place = total.argmax(axis=1)
    path = np.zeros((count, angles), np.intp)
    rows = np.arange(count)
    for lap in range(len(order) - 1, len(order) - 1 - angles, -1):
        path[:, order[lap]] = place
        place = place + came[lap, rows, place]
    return path
