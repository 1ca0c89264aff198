"""The loop of `datagen`: scenes are baked ahead, rendered in batches, and written behind."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import TypeVar

from endoforge.captures.config import PruneConfig
from endoforge.captures.prune import prune_empty
from endoforge.core.errors import UserError, is_full
from endoforge.core.outputs import check_output_folder, refuse_within
from endoforge.core.progress import progress
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.destination import Destination
from endoforge.datagen.job import RunJob, make_job
from endoforge.datagen.job_report import DatagenReport
from endoforge.datagen.output import USUAL_FRAMES, Output
from endoforge.datagen.resume import EarlierRuns
from endoforge.roots.bucket import Bucket
from endoforge.roots.checking import check_output_root
from endoforge.roots.places import written_to
from endoforge.sim.engine import Engine, start_engine
from endoforge.sim.renderer import Renderer
from endoforge.sim.simulator import BakedRun, bake, default_batch_size, render_runs
from endoforge.sim.stops import check_of

log = logging.getLogger(__name__)

FIRST = "preparing kernels and runs"
"""What the progress says until the first frames come: kernels may have to be compiled."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def generate(config: DatagenConfig) -> DatagenReport:
    """Record the runs that `config` asks for, and report what was written.

    Each run becomes a folder under `config.output_root`: frames, a label file for each, and a
    manifest. `config.seed` must be set, or `config.from_manifest`, else it is a ValueError.
    Raises UserError, before anything is rendered, if a folder can't be written, the renderer isn't
    there, or the settings don't fit what is to be resumed; and later if the disk is full. Whatever
    ends it, frames and labels on disk are whole, and `resume` goes on.
    """
    if not isinstance(config, DatagenConfig):
        raise UserError(f"record_runs takes a DatagenConfig, not {config!r}")
    job = make_job(config)
    destination = Destination(written_to(job.output_root), _check_outputs(config))
    engine = start_engine(job.renderer)
    report = DatagenReport(destination.folder, engine.name, destination.address)
    found = destination.earlier_runs(job.data_set, engine.name, resume=job.resume)
    todo = [index for index in job.run_indices if index not in found.complete]
    report.complete_before = len(job.run_indices) - len(todo)
    started = time.monotonic()
    log.info("base seed %d, renderer %s", job.data_set.base_seed, engine.name)
    _record(job, engine, destination, found, todo, report)
    report.seconds = time.monotonic() - started
    if config.prune_empty:
        pruning = PruneConfig(input=config.output_root, output=config.pruned_root)
        report.pruned = prune_empty(pruning)
    return report


def _check_outputs(config: DatagenConfig) -> Bucket | None:
    """The bucket that runs are put to; None if they stay in a folder."""
    bucket = check_output_root("--output-root", config.output_root)
    if config.prune_empty:
        flag, copies = "--prune-output-root", config.pruned_root
        refuse_within(flag, copies, "--output-root", config.output_root)
        check_output_folder(flag, copies)
    return bucket


def _record(
    job: RunJob,
    engine: Engine,
    destination: Destination,
    found: EarlierRuns,
    todo: list[int],
    report: DatagenReport,
) -> None:
    data_set = job.data_set
    batch_size = default_batch_size(engine)
    renderer = Renderer(*data_set.size, engine, batch_size, normals="normals" in data_set.saved)
    expected = len(todo) * (data_set.max_frames or USUAL_FRAMES)
    stopping = Event()
    with (
        ThreadPoolExecutor(job.workers) as pool,
        progress("simulating", expected, "frames", FIRST) as advance,
    ):
        output = Output(job, destination, found, pool, report, advance)
        try:
            baked = in_parallel(pool, partial(_bake, job, stopping), todo, 2 * job.workers)
            for batch in render_runs(renderer, output.opened(baked, len(todo))):
                output.put(batch)
            output.settle()
        except BaseException as error:
            stopping.set()
            pool.shutdown(cancel_futures=True)
            _explain(job, destination, output.close(), error)
            raise


def _bake(job: RunJob, stopping: Event, run_index: int) -> tuple[int, BakedRun]:
    data_set = job.data_set
    seed = data_set.seed_of(run_index)
    settings = data_set.randomization, data_set.size, data_set.max_frames, data_set.clock
    return run_index, bake(seed, *settings, check_of(stopping))


def _explain(job: RunJob, destination: Destination, frames: int, error: BaseException) -> None:
    """Log what is safe and how to go on; raises UserError in place of a full disk."""
    safe = f"{frames} whole frames of this job are in {destination}"
    go_on = f"the same command with {job.resume_flags} goes on"
    full = next((one for one in (error, error.__cause__) if is_full(one)), None)
    if isinstance(full, OSError):
        place = full.filename or destination.folder
        raise UserError(
            f"{place}: no space left on the disk; {safe}; make space, then {go_on}"
        ) from error
    if not isinstance(error, UserError):  # which would come again
        log.warning("unfinished: %s; %s", safe, go_on)


def in_parallel(
    pool: Executor, make: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Yield `make(item)` of each, in order, made in the pool; at most `ahead` are begun."""
    begun: deque[Future[Result]] = deque()
    for item in items:
        if len(begun) == ahead:
            yield begun.popleft().result()
        begun.append(pool.submit(make, item))
    while begun:
        yield begun.popleft().result()
