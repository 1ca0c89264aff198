"""Where batches go: run folders, written by a pool of threads, never more than a few at once."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.captures.recorder import Picture, RunRecorder
from endoforge.captures.schema import POSES_NAME, FrameLabel
from endoforge.core.progress import Advance
from endoforge.datagen.destination import Destination
from endoforge.datagen.extras import DESCRIPTIONS, depth_picture, normals_picture, poses_text
from endoforge.datagen.frame_labels import frame_label
from endoforge.datagen.job import DataSet, RunJob
from endoforge.datagen.job_report import DatagenReport
from endoforge.datagen.resume import EarlierRuns
from endoforge.sim.simulator import BakedRun, FrameBatch, FrameTruth

USUAL_FRAMES = 1400
"""Captures of a procedure, as the progress takes it until the first one is known."""


@dataclass
class _OpenRun:
    recorder: RunRecorder
    run: BakedRun
    left: int
    """Frames that are still to be written."""


class Output:
    """Writes the frames of runs as they come, and finishes each run with its last frame."""

    def __init__(
        self,
        job: RunJob,
        destination: Destination,
        found: EarlierRuns,
        pool: Executor,
        report: DatagenReport,
        advance: Advance,
    ) -> None:
        self.written = 0
        """Whole frames that this job has put on disk and counted."""
        self._job, self._found, self._pool = job, found, pool
        self._destination = destination
        self._report, self._advance = report, advance
        self._open: dict[int, _OpenRun] = {}
        self._pending: deque[tuple[int, Future[FrameLabel]]] = deque()
        self._runs, self._wanted, self._lengths = 0, 0, 0

    def opened(self, runs: Iterable[tuple[int, BakedRun]], num_runs: int) -> Iterator[BakedRun]:
        """Open a folder for each (run index, run), or an earlier job's; yields what it lacks."""
        for index, run in runs:
            recorder = self._recorder(index, run)
            wanted = [frame for frame in run.wanted if frame not in recorder.done]
            self._open[run.seed] = _OpenRun(recorder, run, len(wanted))
            self._foresee(len(wanted), len(run.states), num_runs)
            if wanted:
                yield replace(run, wanted=wanted)
            else:
                self._finish(run.seed)

    def put(self, batch: FrameBatch) -> None:
        """Hand a batch to the writers; waits while too many frames are on their way."""
        saved = self._job.data_set.saved
        rgb = _on_host(batch.rgb)
        instance = _on_host(batch.instance) if "instance" in saved else None
        depth = _on_host(batch.depth) if {"depth", "normals"} & set(saved) else None
        normals = None if batch.normals is None else _on_host(batch.normals)
        for row, truth in enumerate(batch.labels):
            shown = _HostPixels(
                rgb[row],
                None if instance is None else instance[row],
                None if depth is None else depth[row],
                None if normals is None else normals[row],
            )
            recorder = self._open[truth.run.seed].recorder
            future = self._pool.submit(_write, recorder, truth, shown, self._job.data_set)
            self._pending.append((truth.run.seed, future))
        self._settle(len(batch) + 2 * self._job.workers)

    def settle(self) -> None:
        """Wait until all that was put is where it is to be; raises what a writer raised."""
        self._settle(0)
        self._destination.settle()

    def close(self) -> int:
        """Leave what is unfinished for another job; returns the whole frames of this one."""
        for one in self._open.values():
            self.written += one.recorder.num_frames - len(one.recorder.done)
            one.recorder.close()
        self._open.clear()
        self._destination.stop()
        return self.written

    def _settle(self, most_pending: int) -> None:
        while len(self._pending) > most_pending:
            seed, future = self._pending.popleft()
            label = future.result()
            self._report.count(label)
            self._advance()
            self._open[seed].left -= 1
            if self._open[seed].left == 0:
                self._finish(seed)

    def _finish(self, seed: int) -> None:
        done = self._open[seed]
        if "pose" in self._job.data_set.saved:
            done.recorder.write_file(POSES_NAME, poses_text(done.run.states))
        done.recorder.finish()
        del self._open[seed]
        self.written += done.recorder.num_frames - len(done.recorder.done)
        self._destination.add(done.recorder.run_dir)
        if self._destination.bucket is None:
            self._report.run_dirs.append(done.recorder.run_dir)
        else:
            self._report.num_put += 1

    def _recorder(self, index: int, run: BakedRun) -> RunRecorder:
        data_set = self._job.data_set
        if (there := self._found.unfinished.get(index)) is not None:
            self._report.resumed += 1
            return RunRecorder.reopen(there.run_dir, there.manifest, data_set.pictures)
        return RunRecorder.create(
            self._destination.folder,
            seed=run.seed,
            max_frames=data_set.max_frames,
            extra=about_run(data_set, self._report.renderer, index, run),
            address=self._destination.address,
        )

    def _foresee(self, wanted: int, of: int, num_runs: int) -> None:
        """Tell the progress how many frames there will be, as far as can be known.

        Runs that are still to come are taken to be as long as those before, with all to be made.
        """
        self._runs += 1
        self._wanted += wanted
        self._lengths += of
        to_come = (num_runs - self._runs) * self._lengths / self._runs
        self._advance(0, total=self._wanted + round(to_come))


@dataclass(frozen=True)
class _HostPixels:
    """One frame's pixels on the host; what isn't saved is None."""

    rgb: NDArray[np.uint8]
    instance: NDArray[np.uint8] | None
    depth: NDArray[np.float32] | None
    normals: NDArray[np.float32] | None


def _write(
    recorder: RunRecorder, truth: FrameTruth, shown: _HostPixels, data_set: DataSet
) -> FrameLabel:
    """Write one frame and its label, in a thread of the pool; returns the label."""
    extras: dict[str, Picture] = {}
    if shown.instance is not None:
        extras["instance"] = shown.instance
    if shown.depth is not None and "depth" in data_set.saved:
        extras["depth"] = depth_picture(shown.depth)
    if shown.depth is not None and shown.normals is not None:
        extras["normals"] = normals_picture(shown.normals, shown.depth)
    label = frame_label(truth)
    recorder.write(shown.rgb, label, extras)
    return label


def about_run(data_set: DataSet, renderer: str, run_index: int, run: BakedRun) -> dict[str, Any]:
    """The facts about a run that the manifest keeps under `endoforge`."""
    return {
        **data_set.settings(renderer),
        "units": "mm",
        "run_index": run_index,
        "frames_planned": len(run.states),
        "capture_interval_s": data_set.clock.interval_s,
        "lens": run.lens.intrinsics(),
        "extras": {kind: DESCRIPTIONS[kind] for kind in data_set.saved},
        "scene": run.scene.parameters(),
    }


def _on_host(values: torch.Tensor) -> NDArray[Any]:
    """Copy values to the host: the renderer's buffers are about to be drawn over."""
    host = values.cpu().numpy()
    return np.array(host) if values.device.type == "cpu" else np.asarray(host)
