"""What is wrong with ranges, in the words of who wrote them."""

import json
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError


def first_fault(error: ValidationError, defaults: dict[str, Any]) -> str:
    """Say where the first fault is, what it is and how to mend it, in one line.

    `defaults` are all ranges as nested dicts: they give the names that are known, and examples.
    """
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["type"] == "unexpected_keyword_argument":
        table = _at(defaults, first["loc"][:-1])
        return f"{place}: no such name{_nearest(str(first['loc'][-1]), list(table))}"
    if first["type"] == "value_error":
        return f"{place}: {first['ctx']['error']}"
    default = _at(defaults, first["loc"])
    if isinstance(default, dict):
        return f"{place}: must be a table that has {', '.join(default)}"
    if isinstance(default, tuple):
        # The numbers of a range are places of their own: of it as a whole, its shape is wrong.
        return f"{place}: must be a range [least, most], such as {json.dumps(default)}"
    return f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}"


def _at(values: Any, path: tuple[int | str, ...]) -> Any:
    """What stands at a place of nested dicts and tuples; None where there is none."""
    for step in path:
        if isinstance(values, dict):
            values = values.get(str(step))
        elif isinstance(values, tuple) and isinstance(step, int) and step < len(values):
            values = values[step]
        else:
            return None
    return values


def _nearest(name: str, known: list[str]) -> str:
    """The known name that was meant, or all of them, as the end of a line."""
    close = get_close_matches(name, known, 1)
    return f"; perhaps {close[0]}" if close else f"; there are {', '.join(known)}"
