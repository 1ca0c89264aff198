"""From the boxes as written to boxes that can be used."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.schema import Corners, PolypLabel
from endoforge.captures.tally import Unusable


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


def usable_box(corners: Corners) -> NDArray[np.float32]:
    """(4,) float32 xyxy, clipped to 0..1; raises Unusable if it isn't a box within the picture."""
    if not np.isfinite(corners).all():
        raise Unusable("NaN or infinite")
    x0, y0, x1, y1 = corners
    if x1 < x0 or y1 < y0:
        raise Unusable("reversed corners")
    box = np.clip(corners, 0.0, 1.0).astype(np.float32)
    if box[0] >= box[2] or box[1] >= box[3]:
        raise Unusable("no area within the picture")
    return box
