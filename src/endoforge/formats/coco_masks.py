"""COCO's segmentation as instance images."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.schema import Corners
from endoforge.captures.tally import Unusable
from endoforge.formats.instances import MOST_APART, InstanceCanvas, around
from endoforge.formats.outlines import Size, mask_of
from endoforge.formats.source import Painter

Outlined = tuple[Corners, Any]
"""The box of an annotation, xyxy in pixels, and its `segmentation`."""


def painter(outlined: Sequence[Outlined], picture_size: Callable[[], Size]) -> Painter:
    """What paints the instance image of a picture with these annotations."""
    return partial(_instance_image, outlined, picture_size)


def _instance_image(
    outlined: Sequence[Outlined],
    picture_size: Callable[[], Size],
    ids: Mapping[Corners, int],
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W): in the pixels of each annotation whose box is in `ids` the number that this has.

    Raises Unusable where it isn't sure which pixels are whose: of an annotation without
    segmentation, of one whose box lies elsewhere, and of two that overlap.
    """
    width, height = picture_size()
    canvas = InstanceCanvas((height, width), ids.values())
    for corners, outline in outlined:
        if corners not in ids:
            continue
        if not outline:
            raise Unusable("a box without segmentation")
        mask = mask_of(outline, (width, height))
        within = np.clip(corners, 0, (width, height, width, height))
        if np.abs(around(mask) - within).max() > MOST_APART:
            raise Unusable("a box more than a pixel from its segmentation (the box counts)")
        canvas.paint((slice(None), slice(None)), mask, ids[corners])
    return canvas.pixels
