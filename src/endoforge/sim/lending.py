"""Colons that the processes of a machine make for each other, and the slots in which these lie."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import count

from endoforge.core.errors import UserError
from endoforge.core.noticeboard import BETWEEN_LOOKS_S, Noticeboard
from endoforge.sim.footage import Footage


@dataclass(frozen=True)
class Baked:
    """The runs of a colon, without their arrays, which lie in this slot of its maker's memory."""

    footages: list[Footage]
    slot: int


class Slots:
    """The slots of this process's memory: each is free, or lent until all processes read it."""

    def __init__(self, number: int, board: Noticeboard) -> None:
        self._board = board
        self._free = deque(range(number))
        self._lent: deque[tuple[str, str, int]] = deque()

    def take(self) -> int | None:
        """A free slot; None where all are in use."""
        while self._lent and self._is_read(*self._lent[0][:2]):
            note, _, slot = self._lent.popleft()
            self._board.take_down(note)
            self._free.append(slot)
        return self._free.popleft() if self._free else None

    def give_back(self, slot: int) -> None:
        """Free a slot that nobody was told of."""
        self._free.append(slot)

    def lend(self, baked: Baked, note: str, until: str) -> None:
        """Tell all processes of a slot in `note`; once all made a stroke there, it is free again.

        So it is after a stroke of each in `until`.
        """
        self._board.pin_up(note, baked)
        self._lent.append((note, until, baked.slot))

    def _is_read(self, note: str, until: str) -> bool:
        strokes = max(self._board.tally(note, 0), self._board.tally(until, 0))
        return strokes == self._board.count


class Sequence:
    """The colons from `first` on, of which this process makes every `board.count`th.

    `begin` has colon c made in a slot. All processes must ask for the same colons.
    """

    def __init__(
        self,
        name: str,
        first: int,
        board: Noticeboard,
        slots: Slots,
        begin: Callable[[int, int], Future[list[Footage]]],
    ) -> None:
        self.name = name
        self._board = board
        self._slots = slots
        self._begin = begin
        self._own = count(first + (board.number - first) % board.count, board.count)
        self._begun: deque[tuple[int, int, Future[list[Footage]]]] = deque()

    def colon(self, number: int) -> Baked:
        """Wait for a colon. Raises UserError if a process that makes them was ended by others."""
        while True:
            self._begin_more()
            self._hand_over()
            baked: Baked | None = self._board.read(self._note(number))
            if baked is not None:
                return baked
            if self._begun and self._begun[0][0] == number:
                wait([self._begun[0][2]])
            else:
                time.sleep(BETWEEN_LOOKS_S)

    def is_read(self, number: int) -> None:
        """Say that this process has no more use of a colon."""
        self._board.tally(self._note(number))

    def end(self) -> None:
        """Say that this process asks for no more, and wait until nothing writes to slots."""
        for _, slot, future in self._begun:
            if not future.cancel():
                future.exception()  # what is being made still writes to its slot
            self._slots.give_back(slot)
        self._begun.clear()
        self._board.tally(self.name)

    def _begin_more(self) -> None:
        while (slot := self._slots.take()) is not None:
            number = next(self._own)
            self._begun.append((number, slot, self._begin(number, slot)))

    def _hand_over(self) -> None:
        while self._begun and self._begun[0][2].done():
            number, slot, future = self._begun[0]
            try:
                footages = future.result()
            except BrokenProcessPool as error:
                raise UserError(
                    "a process that makes scenes was ended from outside, perhaps for want of "
                    "memory: start again, the training goes on from its last save"
                ) from error
            self._begun.popleft()
            self._slots.lend(Baked(footages, slot), self._note(number), until=self.name)

    def _note(self, number: int) -> str:
        return f"{self.name}: colon {number}"
