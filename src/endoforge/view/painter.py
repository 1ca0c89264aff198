"""Rendering in a process of its own: kernels hold Python's lock for as long as they run.

Pixels come back in memory that both processes share, in slots that are used in turn.
"""

import logging
import multiprocessing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.core.children import become_child, end_by_exception, starting_children
from endoforge.core.choices import RendererName
from endoforge.core.errors import UserError
from endoforge.core.shared_memory import SharedMemory
from endoforge.sim.engine import keep_compiled, start_engine
from endoforge.sim.kernels.types import STATS
from endoforge.sim.polyps import MAX_POLYPS
from endoforge.sim.renderer import Renderer
from endoforge.view.world import Colon

log = logging.getLogger(__name__)

SLOTS = 3
"""Two on their way, so that the renderer never waits, and one that is read."""
END_S = 0.5
"""Seconds for the process to end when it is asked to, before it is killed."""
LOAD_S = 300.0
"""Seconds for it to start and take a colon, before it is taken to hang."""
STATS_BYTES = MAX_POLYPS * STATS * 4


@dataclass(frozen=True, eq=False)
class PaintedPicture:
    """A rendered picture: `rgbi` (H, W, 4) uint8 of RGB and instance, `stats` (polyps, 6) int32.

    Both are views of the slot, valid until the second shot from now.
    """

    rgbi: NDArray[np.uint8]
    stats: NDArray[np.int32]


class PainterGone(Exception):
    """The renderer's process has ended, or answers no more."""


class Painter:
    """The renderer in a process of its own. One thread uses it; any may `close` it."""

    def __init__(self, size: tuple[int, int], renderer: RendererName) -> None:
        context = multiprocessing.get_context("spawn")
        width, height = size
        self._shape = (height, width, 4)
        self._bytes = height * width * 4
        memory = SharedMemory(SLOTS * (self._bytes + STATS_BYTES), "for the renderer's pictures")
        self._memory = memory.bytes
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_paint, args=(other, memory, size, renderer), daemon=True, name="renderer"
        )
        with starting_children():
            self._process.start()
        other.close()  # else the pipe has an end here, and never tells that the process is gone
        self._next_slot = 0
        self.in_flight = 0
        """Shots that were asked for and haven't come back."""
        self.engine = ""
        """The renderer's name, once it is there."""

    def load(self, colon: Colon) -> None:
        """Show a colon from the next shot on; returns once the renderer has it.

        Raises UserError if the renderer isn't to be had, PainterGone if the process ended or hangs.
        """
        assert self.in_flight == 0
        if not self.engine:
            self.engine = str(self._answer())
        self._send(("load", colon.tables, colon.has_jpeg))
        self._answer()

    def shoot(
        self, cameras: NDArray[np.float32], polyps: NDArray[np.float32], *, in_full: bool
    ) -> None:
        """Ask for a picture of the rows that `Colon.camera_rows` gives.

        `in_full` as `datagen` records it: with the JPEG that its camera has, and with a count of
        what is hidden of each polyp. Both cost time, and nobody who only looks on misses them.
        """
        self._send(("shoot", self._next_slot, cameras, polyps, in_full))
        self._next_slot = (self._next_slot + 1) % SLOTS
        self.in_flight += 1

    def picture(self, timeout_s: float) -> PaintedPicture | None:
        """The oldest picture that was asked for; None if it isn't there in time."""
        answer = self._receive(timeout_s)
        if answer is None:
            return None
        self.in_flight -= 1
        return PaintedPicture(*_slot(self._memory, answer, self._shape))

    def close(self) -> None:
        """End the process."""
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()

    def _send(self, message: tuple[Any, ...]) -> None:
        try:
            self._pipe.send(message)
        except OSError as error:
            raise PainterGone(self._ending()) from error

    def _receive(self, timeout_s: float) -> Any:
        """The value that it sends, or None if none comes in time."""
        return self._answer() if self._poll(timeout_s) else None

    def _answer(self) -> Any:
        if not self._poll(LOAD_S):
            raise PainterGone(f"the renderer hasn't answered for {LOAD_S:g} s")
        try:
            kind, value = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise PainterGone(self._ending()) from error
        if kind == "error":
            raise UserError(value)
        return value

    def _poll(self, timeout_s: float) -> bool:
        try:
            return self._pipe.poll(timeout_s)
        except (EOFError, OSError) as error:
            raise PainterGone(self._ending()) from error

    def _ending(self) -> str:
        self._process.join(END_S)
        return f"the renderer's process ended (exit code {self._process.exitcode})"


def _slot(
    memory: NDArray[np.uint8], slot: int, shape: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The `rgbi` and `stats` of a slot, as views of the shared memory."""
    size = int(np.prod(shape))
    start = slot * (size + STATS_BYTES)
    rgbi = memory[start : start + size].reshape(shape)
    stats = memory[start + size : start + size + STATS_BYTES].view(np.int32)
    return rgbi, stats.reshape(MAX_POLYPS, STATS)


def _paint(
    pipe: Connection, memory: SharedMemory, size: tuple[int, int], name: RendererName
) -> None:
    """In the process: render what is asked for, until the pipe is closed."""
    become_child()
    # `close` terminates the process: by an exception, so that it keeps what it has compiled.
    end_by_exception()
    try:
        _serve(pipe, memory.bytes, size, name)
    except (EOFError, BrokenPipeError):
        pass
    except UserError as error:
        pipe.send(("error", str(error)))


def _serve(
    pipe: Connection, memory: NDArray[np.uint8], size: tuple[int, int], name: RendererName
) -> None:
    torch.set_num_threads(1)  # it only copies pixels; the kernels have threads of their own
    engine = start_engine(name)
    try:
        renderer = Renderer(*size, engine)
        pipe.send(("ready", engine.name))
        _render(pipe, memory, (size[1], size[0], 4), renderer)
    finally:
        keep_compiled()


def _render(
    pipe: Connection, memory: NDArray[np.uint8], shape: tuple[int, int, int], renderer: Renderer
) -> None:
    has_jpeg = False
    while True:
        kind, *rest = pipe.recv()
        if kind == "load":
            tables, has_jpeg = cast(tuple[dict[str, NDArray[Any]], bool], rest)
            there = {key: torch.from_numpy(value) for key, value in tables.items()}
            renderer.use(there, with_jpeg=has_jpeg)
            pipe.send(("loaded", None))
            continue
        slot, cameras, polyps, in_full = rest
        if has_jpeg:
            renderer.switch_jpeg(in_full)
        frames = renderer.render_rows(
            torch.from_numpy(cameras), torch.from_numpy(polyps), hidden=in_full
        )
        rgbi, stats = _slot(memory, slot, shape)
        torch.from_numpy(rgbi).copy_(frames.rgbi[0])
        torch.from_numpy(stats).copy_(frames.stats[0])
        pipe.send(("done", slot))
