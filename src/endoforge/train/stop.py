"""Ctrl-C, SIGTERM and SIGHUP that wait for the end of a step, so that what is saved is whole."""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from endoforge.backends.group import Group
from endoforge.core.signals import INTERRUPTS

log = logging.getLogger(__name__)

SAME_REQUEST_S = 1.0
"""A terminal and torchrun may both pass one Ctrl-C on."""


class StopRequested(KeyboardInterrupt):
    """Raised between two steps, none of them half done, when the user asked to stop."""


class Stop:
    """Knows whether a stop was asked for, of this process or another of its group."""

    def __init__(self, group: Group) -> None:
        self.requested_at: float | None = None
        self._group = group

    def check(self) -> None:
        """Called between steps, equally often by all processes of the group.

        Raises StopRequested, in all of them at the same step, if a stop was asked for.
        """
        if self._group.vote(self.requested_at is not None):
            raise StopRequested


@contextmanager
def stop_on_signal(group: Group) -> Iterator[Stop]:
    """Note Ctrl-C, SIGTERM and SIGHUP instead of dying of them; the second time, die at once.

    A terminal that closes sends SIGHUP. What is ignored, as that is under nohup, stays so. Outside
    the main thread, which alone gets signals, nothing is changed.
    """
    stop = Stop(group)

    # Only noted here: a handler runs between any two instructions, also in the midst of a save.
    def note(_number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if stop.requested_at is None:
            stop.requested_at = now
            log.warning("stopping after this step; again to stop at once, without saving")
        elif now - stop.requested_at > SAME_REQUEST_S:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, note) for number in _heeded()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heeded() -> list[int]:
    return [number for number in INTERRUPTS if signal.getsignal(number) is not signal.SIG_IGN]
