"""What frames look like, as numbers that are near each other for frames that look alike."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

GRID, DIRECTIONS = 4, 8
"""Cells each way, and directions of edges that are told apart in each."""
SIDE_PX = 64
LOOK_LENGTH = GRID * GRID * (3 + DIRECTIONS)
SCALE_SHARE = 0.5
"""Looks count as alike within this share of the distance that two frames usually have."""
MOST_COMPARED = 400
"""Frames by which that usual distance is told."""


def look_of(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Describe a picture, (H, W, 3) uint8 RGB, by its colours and edges: (LOOK_LENGTH,) float32.

    Mean colours, in CIE Lab, of a grid of cells, and how strong edges of each direction are there,
    as in histograms of oriented gradients (Dalal and Triggs 2005, "Histograms of oriented gradients
    for human detection") and GIST (Oliva and Torralba 2001, "Modeling the shape of the scene"). It
    needs no detector: frames that a detector confuses are still told apart.
    """
    small = cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32) / 255
    lightness = np.ascontiguousarray(lab[..., 0])
    across = cv2.Sobel(lightness, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(lightness, cv2.CV_32F, 0, 1)
    strength = np.hypot(across, down)
    # An edge has no sign: half a turn is the same direction.
    turn = np.arctan2(down, across) / np.pi % 1.0
    direction = np.minimum((turn * DIRECTIONS).astype(np.intp), DIRECTIONS - 1)
    by_direction = strength[..., None] * np.eye(DIRECTIONS)[direction]
    edges = _by_cell(by_direction)
    # The root of shares (Hellinger's distance): a glint's edge doesn't drown all others.
    shares = np.sqrt(edges / max(float(edges.sum()), 1e-6))
    return np.concatenate([_by_cell(lab).ravel(), shares.ravel()]).astype(np.float32)


def _by_cell(values: NDArray[Any]) -> NDArray[np.float32]:
    """The means (GRID, GRID, K) of (SIDE_PX, SIDE_PX, K) values."""
    size = SIDE_PX // GRID
    cells = values.reshape(GRID, size, GRID, size, -1)
    return np.asarray(cells.mean(axis=(1, 3)), np.float32)


def squared_distances(
    looks: NDArray[np.float32], others: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The squared distances (N, M) of looks (N, LOOK_LENGTH) and (M, LOOK_LENGTH)."""
    squares = (looks**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None]
    return np.asarray(np.maximum(squares - 2 * looks @ others.T, 0.0), np.float32)


def usual_scale(looks: NDArray[np.float32]) -> float:
    """The distance within which two of these looks, (N, LOOK_LENGTH), count as alike.

    A share of the median distance of two frames, so that it fits a single video as well as those of
    ten hospitals. 1 where all look the same.
    """
    step = -(-len(looks) // MOST_COMPARED)
    some = looks[:: max(step, 1)]
    apart = squared_distances(some, some)[np.triu_indices(len(some), 1)]
    usual = float(np.sqrt(np.median(apart))) if len(apart) else 0.0
    return SCALE_SHARE * usual or 1.0
