"""Processes of a machine that make colons for each other, as threads."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from torch.distributed import HashStore  # type: ignore[attr-defined]

from endoforge.backends.machine_board import MachineBoard
from endoforge.core.noticeboard import Noticeboard
from endoforge.sim.footage import Footage
from endoforge.sim.lending import Sequence, Slots

SLOTS = 2


class Machine:
    """Processes whose slots hold the numbers of colons, and who made which."""

    def __init__(self, count: int) -> None:
        store = HashStore()
        self.boards = [MachineBoard(store, number, count) for number in range(count)]
        self.slots = [Slots(SLOTS, board) for board in self.boards]
        self.memories = [[-1] * SLOTS for _ in self.boards]
        self.made: list[list[int]] = [[] for _ in self.boards]

    def sequence(self, name: str, first: int, number: int, workers: ThreadPoolExecutor) -> Sequence:
        def bake(colon: int, slot: int) -> list[Footage]:
            time.sleep(random.random() / 200)
            self.memories[number][slot] = colon
            self.made[number].append(colon)
            return []

        return Sequence(
            name,
            first,
            self.boards[number],
            self.slots[number],
            lambda colon, slot: workers.submit(bake, colon, slot),
        )

    def read(self, number: int, stretches: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Each colon of some sequences, and what its slot holds when this process is at it."""
        with ThreadPoolExecutor(SLOTS) as workers:
            for asked, (first, end) in enumerate(stretches):
                colons = self.sequence(f"sequence {asked}", first, number, workers)
                for colon in range(first, end):
                    slot = colons.colon(colon).slot
                    time.sleep(random.random() / 200)
                    yield colon, self.memories[colon % len(self.boards)][slot]
                    colons.is_read(colon)
                colons.end()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_colon_is_made_by_one_and_read_by_all(count: int) -> None:
    """From colon 5 on, and after a jump back from 2 on: slots are used again and again."""
    random.seed(count)
    machine, stretches = Machine(count), [(5, 5 + 8 * count), (2, 2 + 5 * count)]
    with ThreadPoolExecutor(count) as threads:
        readings = list(
            threads.map(lambda number: list(machine.read(number, stretches)), range(count))
        )
    expected = [colon for first, end in stretches for colon in range(first, end)]
    for reading in readings:
        assert reading == [(colon, colon) for colon in expected]
    for number, made in enumerate(machine.made):
        assert {colon % count for colon in made} == {number}


def test_a_slot_is_lent_until_the_last_one_read_it() -> None:
    machine = Machine(2)
    slots = machine.slots[0]
    with ThreadPoolExecutor(1) as workers:
        mine, theirs = (machine.sequence("s", 0, number, workers) for number in (0, 1))
        baked = mine.colon(0)
        assert theirs.colon(0) == baked
        assert [slots.take() for _ in range(SLOTS)] == [None] * SLOTS, "the other one is begun"
        mine.is_read(0)
        assert slots.take() is None
        theirs.is_read(0)
        assert slots.take() == baked.slot
        slots.give_back(baked.slot)
        mine.colon(2)
        mine.end()
        assert slots.take() == baked.slot, "what nobody was told of is free at once"
        assert slots.take() is None, "the other process may still be at what it was told of"
        theirs.end()
        assert slots.take() is not None


def test_a_process_alone_needs_no_store() -> None:
    board, done = Noticeboard(), Future[list[Footage]]()
    done.set_result([])
    colons = Sequence("s", 3, board, Slots(1, board), lambda _colon, _slot: done)
    for colon in range(3, 9):
        assert colons.colon(colon).slot == 0
        colons.is_read(colon)
    assert board.read("s: colon 4") is None, "what all have read is taken down"
