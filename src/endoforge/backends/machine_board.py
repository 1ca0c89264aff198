"""Notes that the processes of a machine leave for each other in torchrun's store."""

import pickle
from typing import Any

from torch.distributed import Store  # type: ignore[attr-defined]

from endoforge.core.noticeboard import Noticeboard


class MachineBoard(Noticeboard):
    """The notes of `count` processes of a machine, in a `store` that these alone use."""

    def __init__(self, store: Store, number: int, count: int) -> None:
        self.number = number
        self.count = count
        self._store = store

    def pin_up(self, name: str, note: Any) -> None:
        """Leave a note, which can be pickled, for all."""
        self._store.set(f"note {name}", pickle.dumps(note))  # type: ignore[arg-type]  # bytes, too

    def read(self, name: str) -> Any | None:
        """The note of this name; None as long as nobody has left it."""
        key = f"note {name}"
        return pickle.loads(self._store.get(key)) if self._store.check([key]) else None

    def tally(self, name: str, add: int = 1) -> int:
        """Add strokes to a tally and say how many it has then."""
        return int(self._store.add(f"tally {name}", add))

    def take_down(self, name: str) -> None:
        """Remove a note and the tally of the same name, if they are there."""
        for kind in ("note", "tally"):
            self._store.delete_key(f"{kind} {name}")
