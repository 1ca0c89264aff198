"""Ctrl-C and its like, where code of others would swallow them."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]

INTERRUPTS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""What ends a command, so that it can tidy up first."""


def end_on_interrupts() -> None:
    """Make each of them a KeyboardInterrupt, but for what this process was started to ignore.

    `nohup`, for one, has its program ignore SIGHUP.
    """
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Let them wait for the end of what is inside; a second one acts at once.

    For imports, and for code that catches every exception: there a KeyboardInterrupt may be lost.
    Signals that are ignored, or that end the process, go on doing so. Outside the main thread,
    which alone gets signals, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Handler] = {
        number: handler for number in INTERRUPTS if callable(handler := signal.getsignal(number))
    }
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            before[number](number, frame)
        came.append(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
