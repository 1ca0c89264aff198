"""Marks in folders: which command made them, so that they are known again.

A command changes or removes what lies in a folder only if the folder bears its mark, and a command
that searches folders for pictures passes those by that bear one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from endoforge.core.files import write_json_atomic

MARK_NAME = ".endoforge.json"
PROGRAM = "endoforge"
_MOST_BYTES = 100_000_000


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
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return {}
        mark = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return mark if isinstance(mark, dict) else {}
