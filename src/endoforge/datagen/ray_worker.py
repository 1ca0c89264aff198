"""What a worker of a Ray cluster does: it makes one run after the other, with one engine.

`on_ray.py` has workers greet it, gives them runs, and hears of each batch that they make.
"""

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from endoforge.captures.run_frames import label_of
from endoforge.captures.schema import FrameLabel, frame_number
from endoforge.core.errors import UserError, is_full
from endoforge.datagen.destination import Destination
from endoforge.datagen.job import RunJob
from endoforge.datagen.job_report import DatagenReport
from endoforge.datagen.recording import record, renderer_of
from endoforge.datagen.resume import EarlierRuns, Unfinished
from endoforge.sim.engine import start_engine
from endoforge.sim.stops import Check, Stopped

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOrder:
    """A run for a worker to make."""

    job: RunJob
    run_index: int
    there: Unfinished | None
    """What is there of it, by an earlier job or a worker that is gone."""
    earlier: frozenset[int | None] = frozenset()
    """Its frames that were there before the job."""
    again: bool = False
    """Whether a worker of this job has begun it."""


@dataclass(frozen=True)
class BatchMade:
    """A batch of a run is on its way to the disk."""

    frames: int
    """Frames that are on disk since the last one."""
    wanted: int
    """Frames that this worker makes of the run."""


@dataclass(frozen=True)
class RunMade:
    """A run is complete: what the job wrote of it, by whichever worker."""

    report: DatagenReport


@dataclass(frozen=True)
class RunFailed:
    """A run isn't complete."""

    reason: str
    on_disk: int
    """Whole frames that this worker put on disk."""
    ends_the_job: Exception | None
    """A UserError or a full disk, which other runs would meet too."""


@dataclass
class _OneRun(DatagenReport):
    """The report of a run, which knows the frames that it counted."""

    counted: set[int] = field(default_factory=set)

    def count(self, label: FrameLabel) -> None:
        super().count(label)
        self.counted.add(label.frame_id)


class RunMaker:
    """Makes runs of one job, with an engine and a renderer that serve them all."""

    def __init__(self, job: RunJob) -> None:
        """Raises UserError if the job's renderer isn't there."""
        self.engine = start_engine(job.renderer)
        self.renderer = renderer_of(job, self.engine)
        self.left = 0
        """Whole frames that it put on disk of the last run, be it that it was stopped at it."""

    def make(self, order: RunOrder, check: Check) -> Iterator[BatchMade | RunMade | RunFailed]:
        """Make a run; the last thing yielded says how it ended.

        `check` is called after each batch. Once it raises Stopped, the run is left as it is, and
        nothing more is yielded.
        """
        found, destination = EarlierRuns(), Destination(Path(order.job.output_root), None)
        report = _OneRun(destination.folder, self.engine.name)
        if order.there is not None:
            found.unfinished[order.run_index] = order.there
        told, wanted = 0, 0

        def advance(count: int = 1, *, total: int | None = None) -> None:
            nonlocal wanted
            del count  # the report has it
            wanted = total or wanted

        runs = [order.run_index]
        try:
            recording = record(order.job, self.renderer, destination, found, runs, report, advance)
            with closing(recording) as batches:
                for _ in batches:
                    check()
                    yield BatchMade(report.frames - told, wanted)
                    told = report.frames
        except Stopped:
            return
        except Exception as error:
            log.debug("run %d", order.run_index, exc_info=True)
            ends = error if isinstance(error, UserError) or is_full(error) else None
            yield RunFailed(f"{type(error).__name__}: {error}", report.on_disk, ends)
            return
        finally:
            self.left = report.on_disk
        yield BatchMade(report.frames - told, wanted)
        yield RunMade(_of_the_job(order, report))


def _of_the_job(order: RunOrder, made: _OneRun) -> DatagenReport:
    """What the job wrote of a run: what `made` counted, and what workers before did."""
    plain = DatagenReport(made.output_root, made.renderer, run_dirs=made.run_dirs)
    plain.frames, plain.boxes = made.frames, made.boxes
    plain.frames_with_polyps = made.frames_with_polyps
    if order.again:
        [run_dir] = made.run_dirs
        others = made.counted | order.earlier
        for path in (run_dir / "labels").iterdir():
            label = None if frame_number(path.name) in others else label_of(run_dir, path)
            if label is not None:
                plain.count(label)
    return plain


def worker_class() -> type[Any]:
    """The class of Ray's actors.

    It travels by value, for it is made here in a function, and needs nothing of EndoForge before
    `make`: a worker that has no EndoForge, or another one, can still say so.
    """

    class RayWorker:
        def __init__(self) -> None:
            self.maker: Any = None

        def greet(self, probe: str, text: str, threads: int | None) -> dict[str, Any]:
            """Say who this is, and whether the file `probe` holds `text`, in plain values.

            The renderer is to have so many `threads` of the CPU (None: as many as there are).
            """
            import os
            import platform
            import socket
            from pathlib import Path

            import ray

            if threads is not None:
                # As quadrants reads it, once it is loaded; what a user has set stays.
                os.environ.setdefault("QD_CPU_MAX_NUM_THREADS", str(threads))
            try:
                from endoforge import __version__ as version
            except ImportError:
                version = ""
            try:
                sees = Path(probe).read_text() == text
            except OSError:
                sees = False
            return {
                "node": f"{socket.gethostname()} ({ray.util.get_node_ip_address()})",
                "node_id": ray.get_runtime_context().get_node_id(),
                "process": os.getpid(),
                "python": platform.python_version(),
                "version": version,
                "sees": sees,
                "writes": os.access(Path(probe).parent, os.W_OK),
            }

        def make(self, order: Any) -> Any:
            """Make a run, as `RunMaker.make` does."""
            import ray

            from endoforge.datagen.ray_worker import RunFailed, RunMaker
            from endoforge.sim.stops import Stopped

            context = ray.get_runtime_context()

            def check() -> None:
                if context.is_canceled():
                    raise Stopped

            if self.maker is None:
                try:
                    self.maker = RunMaker(order.job)
                except Exception as error:
                    yield RunFailed(str(error), 0, error)
                    return
            yield from self.maker.make(order, check)

        def leave(self) -> int:
            """Put the kernels that were compiled on disk; nothing can be made afterwards.

            Gives the frames on disk of the run that was stopped.
            """
            if self.maker is None:
                return 0
            from endoforge.sim.engine import keep_compiled

            keep_compiled()
            left: int = self.maker.left
            return left

    return RayWorker
