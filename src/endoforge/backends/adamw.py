"""AdamW by PyTorch's function; its class imports a compiler, seconds that no CPU needs."""

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from endoforge.backends.recipe import ADAM_BETAS, ADAM_EPSILON, WEIGHT_DECAY


class AdamW:
    """AdamW (Loshchilov and Hutter 2019) of a row of numbers, (N,) float32.

    The first `num_decaying` decay, the others don't. `moments` are the rows of what it remembers,
    by their names, and `num_steps` the numbers of steps of these two parts, () each. All are made
    here, not by the first step, so that a recorded step finds them.
    """

    def __init__(self, row: Tensor, num_decaying: int) -> None:
        device = row.device
        on_gpu = device.type == "cuda"
        self._fused = device.type in ("cpu", "cuda")
        self._capturable = on_gpu
        # What a recorded step reads must lie on the device.
        self.lr: float | Tensor = torch.zeros((), device=device) if on_gpu else 0.0
        counts = torch.zeros(2, device=device if self._fused else "cpu")
        self.num_steps = counts.unbind()
        self.moments = {name: torch.zeros_like(row) for name in ("exp_avg", "exp_avg_sq")}
        self._row = row
        self._parts = [
            (slice(0, num_decaying), WEIGHT_DECAY),
            (slice(num_decaying, len(row)), 0.0),
        ]

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the steps to come."""
        if isinstance(self.lr, Tensor):
            self.lr.fill_(lr)
        else:
            self.lr = lr

    @torch.no_grad()
    def step(self, gradients: Tensor) -> None:
        """Move the row by its `gradients` (N,)."""
        for (part, weight_decay), num_steps in zip(self._parts, self.num_steps, strict=True):
            adamw(
                [self._row[part]],
                [gradients[part]],
                [self.moments["exp_avg"][part]],
                [self.moments["exp_avg_sq"][part]],
                [],
                [num_steps],
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
