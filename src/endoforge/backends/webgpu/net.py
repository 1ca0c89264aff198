"""Applies TinyDet on tinygrad: the same modules, weights and names, on tinygrad's tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tinygrad import Tensor
from torch import nn

from endoforge.backends.ghost_norm import GHOST_ROWS, parts_to_pass
from endoforge.detect.tinydet import ResidualBlock, TinyDet


@dataclass(eq=False)
class Pass:
    """A pass through a net: its tensors by their names, and what the norms saw.

    In training each norm notes in `seen`, by its name, the means over the batch's rows of their
    groups' means and unbiased variances; else `seen` is None, and norms go by their running
    statistics.
    """

    tensors: Mapping[str, Tensor]
    seen: dict[str, tuple[Tensor, Tensor]] | None = field(default_factory=dict)


def raw_output(model: TinyDet, images: Tensor, run: Pass) -> Tensor:
    """Take (B, H, W, 3) float32 in 0..1 to raw output (B, N, C + 68), as `model.forward` does.

    Of `model` only the structure counts; weights and statistics are those of `run`.
    """

    def apply(name: str, x: Tensor) -> Tensor:
        return _apply(model.get_submodule(name), name, x, run)

    at8 = apply("down8", apply("stem", images.permute(0, 3, 1, 2)))
    at16 = apply("down16", at8)
    at32 = apply("down32", at16)
    at16 = apply("merge16", _add_upsampled(at16, apply("up16", at32)))
    at8 = apply("merge8", _add_upsampled(at8, apply("up8", at16)))
    cells = [
        apply(name, x)[:, : model.config.num_outputs].flatten(2).transpose(1, 2)
        for name, x in (("head8", at8), ("head16", at16))
    ]
    return cells[0].cat(cells[1], dim=1).contiguous()


def _apply(module: nn.Module, name: str, x: Tensor, run: Pass) -> Tensor:
    if isinstance(module, nn.Sequential):
        for child_name, child in module.named_children():
            x = _apply(child, f"{name}.{child_name}", x, run)
        return x
    kind = next(kind for kind in _APPLIED if isinstance(module, kind))
    return _APPLIED[kind](module, name, x, run)


def _convolution(module: nn.Conv2d, name: str, x: Tensor, run: Pass) -> Tensor:
    weight, bias = run.tensors[f"{name}.weight"], run.tensors.get(f"{name}.bias")
    stride, padding = module.stride[0], int(module.padding[0])
    return x.conv2d(weight, bias, stride=stride, padding=padding).contiguous()


def _batch_norm(module: nn.BatchNorm2d, name: str, x: Tensor, run: Pass) -> Tensor:
    gain, offset = run.tensors[f"{name}.weight"], run.tensors[f"{name}.bias"]
    if run.seen is None:
        mean, variance = (run.tensors[f"{name}.running_{what}"] for what in ("mean", "var"))
        scale = gain * (variance + module.eps).rsqrt()
        return x * _by_channel(scale) + _by_channel(offset - mean * scale)
    normalised, means, variances = [], [], []
    for rows in parts_to_pass(int(x.shape[0]), at_once=True):
        part, mean, variance = _ghost_norm(x[rows], module.eps)
        normalised.append(part)
        means.append(mean)
        variances.append(variance)
    run.seen[name] = (sum(means) / x.shape[0], sum(variances) / x.shape[0])
    return normalised[0].cat(*normalised[1:]) * _by_channel(gain) + _by_channel(offset)


def _ghost_norm(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each group of rows, as `backends.ghost_norm` does, neither scaled nor moved yet.

    With the sums over the rows of their groups' means and unbiased variances, (C,) each.
    """
    rows, channels, height, width = (int(size) for size in x.shape)
    groups = max(1, rows // GHOST_ROWS)
    count = rows // groups * height * width
    apart = x.reshape(groups, rows // groups, channels, height, width)
    mean = apart.mean((1, 3, 4), keepdim=True).contiguous()
    centred = apart - mean
    variance = centred.square().mean((1, 3, 4), keepdim=True).contiguous()
    seen = [
        one.detach().reshape(groups, channels).sum(0) * (rows / groups)
        for one in (mean, variance * (count / (count - 1)))
    ]
    return (centred * (variance + eps).rsqrt()).reshape(x.shape), seen[0], seen[1]


def _residual(module: ResidualBlock, name: str, x: Tensor, run: Pass) -> Tensor:
    first = _apply(module.first, f"{name}.first", x, run)
    second = _apply(module.second, f"{name}.second", first, run)
    return _apply(module.activation, f"{name}.activation", x + second, run)


def _silu(_module: nn.SiLU, _name: str, x: Tensor, _run: Pass) -> Tensor:
    return x.silu().contiguous()


_APPLIED: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Conv2d: _convolution,
    nn.BatchNorm2d: _batch_norm,
    nn.SiLU: _silu,
    ResidualBlock: _residual,
}


def _by_channel(values: Tensor) -> Tensor:
    return values.reshape(1, -1, 1, 1)


def _add_upsampled(fine: Tensor, coarse: Tensor) -> Tensor:
    """Add `coarse`, at twice its size, to `fine`; where `fine` is odd, the overhang is cut."""
    batch, channels, height, width = coarse.shape
    twice = coarse.reshape(batch, channels, height, 1, width, 1)
    twice = twice.expand(batch, channels, height, 2, width, 2)
    doubled = twice.reshape(batch, channels, 2 * height, 2 * width)
    return fine + doubled[:, :, : fine.shape[2], : fine.shape[3]]
