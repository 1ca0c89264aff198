"""What happened, one line each: to the log, and to all viewers."""

import logging
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any, Literal

log = logging.getLogger(__name__)

KEPT = 20
Level = Literal["info", "warning", "error"]


class Events:
    """The last events; a listener hears of each new one, in the thread that tells it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._listener: Callable[[dict[str, Any]], None] | None = None

    def tell(self, level: Level, text: str) -> None:
        """Something happened that people should know."""
        line = " ".join(text.split())
        event = {"type": "event", "level": level, "text": line}
        log.log(getattr(logging, level.upper()), "%s", line)
        with self._lock:
            self._last.append(event)
            listener = self._listener
        if listener is not None:
            listener(event)

    def last(self) -> list[dict[str, Any]]:
        """The newest, oldest first."""
        with self._lock:
            return list(self._last)

    def listen(self, listener: Callable[[dict[str, Any]], None] | None) -> None:
        """Who hears of new events."""
        with self._lock:
            self._listener = listener
