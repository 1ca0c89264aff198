"""From the boxes as written to boxes that can be used."""

import math
import struct
from collections.abc import Callable

from endoforge.captures.schema import Corners, PolypLabel
from endoforge.captures.tally import Unusable

_AS_FLOAT32 = struct.Struct("4f")


def normalised_corners(
    polyp: PolypLabel, picture_size: Callable[[], tuple[int, int]]
) -> Corners | None:
    """The box in 0..1 as it was written, from `bbox_norm` or else from `bbox_px`; None if neither.

    `picture_size` gives (width, height) and is called only for a box known in pixels alone.
    """
    if polyp.bbox_norm is not None:
        return polyp.bbox_norm
    if polyp.bbox_px is None:
        return None
    width, height = picture_size()
    x0, y0, x1, y1 = polyp.bbox_px
    return x0 / width, y0 / height, x1 / width, y1 / height


def usable_box(corners: Corners) -> Corners:
    """xyxy clipped to 0..1, as float32 has it; raises Unusable if it isn't a box in the picture."""
    if not all(map(math.isfinite, corners)):
        raise Unusable("a box with NaN or infinite corners")
    x0, y0, x1, y1 = corners
    if x1 < x0 or y1 < y0:
        raise Unusable("a box with reversed corners")
    x0, y0, x1, y1 = _AS_FLOAT32.unpack(_AS_FLOAT32.pack(*(min(max(v, 0.0), 1.0) for v in corners)))
    if x0 >= x1 or y0 >= y1:
        raise Unusable("a box with no area within the picture")
    return x0, y0, x1, y1
