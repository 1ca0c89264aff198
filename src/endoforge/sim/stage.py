"""Runs on the device, each replaced in time by a new one, and frames of them as they are asked for.

Everything but the making of runs happens on the device: cameras and scenes lie there already, a
frame costs the CPU its number.
"""

import logging
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoforge.core.noticeboard import Noticeboard
from endoforge.core.progress import progress
from endoforge.core.shared_memory import SharedMemory
from endoforge.sim.bakery import Bakery, Recipe
from endoforge.sim.engine import Engine, pin, settle, unpin
from endoforge.sim.footage import Footage
from endoforge.sim.kernels.types import STATS
from endoforge.sim.packing import SCENE_ARRAYS
from endoforge.sim.polyps import MAX_POLYPS
from endoforge.sim.renderer import Renderer
from endoforge.sim.timetable import Timetable

log = logging.getLogger(__name__)

PIXELS_AT_ONCE_CPU, PIXELS_AT_ONCE_GPU = 2**18, 2**25
"""Pixels rendered in one go. A GPU's start and end of it cost as much as 100 frames of 256x256."""
SPARE_RUNS = 8
"""Runs that stay for so many beats after their last one, so that frames of several beats are
rendered in one go: 512 positions lie in two or three beats, each second of 1,024 in four."""


@dataclass(frozen=True)
class Shown:
    """N frames on the device, copies that are the caller's own.

    `rgb` (N, H, W, 3) uint8; `stats` (N, MAX_POLYPS, 6) int32 as of `RenderedFrames`, but its
    unoccluded pixels, which are not looked for; `kinds` (N, MAX_POLYPS) int64, places in
    `polyps.KINDS`.
    """

    rgb: Tensor
    stats: Tensor
    kinds: Tensor


class FootageStage:
    """Shows any frames of a sequence that never repeats; frames that follow each other are cheap.

    What a frame shows depends on the recipe, the timetable and its position alone. To go far back
    or ahead, all runs are made anew. Close it in the end.
    """

    def __init__(
        self,
        engine: Engine,
        recipe: Recipe,
        runs_at_once: int,
        *,
        workers: int,
        board: Noticeboard | None = None,
    ) -> None:
        self.engine = engine
        self.timetable = Timetable(recipe.base_seed, runs_at_once, recipe.num_views)
        self.renderer = Renderer(*recipe.size, engine, _frames_at_once(engine, recipe.size))
        self._bakery, self._workers = Bakery(recipe, workers, board), workers
        self._coming: Generator[Footage] | None = None
        self._memories: list[SharedMemory] = []
        self._pinned: list[SharedMemory] = []
        self._tables: dict[str, Tensor] = {}
        self._kinds: list[NDArray[np.int64]] = []
        self._first_beat = self._beat = 0

    def show(self, positions: NDArray[np.int64], stretch: range | None = None) -> Shown:
        """Render the frames at these positions (N,) of the sequence, which rise.

        Processes with the same `board` share out a `stretch` of it, and all ask for its runs; by
        default that of the positions alone. Raises UserError if a process that makes runs
        was ended from outside.
        """
        stretch = stretch or range(positions[0], positions[-1] + 1)
        first, last = self.timetable.beats(np.array([stretch[0], stretch[-1]])).tolist()
        self._begin_with(first)
        parts = [] if len(positions) else [self._nothing()]
        while len(positions):
            beats = self.timetable.beats(positions[: self.renderer.batch_size])
            beats = beats[beats <= beats[0] + SPARE_RUNS]
            self._bring_runs(int(beats[-1]))
            parts.append(self._shoot(positions[: len(beats)]))
            positions = positions[len(beats) :]
        self._bring_runs(last)
        if len(parts) == 1:
            return parts[0]
        return Shown(
            torch.cat([part.rgb for part in parts]),
            torch.cat([part.stats for part in parts]),
            torch.cat([part.kinds for part in parts]),
        )

    def close(self) -> None:
        """End the processes that make runs; asked for more frames, it starts them anew."""
        self._leave()
        self._let_go()
        self._bakery.close()

    def _shoot(self, positions: NDArray[np.int64]) -> Shown:
        """Render the frames at these positions, at most a batch of them, whose runs are there."""
        runs, views = self.timetable.views(positions)
        slots = torch.from_numpy(self._slot(runs)).to(self.engine.device)
        views_there = torch.from_numpy(views).to(self.engine.device)
        cameras = self._tables["cameras"][slots, views_there]
        cameras[:, 1, 3] = slots.to(cameras.dtype)
        polyps = self._tables["polyps"][slots, views_there]
        self._settle()
        # Above, torch wrote what the kernels are about to read.
        frames = self.renderer.render_rows(cameras, polyps, hidden=False)
        # Cloned, for the renderer draws over its buffers with the next batch.
        return Shown(frames.rgb.clone(), frames.stats.clone(), self._tables["kinds"][slots])

    def _nothing(self) -> Shown:
        device, (height, width) = self.engine.device, (self.renderer.height, self.renderer.width)
        return Shown(
            torch.zeros((0, height, width, 3), dtype=torch.uint8, device=device),
            torch.zeros((0, MAX_POLYPS, STATS), dtype=torch.int32, device=device),
            torch.zeros((0, MAX_POLYPS), dtype=torch.int64, device=device),
        )

    def _settle(self) -> None:
        settle(self.engine)

    def _begin_with(self, beat: int) -> None:
        """Have the runs of `beat` on the device.

        All are brought anew after a jump: back by more than SPARE_RUNS beats, or so far ahead that
        no run that is there is of use.
        """
        oldest = max(self._first_beat, self._beat - SPARE_RUNS)
        if self._coming is None or beat not in range(
            oldest, self._beat + self.timetable.runs_at_once
        ):
            self._leave()
            self._coming = self._bakery.runs(beat)
            runs = self.timetable.runs(beat)
            log.info("making the first %d runs, in %d processes", len(runs), self._workers)
            with progress("making runs", len(runs), "runs") as advance:
                for run in runs:
                    self._put(run, next(self._coming))
                    advance()
            self._first_beat = self._beat = beat
        self._bring_runs(beat)

    def _bring_runs(self, beat: int) -> None:
        """Bring the runs up to those of `beat` to the device: one new run a beat."""
        assert self._coming is not None
        while self._beat < beat:
            self._beat += 1
            self._put(self.timetable.runs(self._beat)[-1], next(self._coming))

    def _slot(self, runs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where runs lie on the device: the newest in the place of the one that is gone longest."""
        return runs % (self.timetable.runs_at_once + SPARE_RUNS)

    def _put(self, run: int, footage: Footage) -> None:
        """Put a run on the device, in the place of the one that is gone."""
        arrays = {**footage.arrays, "kinds": footage.kinds}
        if not self._tables:
            self._make_room(arrays)
        if self.engine.name == "cuda":
            self._hold(self._bakery.memories)
        slot = int(self._slot(np.asarray(run)))
        for name, array in arrays.items():
            self._tables[name][slot].copy_(torch.from_numpy(array))

    def _hold(self, memories: list[SharedMemory]) -> None:
        """Pin the memories in which runs arrive, once."""
        if memories is not self._memories:
            self._let_go()
            self._memories = memories
            self._pinned = [one for one in memories if pin(self.engine, one.bytes)]

    def _let_go(self) -> None:
        for memory in self._pinned:
            unpin(memory.bytes)
        self._memories, self._pinned = [], []

    def _make_room(self, arrays: dict[str, NDArray[Any]]) -> None:
        for name, array in arrays.items():
            like = torch.from_numpy(array)
            shape = (self.timetable.runs_at_once + SPARE_RUNS, *like.shape)
            self._tables[name] = torch.zeros(shape, dtype=like.dtype, device=self.engine.device)
        scenes = {name: self._tables[name].flatten(0, 1) for name in SCENE_ARRAYS}
        # Views of the tables themselves: a new run is copied into its slot, and the kernels see it.
        self.renderer.use(scenes, with_jpeg=True)

    def _leave(self) -> None:
        if self._coming is not None:
            self._coming.close()
        self._coming = None


def _frames_at_once(engine: Engine, size: tuple[int, int]) -> int:
    pixels = PIXELS_AT_ONCE_CPU if engine.name == "cpu" else PIXELS_AT_ONCE_GPU
    return max(1, pixels // (size[0] * size[1]))
