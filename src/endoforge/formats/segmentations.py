"""Polygons and run lengths, as COCO and CVAT have them, as instance images."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import picture_size
from endoforge.captures.schema import Corners
from endoforge.captures.tally import Unusable
from endoforge.formats.instances import MOST_APART, InstanceCanvas, around
from endoforge.formats.outlines import mask_of
from endoforge.formats.source import SourceFrame

Outlined = tuple[Corners, Any]
"""The box of an object, xyxy in pixels, and its outline as COCO's `segmentation`; None for none."""


def with_pixels(frame: SourceFrame, outlines: Sequence[Any]) -> SourceFrame:
    """The frame with what paints its instance image from the outlines of its boxes, one each.

    Unchanged if it has boxes and none of them an outline.
    """
    if frame.fault is not None or (outlines and not any(outlines)):
        return frame
    outlined = [(box.corners, one) for box, one in zip(frame.boxes, outlines, strict=True)]
    return replace(
        frame,
        instance=partial(_instance_image, outlined, frame),
        pixels=hashlib.sha256(json.dumps(list(outlines)).encode()).hexdigest(),
    )


def _instance_image(
    outlined: Sequence[Outlined],
    frame: SourceFrame,
    ids: Mapping[Corners, int],
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W): in the pixels of each annotation whose box is in `ids` the number that this has.

    Raises Unusable where it isn't sure which pixels are whose: of an annotation without
    segmentation, of one whose box lies elsewhere, and of two that overlap.
    """
    width, height = frame.size or picture_size(frame.data.path)
    canvas = InstanceCanvas((height, width), ids.values())
    for corners, outline in outlined:
        if corners not in ids:
            continue
        if not outline:
            raise Unusable("a box without an outline")
        mask = mask_of(outline, (width, height))
        within = np.clip(corners, 0, (width, height, width, height))
        if np.abs(around(mask) - within).max() > MOST_APART:
            raise Unusable("a box more than a pixel from its outline (the box counts)")
        canvas.paint((slice(None), slice(None)), mask, ids[corners])
    return canvas.pixels
