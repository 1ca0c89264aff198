"""Progress of long work: a bar with rate and time left on a terminal, plain lines in a log."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

log = logging.getLogger(__name__)

PLAIN_LINE_EVERY_S = 10.0


class Advance(Protocol):
    """Report that `count` more units are done, and, once it is known better, the `total`."""

    def __call__(self, count: int = 1, *, total: int | None = None) -> None: ...


@contextmanager
def progress(label: str, total: int, unit: str) -> Iterator[Advance]:
    """Show the progress of `total` units; the value yielded is called with the units done.

    >>> with progress("rendering", 100, "frames") as advance:
    ...     advance(10)
    """
    show = _bar if sys.stderr.isatty() else _lines
    with show(label, total, unit) as advance:
        yield advance


@contextmanager
def _bar(label: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate)
    with Progress(*columns, Remaining(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, rate="")
        started = time.monotonic()

        def advance(count: int = 1, *, total: int | None = None) -> None:
            done = bar.tasks[0].completed + count
            per_second = done / max(time.monotonic() - started, 1e-9)
            bar.update(task, advance=count, total=total, rate=f"{per_second:,.1f} {unit}/s")

        yield advance


@contextmanager
def _lines(label: str, total: int, unit: str) -> Iterator[Advance]:
    done, expected, started = 0, total, time.monotonic()
    next_line = started + PLAIN_LINE_EVERY_S

    def advance(count: int = 1, *, total: int | None = None) -> None:
        nonlocal done, next_line, expected
        done += count
        expected = total or expected
        now = time.monotonic()
        if now >= next_line and done < expected:
            next_line = now + PLAIN_LINE_EVERY_S
            rate = done / (now - started)
            left = (expected - done) / rate if rate else 0.0
            log.info("%s: %d/%d, %.1f %s/s, %.0f s left", label, done, expected, rate, unit, left)

    yield advance
