"""Batch norm over fixed groups of a batch's rows, which needs no talk between processes."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from endoforge.backends.rows import lay_in_a_row

GHOST_ROWS = 16
"""Rows that are normalised together. A batch of 64 is four groups, whether one process has all of
them or four have one each; so steps of any number of processes are alike but for rounding."""


def group_sizes(num_rows: int) -> list[int]:
    """The rows of each group of a batch, or of one process's part of it; the last takes the rest.

    A part that begins and ends where groups do is cut into the groups that it has in the whole.
    """
    if num_rows == 0:
        return []
    groups = max(1, num_rows // GHOST_ROWS)
    return [GHOST_ROWS] * (groups - 1) + [num_rows - GHOST_ROWS * (groups - 1)]


def parts_to_pass(num_rows: int, *, at_once: bool) -> Iterator[slice]:
    """The parts in which so many rows go through a net with ghost norms.

    They are all groups of one size `at_once`, as it is fastest on a GPU; else each group alone,
    which is no slower on a CPU.
    """
    sizes = group_sizes(num_rows)
    even = len(sizes) * GHOST_ROWS == num_rows
    if at_once and len(sizes) > 1:
        sizes = [num_rows] if even else [num_rows - sizes[-1], sizes[-1]]
    first = 0
    for size in sizes:
        yield slice(first, first + size)
        first += size


class GhostBatchNorm(nn.BatchNorm2d):
    """Ghost batch norm (Hoffer et al. 2017): in training each group has its own statistics.

    Takes one group of any size, or several of GHOST_ROWS each. What it sees is added to `seen`
    (2, C) float32, over the rows: means and unbiased variances of their groups; `SeenStatistics`
    moves the running ones, by which it normalises in evaluation.
    """

    seen: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.load_state_dict(norm.state_dict())
        self.register_buffer("seen", torch.zeros(2, norm.num_features), persistent=False)
        self.to(norm.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        groups = max(1, len(x) // GHOST_ROWS)
        # The groups lie side by side as channels: the norm of channels is then that of groups.
        beside = x if groups == 1 else _groups_to_channels(x, groups)
        means, variances = self.seen.new_zeros(2, beside.shape[1]).unbind()
        normalised = functional.batch_norm(
            beside,
            means,
            variances,
            self.weight.repeat(groups),
            self.bias.repeat(groups),
            training=True,
            momentum=1.0,  # so that `means` and `variances` become those of the groups
            eps=self.eps,
        )
        by_group = torch.stack([means, variances]).reshape(2, groups, -1)
        self.seen += by_group.sum(1) * (len(x) / groups)
        return normalised if groups == 1 else _channels_to_groups(normalised, groups)


def _groups_to_channels(x: Tensor, groups: int) -> Tensor:
    """(G * R, C, H, W) to (R, G * C, H, W), channels last in memory, as convolutions want them."""
    _, channels, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(groups, -1, height, width, channels)
    return pixels.permute(1, 2, 3, 0, 4).flatten(3).permute(0, 3, 1, 2)


def _channels_to_groups(x: Tensor, groups: int) -> Tensor:
    """(R, G * C, H, W) to (G * R, C, H, W), channels last in memory."""
    rows, _, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(rows, height, width, groups, -1)
    return pixels.permute(3, 0, 1, 2, 4).flatten(0, 1).permute(0, 3, 1, 2)


def with_ghost_norms(model: nn.Module) -> nn.Module:
    """Replace every batch norm of `model` by a ghost norm with its weights; return `model`."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, GhostBatchNorm(child))
    return model


class SeenStatistics:
    """What all ghost norms of a model have seen since they last forgot it, side by side in the row
    `sums`.

    Their running statistics, in a row of the same order, follow it with the momentum that all of
    them share.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        norms = [module for module in model.modules() if isinstance(module, GhostBatchNorm)]
        self.sums = lay_in_a_row([norm.seen for norm in norms], device)
        self.running = lay_in_a_row(
            [norm.get_buffer(name) for norm in norms for name in ("running_mean", "running_var")],
            device,
        )
        self._counts = [norm.get_buffer("num_batches_tracked") for norm in norms]
        [momentum] = {norm.momentum for norm in norms}
        assert momentum is not None
        self._momentum = momentum

    @torch.no_grad()
    def forget(self) -> None:
        """Begin a new batch."""
        self.sums.zero_()

    @torch.no_grad()
    def follow(self, num_rows: Tensor) -> None:
        """Move the running statistics towards those of the batch, of `num_rows` rows in all."""
        self.running.lerp_(self.sums / num_rows, self._momentum)
        torch._foreach_add_(self._counts, 1)
