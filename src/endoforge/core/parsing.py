"""JSON, TOML and YAML of files that somebody else may have made.

What is nested too deep, or has numbers that are too long, is one error like any other.
"""

import json
import tomllib
from collections.abc import Callable
from typing import Any

import yaml

TOO_DEEP = "nested too deep"


class _Texts(yaml.BaseLoader):
    """Every scalar is a text, as it is written: `no`, `007` and `1e3`.

    An alias, such as `*names`, is refused: a few lines of them make billions of names.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases aren't read", mark)
        return super().compose_node(parent, index)


def parse_json(data: bytes | str, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """A JSON value; raises ValueError for what is none.

    `parse_constant` makes a value of NaN and infinity, which aren't JSON.
    """
    try:
        return json.loads(data, parse_constant=parse_constant)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error


def parse_toml(text: str) -> dict[str, Any]:
    """Raises ValueError for a text that is no TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error


def parse_yaml(text: str) -> Any:
    """Dicts, lists and texts; raises ValueError, which says the line if it is known."""
    try:
        return yaml.load(text, Loader=_Texts)
    except RecursionError as error:
        raise ValueError(f"not YAML ({TOO_DEEP})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or "can't be read"
        line = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"not YAML ({line}{why})") from error
