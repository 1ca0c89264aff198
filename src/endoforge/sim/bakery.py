"""Runs made ahead of their use, in processes of their own, and handed over in shared memory.

To make a scene is Python and NumPy under one lock: threads don't make more of them a second.
"""

import multiprocessing
import os
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.core.children import become_child, starting_children
from endoforge.core.noticeboard import Noticeboard
from endoforge.core.shared_memory import SharedMemory
from endoforge.sim.footage import Footage, make_footages
from endoforge.sim.lending import Sequence, Slots
from endoforge.sim.randomization import Randomization
from endoforge.sim.stops import Check, Event, check_of, go_on
from endoforge.sim.streams import training_seed

AHEAD = 2
"""Colons in the making for each process, so that none waits for work."""
BEHIND = 10
"""Nice levels by which they stand back for what needs their runs: it waits when there are none."""
LOOKS = 4
"""Runs that share a colon, each with a look of its own: looks are what detectors learn to ignore,
and take a fifth of a colon's time."""
Layout = dict[str, tuple[int, tuple[int, ...], np.dtype[Any]]]
"""Where an array lies, by its name: its first byte in those of a run, its shape, its type."""


@dataclass(frozen=True)
class Recipe:
    """All that the runs of a training follow from, each by its number."""

    base_seed: int
    randomization: Randomization
    size: tuple[int, int]
    """(width, height) in pixels."""
    num_views: int

    def make(self, colon: int, check: Check = go_on) -> Iterator[Footage]:
        """Make the LOOKS runs of a colon, from 0; raises Stopped once `check` does."""
        runs = range(colon * LOOKS, (colon + 1) * LOOKS)
        seeds = [training_seed(self.base_seed, run) for run in runs]
        return make_footages(seeds, self.randomization, self.size, self.num_views, check)


class Bakery:
    """Makes runs of a recipe in `workers` processes, AHEAD of each before they are asked for.

    The processes of a machine that have a `board` in common share the work: each makes every so
    many'th colon, and all read it. They must open, and ask for runs, alike. The arrays lie in
    `memories`, one of each process, which are taken at the first run that is asked for. Close it in
    the end.
    """

    def __init__(self, recipe: Recipe, workers: int, board: Noticeboard | None = None) -> None:
        self.recipe = recipe
        self.workers = workers
        self.memories: list[SharedMemory] = []
        # Where processes can't reach each other's memory, each makes all.
        self._board = board if board and SharedMemory.is_reachable else Noticeboard()
        self._pool: ProcessPoolExecutor | None = None
        self._opened = self._asked = 0

    def runs(self, first: int) -> Generator[Footage]:
        """Runs `first`, `first` + 1 and so on, without end; one such iteration at a time.

        The arrays of one are valid until the next is asked for. Raises UserError if a process was
        ended from outside.
        """
        pool = self._open()
        self._asked += 1
        number, skipped = divmod(first, LOOKS)
        colons = Sequence(
            f"sequence {self._asked}",
            number,
            self._board,
            self._slots,
            lambda colon, slot: pool.submit(_bake, colon, slot),
        )
        try:
            while True:
                # In order, even if a later colon is ready: the sequence must not depend on who is
                # fast.
                baked = colons.colon(number)
                arrays = self._arrays[number % self._board.count]
                for look in range(skipped, LOOKS):
                    yield replace(baked.footages[look], arrays=arrays[baked.slot * LOOKS + look])
                skipped = 0
                # Only now, when the next is asked for: until then the caller reads the slot.
                colons.is_read(number)
                number += 1
        finally:
            self._stopping.set()
            colons.end()
            self._stopping.clear()

    def close(self) -> None:
        """End the processes; a run that is asked for afterwards starts them anew."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _open(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Not "fork": the parent holds a renderer, which doesn't survive that.
            context = multiprocessing.get_context("spawn")
            self._stopping = context.Event()
            # One run is made here, once, to learn the shapes, which are the same for all.
            layout, run_bytes = _layout(next(self.recipe.make(0)).arrays)
            slots = AHEAD * self.workers
            # A run is over ten megabytes: through a pipe it would be pickled and copied twice.
            memory = SharedMemory(run_bytes * slots * LOOKS, "in which runs are handed over")
            self._pool = ProcessPoolExecutor(
                self.workers,
                context,
                _start,
                (self.recipe, memory, layout, slots * LOOKS, self._stopping),
            )
            with starting_children():
                self._pool.submit(os.getpid)  # starts them all
            self._slots = Slots(slots, self._board)
            self.memories = self._meet(memory)
            self._arrays = [
                _arrays(other, layout, len(other.bytes) // run_bytes) for other in self.memories
            ]
        return self._pool

    def _meet(self, own: SharedMemory) -> list[SharedMemory]:
        """The memory of each process of the machine, in the order of their numbers."""
        board = self._board
        self._opened += 1
        if board.count == 1:
            return [own]
        board.pin_up(f"memory {self._opened} of {board.number}", own.address)
        return [
            own
            if number == board.number
            else SharedMemory.at(board.wait_for(f"memory {self._opened} of {number}"))
            for number in range(board.count)
        ]


def _layout(arrays: dict[str, NDArray[Any]]) -> tuple[Layout, int]:
    """Where the arrays of a run like this one lie, and its bytes."""
    layout: Layout = {}
    end = 0
    for name, array in arrays.items():
        layout[name] = (end, array.shape, array.dtype)
        end += array.nbytes
    return layout, end


def _arrays(memory: SharedMemory, layout: Layout, num_runs: int) -> list[dict[str, NDArray[Any]]]:
    """The arrays of each run, in the memory itself."""
    whole = memory.bytes
    run_bytes = len(whole) // num_runs
    return [
        {
            name: np.frombuffer(whole, dtype, int(np.prod(shape)), run * run_bytes + start).reshape(
                shape
            )
            for name, (start, shape, dtype) in layout.items()
        }
        for run in range(num_runs)
    ]


_recipe: Recipe
_memory: list[dict[str, NDArray[Any]]]
_check: Check
"""What `_start` leaves in a worker process for all the runs that it makes."""


def _start(
    recipe: Recipe, memory: SharedMemory, layout: Layout, num_runs: int, stopping: Event
) -> None:
    """Set up a worker process with what all its runs share."""
    global _recipe, _memory, _check
    become_child()
    # The processes are as many as the cores: threads of their own would only get in the way, and so
    # would they themselves in that of the process that learns.
    cv2.setNumThreads(1)
    if hasattr(os, "nice"):
        os.nice(BEHIND)
    _check = check_of(stopping)
    _recipe, _memory = recipe, _arrays(memory, layout, num_runs)


def _bake(colon: int, slot: int) -> list[Footage]:
    """Make the runs of a colon in a worker: their arrays go to its slots, the rest is returned."""
    footages = []
    for look, footage in enumerate(_recipe.make(colon, _check)):
        for name, array in footage.arrays.items():
            _memory[slot * LOOKS + look][name][...] = array
        footages.append(replace(footage, arrays={}))
    return footages
