"""Random views of a batch, on the device that holds it: warp, cut-out, blur, colour, noise.

Images are (B, 3, H, W) float32 in 0..1. Boxes are (B, M, 4) float32 xyxy in 0..1, of which the
first `num_boxes[b]` count and the rest are zeros; `classes` (B, M) int64 are theirs. Chance is
drawn on the CPU and for whole batches, so that a seed gives the same views on every device and on
any number of them.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

# Strong, for trainings of many epochs; in one of 12, weaker ones did as well (docs/log.md). A
# colonoscope sees polyps from all sides, so both axes are mirrored.
SMALLEST_SCALE, LARGEST_SCALE = 0.6, 1.5
LARGEST_SHIFT = 0.15
LEAST_AREA_LEFT = 0.25
BRIGHTNESS, CONTRAST, SATURATION, TINT, TONE = 0.25, 0.25, 0.3, 0.12, 0.25
LARGEST_NOISE = 0.01
BLURRED = 0.5
"""Share of the pictures that are blurred, by a sigma of up to 0.8 pixels."""
CUT, LARGEST_CUT = 0.3, 0.35
"""Share of the pictures that lose a rectangle, of up to this share of their sides."""
NUM_DRAWS = 19
"""Numbers that chance gives each picture: 2 mirrors, a scale, 2 shifts, 4 of colour, 3 of tint, the
strength of the noise and of the blur, and 5 for the cut-out."""
TILES = 2
"""The noise tile is so many times the picture, each way."""

FAR_OUTSIDE = 9.0
"""A place in a picture whose own go from -1 to 1."""

Views = tuple[Tensor, Tensor, Tensor, Tensor]
"""Images, boxes, classes, and how many boxes count."""


def seeded_generator(*key: int) -> Generator:
    """A generator on the CPU, seeded by all of `key`."""
    # SeedSequence mixes the parts, so that (1, 2) and (2, 1) have nothing in common; torch takes 63
    # bits without a sign.
    [seed] = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return Generator().manual_seed(int(seed) >> 1)


@dataclass(frozen=True, eq=False)
class Warp:
    """Where each picture's points go: `new = scale * old + shift`, in 0..1 of width and height.

    `scale` and `shift` are (B, 2), x then y; a negative scale mirrors.
    """

    scale: Tensor
    shift: Tensor


@dataclass(frozen=True, eq=False)
class Draws:
    """What chance decided for B pictures.

    `own` is (B, NUM_DRAWS) float32, uniform in 0..1, a row for each picture; `noise_at` (2,) int64,
    the row and column of the noise tile at which these pictures' common noise begins.
    """

    own: Tensor
    noise_at: Tensor

    def rows(self, rows: slice) -> "Draws":
        """The draws of these pictures alone; their common noise stays the same."""
        return Draws(self.own[rows], self.noise_at)


def draw_chances(count: int, image_hw: tuple[int, int], generator: Generator) -> Draws:
    """Draw what chance decides for `count` pictures of `image_hw`, on the CPU."""
    # In one call, and as many numbers for each picture whether they are used or not: a process that
    # has a part of the batch draws for all of it, and so takes what one process would.
    own = torch.rand(count, NUM_DRAWS, generator=generator)
    at = [torch.randint(0, TILES * side, (), generator=generator) for side in image_hw]
    return Draws(own, torch.stack(at))


def noise_tile(image_hw: tuple[int, int], generator: Generator) -> Tensor:
    """Standard normal noise on the CPU, (1, 3, TILES * H, TILES * W), to take views' noise from.

    It costs a step nothing but a copy, where noise drawn anew would be most of its chance.
    """
    height, width = image_hw
    return torch.randn(1, 3, TILES * height, TILES * width, generator=generator)


def augment(
    images: Tensor,
    boxes: Tensor,
    classes: Tensor,
    num_boxes: Tensor,
    draws: Draws,
    tile: Tensor,
) -> Views:
    """The view of each picture that `draws` decided, its boxes, their classes, how many are left.

    Mirrored both ways, scaled, shifted, some with a black rectangle (DeVries and Taylor 2017), some
    blurred, recoloured, with noise of the `noise_tile`. Boxes follow the pixels and are clipped;
    one with less than a quarter of its area in view is removed. All on one device.
    """
    warp, cut = random_warp(draws.own[:, :5]), random_cut(draws.own[:, 14:])
    # Geometry comes first, and makes copies of the pictures, which what follows may write over.
    views = warp_images(images, warp, cut)
    views = (blurred if views.device.type == "cuda" else blur_)(views, draws.own[:, 13])
    recolour_(views, draws.own[:, 5:12])
    strength = LARGEST_NOISE * draws.own[:, 12, None, None, None]
    views.addcmul_(strength, _noise(tile, draws.noise_at, views.shape[2:])).clamp_(0, 1)
    return views, *warp_boxes(boxes, classes, num_boxes, warp, cut)


def flip(
    images: Tensor, boxes: Tensor, classes: Tensor, num_boxes: Tensor, mirrored: Tensor
) -> Views:
    """Mirror those pictures left to right that `mirrored`, (B,) bool, picks, and their boxes."""
    which = mirrored[:, None, None, None].to(images.device)
    flipped = torch.where(which, images.flip(3), images)
    horizontal = mirrored.to(boxes.dtype)
    still = torch.zeros_like(horizontal)
    warp = Warp(
        scale=torch.stack([1 - 2 * horizontal, still + 1], 1),
        shift=torch.stack([horizontal, still], 1),
    )
    return flipped, *warp_boxes(boxes, classes, num_boxes, warp)


def random_warp(chance: Tensor) -> Warp:
    """Mirror each axis half of the time, scale about the centre, then shift.

    `chance` is (B, 5), uniform in 0..1.
    """
    mirrored = torch.where(chance[:, :2] < 0.5, -1.0, 1.0)
    smallest, largest = math.log(SMALLEST_SCALE), math.log(LARGEST_SCALE)
    scale = torch.exp(_between(smallest, largest, chance[:, 2:3])) * mirrored
    moved = _between(-LARGEST_SHIFT, LARGEST_SHIFT, chance[:, 3:5])
    # About the centre: what was at 0.5 goes to 0.5 + moved, however it is scaled and mirrored.
    return Warp(scale, 0.5 + moved - 0.5 * scale)


def warp_images(images: Tensor, warp: Warp, cut: Tensor | None = None) -> Tensor:
    """Sample (B, 3, H, W) bilinearly at the places that `warp` names; what lies outside is black.

    So are the pixels whose middles lie in the rectangles `cut` (B, 4), xyxy in 0..1 of the new
    pictures.
    """
    if len(images) == 0:  # a process may have no part of a short batch
        return images
    # The grid asks of each new point where it was, in coordinates that go from -1 to 1.
    old_scale = 1 / warp.scale
    old_shift = (1 - 2 * warp.shift) * old_scale - 1
    height, width = images.shape[2:]
    x, y = (
        _middles(side, images.device) * old_scale[:, axis, None] + old_shift[:, axis, None]
        for axis, side in enumerate((width, height))
    )
    across, down = x[:, None].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)
    if cut is not None:
        # Black by asking for a place outside: the rectangle costs no pass over the pixels.
        across = torch.where(_covered((height, width), cut), FAR_OUTSIDE, across)
    grid = torch.stack([across, down], dim=3)
    return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def _covered(image_hw: tuple[int, int], rectangles: Tensor) -> Tensor:
    """(B, H, W): does a pixel's middle lie in the picture's rectangle?"""
    y, x = ((_middles(side, rectangles.device) + 1) / 2 for side in image_hw)
    across = (x >= rectangles[:, :1]) & (x < rectangles[:, 2:3])
    down = (y >= rectangles[:, 1:2]) & (y < rectangles[:, 3:])
    return down[:, :, None] & across[:, None]


def _middles(side: int, device: torch.device) -> Tensor:
    """Where the middles of a row's pixels lie, in -1..1: (side,)."""
    return (2 * torch.arange(side, device=device) + 1) / side - 1


def warp_boxes(
    boxes: Tensor, classes: Tensor, num_boxes: Tensor, warp: Warp, cut: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes where the pixels went, clipped, with their classes, and how many.

    `cut` is what `random_cut` gives. Boxes hardly in view are removed.
    """
    corners = boxes.reshape(*boxes.shape[:2], 2, 2)
    corners = corners * warp.scale[:, None, None] + warp.shift[:, None, None]
    moved = torch.cat([corners.amin(2), corners.amax(2)], dim=2)  # a mirror swaps the corners
    clipped = moved.clamp(0, 1)
    in_view = _area(clipped)
    if cut is not None:
        cut = cut[:, None].expand_as(clipped)
        in_view = in_view - _area(_common(clipped, cut))
        clipped = _without(clipped, cut)
    counted = torch.arange(boxes.shape[1], device=boxes.device) < num_boxes[:, None]
    kept = counted & (in_view >= LEAST_AREA_LEFT * _area(moved))
    # Kept ones to the front, in their order, without a mask as an index: what a mask picks has a
    # shape that depends on values, for which a GPU would have to wait.
    order = torch.argsort((~kept).to(torch.uint8), dim=1, stable=True)
    moved = (clipped * kept[:, :, None]).gather(1, order[:, :, None].expand_as(boxes))
    return moved, (classes * kept).gather(1, order), kept.sum(1)


def blur_(images: Tensor, chance: Tensor) -> Tensor:
    """Put a share BLURRED of pictures (B, 3, H, W) out of focus, all but their edges, in place.

    `chance` is (B,), uniform in 0..1. A pixel keeps at least a third, and gives as much to the two
    beside it as to itself at most; along rows, then along columns.
    """
    given = _given_to_each_side(chance)
    # Sums of shifted pictures: far cheaper on a CPU than a convolution of three channels.
    for dim in (3, 2):
        length = images.shape[dim] - 2
        before, middle, after = (images.narrow(dim, at, length) for at in range(3))
        beside = before + after
        middle.mul_(1 - 2 * given).addcmul_(beside, given)
    return images


def blurred(images: Tensor, chance: Tensor) -> Tensor:
    """Do as `blur_`, but to copies: compiled for a GPU it takes fewer passes."""
    given = _given_to_each_side(chance)
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    return _blurred_along(_blurred_along(padded, 3, given), 2, given)


def _blurred_along(padded: Tensor, dim: int, given: Tensor) -> Tensor:
    """Blur along one dimension, of which the first and last pixels are there for others alone."""
    length = padded.shape[dim] - 2
    before, middle, after = (padded.narrow(dim, at, length) for at in range(3))
    at = torch.arange(length, device=padded.device)
    inside = (at > 0) & (at < length - 1)
    given = given * (inside if dim == 3 else inside[:, None])
    return middle * (1 - 2 * given) + (before + after) * given


def _given_to_each_side(chance: Tensor) -> Tensor:
    """What share of itself a blurred picture's pixel gives to each of two neighbours, a third at
    most: (B, 1, 1, 1)."""
    return (1 - (1 - chance) / BLURRED).clamp(min=0)[:, None, None, None] / 3


def random_cut(chance: Tensor) -> Tensor:
    """Rectangles to black out, (B, 4) xyxy in 0..1, some over the edge; most have no area.

    `chance` is (B, 5), uniform in 0..1: whether there is one, its two sides, and its middle.
    """
    sides = LARGEST_CUT * chance[:, 1:3] * (chance[:, :1] < CUT)
    return torch.cat([chance[:, 3:] - sides / 2, chance[:, 3:] + sides / 2], dim=1)


def recolour_(images: Tensor, chance: Tensor) -> None:
    """Change saturation, contrast about the mean, brightness, tint and tone of each, in place.

    `chance` is (B, 7), uniform in 0..1.
    """
    brightness, contrast, saturation, tone, *tint = chance[..., None, None, None].unbind(1)
    gain = _about(1, BRIGHTNESS, brightness) * _about(1, TINT, torch.cat(tint, dim=1))
    contrast, saturation = _about(1, CONTRAST, contrast), _about(1, SATURATION, saturation)
    tone = _about(0, TONE, tone)
    grey = (images[:, :1] * 0.299).add_(images[:, 1:2], alpha=0.587)  # luma by BT.601
    grey.add_(images[:, 2:], alpha=0.114)
    mean = grey.mean((1, 2, 3), keepdim=True)
    # gain * (contrast * (saturation * x + (1 - saturation) * grey) + (1 - contrast) * mean), taken
    # apart so that each part is one pass in place.
    images.mul_(gain * contrast * saturation)
    images.addcmul_(gain * contrast * (1 - saturation), grey)
    images.add_(gain * (1 - contrast) * mean).clamp_(0, 1)
    # x + tone * x * (1 - x) bends like a gamma curve, and costs a tenth of one.
    images.mul_(torch.addcmul(1 + tone, tone, images, value=-1))


def _noise(tile: Tensor, at: Tensor, image_hw: tuple[int, ...]) -> Tensor:
    """The H x W pixels of the tile that begin at `at`, and go on at its other end."""
    rows, columns = (
        _wrapped(torch.arange(side, device=tile.device) + start, TILES * side)
        for side, start in zip(image_hw, at, strict=True)
    )
    return tile[:, :, rows[:, None], columns]


def _wrapped(places: Tensor, end: int) -> Tensor:
    """Places below twice the end, as their remainders, which take a GPU longer."""
    return torch.where(places < end, places, places - end)


def _between(low: float, high: float, chance: Tensor) -> Tensor:
    return low + (high - low) * chance


def _about(middle: float, spread: float, chance: Tensor) -> Tensor:
    return _between(middle - spread, middle + spread, chance)


def _common(boxes: Tensor, others: Tensor) -> Tensor:
    """The overlap of boxes (..., 4) with others, as boxes; without area where there is none."""
    low = torch.maximum(boxes[..., :2], others[..., :2])
    return torch.cat([low, torch.maximum(low, torch.minimum(boxes[..., 2:], others[..., 2:]))], -1)


def _without(boxes: Tensor, cut: Tensor) -> Tensor:
    """The boxes around what is left of boxes (..., 4) without the rectangles `cut`.

    Only a rectangle that goes across the whole of a box shortens it, from the end that it covers.
    """
    low, high = boxes[..., :2], boxes[..., 2:]
    cut_low, cut_high = cut[..., :2], cut[..., 2:]
    covers = (cut_low <= low) & (cut_high >= high)
    across = covers.flip(-1)
    new_low = torch.where(across & (cut_low <= low), torch.maximum(low, cut_high), low)
    new_high = torch.where(across & (cut_high >= high), torch.minimum(high, cut_low), high)
    return torch.cat([torch.minimum(new_low, high), torch.maximum(new_high, low)], dim=-1)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
