"""`datagen --ray`: the workers of a Ray cluster make the runs of a job, each one run at a time.

Workers write to the output root themselves, which all nodes must see; here arrives what they count.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from endoforge.captures.schema import frame_number
from endoforge.core.choices import RendererName
from endoforge.core.errors import UserError, is_full
from endoforge.core.folders import make_folder, remove_files, remove_unfinished
from endoforge.core.machine import cpu_cores
from endoforge.core.progress import Advance, progress
from endoforge.core.temporary import temporary_beside
from endoforge.core.text import counted
from endoforge.datagen.destination import Destination
from endoforge.datagen.job import RunJob
from endoforge.datagen.job_report import DatagenReport, LostRun
from endoforge.datagen.output import USUAL_FRAMES
from endoforge.datagen.ray_cluster import cluster, hushed
from endoforge.datagen.ray_crew import Crew, WorkerLost, write_probe
from endoforge.datagen.ray_worker import BatchMade, RunFailed, RunMade, RunOrder
from endoforge.datagen.recording import explain
from endoforge.datagen.resume import EarlierRuns, run_begun
from endoforge.sim.engine import PREFERRED, available

log = logging.getLogger(__name__)

MOST_TRIES = 3
"""A run that has ended so many workers isn't made again."""
FIRST = "starting workers, preparing kernels and runs"
ON_A_GPU = ("cuda", "amdgpu")


def record_on_ray(job: RunJob, address: str, most_workers: int | None) -> DatagenReport:
    """Have the workers of the cluster at `address` make a job's runs; None: as many as it has.

    Raises UserError if there is no cluster, none of its workers can make runs, or the disk is full.
    """
    folder = Path(job.output_root).absolute()
    job = replace(job, output_root=str(folder))
    with cluster(address, most_workers or cpu_cores()) as ray:
        job = replace(job, renderer=_renderer(ray, job.renderer, address))
        destination = Destination(folder, None)
        report = DatagenReport(folder, job.renderer)
        found = destination.earlier_runs(job.data_set, job.renderer, resume=job.resume)
        todo = report.count_earlier(job.run_indices, found.complete)
        seats = _seats(ray, job.renderer)
        most = min(most_workers or seats, len(todo))
        log.info("base seed %d, renderer %s", job.data_set.base_seed, job.renderer)
        runs, workers = counted(len(todo), "run"), counted(most, "worker")
        log.info("Ray at %s: %s for up to %s", address, runs, workers)
        started = time.monotonic()
        expected = len(todo) * (job.data_set.max_frames or USUAL_FRAMES)
        with (
            _probe(folder) as probe,
            progress("simulating", expected, "frames", FIRST) as advance,
            hushed(),
        ):
            crew = Crew(ray, probe, most, on_gpu=job.renderer in ON_A_GPU)
            _Foreman(job, destination, found, todo, report, advance).oversee(crew)
        report.seconds = time.monotonic() - started
    return report


def _renderer(ray: Any, wanted: RendererName, address: str) -> RendererName:
    """What renders, everywhere the same, since runs of a data set are of one renderer."""
    if address == "local":
        there = [name for name in available() if name in ("cpu", *ON_A_GPU)]
        if wanted == "auto":
            return next(name for name in PREFERRED if name in there)
        if wanted not in there:
            raise UserError(
                f"--renderer {wanted}: not available here; choose from auto, {', '.join(there)}"
            )
    if wanted != "auto":
        return wanted
    makes = {name for name in ray.cluster_resources() if name.startswith("accelerator_type:")}
    if not ray.cluster_resources().get("GPU"):
        return "cpu"
    # Ray names a GPU by its make: AMD-Instinct-MI300X-OAM, Intel-GPU-Max-1550, H100.
    if makes and all(make.startswith("accelerator_type:AMD") for make in makes):
        return "amdgpu"
    return "cuda"


def _seats(ray: Any, renderer: str) -> int:
    """How many workers the cluster has room for, if nobody else uses it."""
    kind = "GPU" if renderer in ON_A_GPU else "CPU"
    seats = int(ray.cluster_resources().get(kind, 0))
    if seats < 1:
        raise UserError(
            f"--renderer {renderer}: the Ray cluster has no {kind}; choose another renderer, or "
            "add nodes"
        )
    return seats


@contextmanager
def _probe(root: Path) -> Iterator[Path]:
    """A file in `root` for workers to read, which holds its own name."""
    make_folder(root)
    remove_unfinished(root, "ray-probe")
    path = temporary_beside(root / "ray-probe")
    write_probe(path)
    try:
        yield path
    finally:
        remove_files(root, [path.name], within=root)


class _Foreman:
    """Gives the runs of a job to a crew, again if a worker is lost, and counts what it makes."""

    def __init__(
        self,
        job: RunJob,
        destination: Destination,
        found: EarlierRuns,
        todo: list[int],
        report: DatagenReport,
        advance: Advance,
    ) -> None:
        self._job, self._found, self._report, self._advance = job, found, report, advance
        self._destination = destination
        self._num_runs = len(todo)
        self._waiting = deque(todo)
        self._tries: Counter[int] = Counter()
        self._frames: Counter[int] = Counter()
        """Frames of each run that this job put on disk, as far as its workers told."""
        self._by_others: dict[int, int] = {}
        """Those of them that workers before the present one made."""
        self._wanted: dict[int, int] = {}
        """Frames that this job makes of each run that was begun."""
        self._earlier = {
            index: _frames_in(there.run_dir) for index, there in found.unfinished.items()
        }
        self._before = frozenset(path.name for path in destination.folder.glob("run_*"))

    def oversee(self, crew: Crew) -> None:
        """Have all runs made; whatever ends it, workers stop, and what is safe is said."""
        try:
            while self._waiting or crew.is_busy:
                crew.hire(len(self._waiting))
                while self._waiting and crew.has_idle:
                    crew.give(self._order(self._waiting.popleft()))
                for order, news in crew.news():
                    self._hear(order.run_index, news)
            crew.dismiss()
        except BaseException as error:
            for index, frames in crew.stop().items():
                self._frames[index] = self._by_others[index] + frames
            explain(self._job, self._destination, self._frames.total(), error)
            raise
        self._report.run_dirs.sort()
        self._report.lost.sort(key=lambda one: one.run_index)

    def _order(self, index: int) -> RunOrder:
        again = self._tries[index] > 0
        there = self._found.unfinished.get(index)
        if there is None and again:
            root, data_set = self._destination.folder, self._job.data_set
            there = run_begun(root, data_set, index, self._before)
        earlier = self._earlier.get(index, frozenset())
        if there is not None and again:
            self._count_untold(index, len(_frames_in(there.run_dir) - earlier))
        self._tries[index] += 1
        self._by_others[index] = self._frames[index]
        return RunOrder(self._job, index, there, earlier, again)

    def _count_untold(self, index: int, frames: int) -> None:
        """A worker that was lost may have written more frames than it told."""
        self._advance(max(0, frames - self._frames[index]))
        self._frames[index] = frames

    def _hear(self, index: int, news: BatchMade | RunMade | RunFailed | WorkerLost) -> None:
        if isinstance(news, BatchMade):
            self._frames[index] += news.frames
            self._wanted[index] = self._by_others[index] + news.wanted
            self._advance(news.frames, total=self._foreseen())
        elif isinstance(news, RunMade):
            self._frames[index] = news.report.frames
            self._report.add(news.report)
            self._report.resumed += index in self._found.unfinished
        else:
            if isinstance(news, RunFailed):
                self._frames[index] = self._by_others[index] + news.on_disk
                # A worker that is gone, but not for its node, may hold a run that is made again.
                ends = news.ends_the_job
                if ends is not None and (is_full(ends) or self._tries[index] == 1):
                    raise ends
            self._try_again(index, news.reason)

    def _try_again(self, index: int, reason: str) -> None:
        tries = self._tries[index]
        if tries < MOST_TRIES:
            log.warning(
                "run %d: %s; made again, try %d of %d", index, reason, tries + 1, MOST_TRIES
            )
            self._waiting.appendleft(index)
        else:
            log.warning("run %d: %s; left after trying %s", index, reason, counted(tries, "time"))
            self._report.lost.append(LostRun(index, tries, reason))

    def _foreseen(self) -> int:
        """Frames of all runs; those to come are taken to have as many as those that were begun."""
        known = sum(self._wanted.values())
        return known + round((self._num_runs - len(self._wanted)) * known / len(self._wanted))


def _frames_in(run_dir: Path) -> frozenset[int | None]:
    return frozenset(frame_number(path.name) for path in (run_dir / "labels").glob("frame_*.json"))
