"""Marks in folders: which command made them, so that they are known again.

A command changes or removes what lies in a folder only if the folder bears its mark, and a command
that searches folders for pictures passes those by that bear one.
"""

import json
from pathlib import Path

from endoforge.core.files import write_json_atomic

MARK_NAME = ".endoforge.json"
_MOST_BYTES = 10_000


def leave_mark(folder: Path, command: str) -> None:
    """Say in `folder`, which is there, that `command` made it; a mark of its own stays as it is."""
    if mark_of(folder) != command:
        write_json_atomic(folder / MARK_NAME, {"made_by": f"endoforge {command}"})


def mark_of(folder: Path) -> str | None:
    """The command that made `folder`; None for a folder without a mark that can be read."""
    path = folder / MARK_NAME
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        made_by = json.loads(path.read_bytes())["made_by"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    program, _, command = str(made_by).partition(" ")
    return command if program == "endoforge" else None
