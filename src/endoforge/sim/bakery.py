"""Runs made ahead of their use, in processes of their own, and handed over in shared memory.

To make a scene is Python and NumPy under one lock: threads don't make more of them a second.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.core.children import become_child, starting_children
from endoforge.core.errors import UserError
from endoforge.core.shared_memory import SharedMemory
from endoforge.sim.footage import Footage, make_footages
from endoforge.sim.randomization import Randomization
from endoforge.sim.stops import Check, Event, check_of, go_on
from endoforge.sim.streams import training_seed

AHEAD = 2
"""Colons in the making for each process, so that none waits for work."""
LOOKS = 4
"""Runs that share a colon, each with a look of its own: looks are what detectors learn to ignore,
and take a fifth of a colon's time."""
Layout = dict[str, tuple[int, tuple[int, ...], np.dtype[Any]]]
"""Where an array lies, by its name: its first byte in a slot, its shape, its type."""


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

    Their arrays lie in `memory` that the processes share: it is taken when the bakery opens, at the
    first run that is asked for. Close it in the end.
    """

    def __init__(self, recipe: Recipe, workers: int) -> None:
        self.recipe = recipe
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def runs(self, first: int) -> Generator[Footage]:
        """Runs `first`, `first` + 1 and so on, without end; one such iteration at a time.

        The arrays of one are valid until the next is asked for. Raises UserError if a process was
        ended from outside.
        """
        pool = self._open()
        free = deque(range(AHEAD * self.workers))
        begun: deque[tuple[int, Future[list[Footage]]]] = deque()
        colon, skipped = divmod(first, LOOKS)
        try:
            while True:
                while free:
                    slot = free.popleft()
                    begun.append((slot, pool.submit(_bake, colon, slot)))
                    colon += 1
                # In order, even if a later colon is ready: the sequence must not depend on who is
                # fast.
                slot, made = begun.popleft()
                try:
                    footages = made.result()
                except BrokenProcessPool as error:
                    raise UserError(
                        "a process that makes scenes was ended from outside, perhaps for want of "
                        "memory: start again, the training goes on from its last save"
                    ) from error
                for look in range(skipped, LOOKS):
                    yield replace(footages[look], arrays=self._slots[slot * LOOKS + look])
                skipped = 0
                # Only now, when the next is asked for: until then the caller reads the slot.
                free.append(slot)
        finally:
            self._stopping.set()
            for _, future in begun:
                if not future.cancel():
                    future.exception()  # what is being made still writes to its slot
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
            layout, slot_bytes = _layout(next(self.recipe.make(0)).arrays)
            num_slots = AHEAD * self.workers * LOOKS
            # A run is over ten megabytes: through a pipe it would be pickled and copied twice.
            self.memory = SharedMemory(slot_bytes * num_slots, "in which runs are handed over")
            self._slots = _slots(self.memory, layout, num_slots)
            self._pool = ProcessPoolExecutor(
                self.workers,
                context,
                _start,
                (self.recipe, self.memory, layout, num_slots, self._stopping),
            )
            with starting_children():
                self._pool.submit(os.getpid)  # starts them all
        return self._pool


def _layout(arrays: dict[str, NDArray[Any]]) -> tuple[Layout, int]:
    """Where arrays like these lie in a slot, and the slot's bytes."""
    layout: Layout = {}
    end = 0
    for name, array in arrays.items():
        layout[name] = (end, array.shape, array.dtype)
        end += array.nbytes
    return layout, end


def _slots(memory: SharedMemory, layout: Layout, num_slots: int) -> list[dict[str, NDArray[Any]]]:
    """The arrays of each slot, in the memory itself."""
    whole = memory.bytes
    slot_bytes = len(whole) // num_slots
    return [
        {
            name: np.frombuffer(
                whole, dtype, int(np.prod(shape)), slot * slot_bytes + start
            ).reshape(shape)
            for name, (start, shape, dtype) in layout.items()
        }
        for slot in range(num_slots)
    ]


_recipe: Recipe
_memory: list[dict[str, NDArray[Any]]]
_check: Check
"""What `_start` leaves in a worker process for all the runs that it makes."""


def _start(
    recipe: Recipe, memory: SharedMemory, layout: Layout, num_slots: int, stopping: Event
) -> None:
    """Set up a worker process with what all its runs share."""
    global _recipe, _memory, _check
    become_child()
    # The processes are as many as the cores: threads of their own would only get in the way.
    cv2.setNumThreads(1)
    _check = check_of(stopping)
    _recipe, _memory = recipe, _slots(memory, layout, num_slots)


def _bake(colon: int, slot: int) -> list[Footage]:
    """Make the runs of a colon in a worker: their arrays go to its slots, the rest is returned."""
    footages = []
    for look, footage in enumerate(_recipe.make(colon, _check)):
        for name, array in footage.arrays.items():
            _memory[slot * LOOKS + look][name][...] = array
        footages.append(replace(footage, arrays={}))
    return footages
