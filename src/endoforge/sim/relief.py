"""The wall where it isn't stretched: wrinkles across it, and stretches that close in pleats."""

import numpy as np

from endoforge.sim.centreline import ALONG_STEP_MM, NUM_ALONG
from endoforge.sim.ranges.anatomy_ranges import AnatomyRanges
from endoforge.sim.ranges.values import draw
from endoforge.sim.streams import Stream, smooth_noise, stream
from endoforge.sim.wall import COLUMN_ANGLES, MIN_RADIUS_MM, NUM_AROUND, Array, Grid, patches

WRINKLE_MM = 1.1
"""Height of the highest small wrinkles."""
CREASE_MM = 1.8
"""Height of the creases between them, which run in all directions."""
CLOSED, PLEATED = 0.45, 0.16
"""Shares of the radius that a stretch loses where it closes: evenly, and in pleats."""


def relax(seed: int, ranges: AnatomyRanges, radius: Grid) -> Grid:
    """The wall of a colon as air leaves it: in places closed in pleats, in places wrinkled."""
    rng = stream(seed, Stream.RELIEF)
    wrinkles, collapse = draw(rng, ranges.wrinkles), draw(rng, ranges.collapse)
    if collapse > 0:
        radius = _pleated(rng, radius, collapse)
    if wrinkles > 0:
        radius = _wrinkled(rng, radius, wrinkles)
    return radius


def _pleated(rng: np.random.Generator, radius: Grid, collapse: float) -> Grid:
    """Close some stretches of the wall: it comes nearer, and folds along the colon."""
    closed = np.clip(0.25 + 0.8 * _along_noise(rng, 90.0), 0, 1)[:, None].astype(
        np.float32
    ) * np.float32(collapse)
    pleats: Grid = np.zeros((NUM_ALONG, NUM_AROUND), np.float32)
    for turns in rng.choice(np.arange(2, 9), size=3, replace=False).tolist():
        phase = 1.6 * _along_noise(rng, 50.0) + rng.uniform(0, 2 * np.pi)
        # The cosine of turns * angle + phase, by a product of matrices, which is faster.
        along = np.stack([np.cos(phase), -np.sin(phase)], axis=1) / 1.5
        around = np.stack([np.cos(turns * COLUMN_ANGLES), np.sin(turns * COLUMN_ANGLES)])
        pleats += along.astype(np.float32) @ around.astype(np.float32)
    narrower = radius * (1 - closed * (CLOSED + PLEATED * pleats))
    # The ends of the tube stay closed as they are, and a scope still gets through the rest.
    least = np.minimum(radius, MIN_RADIUS_MM)
    return np.asarray(np.maximum(narrower, least), np.float32)


def _wrinkled(rng: np.random.Generator, radius: Grid, strength: float) -> Grid:
    """Raise small ridges across the colon, and creases between them, some places more."""
    across = 1 - _rounded(patches(rng, 5.5, 42.0))
    any_way = 1 - _rounded(patches(rng, 11.0, 14.0))
    much = np.clip(0.55 + 0.5 * patches(rng, 40.0, 60.0), 0, 1) * strength
    raised = much * (
        WRINKLE_MM * np.maximum(across, -0.2) + CREASE_MM * np.maximum(any_way, 0) ** 2
    )
    # Towards the ends, and where the lumen is narrow already, there's no room for them.
    room = np.clip((radius - MIN_RADIUS_MM) / 5.0, 0, 1)
    return np.asarray(radius - room * raised, np.float32)


def _rounded(noise: Grid) -> Grid:
    """About its absolute value, without the edge at 0."""
    return np.asarray(np.sqrt(noise * noise + np.float32(0.06)), np.float32)


def _along_noise(rng: np.random.Generator, over_mm: float) -> Array:
    return smooth_noise(rng, NUM_ALONG, over_mm / ALONG_STEP_MM)
