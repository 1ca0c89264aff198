"""What happened, one line each: to the log, and to all viewers."""

import logging
from collections import deque
from collections.abc import Callable
from threading import Lock

from endoforge.view.to_viewers import Level, LiveEvent

log = logging.getLogger(__name__)

KEPT = 20
"""Events that a new viewer gets: what brought the view to where it is, not its whole history."""


class Events:
    """The last events; a listener hears of each new one, in the thread that tells it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: deque[LiveEvent] = deque(maxlen=KEPT)
        self._listener: Callable[[LiveEvent], None] | None = None

    def tell(self, level: Level, text: str) -> None:
        """Log that something happened, and let all viewers know; `text` becomes one line."""
        event = LiveEvent(level, " ".join(text.split()))
        log.log(getattr(logging, level.upper()), "%s", event.text)
        with self._lock:
            self._last.append(event)
            listener = self._listener
        if listener is not None:
            listener(event)

    def last(self) -> list[LiveEvent]:
        """The last KEPT events, the oldest of them first."""
        with self._lock:
            return list(self._last)

    def listen(self, listener: Callable[[LiveEvent], None] | None) -> None:
        """Let `listener` hear of new events, in the place of the one before; None: nobody."""
        with self._lock:
            self._listener = listener
