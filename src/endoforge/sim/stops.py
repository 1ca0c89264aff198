"""A stop of long work in threads and other processes, where no KeyboardInterrupt comes."""

from collections.abc import Callable
from typing import Protocol

Check = Callable[[], None]
"""Called now and then by long work; raises Stopped if nobody waits for it any more."""


class Stopped(Exception):
    """Work was left, since nobody waits for it any more."""


class Event(Protocol):
    """One of `threading` or `multiprocessing`."""

    def is_set(self) -> bool: ...


def go_on() -> None:
    """The check of work that nobody stops."""


def check_of(event: Event) -> Check:
    """A check that stops once `event` is set."""

    def check() -> None:
        if event.is_set():
            raise Stopped

    return check
