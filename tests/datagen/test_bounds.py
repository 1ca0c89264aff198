"""What waits is bounded at both ends: scenes baked ahead, frames to be written."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from endoforge.captures.recorder import RunRecorder
from endoforge.datagen.output import Output
from endoforge.datagen.recording import in_parallel
from endoforge.sim.renderer import CameraShot, RenderedFrames, Renderer

from .conftest import job


def test_results_come_in_order_and_no_more_than_so_many_are_begun_ahead() -> None:
    begun: list[int] = []

    def make(number: int) -> int:
        begun.append(number)
        time.sleep(0.01 * (number % 3))
        return number * number

    with ThreadPoolExecutor(3) as pool:
        results = in_parallel(pool, make, range(10), ahead=4)
        assert next(results) == 0
        time.sleep(0.1)
        assert sorted(begun) == [0, 1, 2, 3]
        assert list(results) == [number * number for number in range(1, 10)]


def test_frames_wait_for_slow_writers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 4, 2 workers: when the next batch is begun, at most 4 + 2 * 2 are unwritten."""
    written, waiting, lock = 0, [], threading.Lock()
    rendered = 0
    write, render = RunRecorder.write, Renderer.render

    def slow_write(*arguments: Any) -> None:
        nonlocal written
        time.sleep(0.03)
        write(*arguments)
        with lock:
            written += 1

    def counted_render(self: Renderer, shots: Sequence[CameraShot]) -> RenderedFrames:
        nonlocal rendered
        waiting.append(rendered - written)
        rendered += len(shots)
        return render(self, shots)

    monkeypatch.setattr(RunRecorder, "write", slow_write)
    monkeypatch.setattr(Renderer, "render", counted_render)
    job(tmp_path, seed=1, runs=2, max_frames=24, workers=2)
    assert rendered == written == 48
    assert max(waiting) <= 8
    assert max(waiting) >= 4  # they are written while the next batch is rendered


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells, others don't")
def test_memory_stays_flat_over_many_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's tables are over 5 MB: 24 that stay would show.

    `benchmarks/datagen_memory.py` measures 10,000 frames.
    """
    sizes, finish = [], Output._finish

    def measured(self: Output, seed: int) -> None:
        finish(self, seed)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        sizes.append(pages * 4096 / 1e6)

    monkeypatch.setattr(Output, "_finish", measured)
    job(tmp_path, seed=1, runs=32, max_frames=8, workers=2)
    assert len(sizes) == 32
    assert max(sizes[-4:]) - sizes[7] < 60
