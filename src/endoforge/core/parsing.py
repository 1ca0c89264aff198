"""JSON and TOML of files that somebody else may have made.

What is nested too deep, or has numbers that are too long, is an error like any other.
"""

import json
import tomllib
from typing import Any

TOO_DEEP = "nested too deep"


def parse_json(data: bytes | str) -> Any:
    """A JSON value; raises ValueError for what is none."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error


def parse_toml(text: str) -> dict[str, Any]:
    """Raises ValueError for a text that is no TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
