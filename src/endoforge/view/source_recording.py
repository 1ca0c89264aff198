"""Capture runs of the pictures of a file, a camera or a stream: without truth, so without labels.

No reader takes their images for pictures without a polyp: they go by labels.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import RLock, Semaphore

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.frame_times import FrameTime
from endoforge.captures.recorder import RunRecorder
from endoforge.core.errors import UserError, is_full
from endoforge.core.text import counted
from endoforge.datagen.job import REPEATABLE
from endoforge.view.events import Events
from endoforge.view.live_recording import MOST_FRAMES, leave_space

MOST_PENDING = 16
"""Pictures that wait to be written; of a live source, more are left out."""


class SourceRecording:
    """One run that is being recorded; pictures are written by a thread of its own.

    Its fields are those that viewers are told; `left_out` are pictures that came too fast.
    """

    data_run = False

    def __init__(self, source: str, root: Path, *, max_frames: int | None, events: Events) -> None:
        """`source` is what the pictures are of, as people may read it."""
        self.max_frames = MOST_FRAMES if max_frames is None else max_frames
        self.frames = self.left_out = 0
        self.run_name: str | None = None
        self.error: str | None = None
        self.ended = False
        self.on_closed: Callable[[], None] = lambda: None
        self._source, self._root, self._events = source, root, events
        self._recorder: RunRecorder | None = None
        self._put = 0
        self._lock = RLock()
        self._room = Semaphore(MOST_PENDING)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="recorder")

    def put(self, seconds: float, rgb: NDArray[np.uint8], *, wait: bool) -> None:
        """Have a picture, (H, W, 3) uint8 RGB, of a moment of the source written.

        If too many wait to be written, wait, or leave it out.
        """
        if not self._room.acquire(blocking=wait):
            self.left_out += 1
            return
        with self._lock:
            if self.ended:
                self._room.release()
                return
            self._writer.submit(self._write, self._put, FrameTime(seconds), rgb)
            self._put += 1
            if self._put >= self.max_frames:
                self.end()

    def end(self) -> None:
        """Take no more pictures; those that wait are still written."""
        with self._lock:
            if not self.ended:
                self.ended = True
                self._writer.submit(self._finish)
                self._writer.shutdown(wait=False)

    def abandon(self) -> None:
        """End, and wait until all is written."""
        self.end()
        self._writer.shutdown(wait=True)

    def _write(self, number: int, time: FrameTime, rgb: NDArray[np.uint8]) -> None:
        """In the writer's thread."""
        try:
            if self.error is None:
                leave_space(self._root)
                self._opened().write_unlabelled(number, rgb, time)
                self.frames += 1
        except (OSError, UserError) as error:
            full = is_full(error) or is_full(error.__cause__)
            self.error = "no space left on the disk" if full else str(error)
            self.end()
            whole = counted(self.frames, "whole picture")
            where = f"; {self.run_name} has {whole}" if self.frames else ""
            self._events.tell("error", f"recording stopped: {self.error}{where}")
        finally:
            self._room.release()

    def _opened(self) -> RunRecorder:
        if self._recorder is None:
            about = {"recorded_by": "sim-view", "source": self._source, REPEATABLE: False}
            self._recorder = RunRecorder.create(self._root, seed=0, max_frames=None, extra=about)
            self.run_name = self._recorder.run_dir.name
        return self._recorder

    def _finish(self) -> None:
        """In the writer's thread, after the last picture: close the run."""
        recorder = self._recorder
        try:
            if recorder is not None and not self.frames:
                recorder.discard()
                self.run_name = None
            elif recorder is not None:
                recorder.finish()
                self._tell_end(recorder.run_dir.name)
        except OSError as error:
            self.error = self.error or str(error)
            self._events.tell("error", f"recording: {self.error}")
        finally:
            if recorder is not None:
                recorder.close()
            self.on_closed()

    def _tell_end(self, run: str) -> None:
        if self.error is None:
            late = f"; {self.left_out} came too fast to be written" if self.left_out else ""
            text = (
                f"recording ended: {counted(self.frames, 'picture')} without labels in {run}{late}"
            )
            self._events.tell("info", text)
