"""What help and documents say of flags: the docstrings below the fields of configurations."""

import ast
import inspect
import sys
from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Annotated, Any, get_type_hints


def explanations(config: type[Any]) -> dict[str, str]:
    """The docstring below each field of a configuration class, or the help that its type brings;
    each in one line."""
    hints = get_type_hints(config, include_extras=True)
    found = {name: one.help for name, hint in hints.items() for one in _notes(hint) if _helps(one)}
    body = [node for one in reversed(config.__mro__[:-1]) for node in _body(one)]
    for node, following in pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if node.target.id in found:
                continue
            assert isinstance(following, ast.Expr)
            assert isinstance(following.value, ast.Constant)
            found[node.target.id] = " ".join(str(following.value.value).split())
    return found


def explained(flags: type[Any], args: Sequence[str]) -> type[Any]:
    """The dataclass of all flags; where `args` ask for help, with its bases' explanations as help.

    Of a docstring of several lines tyro keeps the breaks, wherever the terminal has its own; and it
    shows a default of None or False, which says nothing.
    """
    if not {"-h", "--help"} & set(args):
        return flags
    from tyro.conf import arg

    hints = get_type_hints(flags, include_extras=True)
    texts = {name: text for one in flags.__bases__ for name, text in explanations(one).items()}
    flags.__annotations__ = {
        one.name: Annotated[
            hints[one.name],
            arg(
                help=texts[one.name],
                help_behavior_hint="" if _says_nothing(one.default) else None,
            ),
        ]
        for one in fields(flags)
    }
    return flags


def _notes(hint: Any) -> tuple[Any, ...]:
    return tuple(getattr(hint, "__metadata__", ()))


def _says_nothing(default: object) -> bool:
    """Whether there is nothing without the flag; 0 is a number."""
    return default is None or default is False or default in ("", ())


def _helps(note: Any) -> bool:
    return getattr(note, "help", None) is not None


def _body(config: type[Any]) -> list[ast.stmt]:
    """What a class has in its own text."""
    [body] = [
        node.body
        for node in ast.parse(inspect.getsource(sys.modules[config.__module__])).body
        if isinstance(node, ast.ClassDef) and node.name == config.__name__
    ]
    return body
