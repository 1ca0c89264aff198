"""What the pixels of a mask mean: which of them show something, and which belong together.

In an exact mask each pixel is either black or has the very value of what it belongs to: 0 and 255,
0 and 1, numbers of instances, colours of a palette. Pixels of one value are a layer. Masks with
smooth edges (drawn so, scaled, once JPEG) have one layer: all that is at least half bright.
"""

from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import decode_pixels, is_upright, open_header
from endoforge.captures.tally import Unusable

Pixels = NDArray[Any]
Layer = NDArray[np.bool_]

MOST_LEVELS = 64
"""A mask of more values isn't exact."""
SMOOTH_SHARE = 0.05
"""Of the pixels at outlines, how many may lie between their neighbours' values in an exact mask."""
DIM = 0.25
"""Of half bright: from here on JPEG's noise ends, and a part that stays dimmer than half is one."""
EVEN = 0.02
"""Of half bright: what pixels near each other may differ by where there is no edge."""
JPEG_BLOCK = 64
"""Pixels; JPEG's noise at an edge stays within its blocks."""
SHARPER = ", and its edges are smooth (save it as PNG, with one value a part)"

_JPEG = b"\xff\xd8\xff"
_OUTLINE_OF_VOC = (192, 224, 224)  # BGR; in VOC's masks it surrounds objects, and is no part of any
_NEIGHBOURS = np.ones((3, 3), np.uint8)
_SOLID = np.ones((5, 5), np.uint8)
_AROUND = np.ones((9, 9), np.uint8)


def layers_of(data: bytes, min_area: int) -> list[Layer]:
    """(H, W) each: the pixels of each value of a mask's file, or of one layer those that are set.

    Raises Unusable if it can't be decoded, or if it isn't plain what is set: where edges are smooth
    and a part of `min_area` pixels or more is dimmer than half, or two colours touch; and where
    colour and alpha channel contradict each other.
    """
    if not is_upright(data):
        raise Unusable("mask turned by its EXIF note; save it upright")
    if getattr(open_header(BytesIO(data)), "n_frames", 1) > 1:
        raise Unusable("mask of several pages (save each as a file of its own)")
    pixels = _meant(data)
    is_jpeg = data.startswith(_JPEG)
    layers = None if is_jpeg else _exact_layers(pixels)
    return [_bright(pixels, min_area, is_jpeg)] if layers is None else layers


def _meant(data: bytes) -> Pixels:
    """(H, W) or (H, W, 3): 0 where nothing is shown; uint8, uint16 or float64."""
    pixels = decode_pixels(data, cv2.IMREAD_UNCHANGED)
    if pixels.dtype not in (np.uint8, np.uint16):
        pixels = pixels.astype(np.float64)
        if not np.isfinite(pixels).all() or pixels.min() < 0:
            raise Unusable("mask with values that are negative or no numbers")
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = _shown(pixels[:, :, :3], pixels[:, :, 3])
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        raise Unusable(f"mask of {pixels.shape[2]} channels")
    if pixels.ndim == 3 and (pixels == pixels[:, :, :1]).all():
        pixels = pixels[:, :, 0]
    if pixels.min() == pixels.max():
        return _numbers_of_palette(data, pixels)
    if pixels.ndim == 3 and pixels.dtype == np.uint8:
        pixels[(pixels == _OUTLINE_OF_VOC).all(axis=2)] = 0
    return pixels


def _shown(colour: Pixels, alpha: Pixels) -> Pixels:
    """The colour where it can be seen; the alpha channel itself where the colour says nothing."""
    if alpha.min() == alpha.max():
        return colour
    if (colour == colour[0, 0]).all():
        return alpha
    seen, painted = alpha >= alpha.max() / 2, colour.any(axis=2)
    differs = (seen != painted).astype(np.uint8)
    if not painted.all() and cv2.erode(differs, _NEIGHBOURS).any():  # more than edges do
        raise Unusable("colour and alpha channel of its mask show different things")
    return np.asarray(np.where(seen[:, :, None], colour, 0).astype(colour.dtype))


def _numbers_of_palette(data: bytes, pixels: Pixels) -> Pixels:
    """Where all colours that are used are one: the numbers that the pixels have in the file."""
    header = open_header(BytesIO(data))
    return np.asarray(header) if header is not None and header.mode == "P" else pixels


def _exact_layers(pixels: Pixels) -> list[Layer] | None:
    """One for each value but black; None if the mask isn't exact."""
    flat = pixels if pixels.ndim == 2 else _packed(pixels)
    values = np.unique(flat)
    if len(values) > MOST_LEVELS + 1 or _has_smooth_edges(pixels):
        return None
    return [np.asarray(flat == value) for value in values if value] or [np.zeros(flat.shape, bool)]


def _packed(colours: Pixels) -> Pixels:
    """Make one number of each colour, 0 of black."""
    if colours.dtype == np.float64:
        _, numbers = np.unique(colours.reshape(-1, 3), axis=0, return_inverse=True)
        numbers = numbers.reshape(colours.shape[:2]) + 1
        return np.asarray(np.where(colours.any(axis=2), numbers, 0))
    bits = 8 * colours.dtype.itemsize
    wide: type[Any] = np.uint32 if bits == 8 else np.uint64
    one, two, three = (colours[:, :, n].astype(wide) for n in range(3))
    return np.asarray(one << 2 * bits | two << bits | three)


def _has_smooth_edges(pixels: Pixels) -> bool:
    low, high = cv2.erode(pixels, _NEIGHBOURS), cv2.dilate(pixels, _NEIGHBOURS)
    num_outline = np.count_nonzero(low != high)
    num_between = np.count_nonzero((low < pixels) & (pixels < high))
    return bool(num_between > SMOOTH_SHARE * num_outline)


def _bright(pixels: Pixels, min_area: int, is_jpeg: bool) -> Layer:
    """What is at least half bright in any colour, of white or else of the brightest pixel."""
    levels = pixels if pixels.ndim == 2 else pixels.max(axis=2)
    top = float(levels.max())
    half = _white(levels) / 2
    if levels.min() < top < half:
        if is_jpeg:
            raise Unusable("mask is a JPEG without a bright pixel; save masks as PNG")
        half = top / 2
    bright = np.asarray(levels >= half)
    least = max(min_area, JPEG_BLOCK)
    _refuse_dim_parts(levels, half, bright, least)
    if pixels.ndim == 3:
        _refuse_colours_that_touch(np.asarray(pixels >= half), bright, least)
    return bright


def _white(levels: Pixels) -> float:
    if levels.dtype == np.float64:
        return 1.0 if levels.max() <= 1 else 255.0
    return float(np.iinfo(levels.dtype).max)


def _refuse_dim_parts(levels: Pixels, half: float, bright: Layer, min_area: int) -> None:
    """Such as lie alone, and such as touch a bright one: these are even, as no edge is."""
    visible = np.asarray(levels >= DIM * half)
    spread = cv2.dilate(levels, _AROUND) - cv2.erode(levels, _AROUND)
    num_even = np.count_nonzero(visible & ~bright & (spread <= EVEN * half))
    count, parts, stats, _ = cv2.connectedComponentsWithStats(visible.astype(np.uint8))
    is_dim = np.ones(count, bool)
    is_dim[parts[bright]] = False
    is_dim[0] = False
    if num_even >= min_area or (stats[is_dim, cv2.CC_STAT_AREA] >= min_area).any():
        raise Unusable(f"a part of its mask is neither black nor half bright{SHARPER}")


def _refuse_colours_that_touch(bright_channels: Layer, bright: Layer, min_area: int) -> None:
    count, parts = cv2.connectedComponents(bright.astype(np.uint8))
    colours = _packed(bright_channels.astype(np.uint8))
    num_colours = np.zeros(count, int)
    for colour in np.unique(colours[bright]):
        solid = cv2.morphologyEx((colours == colour).astype(np.uint8), cv2.MORPH_OPEN, _SOLID)
        areas = np.bincount(parts[solid.astype(bool)], minlength=count)
        num_colours += areas >= min_area
    if (num_colours > 1).any():
        raise Unusable(f"two colours touch in its mask{SHARPER}")
