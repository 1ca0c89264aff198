"""The masks of a frame's polyps, from its instance image, and their outlines."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.tally import Unusable
from endoforge.formats.extra_pictures import extra_pixels, no_picture

Mask = NDArray[np.bool_]
Outline = NDArray[np.int64]

INSTANCE = "instance"
"""The folder of a run's instance images."""
NO_IMAGE = no_picture(INSTANCE)
MOST_VALUE = 2**16 - 1
"""Of an instance image's pixels."""
MOST_APART = 1.0
"""Pixels between an edge of a box and that of its mask; beyond, one of them is wrong."""


def instance_masks(
    frame: FrameRecord, boxes_px: NDArray[np.float64], size: tuple[int, int]
) -> Mask:
    """(K, H, W): the pixels of each of the frame's K polyps, whose boxes are (K, 4) in pixels.

    `size` is the picture's (width, height). Raises Unusable if there is no instance image, if it
    can't be read or is of another size, and if it doesn't show a polyp where its box is.
    """
    pixels = extra_pixels(frame, INSTANCE, size)
    masks = np.zeros((len(boxes_px), *pixels.shape), np.bool_)
    for mask, polyp_id, box in zip(masks, frame.polyp_ids, boxes_px, strict=True):
        if polyp_id is None:
            raise Unusable("a polyp without polyp_id, so which pixels are its own isn't known")
        np.equal(pixels, polyp_id, out=mask)
        if not mask.any() or np.abs(around(mask) - box).max() > MOST_APART:
            raise Unusable("its instance image shows another place than a box", f"polyp {polyp_id}")
    return masks


class InstanceCanvas:
    """An instance image that is painted polyp by polyp; no pixel is of two."""

    def __init__(self, shape: tuple[int, ...], ids: Iterable[int]) -> None:
        """Of (H, W) `shape`, in 8 bits if they hold all `ids`; raises Unusable if 16 don't."""
        most = max(ids, default=0)
        if most > MOST_VALUE:
            raise Unusable(f"more than {MOST_VALUE} polyps in its run (--group makes smaller ones)")
        self.pixels: NDArray[np.uint8] | NDArray[np.uint16] = np.zeros(shape, np.uint8)
        if most > np.iinfo(np.uint8).max:
            self.pixels = np.zeros(shape, np.uint16)

    def paint(self, there: tuple[slice, ...], mask: Mask, polyp_id: int) -> None:
        """Give a polyp its pixels: those of `mask` in the part `there` of the image.

        Raises Unusable if one is another's.
        """
        part = self.pixels[there]
        if not np.isin(part[mask], (0, polyp_id)).all():
            raise Unusable("its masks overlap, so a pixel is of two polyps")
        part[mask] = polyp_id


def around(mask: Mask) -> NDArray[np.float64]:
    """The box around an (H, W) mask that has a pixel: xyxy, right and bottom edges exclusive."""
    xs, ys = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1], np.float64)


def outline(mask: Mask) -> Outline:
    """(N, 2) int64 xy: one closed polygon along the edges of an (H, W) mask's pixels.

    What lies within it by the even-odd rule are the mask's very pixels: parts and holes hang
    together by lines there and back, which have no area.
    """
    longest, *others = sorted(_rings(mask), key=len, reverse=True)
    detours: list[list[Outline]] = [[] for _ in longest]
    for ring in others:  # from the nearest corner of the longest to it, around it, and back
        apart = np.square(longest[:, None] - ring[None]).sum(axis=2)
        here, there = np.unravel_index(apart.argmin(), apart.shape)
        turned = np.roll(ring, -there, axis=0)
        detours[here] += [turned, turned[:1], longest[here : here + 1]]
    return np.concatenate(
        [
            piece
            for corner, detour in zip(longest, detours, strict=True)
            for piece in (corner[None], *detour)
        ]
    )


def _rings(mask: Mask) -> Iterator[Outline]:
    """The edges of each part, and of each hole.

    OpenCV's contours run through the middle of pixels. With each pixel doubled, the two in place of
    one tell its left edge from its right: u = 2x is at x, and u = 2x + 1 at x + 1.
    """
    left, top, right, bottom = around(mask).astype(int)
    doubled = mask[top:bottom, left:right].astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for contour in contours:
        corners = (contour[:, 0].astype(np.int64) + 1) // 2
        corners = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]
        before, after = (
            corners - np.roll(corners, 1, axis=0),
            np.roll(corners, -1, axis=0) - corners,
        )
        yield corners[(before != after).any(axis=1)] + (left, top)
