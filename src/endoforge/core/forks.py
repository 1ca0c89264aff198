"""Threads that a fork leaves behind: who waits for them in the child waits for ever."""

import os

from endoforge.core.errors import UserError

_first_used_by: dict[str, int] = {}
"""Processes, by the library whose threads they were the first to use; a fork inherits it."""


def refuse_fork(library: str, or_else: str = "") -> None:
    """Called before the threads of `library` are used.

    Raises UserError, with the mend and `or_else`, in a process that was forked from one that had
    used them.
    """
    if _first_used_by.setdefault(library, os.getpid()) != os.getpid():
        raise UserError(
            f"this process was forked from one that used {library}, whose threads don't come "
            f'along: start processes by multiprocessing.get_context("spawn"){or_else}'
        )
