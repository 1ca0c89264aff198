"""AdamW by PyTorch's function; its class imports a compiler, seconds that no CPU needs."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from endoforge.backends.recipe import ADAM_BETAS, ADAM_EPSILON, WEIGHT_DECAY


class AdamW:
    """AdamW (Loshchilov and Hutter 2019), which leaves biases and norms undecayed.

    `state` has the number of steps and the two moments of each parameter. They are made here, not
    by the first step, so that a recorded step finds them.
    """

    def __init__(self, parameters: Sequence[Tensor], device: torch.device) -> None:
        on_gpu = device.type == "cuda"
        self._fused = device.type in ("cpu", "cuda")
        self._capturable = on_gpu
        # What a recorded step reads must lie on the device.
        self.lr: float | Tensor = torch.zeros((), device=device) if on_gpu else 0.0
        self.groups = [
            ([one for one in parameters if one.ndim > 1], WEIGHT_DECAY),
            ([one for one in parameters if one.ndim <= 1], 0.0),
        ]
        self.state: dict[Tensor, dict[str, Tensor]] = {
            parameter: {
                "step": torch.zeros((), device=device if self._fused else "cpu"),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
            for parameter in parameters
        }

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the steps to come."""
        if isinstance(self.lr, Tensor):
            self.lr.fill_(lr)
        else:
            self.lr = lr

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for parameters, weight_decay in self.groups:
            moved: list[Tensor] = [one for one in parameters if one.grad is not None]
            adamw(
                moved,
                [one.grad for one in moved if one.grad is not None],
                [self.state[one]["exp_avg"] for one in moved],
                [self.state[one]["exp_avg_sq"] for one in moved],
                [],
                [self.state[one]["step"] for one in moved],
                fused=self._fused,
                capturable=self._capturable,
                amsgrad=False,
                beta1=ADAM_BETAS[0],
                beta2=ADAM_BETAS[1],
                lr=self.lr,
                weight_decay=weight_decay,
                eps=ADAM_EPSILON,
                maximize=False,
            )
