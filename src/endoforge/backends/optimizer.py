"""The optimizer on torch: Muon for the kernels of hidden layers, AdamW for all else."""

import torch
from torch import Tensor, nn

from endoforge.backends.adamw import AdamW
from endoforge.backends.muon import Muon, matrix_shape
from endoforge.backends.rows import cut, lay_in_a_row
from endoforge.detect.tinydet import hidden_kernels

State = dict[str, dict[str, Tensor]]
"""What is remembered of each parameter, by its name; see `recipe.moments_of`."""


class Optimizer:
    """Takes steps on the parameters of a TinyDet by their gradients; without `muon` AdamW's alone.

    `names` are the parameters' in the order in which they lie, side by side, in the row
    `parameters` (N,): those that Muon moves, by their shapes, then others that decay, then what
    doesn't. `gradients` (N,) are theirs. `state` is what is remembered. All of it is made at once
    and stays where it is, so that a step that is recorded as a CUDA graph finds it; the learning
    rate lies on the device for the same reason.
    """

    def __init__(self, model: nn.Module, device: torch.device, *, muon: bool = True) -> None:
        named = dict(model.named_parameters())
        hidden = sorted(
            hidden_kernels(model) if muon else [], key=lambda name: matrix_shape(named[name])
        )
        others = [name for name in named if name not in hidden]
        decaying = [name for name in others if named[name].ndim > 1]
        self.names = [*hidden, *decaying, *(name for name in others if named[name].ndim <= 1)]
        self._tensors = [named[name] for name in self.names]
        self.parameters = lay_in_a_row(self._tensors, device)
        self.gradients = torch.zeros_like(self.parameters)
        self._slopes = cut(self.gradients, self._tensors)
        num_hidden, num_decaying = (
            sum(named[name].numel() for name in some) for some in (hidden, decaying)
        )
        self._hidden, self._others = slice(0, num_hidden), slice(num_hidden, None)
        self._muon = Muon(
            self.parameters[self._hidden], [matrix_shape(named[name]) for name in hidden]
        )
        self._adam = AdamW(self.parameters[self._others], num_decaying)
        momenta = cut(self._muon.momentum, self._tensors[: len(hidden)])
        means, squares = (
            cut(row, self._tensors[len(hidden) :]) for row in self._adam.moments.values()
        )
        of_hidden = [{"momentum": one} for one in momenta]
        of_others = [
            {
                "step": self._adam.num_steps[0 if mean.ndim > 1 else 1],
                "exp_avg": mean,
                "exp_avg_sq": square,
            }
            for mean, square in zip(means, squares, strict=True)
        ]
        remembered = dict(zip(self.names, [*of_hidden, *of_others], strict=True))
        self.state: State = {name: remembered[name] for name in named}

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the steps to come."""
        self._adam.set_lr(lr)

    def load_state(self, state: State) -> None:
        """Take over what was remembered, in place: a recorded step goes on with its own tensors."""
        for name, moments in self.state.items():
            for moment, tensor in moments.items():
                tensor.copy_(state[name][moment])

    @torch.no_grad()
    def gather(self) -> None:
        """Bring the parameters' gradients into `gradients`: zeros where there is none, as of a part
        of a batch without pictures."""
        slopes = [one.grad for one in self._tensors if one.grad is not None]
        if len(slopes) == len(self._slopes):
            torch._foreach_copy_(self._slopes, slopes)
        else:
            assert not slopes, "some parameters have a gradient, others don't"
            self.gradients.zero_()

    @torch.no_grad()
    def step(self) -> None:
        """Move all parameters by `gradients`."""
        self._adam.step(self.gradients[self._others])
        self._muon.step(self.gradients[self._hidden], self._adam.lr)
