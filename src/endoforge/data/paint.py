"""Surface and light painted over pictures, for what a simulated wall and lamp lack of real ones.

A picture is multiplied by mottling of all scales and by dark thin ridges, as vessels are, where
patches let them show; then light falls off from a place, exposure goes up or down, the tone bends,
and haze lies over it. Fields of noise are made once a training, and each picture takes windows of
them that chance chooses: noise drawn anew would cost a step more than all the rest of its views.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional

CELLS = (2, 4, 8, 16, 32, 64)
"""Pixels between the random values of an octave of noise."""
MOTTLINGS, RIDGES, PATCHES = 12, 12, 4
"""Fields of each sort to choose from."""
SPREAD = 2
"""A field is so many times the picture, each way, so that windows of it differ."""
NUM_PAINT_DRAWS = 26
"""Numbers that chance gives each picture's paint."""
MOTTLED, RIDGED = 0.5, 1.0
"""The strongest mottling, for a field of variance 1, and the strongest ridges, as exponents."""
BURNT = 0.405
"""Logarithm of the most light that the tone bends, 1.5: more would be white anyhow."""
MOST_HAZE = 0.3
LEAST_LIGHT = 1e-4
"""What is black is taken for this, which has a logarithm and is shown as 0."""


def draw_paint(count: int, share: float, generator: Generator) -> Tensor:
    """Draw what chance decides for `count` pictures, (count, NUM_PAINT_DRAWS) on the CPU.

    Each gets a surface, 1 or 0 in the first column, with a probability of `share`, and a light, in
    the second, with the same; the rest is uniform in 0..1.
    """
    chance = torch.rand(count, NUM_PAINT_DRAWS, generator=generator)
    chance[:, :2] = (chance[:, :2] < share).to(chance.dtype)
    return chance


def paint_fields(image_hw: tuple[int, int], generator: Generator) -> Tensor:
    """Fields of noise on the CPU, (MOTTLINGS + RIDGES + PATCHES, SPREAD * H, SPREAD * W) float32.

    Mottlings have variance 1; ridges go from 0 to 1, which is the middle of a ridge; patches are
    smooth, of variance 1.
    """
    mottlings = [
        _noise(image_hw, torch.rand(6, generator=generator) ** 2, generator)
        for _ in range(MOTTLINGS)
    ]
    ridges = []
    for number in range(RIDGES):
        weights = torch.zeros(6)
        octave = 1 + number % 4
        weights[octave], weights[octave - 1] = 1.0, 0.4
        thinness = 4 + 10 * float(torch.rand((), generator=generator))
        ridges.append((1 - _noise(image_hw, weights, generator).abs() * thinness).clamp(min=0))
    coarse = torch.tensor([0, 0, 0, 0, 1, 1.0])
    patches = [_noise(image_hw, coarse, generator) for _ in range(PATCHES)]
    return torch.stack([*mottlings, *ridges, *patches])


def paint(images: Tensor, chance: Tensor, fields: Tensor) -> Tensor:
    """Painted pictures (B, 3, H, W) in 0..1, of pictures like them.

    `chance` is (B, NUM_PAINT_DRAWS) of `draw_paint`; `fields` are of `paint_fields`. A picture
    without surface and light comes back as it was, but for rounding. All on one device.
    """
    # Each number of a picture is taken once, in this order, whether it counts or not.
    draws = iter(chance[:, :, None, None, None].unbind(1))

    def between(low: float, high: float) -> Tensor:
        """The next number of each picture, (B, 1, 1, 1), in this range."""
        return low + (high - low) * next(draws)

    def colour(low: tuple[float, ...], high: tuple[float, ...]) -> Tensor:
        """The next three as RGB, (B, 3, 1, 1)."""
        return torch.cat([between(*ends) for ends in zip(low, high, strict=True)], dim=1)

    def window(first: int, count: int) -> Tensor:
        """A window, (B, 1, H, W), of one of `count` fields from the `first` on."""
        which = first + (next(draws)[:, 0, 0, 0] * count).long().clamp(max=count - 1)
        return _window(
            fields, which, next(draws)[:, 0, 0, 0], next(draws)[:, 0, 0, 0], images.shape[2:]
        )

    textured, lit = next(draws), next(draws)
    # Blood takes green and blue: red has the smaller exponents, of mottling and of ridges.
    mottling = between(0, MOTTLED) * textured * window(0, MOTTLINGS)
    darker = mottling * colour((0.0, 0.5, 0.5), (0.6, 1.2, 1.2))
    there = (window(MOTTLINGS + RIDGES, PATCHES) + between(-0.5, 1)).clamp(0, 1)
    ridges = between(0, RIDGED) * textured * window(MOTTLINGS, RIDGES) * there
    darker = darker + ridges * colour((0.0, 0.6, 0.4), (0.5, 1.2, 1.2))
    y, x = _axes(images)
    squared = (x - between(-0.6, 0.6)) ** 2 + (y - between(-0.6, 0.6)) ** 2
    darker = darker + lit * (between(-0.4, 1.2) * squared)
    gain = 1 + lit * (between(0.9, 1.7) - 1)
    tone = 1 + lit * (between(0.7, 1.6) - 1)
    # To the fourth power, since most pictures have next to none.
    haze = lit * MOST_HAZE * between(0, 1) ** 4
    # One logarithm and one exponential do for factors and gamma alike.
    light = images.clamp(min=LEAST_LIGHT).log() - darker + gain.log()
    painted = (tone * light.clamp(max=BURNT)).exp().clamp(max=1)
    return painted * (1 - haze) + haze * painted.mean((2, 3), keepdim=True)


def _noise(image_hw: tuple[int, int], weights: Tensor, generator: Generator) -> Tensor:
    """Noise (SPREAD * H, SPREAD * W) of a variance of about 1: octaves of CELLS by `weights`."""
    height, width = (SPREAD * side for side in image_hw)
    total = torch.zeros(1, 1, height, width)
    for weight, cell in zip(weights, CELLS, strict=True):
        values = torch.randn(1, 1, height // cell + 2, width // cell + 2, generator=generator)
        smooth = functional.interpolate(
            values, size=(height, width), mode="bicubic", align_corners=False
        )
        total += weight * smooth
    field: Tensor = (total / weights.norm().clamp(min=1e-3))[0, 0]
    return field


def _window(
    fields: Tensor, which: Tensor, down: Tensor, right: Tensor, image_hw: tuple[int, ...]
) -> Tensor:
    """Cut a window out of each picture's field: (B, 1, H, W).

    It begins at shares `down` and `right` of the rows and columns that there are to begin at.
    """
    height, width = image_hw
    rows = _starts(down, height, fields.shape[1])[:, None] + torch.arange(
        height, device=fields.device
    )
    columns = _starts(right, width, fields.shape[2])[:, None] + torch.arange(
        width, device=fields.device
    )
    return fields[which[:, None, None], rows[:, :, None], columns[:, None, :]][:, None]


def _starts(share: Tensor, side: int, whole: int) -> Tensor:
    """The first pixels of windows of `side` that lie wholly in `whole`."""
    starts: Tensor = (share * (whole - side)).long()
    return starts


def _axes(images: Tensor) -> tuple[Tensor, Tensor]:
    """Places down and across the picture, from -1 to 1: (H, 1) and (1, W)."""
    height, width = images.shape[2:]
    return (
        torch.linspace(-1, 1, height, device=images.device)[:, None],
        torch.linspace(-1, 1, width, device=images.device)[None],
    )
