"""Masks: pictures of pictures, in which all that isn't black is polyp."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import read_bytes
from endoforge.captures.schema import Corners
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.progress import progress
from endoforge.formats.config import ImportConfig
from endoforge.formats.instances import InstanceCanvas
from endoforge.formats.mask_layers import Layer, layers_of
from endoforge.formats.mask_names import mask_files
from endoforge.formats.source import (
    Blob,
    NamedBox,
    Pictures,
    Source,
    SourceFrame,
    count_orphans,
    folder_of,
    without_label,
)


def read_masks(config: ImportConfig, tally: Tally) -> Source:
    """Every picture with its mask: a box for each connected part of at least `config.min_area`.

    A picture whose mask can't be read, fills it wholly, or has smaller parts alone, comes with that
    fault; one whose mask is black shows nothing.
    Raises UserError where none is found, or where masks and pictures lie in one folder.
    """
    assert config.images is not None
    assert config.annotations is not None
    folder = folder_of("--annotations", config.annotations)
    pictures = Pictures(folder_of("--images", config.images))
    if folder.resolve().is_relative_to(pictures.folder.resolve()):
        raise UserError(
            f"--annotations {folder} lies in --images {pictures.folder}: masks would be taken for "
            "pictures; move them to a folder of their own"
        )
    masks = mask_files(pictures, folder, config.mask_pattern)
    count_orphans(pictures, tally)
    frames: list[SourceFrame] = []
    with progress("reading masks", len(pictures.paths), "masks") as advance:
        for name, path in pictures.paths.items():
            advance()
            if name in masks:
                frames.append(_frame(config, name, path, masks[name], tally))
            else:
                frames += without_label(config, name, pictures, tally)
    return Source(frames, (config.class_name,))


@dataclass(frozen=True)
class MaskParts:
    """The connected parts that one file shows: xyxy in pixels of its (width, height).

    `num_small` were too small. `digest` is of the file's bytes.
    """

    size: tuple[int, int]
    boxes: list[Corners]
    num_small: int
    digest: bytes


def read_mask(path: Path, min_area: int) -> MaskParts:
    """The parts of one file with at least `min_area` pixels, of each of its layers.

    Raises Unusable if it can't be read or isn't plain (`layers_of`), and if a part reaches all four
    edges: the ground is white then, or nothing is known of the picture.
    """
    try:
        data = read_bytes(path)
        layers = layers_of(data, min_area)
    except Unusable as unusable:
        reason = unusable.reason.replace("image", "mask")
        raise Unusable(reason, unusable.detail) from unusable
    boxes: list[Corners] = []
    num_small = 0
    for layer in layers:
        of_layer, small = parts_of(layer, min_area)
        boxes += of_layer
        num_small += small
    height, width = layers[0].shape
    if (0, 0, width, height) in boxes:
        raise Unusable("its mask fills the whole picture (is it inverted?)")
    return MaskParts((width, height), boxes, num_small, hashlib.sha256(data).digest())


def parts_of(layer: Layer, min_area: int) -> tuple[list[Corners], int]:
    """The boxes of the connected parts (corners touch too), xyxy, and how many were too small."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(layer.astype(np.uint8), connectivity=8)
    boxes: list[Corners] = []
    num_small = 0
    for left, top, width, height, area in stats[1:count].tolist():
        if area < min_area:
            num_small += 1
            continue
        boxes.append((float(left), float(top), float(left + width), float(top + height)))
    return boxes, num_small


def _frame(
    config: ImportConfig, name: str, path: Path, masks: Sequence[Path], tally: Tally
) -> SourceFrame:
    """A picture with the parts of all its masks, or with what is wrong with one of them."""
    frame = SourceFrame(name, Blob.of(path))
    boxes: list[Corners] = []
    num_small = 0
    digest = hashlib.sha256()
    for mask in masks:
        try:
            parts = read_mask(mask, config.min_area)
            if frame.size not in (None, parts.size):
                raise Unusable("its masks are of several sizes")
        except Unusable as unusable:
            detail = f"{mask.name}: {unusable.detail}" if unusable.detail else mask.name
            return replace(frame, fault=Unusable(unusable.reason, detail))
        frame = replace(frame, size=parts.size)
        boxes += parts.boxes
        num_small += parts.num_small
        digest.update(parts.digest)
    if num_small:
        smaller = f"smaller than {config.min_area} pixels (--min-area)"
        if not boxes:
            return replace(frame, fault=Unusable(f"all parts of its mask are {smaller}"))
        tally.count(f"box: part of a mask {smaller}", name, num_small)
    named = tuple(NamedBox(config.class_name, corners) for corners in boxes)
    return replace(
        frame,
        boxes=named,
        instance=partial(instance_image, masks, config.min_area),
        pixels=digest.hexdigest(),
    )


def instance_image(
    masks: Sequence[Path], min_area: int, ids: Mapping[Corners, int]
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W): in the pixels of each part whose box is in `ids` the number that this has, else 0.

    uint8 where it holds the numbers. Raises Unusable if parts of several masks overlap, if a number
    is above 65,535, and if a mask can't be read.
    """
    layers = [layer for mask in masks for layer in layers_of(read_bytes(mask), min_area)]
    canvas = InstanceCanvas(layers[0].shape, ids.values())
    for layer in layers:
        count, parts, stats, _ = cv2.connectedComponentsWithStats(
            layer.astype(np.uint8), connectivity=8
        )
        for part, (left, top, width, height, area) in enumerate(stats[1:count].tolist(), 1):
            corners = (float(left), float(top), float(left + width), float(top + height))
            if area < min_area or corners not in ids:
                continue
            there = slice(top, top + height), slice(left, left + width)
            canvas.paint(there, parts[there] == part, ids[corners])
    return canvas.pixels
