"""Takes medians of times, which a machine that does other things too disturbs least."""

import statistics
import time
from collections.abc import Callable, Sequence


def median_seconds(do: Callable[[], object], *, warm_up: int, repeats: int) -> float:
    """Time single calls of `do`, which must wait for its result; `warm_up` calls don't count."""
    [seconds] = medians_in_turn([do], warm_up=warm_up, repeats=repeats)
    return seconds


def medians_in_turn(
    works: Sequence[Callable[[], object]], *, warm_up: int, repeats: int
) -> list[float]:
    """Time several works as `median_seconds` does, call by call in turn, and give their medians.

    What else the machine does then meets all of them alike, and ratios of the times hold.
    """
    for _ in range(warm_up):
        for work in works:
            work()
    times = [[_seconds(work) for work in works] for _ in range(repeats)]
    return [statistics.median(own) for own in zip(*times, strict=True)]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
