"""Notes that processes of one machine leave for each other."""

import time
from collections import Counter
from typing import Any

BETWEEN_LOOKS_S = 0.001


class Noticeboard:
    """The notes of a process that is alone; `backends.group` has one for several.

    They are `count`, and each is one of them by its `number`.
    """

    number = 0
    count = 1

    def __init__(self) -> None:
        self._notes: dict[str, Any] = {}
        self._strokes: Counter[str] = Counter()

    def pin_up(self, name: str, note: Any) -> None:
        """Leave a note, which can be pickled, for all."""
        self._notes[name] = note

    def read(self, name: str) -> Any | None:
        """The note of this name; None as long as nobody has left it."""
        return self._notes.get(name)

    def wait_for(self, name: str) -> Any:
        """The note of this name, once somebody has left it."""
        while (note := self.read(name)) is None:
            time.sleep(BETWEEN_LOOKS_S)
        return note

    def tally(self, name: str, add: int = 1) -> int:
        """Add strokes to a tally and say how many it has then."""
        self._strokes[name] += add
        return self._strokes[name]

    def take_down(self, name: str) -> None:
        """Remove a note and the tally of the same name, if they are there."""
        self._notes.pop(name, None)
        self._strokes.pop(name, None)
