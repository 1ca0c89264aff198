"""Random views of a batch, on the device that holds it: one warp, then colour, then noise.

Images are (B, 3, H, W) float32 in 0..1. Boxes are (B, M, 4) float32 xyxy in 0..1, of which the
first `num_boxes[b]` count and the rest are zeros. Chance is drawn on the CPU and for whole batches,
so that a seed gives the same views on every device and on any number of them.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

SMALLEST_SCALE, LARGEST_SCALE = 0.85, 1.2
LARGEST_SHIFT = 0.06
LEAST_AREA_LEFT = 0.25
BRIGHTNESS, CONTRAST, SATURATION, TINT, TONE = 0.12, 0.12, 0.12, 0.04, 0.12
LARGEST_NOISE = 0.01

Views = tuple[Tensor, Tensor, Tensor]


def seeded_generator(*key: int) -> Generator:
    """A generator on the CPU, seeded by all of `key`."""
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
    """What chance decided for B pictures: (B, ...) each, but for the noise that they share."""

    warp: Warp
    gain: Tensor
    """(B, 3, 1, 1)"""
    contrast: Tensor
    """(B, 1, 1, 1), as the next three."""
    saturation: Tensor
    tone: Tensor
    noise_strength: Tensor
    noise: Tensor
    """(1, 3, H, W)"""

    def rows(self, rows: slice) -> "Draws":
        """Of these pictures only."""
        warp = Warp(self.warp.scale[rows], self.warp.shift[rows])
        colours = (self.gain[rows], self.contrast[rows], self.saturation[rows], self.tone[rows])
        return Draws(warp, *colours, self.noise_strength[rows], self.noise)

    def to(self, device: torch.device) -> "Draws":
        """On `device`."""
        warp = Warp(self.warp.scale.to(device), self.warp.shift.to(device))
        colours = (self.gain, self.contrast, self.saturation, self.tone)
        others = (*colours, self.noise_strength, self.noise)
        return Draws(warp, *(tensor.to(device) for tensor in others))


def draw(count: int, image_hw: tuple[int, int], generator: Generator) -> Draws:
    """Chance for `count` pictures, on the CPU."""
    warp = random_warp(count, generator)

    def factor(spread: float, channels: int = 1) -> Tensor:
        return _uniform((count, channels, 1, 1), 1 - spread, 1 + spread, generator)

    gain = factor(BRIGHTNESS) * factor(TINT, channels=3)
    contrast, saturation, tone = factor(CONTRAST), factor(SATURATION), factor(TONE) - 1
    noise = torch.randn(1, 3, *image_hw, generator=generator)
    strength = _uniform((count, 1, 1, 1), 0, LARGEST_NOISE, generator)
    return Draws(warp, gain, contrast, saturation, tone, strength, noise)


def augment(images: Tensor, boxes: Tensor, num_boxes: Tensor, draws: Draws) -> Views:
    """The view of each picture that `draws` decided, its boxes, and how many are left.

    Mirrored both ways, scaled, shifted, recoloured, with noise. Boxes follow the pixels and are
    clipped; one with less than a quarter of its area in view is removed. All on one device.
    """
    views = warp_images(images, draws.warp)
    recolour_(views, draws)
    views.addcmul_(draws.noise_strength, draws.noise).clamp_(0, 1)
    return views, *warp_boxes(boxes, num_boxes, draws.warp)


def flip(images: Tensor, boxes: Tensor, num_boxes: Tensor, mirrored: Tensor) -> Views:
    """Mirror those pictures left to right that `mirrored`, (B,) bool, picks, and their boxes."""
    flipped = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    horizontal = mirrored.to(boxes.dtype)
    still = torch.zeros_like(horizontal)
    warp = Warp(
        scale=torch.stack([1 - 2 * horizontal, still + 1], 1),
        shift=torch.stack([horizontal, still], 1),
    )
    return flipped, *warp_boxes(boxes, num_boxes, warp)


def random_warp(count: int, generator: Generator) -> Warp:
    """Mirror each axis half of the time, scale about the centre, then shift."""
    smallest, largest = math.log(SMALLEST_SCALE), math.log(LARGEST_SCALE)
    magnified = torch.exp(_uniform((count, 1), smallest, largest, generator))
    mirrored = torch.randint(0, 2, (count, 2), generator=generator) * 2 - 1
    scale = magnified * mirrored
    moved = _uniform((count, 2), -LARGEST_SHIFT, LARGEST_SHIFT, generator)
    return Warp(scale, 0.5 + moved - 0.5 * scale)


def warp_images(images: Tensor, warp: Warp) -> Tensor:
    """(B, 3, H, W), sampled bilinearly; what lies outside of a picture is black."""
    if len(images) == 0:  # affine_grid refuses, and a process may have no part of a short batch
        return images
    # The grid asks of each new point where it was, in coordinates that go from -1 to 1.
    old_scale = 1 / warp.scale
    old_shift = (1 - 2 * warp.shift) * old_scale - 1
    theta = torch.cat([torch.diag_embed(old_scale), old_shift[:, :, None]], dim=2)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def warp_boxes(boxes: Tensor, num_boxes: Tensor, warp: Warp) -> tuple[Tensor, Tensor]:
    """Boxes where the pixels went, clipped, and how many; those hardly in view are removed."""
    corners = boxes.reshape(*boxes.shape[:2], 2, 2)
    corners = corners * warp.scale[:, None, None] + warp.shift[:, None, None]
    moved = torch.cat([corners.amin(2), corners.amax(2)], dim=2)
    clipped = moved.clamp(0, 1)
    counted = torch.arange(boxes.shape[1], device=boxes.device) < num_boxes[:, None]
    kept = counted & (_area(clipped) >= LEAST_AREA_LEFT * _area(moved))
    return _kept_first(clipped * kept[:, :, None], kept), kept.sum(1)


def recolour_(images: Tensor, draws: Draws) -> None:
    """Change saturation, contrast about the mean, brightness, tint and tone of each, in place."""
    gain, contrast, saturation, tone = draws.gain, draws.contrast, draws.saturation, draws.tone
    grey = 0.299 * images[:, :1] + 0.587 * images[:, 1:2] + 0.114 * images[:, 2:]
    mean = grey.mean((1, 2, 3), keepdim=True)
    images.mul_(gain * contrast * saturation)
    images.addcmul_(gain * contrast * (1 - saturation), grey)
    images.add_(gain * (1 - contrast) * mean).clamp_(0, 1)
    # x + tone * x * (1 - x) bends like a gamma curve, and costs a tenth of one.
    images.mul_(1 + tone - tone * images)


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _kept_first(boxes: Tensor, kept: Tensor) -> Tensor:
    """Each row's kept boxes, in their order, before the others."""
    order = torch.argsort((~kept).to(torch.uint8), dim=1, stable=True)
    return boxes.gather(1, order[:, :, None].expand_as(boxes))
