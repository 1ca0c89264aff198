"""A frame without what isn't mucosa: the scope's mask left out, glints filled, lamps undone."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]
"""An array of float32; what OpenCV gives isn't typed as one."""

Picture = NDArray[Any]
"""An array of uint8."""

INNER_SIDE_PX = 128
"""Square root of the area at which the view is looked at."""

DARKEST = 18
"""Brightest channel (0 to 255) from which a pixel can be of the view, not of the mask."""

LEAST_SHARE = 0.01
"""Share of the frame that the view must have, and of a square's side its shorter side."""

GLINT_WINDOW, GLINT_ABOVE, GLINT_LEAST, SATURATED = 15, 1.28, 12, 240
"""A glint's least channel is so many times the median of the window, and as much more; or it is
saturated."""

LOGARITHM = np.log(np.arange(256, dtype=np.float32) / 255 + 0.03)

NEIGHBOURHOOD = 0.25
"""Sigma of the lamps' fall-off, as a share of INNER_SIDE_PX."""


@dataclass(frozen=True)
class ScopeView:
    """The endoscope's view at the inner scale, h by w.

    `planes` is (h, w, 4): intensity, evenly lit intensity, redness (R against G) and yellowness
    (G against B), all logarithms, so that the strength of a lamp is an offset; glints are filled,
    and what isn't of the view goes on as its surrounding. `valid` is 1 in the view and 0 without;
    `glints` is 1 where there were some. `left`, `top`, `width` and `height` are the view's
    rectangle in 0..1 of the frame.
    """

    planes: Plane
    valid: Plane
    glints: Plane
    left: float
    top: float
    width: float
    height: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in inner pixels."""
        return self.valid.shape[1], self.valid.shape[0]


def see(frame: NDArray[np.uint8]) -> ScopeView | None:
    """The view in a frame (H, W, 3) uint8 RGB; None where there is none to speak of."""
    found = _find(frame)
    if found is None:
        return None
    mask, left, top = found
    height, width = mask.shape
    scale = INNER_SIDE_PX / np.sqrt(width * height)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    rectangle = frame[top : top + height, left : left + width]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    rgb = cv2.resize(rectangle, size, interpolation=method)
    valid = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    # Resizing blends the mask's black into the view's rim, which would look like an edge.
    valid = cv2.erode(valid, np.ones((5, 5)), borderType=cv2.BORDER_REPLICATE)
    valid = (valid > 0.99 * 255).astype(np.float32)
    glints = _glints(rgb, valid)
    planes = _planes(rgb, valid * (1 - glints))
    return ScopeView(
        planes,
        valid,
        glints,
        left / frame.shape[1],
        top / frame.shape[0],
        width / frame.shape[1],
        height / frame.shape[0],
    )


def _find(frame: Picture) -> tuple[Picture, int, int] | None:
    """The view's mask (0 or 255) cut to its rectangle, and the rectangle's left and top.

    It is the convex hull of the largest bright region: the lumen may be as dark as the scope's
    mask, and letters and inset pictures are not in one piece with the view.
    """
    # At some 320 pixels the view's edge is still found well enough, in a fraction of the time.
    shrink = max(1, round(max(frame.shape[:2]) / 320))
    small = np.ascontiguousarray(frame[::shrink, ::shrink])
    brightest = cv2.max(cv2.max(small[..., 0], small[..., 1]), small[..., 2])
    bright: Picture = (brightest >= DARKEST).astype(np.uint8)
    bright = cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, regions, stats, _ = cv2.connectedComponentsWithStats(bright, connectivity=4)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    if stats[largest, cv2.CC_STAT_AREA] < LEAST_SHARE * bright.size:
        return None
    left, top, width, height = (int(value) for value in stats[largest, :4])
    if min(width, height) < LEAST_SHARE * max(width, height) or min(width, height) < 4:
        return None
    region = (regions == largest).astype(np.uint8)
    outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    mask = np.zeros(bright.shape, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.concatenate(outlines)), 255)
    cut = mask[top : top + height, left : left + width]
    left, top = left * shrink, top * shrink
    size = min(width * shrink, frame.shape[1] - left), min(height * shrink, frame.shape[0] - top)
    return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_NEAREST), np.uint8), left, top


def _glints(rgb: Picture, valid: Plane) -> Plane:
    """1 where the lamps mirror: much brighter and paler than around, and a ring of a pixel."""
    palest = cv2.min(cv2.min(rgb[..., 0], rgb[..., 1]), rgb[..., 2])
    around = cv2.medianBlur(palest, GLINT_WINDOW)
    above = palest > around * np.float32(GLINT_ABOVE) + GLINT_LEAST
    glints = (above | (palest > SATURATED)).astype(np.uint8)
    return np.asarray(cv2.dilate(glints, np.ones((3, 3), np.uint8)) * valid, np.float32)


def _planes(rgb: Picture, known: Plane) -> Plane:
    """The four planes, known where `known` is 1 and filled from there elsewhere."""
    red, green, blue = cv2.split(LOGARITHM[rgb])
    raw = cv2.merge([(red + green + blue) / 3, red - green, green - blue])
    intensity, redness, yellowness = cv2.split(_fill(raw, known))
    even = intensity - _blur(intensity, NEIGHBOURHOOD * INNER_SIDE_PX)
    return np.asarray(cv2.merge([intensity, even, redness, yellowness]), np.float32)


def _fill(planes: Plane, known: Plane) -> Plane:
    """`planes` where `known`, elsewhere the mean of what is known nearby.

    Push and pull (Gortler et al. 1996): the means of ever larger squares, then, from coarse to
    fine, each unknown part from the square that it lies in.
    """
    weighted = cv2.merge([*cv2.split(planes * known[..., None]), known])
    sums = [weighted]
    while min(sums[-1].shape[:2]) > 1:
        sums.append(_shrunk(sums[-1], 2))
    filled: Plane = sums[-1][..., :3] / np.maximum(sums[-1][..., 3:], 1e-6)
    for level in reversed(sums[:-1]):
        filled = cv2.resize(filled, level.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        filled = level[..., :3] + filled * (1 - level[..., 3:])
    return np.asarray(filled, np.float32)


def _blur(plane: Plane, sigma: float) -> Plane:
    """Blur by a Gaussian of `sigma` pixels, on an image shrunk by as much as that allows."""
    small = _shrunk(plane, max(1, int(sigma / 2)))
    small = cv2.GaussianBlur(small, (0, 0), sigma * small.shape[1] / plane.shape[1])
    return np.asarray(cv2.resize(small, plane.shape[1::-1]), np.float32)


def _shrunk(planes: Plane, times: int) -> Plane:
    """Shrink to the means of squares that are `times` as wide as a pixel."""
    size = max(1, planes.shape[1] // times), max(1, planes.shape[0] // times)
    return np.asarray(cv2.resize(planes, size, interpolation=cv2.INTER_AREA), np.float32)
