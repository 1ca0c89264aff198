"""What isn't ours needn't be traced where coverage is measured: it takes half as long again."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def untraced(function: Callable[P, T]) -> Callable[P, T]:
    """The same, with nothing measured of what it calls in its thread."""

    @functools.wraps(function)
    def call(*args: P.args, **others: P.kwargs) -> T:
        tracer = sys.gettrace()
        sys.settrace(None)
        try:
            return function(*args, **others)
        finally:
            sys.settrace(tracer)

    return call
