"""How often and how long, over the last seconds."""

import statistics
import time
from collections import deque
from threading import Lock

WINDOW_S = 3.0


class Rate:
    """Events a second over the last WINDOW_S, and how long they took; any thread may ask."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._events: deque[tuple[float, float]] = deque()

    def add(self, seconds: float = 0.0) -> None:
        """Note that something has happened just now, and how long it took."""
        with self._lock:
            self._events.append((time.monotonic(), seconds))
            self._forget()

    @property
    def hz(self) -> float:
        """Events a second; 0 if there were fewer than two lately."""
        with self._lock:
            self._forget()
            if len(self._events) < 2:
                return 0.0
            first, last = self._events[0][0], self._events[-1][0]
            # Half a second of silence is no slow event yet: between two pictures the rate stays.
            since = max(last, time.monotonic() - 0.5) - first
            return (len(self._events) - 1) / since if since > 0 else 0.0

    def milliseconds(self, share: float = 0.5) -> float | None:
        """The quantile `share` of the durations, in milliseconds; None if there are none."""
        with self._lock:
            self._forget()
            taken = sorted(seconds for _, seconds in self._events)
        if not taken:
            return None
        if share == 0.5:
            return 1e3 * statistics.median(taken)
        return 1e3 * taken[min(round(share * (len(taken) - 1)), len(taken) - 1)]

    def clear(self) -> None:
        """Forget all events."""
        with self._lock:
            self._events.clear()

    def _forget(self) -> None:
        oldest = time.monotonic() - WINDOW_S
        while self._events and self._events[0][0] < oldest:
            self._events.popleft()
