"""Takes medians of times, which a machine that does other things too disturbs least."""

import statistics
import time
from collections.abc import Callable


def median_seconds(do: Callable[[], object], *, warm_up: int, repeats: int) -> float:
    """Time single calls of `do`, which must wait for its result; `warm_up` calls don't count."""
    for _ in range(warm_up):
        do()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        do()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
