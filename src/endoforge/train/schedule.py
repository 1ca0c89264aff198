"""The learning rate: a pure function of the step."""

import math

from endoforge.train.config import Scheduler


def learning_rate(
    step: int, num_steps: int, *, scheduler: Scheduler, start: float, end: float
) -> float:
    """The rate of `step` (0-based) of `num_steps`: `start` at the first, `end` at the last.

    "linear" falls on a straight line, "cosine" on half a wave (Loshchilov and Hutter 2017,
    equation 5, without restarts).
    """
    done = step / max(num_steps - 1, 1)
    if scheduler == "linear":
        return start + (end - start) * done
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
