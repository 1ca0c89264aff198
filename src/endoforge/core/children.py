"""What a process does at its start that another of ours works for."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# A terminal sends them to all processes of a command.
_OF_A_TERMINAL = {getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)}


@contextmanager
def starting_children() -> Iterator[None]:
    """Processes that are started inside get no Ctrl-C and no hang-up before `become_child`.

    To this process both come, afterwards at the latest.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_A_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def become_child() -> None:
    """Leave Ctrl-C and hang-ups to the parent, which closes us; end with it, however it ends."""
    for number in _OF_A_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_A_TERMINAL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def end_by_exception() -> None:
    """Let SIGTERM end this process by SystemExit, so that it cleans up; a second one is ignored.

    Else one that comes in the middle of its end, in a `finally` or in `atexit`, would be a
    traceback.
    """
    signal.signal(signal.SIGTERM, _end)


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
