"""One word for one thing: no name of a class or of a module stands twice in the package."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import endoforge

SOURCE = Path(endoforge.__file__).parent
A_COMMAND_EACH = {"__init__.py", "config.py"}
"""What a folder has by its role: itself, and what its command can be told."""


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def classes() -> Iterator[tuple[str, Path]]:
    for module in modules():
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield node.name, module


def twice(named: Iterator[tuple[str, Path]]) -> dict[str, list[str]]:
    """The names that stand in more than one place, with the places."""
    places: dict[str, list[str]] = defaultdict(list)
    for name, module in named:
        places[name].append(str(module.relative_to(SOURCE)))
    return {name: found for name, found in places.items() if len(found) > 1}


def test_the_source_is_seen():
    assert len(modules()) > 200
    assert len(list(classes())) > 200


def test_no_class_name_stands_twice():
    assert twice(classes()) == {}


def test_no_module_name_stands_twice():
    named = ((module.name, module) for module in modules() if module.name not in A_COMMAND_EACH)
    assert twice(named) == {}
