"""Masks: a picture a picture, in which all that isn't black is polyp."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.progress import progress
from endoforge.formats.config import ImportConfig
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

HALF = 128
"""From here on a mask's pixel is set, if the mask has any so bright; JPEG leaves noise below."""


def read_masks(config: ImportConfig, tally: Tally) -> Source:
    """Every picture with its mask: a box for each connected part of at least `config.min_area`.

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
            if name not in masks:
                frames += without_label(config, name, pictures, tally)
                continue
            try:
                size, boxes = _read(masks[name], config.min_area, tally)
            except Unusable as unusable:
                frames.append(SourceFrame(name, Blob.of(path), fault=unusable))
                continue
            named = tuple(NamedBox(config.class_name, corners) for corners in boxes)
            frames.append(SourceFrame(name, Blob.of(path), named, size=size))
    return Source(frames, (config.class_name,))


def _read(
    paths: list[Path], min_area: int, tally: Tally
) -> tuple[tuple[int, int], list[tuple[float, float, float, float]]]:
    """(width, height), and the boxes of all masks of a picture; raises Unusable."""
    sizes, found = set(), []
    for path in paths:
        mask = read_mask(path)
        boxes, num_small = parts_of(mask, min_area)
        if num_small:
            reason = f"box: part of a mask smaller than {min_area} pixels (--min-area)"
            tally.count(reason, path.name, num_small)
        sizes.add((mask.shape[1], mask.shape[0]))
        found += boxes
    if len(sizes) > 1:
        raise Unusable("its masks are of different sizes", ", ".join(path.name for path in paths))
    return sizes.pop(), found


def read_mask(path: Path) -> NDArray[np.bool_]:
    """(H, W): which pixels are set, in any colour; raises Unusable if it can't be decoded.

    Those at least half bright, if there are any; else all but black, unless JPEG made them.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
        flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        pixels = cv2.imdecode(data, flags)
    except (OSError, cv2.error) as error:
        raise Unusable("mask unreadable", path.name) from error
    if pixels is None:
        raise Unusable("mask unreadable", path.name)
    if pixels.ndim == 3:
        pixels = pixels[:, :, :3].max(axis=2)  # without the alpha channel
    levels = np.asarray(pixels)
    if levels.max() >= HALF:
        return np.asarray(levels >= HALF)
    return np.asarray(levels > (HALF if path.suffix.lower() in (".jpg", ".jpeg") else 0))


def parts_of(
    mask: NDArray[np.bool_], min_area: int
) -> tuple[list[tuple[float, float, float, float]], int]:
    """The boxes of the connected parts (corners touch too), xyxy, and how many were too small."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    boxes, num_small = [], 0
    for left, top, width, height, area in stats[1:count].tolist():
        if area < min_area:
            num_small += 1
            continue
        boxes.append((float(left), float(top), float(left + width), float(top + height)))
    return boxes, num_small
