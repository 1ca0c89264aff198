"""The numbers of the optimizer and of the moving average, for every backend."""

WEIGHT_DECAY = 0.05
"""AdamW's weight decay of kernels; biases and norms don't decay."""

ADAM_BETAS, ADAM_EPSILON = (0.9, 0.999), 1e-8
MAX_GRADIENT_NORM = 10.0

AVERAGE_DECAY = 0.998
"""The share of the averaged weights that a step keeps, once the average has warmed up."""


def average_decay(num_steps: int) -> float:
    """The share of the averaged weights that step `num_steps` (from 1) keeps.

    It is less at first, so that the weights at the start are soon forgotten.
    """
    return min(AVERAGE_DECAY, (1 + num_steps) / (10 + num_steps))
