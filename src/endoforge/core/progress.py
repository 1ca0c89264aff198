"""Progress of long work: a bar with rate and time left on a terminal, plain lines in a log."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

log = logging.getLogger(__name__)

PLAIN_LINE_EVERY_S = 10.0
RATE_AFTER_S = 2.0
"""A rate of less time than this says little."""


class Advance(Protocol):
    """Report that `count` more units are done, and, once it is known better, the `total`."""

    def __call__(self, count: int = 1, *, total: int | None = None) -> None: ...


def on_terminal() -> bool:
    """Whether stderr can show a line that changes: a terminal, and no dumb one."""
    from rich.console import Console

    # Without a stderr, as after `2>&-`, it is None.
    return bool(sys.stderr) and sys.stderr.isatty() and Console(stderr=True).is_interactive


@contextmanager
def progress(label: str, total: int, unit: str, first: str = "") -> Iterator[Advance]:
    """Show the progress of `total` units; the value yielded is called with the units done.

    The rate is of what comes after the first units: those wait for what is prepared once, which
    `first` names, to be shown on a terminal meanwhile.

    >>> with progress("rendering", 100, "frames") as advance:
    ...     advance(10)
    """
    shown = _bar(label, total, unit, first) if on_terminal() else _lines(label, total, unit)
    with shown as advance:
        yield advance


@dataclass
class _Course:
    """How far the work is, and how fast it goes."""

    total: int
    done: int = 0
    _first: tuple[int, float] | None = None
    """What was done, and when, as the first units were."""

    def advance(self, count: int, total: int | None) -> None:
        self.total = total or self.total
        self.done += count
        if count and self._first is None:
            self._first = self.done, time.monotonic()

    def pace(self) -> tuple[float, float] | None:
        """Units a second and the seconds left; None while they can't be known."""
        if self._first is None:
            return None
        then, started = self._first
        seconds = time.monotonic() - started
        if seconds < RATE_AFTER_S or self.done == then:
            return None
        rate = (self.done - then) / seconds
        return rate, max(0, self.total - self.done) / rate


@contextmanager
def _bar(label: str, total: int, unit: str, first: str) -> Iterator[Advance]:
    from endoforge.core.bar import NarrowBar

    course = _Course(total)
    with NarrowBar(label, total, first) as bar:

        def advance(count: int = 1, *, total: int | None = None) -> None:
            course.advance(count, total)
            rate, left = course.pace() or (None, None)
            before = "" if course.done else first
            text = before if rate is None else f"{rate:,.1f} {unit}/s"
            bar.show(course.done, text, left, total=course.total)

        yield advance


@contextmanager
def _lines(label: str, total: int, unit: str) -> Iterator[Advance]:
    course = _Course(total)
    next_line = time.monotonic() + PLAIN_LINE_EVERY_S

    def advance(count: int = 1, *, total: int | None = None) -> None:
        nonlocal next_line
        course.advance(count, total)
        now = time.monotonic()
        if now < next_line or not 0 < course.done < course.total:
            return
        next_line = now + PLAIN_LINE_EVERY_S
        pace = course.pace()
        rate = f", {pace[0]:.1f} {unit}/s, {pace[1]:.0f} s left" if pace else ""
        log.info("%s: %d/%d%s", label, course.done, course.total, rate)

    yield advance
