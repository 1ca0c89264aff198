"""How every backend learns: the numbers of the optimizer and of the moving average."""

WEIGHT_DECAY = 0.05
"""Of kernels; biases and norms don't decay."""

ADAM_BETAS, ADAM_EPSILON = (0.9, 0.999), 1e-8
MAX_GRADIENT_NORM = 10.0

AVERAGE_DECAY = 0.998
"""Share of the averaged weights that a step keeps, once the average has warmed up."""


def average_decay(num_steps: int) -> float:
    """Of the averaged weights, in a step; less at first, so that the start is soon forgotten."""
    return min(AVERAGE_DECAY, (1 + num_steps) / (10 + num_steps))
