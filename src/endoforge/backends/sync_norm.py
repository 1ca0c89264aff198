"""Batch norm whose batch is that of all processes together."""

from typing import Any

import torch
from torch import Tensor, nn

from endoforge.backends.group import Group


def synchronise_norms(model: nn.Module, group: Group, device: torch.device) -> nn.Module:
    """Make every batch norm of `model` take its statistics over the batches of all of `group`.

    PyTorch's own needs an accelerator; a CPU gets ours.
    """
    if group.size == 1:
        return model
    if device.type != "cpu":
        synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(  # type: ignore[no-untyped-call]
            model
        )
        return synchronised
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, _CpuSyncBatchNorm(child, group))
    return model


class _CpuSyncBatchNorm(nn.BatchNorm2d):
    """Batch norm (Ioffe and Szegedy 2015) over the pictures of all processes."""

    def __init__(self, norm: nn.BatchNorm2d, group: Group) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.load_state_dict(norm.state_dict())
        self._group = group

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        count, mean, variance = self._statistics(x)
        self._follow(mean.detach(), (variance * count / (count - 1)).detach())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return torch.addcmul(shift[:, None, None], x, scale[:, None, None]).to(x.dtype)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Count the values of a channel, and take mean and variance (C,) of each: in one sum.

        It is of doubles, for the mean square less the squared mean loses half of the digits.
        """
        own = [
            x.sum((0, 2, 3), dtype=torch.float64),
            x.square().sum((0, 2, 3), dtype=torch.float64),
        ]
        own.append(torch.full((1,), x.numel() / x.shape[1], dtype=torch.float64))
        total: Tensor = _SumOfAll.apply(torch.cat(own), self._group)  # type: ignore[no-untyped-call]
        count, num_channels = total[-1:], x.shape[1]
        mean = total[:num_channels] / count
        variance = total[num_channels:-1] / count - mean.square()
        return count.float(), mean.float(), variance.clamp(min=0).float()

    @torch.no_grad()
    def _follow(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased_variance, self.momentum)
        self.num_batches_tracked.add_(1)


class _SumOfAll(torch.autograd.Function):
    """The sum over all processes. Each one's loss depends on it, so gradients add up too."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return group.add_up(own.clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.group.add_up(gradients[0].clone()), None
