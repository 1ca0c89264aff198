"""TinyDet: a small anchor-free convolutional detector.

A picture goes down to strides 4, 8, 16 and 32 and comes back up to strides 16 and 8, where each
cell says how likely a polyp of each class is centred near it and how far its edges are. All
convolutions are full ones: depthwise convolutions need fewer operations but take no less time on
CPUs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from endoforge.captures.schema import DEFAULT_CLASS, is_class_name
from endoforge.detect.boxes import NUM_EDGE_CHANNELS

CHANNELS_AT_ONCE = 8
"""The last convolution gives a multiple of so many channels, as matrix units want; the spare ones
are ignored."""

SCORE_PRIOR = 0.01
"""Scores of an untrained net, so that the many empty cells don't drown the first steps
(Lin et al. 2017, "Focal loss for dense object detection", section 4.1)."""

BATCH_NORM_MOMENTUM = 0.03
"""Weight of a batch in the running statistics. The default training batch has two pictures, whose
statistics are noisy: 0.03 averages over some 30 batches where the usual 0.1 averages over 10."""


MOST_WIDTH, MOST_DEPTH, MOST_CLASSES = 512, 16, 1000
"""Bounds of what a file may ask for: many times the largest of `MODELS`."""


@dataclass(frozen=True, kw_only=True)
class TinyDetConfig:
    """What a TinyDet is made of; travels with its weights."""

    name: str = "tinydet"
    widths: tuple[int, int, int, int] = (16, 48, 80, 88)
    """Channels at strides 4, 8, 16 and 32."""
    depths: tuple[int, int, int] = (1, 1, 1)
    """Residual blocks at strides 8, 16 and 32."""
    merges: int = 0
    """Convolutions after each coarser stride is added, at strides 16 and 8."""
    head_width: int = 48
    """Channels before the last convolution of each output."""
    classes: tuple[str, ...] = (DEFAULT_CLASS,)
    """The names of what it finds; the raw output has a logit for each, in this order."""

    def __post_init__(self) -> None:
        _check_numbers("widths", self.widths, 4, MOST_WIDTH)
        _check_numbers("depths", self.depths, 3, MOST_DEPTH)
        _check_numbers("head_width", (self.head_width,), 1, MOST_WIDTH)
        if type(self.merges) is not int or not 0 <= self.merges <= MOST_DEPTH:
            raise ValueError(f"merges must be a number from 0 to {MOST_DEPTH}: {self.merges}")
        if not (
            isinstance(self.name, str)
            and isinstance(self.classes, tuple)
            and 0 < len(self.classes) <= MOST_CLASSES
            and all(isinstance(name, str) and is_class_name(name) for name in self.classes)
            and len(set(self.classes)) == len(self.classes)
        ):
            raise ValueError(f"classes must be names, each once: {self.classes}")

    @property
    def num_outputs(self) -> int:
        """Channels of the raw output: a score logit for each class, then the edges'."""
        return len(self.classes) + NUM_EDGE_CHANNELS

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of input for one cell of output, each way, of each output."""
        return (8, 16)

    def in_words(self) -> str:
        """All of it for people: "tinydet of widths 16-48-80-88, ..., that finds polyp"."""
        widths, depths = ("-".join(map(str, numbers)) for numbers in (self.widths, self.depths))
        merges = f", merges {self.merges}" if self.merges else ""
        return (
            f"{self.name} of widths {widths}, depths {depths}{merges} and head {self.head_width}, "
            f"that finds {', '.join(self.classes)}"
        )

    def to_json(self) -> dict[str, object]:
        """The configuration as JSON's types; `from_json` undoes it."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, value: dict[str, object]) -> "TinyDetConfig":
        """Read what `to_json` gave; ValueError or TypeError for fields it doesn't know."""
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
        return cls(**fields)  # type: ignore[arg-type]


def _check_numbers(name: str, values: object, count: int, most: int) -> None:
    """Raises ValueError unless `values` are `count` whole numbers from 1 to `most`."""
    if (
        not isinstance(values, tuple)
        or len(values) != count
        or not all(type(value) is int and 1 <= value <= most for value in values)
    ):
        raise ValueError(f"{name} must be {count} numbers from 1 to {most}: {values}")


MODELS = {
    "tinydet": TinyDetConfig(),
    "middet": TinyDetConfig(name="middet", widths=(32, 64, 128, 128), merges=1, head_width=64),
    "bigdet": TinyDetConfig(
        name="bigdet", widths=(32, 96, 176, 224), depths=(1, 2, 2), head_width=96
    ),
}
"""What `--model` can name: tinydet has 0.48 million parameters; middet, for where accuracy is worth
twice the time, has 1.25 million; bigdet has 3.95 million."""


OUTPUTS = ("head8.1.weight", "head8.1.bias", "head16.1.weight", "head16.1.bias")
"""The parameters of a TinyDet's last layers, which have a row for each class."""


class ConvBlock(nn.Sequential):
    """Convolution, batch norm, SiLU."""

    def __init__(
        self, num_in: int, num_out: int, *, kernel: int = 3, stride: int = 1, padding: int = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(num_in, num_out, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(num_out, momentum=BATCH_NORM_MOMENTUM),
            nn.SiLU(),
        )


class PatchConv(nn.Conv2d):
    """A convolution of pictures; its kernel, stride and padding are square and even.

    On a GPU two by two pixels are one of four times the channels first, with zeros up to a number
    that matrix units like, and the kernel likewise: the same sums.
    """

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type != "cuda":
            return super().forward(images)
        kernel = two_by_two(self.weight)
        stride, padding = self.stride[0] // 2, int(self.padding[0]) // 2
        return functional.conv2d(two_by_two(images), kernel, self.bias, stride, padding)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(num_channels, num_channels)
        self.second = nn.Sequential(
            nn.Conv2d(num_channels, num_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(num_channels, momentum=BATCH_NORM_MOMENTUM),
        )
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(x + self.second(self.first(x)))
        return out


class TinyDet(nn.Module):
    """The detector: (B, 3, H, W) float32 in 0..1 to (B, N, C + NUM_EDGE_CHANNELS).

    For each of the N cells of `boxes.make_cells` the logits of the C classes, then those of left,
    top, right and bottom. H and W are multiples of `required_divisor`. `endoforge.detect.boxes`
    turns the output into boxes. One output sees some 400 pixels of input each way.
    """

    def __init__(self, config: TinyDetConfig | None = None) -> None:
        super().__init__()
        self.config = config or TinyDetConfig()
        at4, at8, at16, at32 = self.config.widths
        self.stem = nn.Sequential(
            # 6x6 pixels at stride 4 in one: the full picture is the dearest place for convolutions.
            PatchConv(3, at4, 6, 4, 2, bias=False),
            nn.BatchNorm2d(at4, momentum=BATCH_NORM_MOMENTUM),
            nn.SiLU(),
            ConvBlock(at4, at4),
        )
        self.down8 = _stage(at4, at8, self.config.depths[0])
        self.down16 = _stage(at8, at16, self.config.depths[1])
        self.down32 = _stage(at16, at32, self.config.depths[2])
        self.up16 = nn.Conv2d(at32, at16, 1)
        self.up8 = nn.Conv2d(at16, at8, 1)
        self.merge16 = nn.Sequential(*(ConvBlock(at16, at16) for _ in range(self.config.merges)))
        self.merge8 = nn.Sequential(*(ConvBlock(at8, at8) for _ in range(self.config.merges)))
        self.head8 = self._head(at8)
        self.head16 = self._head(at16)
        self._initialise()

    @property
    def required_divisor(self) -> int:
        """The input's height and width must be multiples of this."""
        return self.config.strides[0]

    def forward(self, images: Tensor) -> Tensor:
        at8 = self.down8(self.stem(images))
        at16 = self.down16(at8)
        at32 = self.down32(at16)
        at16 = self.merge16(_add_upsampled(at16, self.up16(at32)))
        at8 = self.merge8(_add_upsampled(at8, self.up8(at16)))
        cells = [
            raw.permute(0, 2, 3, 1).flatten(1, 2) for raw in (self.head8(at8), self.head16(at16))
        ]
        return torch.cat(cells, dim=1)[..., : self.config.num_outputs]

    def _head(self, num_in: int) -> nn.Sequential:
        """The layers that say what the cells of one stride see."""
        width = self.config.head_width
        num_channels = -(-self.config.num_outputs // CHANNELS_AT_ONCE) * CHANNELS_AT_ONCE
        return nn.Sequential(ConvBlock(num_in, width), nn.Conv2d(width, num_channels, 1))

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, ResidualBlock):
                # Blocks begin as their shortcuts (Goyal et al. 2017, section 5.1).
                nn.init.zeros_(module.second[1].weight)  # type: ignore[arg-type]
        for head in (self.head8, self.head16):
            self._initialise_output(head[-1])

    def _initialise_output(self, output: nn.Module) -> None:
        assert isinstance(output, nn.Conv2d)
        assert output.bias is not None
        # Small, so that the bias alone says the first scores.
        nn.init.normal_(output.weight, std=0.01)
        with torch.no_grad():
            logits = output.bias[: len(self.config.classes)]
            logits.fill_(math.log(SCORE_PRIOR / (1 - SCORE_PRIOR)))


def build_tinydet(config: TinyDetConfig, seed: int) -> TinyDet:
    """A fresh TinyDet with weights drawn from `seed`; the global generator is left as it was."""
    # Only the CPU's generator is kept aside: weights are drawn there, whatever the device.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TinyDet(config)


def hidden_kernels(model: nn.Module) -> list[str]:
    """The names of a TinyDet's kernels between the first layer, which reads pixels, and the last
    ones, which say what is seen."""
    ends = ("stem.0.weight", *OUTPUTS)
    return [name for name, one in model.named_parameters() if one.ndim == 4 and name not in ends]


def take_by_class(
    tensors: Mapping[str, Tensor],
    classes: Sequence[str],
    fresh: Mapping[str, Tensor],
    new_classes: Sequence[str],
) -> dict[str, Tensor]:
    """The state of a TinyDet of `classes` for one of `new_classes`, of which `fresh` is a state.

    Classes keep their weights by name; those of new ones are the fresh ones.
    """
    taken = dict(tensors)
    for name in OUTPUTS:
        rows = fresh[name].clone()
        edges = slice(len(classes), len(classes) + NUM_EDGE_CHANNELS)
        rows[len(new_classes) : len(new_classes) + NUM_EDGE_CHANNELS] = tensors[name][edges]
        for place, new in enumerate(new_classes):
            if new in classes:
                rows[place] = tensors[name][classes.index(new)]
        taken[name] = rows
    return taken


def _stage(num_in: int, num_out: int, num_blocks: int) -> nn.Sequential:
    """Half the size, `num_out` channels, then residual blocks."""
    blocks = [ResidualBlock(num_out) for _ in range(num_blocks)]
    return nn.Sequential(ConvBlock(num_in, num_out, stride=2), *blocks)


def two_by_two(images: Tensor) -> Tensor:
    """(B, C, H, W) to (B, 4 * C, H / 2, W / 2), channels last in memory.

    Channels of zeros come after them, to a multiple of CHANNELS_AT_ONCE.
    """
    batch, channels, height, width = images.shape
    pairs = images.reshape(batch, channels, height // 2, 2, width // 2, 2)
    pixels = pairs.permute(0, 2, 4, 1, 3, 5).flatten(3)
    padded = functional.pad(pixels, (0, -pixels.shape[3] % CHANNELS_AT_ONCE))
    return padded.permute(0, 3, 1, 2)


def doubled(coarse: Tensor) -> Tensor:
    """Each pixel four times, (B, C, H, W) to (B, C, 2 * H, 2 * W), channels last in memory.

    As `interpolate` gives it, but its gradient is a plain sum: on CUDA that of `interpolate` adds
    in no fixed order.
    """
    batch, channels, height, width = coarse.shape
    pixels = coarse.permute(0, 2, 3, 1)[:, :, None, :, None]
    twice = pixels.expand(-1, -1, 2, -1, 2, -1).reshape(batch, 2 * height, 2 * width, channels)
    return twice.permute(0, 3, 1, 2)


def _add_upsampled(fine: Tensor, coarse: Tensor) -> Tensor:
    """`coarse` at twice its size on top of `fine`; where `fine` is odd, the overhang is cut."""
    on_gpu = coarse.device.type == "cuda"
    twice = doubled(coarse) if on_gpu else functional.interpolate(coarse, scale_factor=2.0)
    return fine + twice[..., : fine.shape[-2], : fine.shape[-1]]
