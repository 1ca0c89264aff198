"""Ctrl-C and SIGTERM that wait for the end of a step, so that what is saved is whole."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger(__name__)


class StopRequested(KeyboardInterrupt):
    """The user asked to stop, and no step is half done."""


class Stop:
    """Whether a stop was asked for."""

    def __init__(self) -> None:
        self.requested = False

    def check(self) -> None:
        """Called between steps: raises StopRequested if a stop was asked for."""
        if self.requested:
            raise StopRequested


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Note Ctrl-C and SIGTERM instead of dying of them; the second time, die at once.

    Outside the main thread, which alone gets signals, nothing is changed.
    """
    stop = Stop()

    def note(_number: int, _frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        log.warning("stopping after this step; again to stop at once, without saving")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
