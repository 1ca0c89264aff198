"""The numbers of the optimizer and of the moving average, for every backend."""

WEIGHT_DECAY = 0.05
"""Of kernels, by both optimizers; biases and norms don't decay."""

ADAM_BETAS, ADAM_EPSILON = (0.9, 0.999), 1e-8
MAX_GRADIENT_NORM = 10.0

MUON_MOMENTUM = 0.95
MUON_SCALE = 0.4
"""The root mean square of a step's entries, as a share of the learning rate. AdamW's is 0.2 to 0.4
(Liu et al. 2025, "Muon is scalable for LLM training", section 2.2), so one rate suits both; of 0.1,
0.2 and 0.4 the largest learned best (docs/log.md)."""
NEWTON_SCHULZ, NEWTON_SCHULZ_STEPS = (3.4445, -4.7750, 2.0315), 5
"""The odd polynomial of degree 5, and how often it is applied, that bring singular values near 1
(Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks")."""
MUON_EPSILON = 1e-7
"""Added to the norm of a matrix, by which it is divided."""

AVERAGE_DECAY = 0.998
"""The share of the averaged weights that a step keeps, once the average has warmed up."""


def average_decay(num_steps: int) -> float:
    """The share of the averaged weights that step `num_steps` (from 1) keeps.

    It is less at first, so that the weights at the start are soon forgotten.
    """
    return min(AVERAGE_DECAY, (1 + num_steps) / (10 + num_steps))


def moments_of(hidden_kernel: bool) -> tuple[str, ...]:
    """The names under which a state keeps what its optimizer remembers of a parameter.

    Of the kernels of hidden layers Muon keeps its momentum, of all others AdamW its moments and the
    number of its steps.
    """
    return ("momentum",) if hidden_kernel else ("step", "exp_avg", "exp_avg_sq")


def muon_scale(rows: int, columns: int) -> float:
    """What an orthogonal matrix of this shape is multiplied by, so that the root mean square of its
    entries is MUON_SCALE."""
    return float(MUON_SCALE * max(rows, columns) ** 0.5)
