"""JSON as browsers read it, whatever a file held."""

import math
from typing import Any

from endoforge.core.parsing import TOO_DEEP

MOST_LEVELS = 20
"""Of lists and objects in each other."""


def browser_value(value: Any, levels: int = MOST_LEVELS) -> Any:
    """A JSON value with null for NaN and infinity, and escapes for what UTF-8 can't hold.

    Raises ValueError for what is nested deeper.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if not isinstance(value, dict | list | tuple):
        return value
    if not levels:
        raise ValueError(TOO_DEEP)
    if isinstance(value, dict):
        return {browser_value(k, levels): browser_value(v, levels - 1) for k, v in value.items()}
    return [browser_value(one, levels - 1) for one in value]
