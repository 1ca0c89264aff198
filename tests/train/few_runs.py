"""Simulated trainings of three runs of twelve views at a time, validated on two of four frames.

So six steps of eight frames take one to its fourth beat, and to its sixth run.
"""

from collections.abc import Callable
from typing import Any

FEW_RUNS = "TESTS_FEW_RUNS"
"""Set for processes that are to train so."""


def few_runs(set_to: Callable[[Any, str, int], None]) -> None:
    """Set the numbers, by `setattr` or one that takes it back."""
    from endoforge.train import simulated, simulated_validation

    set_to(simulated, "RUNS_AT_ONCE", 3)
    set_to(simulated, "VIEWS_A_RUN", 12)
    set_to(simulated_validation, "VALIDATION_RUNS", 2)
    set_to(simulated_validation, "VALIDATION_FRAMES", 4)
