"""The learning rate: a pure function of the step."""

import math

from endoforge.train.config import Scheduler

WARM_UP_STEPS = 200
"""4e-3 after so many steps gave a better detector than without, and than 1e-3 (docs/log.md)."""


def learning_rate(
    step: int, num_steps: int, *, scheduler: Scheduler, start: float, end: float
) -> float:
    """The rate of `step` (0-based) of `num_steps`: from `start` down to `end` at the last.

    "linear" falls on a straight line, "cosine" on half a wave (Loshchilov and Hutter 2017,
    equation 5, without restarts). Over the first steps it rises to that from nearly nothing, while
    norms and moments settle: WARM_UP_STEPS, or a tenth of the training if that is less.
    """
    done = step / max(num_steps - 1, 1)
    warm_up = min(WARM_UP_STEPS, num_steps // 10)
    share = min(1.0, (step + 1) / max(warm_up, 1))
    if scheduler == "linear":
        return share * (start + (end - start) * done)
    return share * (end + (start - end) * (1 + math.cos(math.pi * done)) / 2)
