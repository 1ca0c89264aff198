"""Marks in folders: which command made them, so that they are known again.

A command changes or removes what lies in a folder only if the folder bears its mark, and a command
that searches folders for pictures passes those by that bear one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from endoforge.core.files import write_json_atomic
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LIST_BYTES, read_regular

MARK_NAME = ".endoforge.json"
PROGRAM = "endoforge"


def leave_mark(folder: Path, command: str, facts: Mapping[str, Any] | None = None) -> None:
    """Say in `folder`, which is there, that `command` made it, and what it wants to know again.

    A mark that says so already stays as it is.
    """
    mark = {"made_by": f"{PROGRAM} {command}", **(facts or {})}
    if _read(folder) != mark:
        write_json_atomic(folder / MARK_NAME, mark)


def mark_of(folder: Path) -> str | None:
    """The command that made `folder`; None for a folder without a mark that can be read."""
    program, _, command = str(_read(folder).get("made_by")).partition(" ")
    return command if program == PROGRAM else None


def facts_of(folder: Path) -> dict[str, Any]:
    """What the command that made `folder` left in its mark; nothing where there is none."""
    return {name: value for name, value in _read(folder).items() if name != "made_by"}


def _read(folder: Path) -> dict[str, Any]:
    path = folder / MARK_NAME
    try:
        mark = {} if path.is_symlink() else parse_json(read_regular(path, MOST_LIST_BYTES))
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}
