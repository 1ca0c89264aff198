"""The box of one COCO annotation, its bbox or around polygons and run lengths, and its mask."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as run_lengths
from numpy.typing import NDArray

from endoforge.captures.label_boxes import refuse_shares
from endoforge.captures.pictures import MOST_PIXELS
from endoforge.captures.schema import Corners
from endoforge.captures.tally import Unusable

Size = tuple[int, int]
MOST_WALKED = 10_000_000
"""Pixels along a polygon's edges at most: it is walked along them, in 40 bytes a pixel."""


def box_of(bbox: Any, segmentation: Any, picture_size: Callable[[], Size]) -> Corners:
    """xyxy in pixels, as the annotation has it; raises Unusable if it has no box with an area.

    The outline counts where `bbox` is absent, empty or without area. `picture_size` gives (width,
    height), which run lengths must be of; it is called for these alone.
    """
    corners = _of_bbox(bbox)
    if corners is not None:
        return corners
    around = [_around(part, picture_size) for part in _parts(segmentation)]
    if not around:
        raise Unusable("bbox without area" if bbox else "neither bbox nor segmentation")
    lefts, tops, rights, bottoms = zip(*around, strict=True)
    left, top, right, bottom = min(lefts), min(tops), max(rights), max(bottoms)
    if left >= right or top >= bottom:
        raise Unusable("segmentation without area")
    return left, top, right, bottom


def _of_bbox(bbox: Any) -> Corners | None:
    """None where it says nothing."""
    numbers = _numbers("bbox", [] if bbox is None else bbox)
    if all(map(math.isnan, numbers)):
        return None
    if len(numbers) != 4:
        raise Unusable("bbox isn't four numbers")
    if not all(map(math.isfinite, numbers)):
        raise Unusable("bbox with NaN or infinite numbers")
    left, top, width, height = numbers
    if width < 0 or height < 0:
        raise Unusable("bbox of negative size")
    if not width or not height:
        return None
    refuse_shares(corners := (left, top, left + width, top + height))
    return corners


def _numbers(what: str, values: Any) -> list[float]:
    """Numbers, also such as are in quotes; null is NaN."""
    try:
        if isinstance(values, list):
            return [math.nan if value is None else float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        pass
    raise Unusable(f"{what} isn't numbers")


def _parts(segmentation: Any) -> list[Any]:
    """Its polygons and run lengths; some tools write one without the list around it."""
    if isinstance(segmentation, list) and segmentation:
        nested = isinstance(segmentation[0], list | dict)
        return [part for part in segmentation if part] if nested else [segmentation]
    return [segmentation] if segmentation else []


def _around(part: Any, picture_size: Callable[[], Size]) -> Corners:
    if isinstance(part, dict):
        return _around_runs(part, picture_size())
    numbers = _numbers("polygon", part)
    if len(numbers) % 2 or not all(map(math.isfinite, numbers)):
        raise Unusable("polygon isn't pairs of numbers")
    xs, ys = numbers[0::2], numbers[1::2]
    refuse_shares(corners := (min(xs), min(ys), max(xs), max(ys)))
    return corners


def encoded(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """An (H, W) mask as COCO's compressed run lengths."""
    runs = run_lengths.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": runs["counts"].decode()}


def mask_of(segmentation: Any, size: Size) -> NDArray[np.bool_]:
    """(H, W): the pixels within an annotation's polygons and run lengths, as COCO counts them.

    `size` is the picture's (width, height). Raises Unusable if it has no pixel, and if it can't be
    read.
    """
    width, height = size
    mask = np.zeros((height, width), np.bool_)
    for part in _parts(segmentation):
        mask |= _of_runs(part, size) if isinstance(part, dict) else _of_polygon(part, size)
    if not mask.any():
        raise Unusable("segmentation without a pixel")
    return mask


def _of_polygon(part: Any, size: Size) -> NDArray[np.bool_]:
    numbers = _numbers("polygon", part)
    if len(numbers) % 2 or len(numbers) < 6 or not all(map(math.isfinite, numbers)):
        raise Unusable("polygon isn't pairs of numbers, three or more")
    corners = np.array(numbers).reshape(-1, 2)
    if np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum() > MOST_WALKED:
        raise Unusable("polygon far out of its picture, or endless")
    width, height = size
    return _decoded(run_lengths.frPyObjects([numbers], height, width)[0])


def _decoded(runs: Any) -> NDArray[np.bool_]:
    return np.asarray(run_lengths.decode(runs), np.bool_)


def _around_runs(runs: dict[str, Any], picture_size: Size) -> Corners:
    mask = _of_runs(runs, picture_size)
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        raise Unusable("segmentation without area")
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _of_runs(runs: dict[str, Any], picture_size: Size) -> NDArray[np.bool_]:
    """The mask of run lengths, COCO's compressed text or plain lists of them."""
    try:
        height, width = map(int, runs["size"])
        counts = runs["counts"]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Unusable("run lengths without size or counts") from error
    if (width, height) != picture_size:
        said = f"{width}x{height}, picture {picture_size[0]}x{picture_size[1]}"
        raise Unusable("run lengths are of another size", said)
    if not 0 < width * height <= MOST_PIXELS:
        raise Unusable("run lengths are of no possible size", f"{width}x{height}")
    try:
        if isinstance(counts, list):
            plain = {"size": [height, width], "counts": list(map(int, counts))}
            counts = run_lengths.frPyObjects(plain, height, width)["counts"]
        return _decoded({"size": [height, width], "counts": counts})
    except (RuntimeError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise Unusable("run lengths that don't fill their picture") from error
