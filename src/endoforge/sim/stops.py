"""Stopping long work in threads and other processes, where no KeyboardInterrupt comes."""

from collections.abc import Callable
from typing import Protocol

Check = Callable[[], None]
"""What long work calls now and then; it raises Stopped if nobody waits any more."""


class Stopped(Exception):
    """Raised by a check: the work is left, since nobody waits for it any more."""


class Event(Protocol):
    """An event as `threading` and `multiprocessing` have them."""

    def is_set(self) -> bool: ...


def go_on() -> None:
    """Do nothing: the check of work that nobody stops."""


def check_of(event: Event) -> Check:
    """Make a check that raises Stopped once `event` is set."""

    def check() -> None:
        if event.is_set():
            raise Stopped

    return check
