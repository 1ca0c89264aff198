"""Muon on torch: steps of a layer's momentum, made orthogonal."""

from collections import Counter
from collections.abc import Sequence
from functools import reduce
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from endoforge.backends.recipe import (
    MUON_EPSILON,
    MUON_MOMENTUM,
    NEWTON_SCHULZ,
    NEWTON_SCHULZ_STEPS,
    WEIGHT_DECAY,
    muon_scale,
)

Shape = tuple[int, int]


class Muon:
    """Moves kernels by their momentum, made orthogonal (Jordan et al. 2024): the step has all
    directions of a layer's output alike, not the few that gradients are full of.

    The kernels lie side by side in `row` (N,), matrices of these `shapes`, of which like ones are
    neighbours. `momentum` (N,) is theirs.
    """

    def __init__(self, row: Tensor, shapes: Sequence[Shape]) -> None:
        self._row = row
        self.momentum = torch.zeros_like(row)
        # A CPU's time goes by operations, a GPU's by kernels: matrices are small.
        on_cpu = row.device.type == "cpu"
        self._matrices: Matrices = ByShape(shapes) if on_cpu else Padded(shapes, row.device)

    @torch.no_grad()
    def step(self, gradients: Tensor, lr: float | Tensor) -> None:
        """Take a step by the row's `gradients` (N,)."""
        if len(self._row) == 0:
            return
        self.momentum.mul_(MUON_MOMENTUM).add_(gradients)
        # Nesterov's: where the momentum will be after another such gradient.
        ahead = gradients.add(self.momentum, alpha=MUON_MOMENTUM)
        steps = self._matrices.steps(ahead).mul_(lr)
        self._row.mul_(1 - lr * WEIGHT_DECAY).sub_(steps)


class Matrices(Protocol):
    """Matrices of some shapes, one after the other in a row of numbers."""

    def steps(self, row: Tensor) -> Tensor:
        """Give such a row of orthogonal matrices, each as long as `muon_scale` says."""
        ...


class ByShape:
    """Makes those of one shape orthogonal together; they lie side by side."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self._lots = [(count, *shape) for shape, count in Counter(shapes).items()]

    def steps(self, row: Tensor) -> Tensor:
        lots = torch.split(row, [count * rows * columns for count, rows, columns in self._lots])
        return torch.cat(
            [
                (orthogonal(lot.view(shape)) * muon_scale(*shape[1:])).flatten()
                for lot, shape in zip(lots, self._lots, strict=True)
            ]
        )


class Padded:
    """Makes all orthogonal together, as matrices of one shape with zeros beyond their own."""

    def __init__(self, shapes: Sequence[Shape], device: torch.device) -> None:
        rows, columns = (max(map(side, shapes), default=0) for side in (min, max))
        size = sum(high * wide for high, wide in shapes)
        # Where each number comes from; past the end of the row are zeros.
        source = torch.full((len(shapes), rows, columns), size)
        first = 0
        for matrix, (high, wide) in zip(source, shapes, strict=True):
            own = torch.arange(first, first + high * wide).view(high, wide)
            own = own.T if high > wide else own
            matrix[: len(own), : len(own[0])] = own
            first += high * wide
        inside = (source < size).flatten().nonzero()[:, 0]
        back = torch.empty(size, dtype=torch.int64)
        back[source.flatten()[inside]] = inside
        scales = torch.tensor([muon_scale(*shape) for shape in shapes])
        self._source, self._back = source.to(device), back.to(device)
        self._scales = scales[:, None, None].to(device)

    def steps(self, row: Tensor) -> Tensor:
        matrices = functional.pad(row, (0, 1))[self._source]
        made = orthogonal(matrices) * self._scales
        return made.flatten().index_select(0, self._back)


def orthogonal(matrices: Tensor) -> Tensor:
    """(L, R, C) to matrices as near to them as can be whose singular values are all near 1.

    By Newton and Schulz's iteration with the coefficients of Jordan et al. (2024), which leaves
    them between 0.7 and 1.2. Each iterate is a polynomial in the first one's product with itself,
    times the first one, so that the iteration needs products of R by R alone.
    """
    if matrices.shape[1] > matrices.shape[2]:
        turned: Tensor = orthogonal(matrices.mT).mT
        return turned
    norms = matrices.flatten(1).norm(dim=1)[:, None, None]
    start: Tensor = matrices / (norms + MUON_EPSILON)
    first, third, fifth = NEWTON_SCHULZ
    squares = start @ start.mT
    factors: list[Tensor] = []
    for _ in range(NEWTON_SCHULZ_STEPS):
        if factors:
            # A factor commutes with the product that it is a polynomial of.
            squares = factors[-1] @ squares @ factors[-1]
        factor = torch.baddbmm(squares, squares, squares, beta=third, alpha=fifth)
        factor.diagonal(dim1=1, dim2=2).add_(first)
        factors.append(factor)
    return reduce(torch.matmul, factors) @ start


def matrix_shape(kernel: Tensor) -> Shape:
    """A kernel (O, I, H, W) is a matrix of O rows, its columns in the order of its memory."""
    return len(kernel), kernel[0].numel()
