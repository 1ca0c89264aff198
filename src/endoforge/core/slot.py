"""A slot for the newest thing only: what isn't taken in time is replaced, and counted."""

from threading import Condition
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Slot(Generic[Thing]):
    """Hands the newest thing from one thread to another.

    `dropped` counts what was replaced before it was taken.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._thing: Thing | None = None
        self._closed = False
        self.dropped = 0

    def put(self, thing: Thing) -> None:
        """Put a thing there, in the place of one that wasn't taken."""
        with self._changed:
            self.dropped += self._thing is not None
            self._thing = thing
            self._changed.notify()

    def take(self, timeout_s: float) -> Thing | None:
        """The newest thing, as soon as there is one; None if none comes in time, or if closed."""
        with self._changed:
            if self._thing is None and not self._closed:
                self._changed.wait(timeout_s)
            thing, self._thing = self._thing, None
            return thing

    def nudge(self) -> None:
        """Let who waits for a thing look around, without one."""
        with self._changed:
            self._changed.notify()

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be taken."""
        with self._changed:
            return self._thing is None

    def close(self) -> None:
        """Let nobody wait for a thing any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
