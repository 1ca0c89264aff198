"""The optimizer on torch: Muon for the kernels of hidden layers, AdamW for all else."""

from functools import reduce

import torch
from torch import Tensor, nn

from endoforge.backends.adamw import AdamW
from endoforge.backends.recipe import (
    MUON_EPSILON,
    MUON_MOMENTUM,
    NEWTON_SCHULZ,
    NEWTON_SCHULZ_STEPS,
    WEIGHT_DECAY,
    muon_scale,
)
from endoforge.detect.tinydet import hidden_kernels

State = dict[str, dict[str, Tensor]]
"""What is remembered of each parameter, by its name; see `recipe.moments_of`."""


class Optimizer:
    """Takes steps on the parameters of a TinyDet by their gradients; without `muon` AdamW's alone.

    `state` is what it remembers. It is made at once, not by the first step, so that a step that is
    recorded as a CUDA graph finds it; the learning rate lies on the device for the same reason.
    """

    def __init__(self, model: nn.Module, device: torch.device, *, muon: bool = True) -> None:
        named = dict(model.named_parameters())
        hidden = hidden_kernels(model) if muon else []
        self._muon = Muon([named[name] for name in hidden])
        others = {name: one for name, one in named.items() if name not in hidden}
        self._adam = AdamW(list(others.values()), device)
        momenta = dict(zip(hidden, self._muon.momenta, strict=True))
        self.state: State = {
            name: {"momentum": momenta[name]} if name in hidden else self._adam.state[one]
            for name, one in named.items()
        }

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the steps to come."""
        self._adam.set_lr(lr)

    def load_state(self, state: State) -> None:
        """Take over what was remembered, in place: a recorded step goes on with its own tensors."""
        for name, moments in self.state.items():
            for moment, tensor in moments.items():
                tensor.copy_(state[name][moment])

    def step(self) -> None:
        """Move all parameters that have a gradient."""
        self._adam.step()
        self._muon.step(self._adam.lr)


class Muon:
    """Moves kernels by their momentum, made orthogonal (Jordan et al. 2024): the step has all
    directions of a layer's output alike, not the few that gradients are full of.

    A kernel (O, I, H, W) is a matrix of O rows. Kernels of one shape are stepped together.
    `momenta` are theirs, in their order.
    """

    def __init__(self, kernels: list[nn.Parameter]) -> None:
        self._kernels: list[Tensor] = [*kernels]
        self.momenta = [torch.zeros_like(kernel) for kernel in kernels]
        self._lots: dict[tuple[int, int], list[int]] = {}
        for number, kernel in enumerate(kernels):
            self._lots.setdefault((len(kernel), kernel[0].numel()), []).append(number)

    @torch.no_grad()
    def step(self, lr: float | Tensor) -> None:
        """Take a step by the kernels' gradients; where there is none, as of a batch without
        pictures, none is taken."""
        gradients = [kernel.grad for kernel in self._kernels if kernel.grad is not None]
        if len(gradients) < len(self._kernels) or not gradients:
            return
        torch._foreach_mul_(self.momenta, MUON_MOMENTUM)
        torch._foreach_add_(self.momenta, gradients)
        # Nesterov's: where the momentum will be after another such gradient.
        ahead = torch._foreach_mul(self.momenta, MUON_MOMENTUM)
        torch._foreach_add_(ahead, gradients)
        torch._foreach_mul_(self._kernels, 1 - lr * WEIGHT_DECAY)
        for shape, numbers in self._lots.items():
            steps = orthogonal(torch.stack([_as_matrix(ahead[number]) for number in numbers]))
            steps *= -lr * muon_scale(*shape)
            matrices = [_as_matrix(self._kernels[number]) for number in numbers]
            torch._foreach_add_(matrices, list(steps.unbind()))


def orthogonal(matrices: Tensor) -> Tensor:
    """(L, R, C) to matrices as near to them as can be whose singular values are all near 1.

    By Newton and Schulz's iteration with the coefficients of Jordan et al. (2024), which leaves
    them between 0.7 and 1.2.
    """
    if matrices.shape[1] > matrices.shape[2]:
        turned: Tensor = orthogonal(matrices.mT).mT
        return turned
    norms = matrices.flatten(1).norm(dim=1)[:, None, None]
    start: Tensor = matrices / (norms + MUON_EPSILON)
    # A CPU's time goes by operations, a GPU's by kernels: matrices are small.
    return few_operations(start) if start.device.type == "cpu" else few_kernels(start)


def few_kernels(start: Tensor) -> Tensor:
    """Newton and Schulz's iteration on matrices (L, R, C) of norm 1, R <= C."""
    now = start
    first, third, fifth = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        squares = now @ now.mT
        factors = torch.baddbmm(squares, squares, squares, beta=third, alpha=fifth)
        now = torch.baddbmm(now, factors, now, beta=first)
    return now


def few_operations(start: Tensor) -> Tensor:
    """The same but for rounding, on products of R by R: for most kernels C is nine times R.

    Each iterate is a polynomial in `start @ start.mT` times `start`. The factor from one to the
    next is a polynomial in the same product, and so commutes with it.
    """
    first, third, fifth = NEWTON_SCHULZ
    squares = start @ start.mT
    factors: list[Tensor] = []
    for _ in range(NEWTON_SCHULZ_STEPS):
        if factors:
            squares = factors[-1] @ squares @ factors[-1]
        factor = torch.baddbmm(squares, squares, squares, beta=third, alpha=fifth)
        factor.diagonal(dim1=1, dim2=2).add_(first)
        factors.append(factor)
    return reduce(torch.matmul, factors) @ start


def _as_matrix(kernel: Tensor) -> Tensor:
    """View a kernel (O, I, H, W) as (O, I * H * W), its columns in the order of its memory."""
    return kernel.as_strided((len(kernel), kernel[0].numel()), (kernel.stride(0), 1))
