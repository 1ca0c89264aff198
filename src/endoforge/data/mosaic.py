"""Mosaics: pictures put together of windows of up to four, as they come from a data set.

A mosaic (Bochkovskiy et al. 2020, "YOLOv4", section 3.3) shows polyps beside walls that they never
lay on, and so more different pictures than there are. Windows are copied pixel by pixel, so boxes
stay as exact as they were.

Images are (B, H, W, 3) uint8, boxes (B, M, 4) float32 xyxy in 0..1, classes (B, M) int64, and
`num_boxes` (B,) int64 says how many of each count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from endoforge.data.augment import LEAST_AREA_LEFT, area, common

MOSAICS = 0.5
"""Share of the pictures that are mosaics."""
LEAST_PART = 0.25
"""Where a mosaic is divided, each way, at least so much of it lies on either side."""
NUM_MOSAIC_DRAWS = 14
"""Numbers that chance gives each picture's mosaic: whether it is one, 2 for where it is divided, 3
for the other pictures, and 8 for the windows' places."""

Boxed = tuple[Tensor, Tensor, Tensor, Tensor]
"""Images, boxes, classes, and how many boxes count."""


@dataclass(frozen=True, eq=False)
class Windows:
    """The four windows that B pictures are made of: left above, right above, left and right below.

    `sources` (B, 4) int64 are the rows of the pictures that they are taken from; `there` (B, 4, 4)
    int64 is where they lie, xyxy in pixels of the new picture; `shifts` (B, 4, 2) int64, x then y,
    is added to a pixel's place to have its place in the source. A window may be empty.
    """

    sources: Tensor
    there: Tensor
    shifts: Tensor

    def to(self, device: torch.device) -> "Windows":
        """The same on another device, without waiting for it."""
        tensors = (self.sources, self.there, self.shifts)
        return Windows(*(tensor.to(device, non_blocking=True) for tensor in tensors))


def draw_mosaics(count: int, generator: Generator) -> Tensor:
    """Draw what chance decides for `count` pictures, (count, NUM_MOSAIC_DRAWS), on the CPU.

    All is uniform in 0..1.
    """
    return torch.rand(count, NUM_MOSAIC_DRAWS, generator=generator)


def make_mosaics(
    images: Tensor, boxes: Tensor, classes: Tensor, num_boxes: Tensor, *, windows: Windows
) -> Boxed:
    """Put pictures together of `windows`; the boxes in view, their classes, and how many.

    Boxes are clipped to their windows; one with less than a quarter of its area in view is removed.
    Of more than M boxes the largest are kept. All on one device.
    """
    found = _boxes_in_view(boxes, classes, num_boxes, windows, images.shape[1:3])
    return _put_together(images, windows), *found


def choose_windows(chance: Tensor, image_hw: Sequence[int], groups: Sequence[int]) -> Windows:
    """Make a share MOSAICS of pictures of `image_hw` mosaics of themselves and others.

    `chance` is of `draw_mosaics`; the other pictures are of the same group of rows, of which
    `groups` gives the sizes. All on the CPU.
    """
    chosen, divided, others, places = chance.tensor_split([1, 3, 6], dim=1)
    size = torch.tensor([image_hw[1], image_hw[0]])
    # A picture that is no mosaic is one whose first window is all of it.
    part = torch.where(chosen < MOSAICS, LEAST_PART + (1 - 2 * LEAST_PART) * divided, 1.0)
    cut = (part * size).long()
    bounds = torch.stack([torch.zeros_like(cut), cut, size.expand_as(cut)], dim=1)
    low = torch.stack([bounds[:, [0, 1, 0, 1], 0], bounds[:, [0, 0, 1, 1], 1]], dim=2)
    high = torch.stack([bounds[:, [1, 2, 1, 2], 0], bounds[:, [1, 1, 2, 2], 1]], dim=2)
    # From a window that begins where its source does to one that ends where it does.
    room = size - (high - low)
    begins = (places.reshape(-1, 4, 2) * (room + 1)).long().minimum(room)
    return Windows(_sources(others, groups), torch.cat([low, high], 2), begins - low)


def _sources(chance: Tensor, groups: Sequence[int]) -> Tensor:
    """(B, 4): the rows themselves, and three of their groups for each by `chance` (B, 3)."""
    sizes = torch.tensor(groups, dtype=torch.int64)
    firsts = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)[:, None]
    sizes = sizes.repeat_interleave(sizes)[:, None]
    others = firsts + (chance * sizes).long().minimum(sizes - 1)
    return torch.cat([torch.arange(len(chance))[:, None], others], dim=1)


def _put_together(images: Tensor, windows: Windows) -> Tensor:
    """Copy each pixel from its place in the source of the window that it lies in."""
    count, height, width = images.shape[:3]
    below = torch.arange(height, device=images.device) >= windows.there[:, 0, 3, None]
    right = torch.arange(width, device=images.device) >= windows.there[:, 0, 2, None]
    window = (2 * below[:, :, None] + right[:, None]).flatten(1)

    def of_window(values: Tensor) -> Tensor:
        return values.gather(1, window).view(count, height, width)

    row = of_window(windows.sources * height + windows.shifts[..., 1])
    row += torch.arange(height, device=images.device)[:, None]
    places = row.mul_(width).add_(of_window(windows.shifts[..., 0]))
    places += torch.arange(width, device=images.device)
    return images.reshape(-1, 3).index_select(0, places.flatten()).view_as(images)


def _boxes_in_view(
    boxes: Tensor,
    classes: Tensor,
    num_boxes: Tensor,
    windows: Windows,
    image_hw: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """The boxes that are left in the windows, their classes, and how many."""
    most = boxes.shape[1]
    shifts = _as_shares(windows.shifts, image_hw).repeat(1, 1, 2)
    moved = boxes[windows.sources] - shifts[:, :, None]
    there = _as_shares(windows.there.reshape(-1, 4, 2, 2), image_hw).flatten(2)
    clipped = common(moved, there[:, :, None].expand_as(moved))
    counted = torch.arange(most, device=boxes.device) < num_boxes[windows.sources][..., None]
    in_view = area(clipped)
    kept = (counted & (in_view > 0) & (in_view >= LEAST_AREA_LEFT * area(moved))).flatten(1)
    # The largest to the front, without a mask as an index: shapes depend on no values.
    by_size = torch.where(kept, in_view.flatten(1), -1.0)
    order = by_size.argsort(dim=1, descending=True, stable=True)[:, :most]
    left = kept.gather(1, order)
    ordered = clipped.flatten(1, 2).gather(1, order[..., None].expand(-1, -1, 4))
    kinds = classes[windows.sources].flatten(1).gather(1, order)
    return ordered * left[..., None], kinds * left, left.sum(1)


def _as_shares(pixels: Tensor, image_hw: Sequence[int]) -> Tensor:
    """Whole pixels (..., 2), x and y, as shares of the picture's width and height."""
    height, width = image_hw
    return torch.stack([pixels[..., 0] / width, pixels[..., 1] / height], dim=-1)
