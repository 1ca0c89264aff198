"""The loop of `datagen`: scenes are baked ahead, rendered in batches, and written behind."""

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import TypeVar

from endoforge.core.errors import UserError, is_full
from endoforge.core.progress import Advance
from endoforge.core.text import counted
from endoforge.datagen.destination import Destination
from endoforge.datagen.job import RunJob
from endoforge.datagen.job_report import DatagenReport
from endoforge.datagen.output import Output
from endoforge.datagen.resume import EarlierRuns
from endoforge.sim.engine import Engine
from endoforge.sim.renderer import Renderer
from endoforge.sim.simulator import BakedRun, bake, default_batch_size, render_runs
from endoforge.sim.stops import check_of

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


def renderer_of(job: RunJob, engine: Engine) -> Renderer:
    """Make the renderer that a job's frames come from; it serves any number of runs."""
    data_set = job.data_set
    batch_size = default_batch_size(engine)
    return Renderer(*data_set.size, engine, batch_size, normals="normals" in data_set.saved)


def record(
    job: RunJob,
    renderer: Renderer,
    destination: Destination,
    found: EarlierRuns,
    todo: list[int],
    report: DatagenReport,
    advance: Advance,
) -> Generator[None, None, None]:
    """Record the runs `todo`, by their numbers; yields after each batch that was handed on.

    What is on disk is counted in `report` and told to `advance`. Where it is ended before its end,
    by an error or by `close`, what lies on disk is whole, and no thread of it goes on.
    """
    stopping = Event()
    with ThreadPoolExecutor(job.workers) as pool:
        output = Output(job, destination, found, pool, report, advance)
        try:
            baked = in_parallel(pool, partial(_bake, job, stopping), todo, 2 * job.workers)
            for batch in render_runs(renderer, output.opened(baked, len(todo))):
                output.put(batch)
                yield
            output.settle()
        except BaseException:
            stopping.set()
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            report.on_disk = output.close()


def explain(job: RunJob, destination: Destination, frames: int, error: BaseException) -> None:
    """Log what is safe and how to go on; raises UserError in place of a full disk."""
    safe = f"{destination} has {counted(frames, 'whole frame')} of this job"
    go_on = f"the same command with {job.resume_flags} goes on"
    full = next((one for one in (error, error.__cause__) if is_full(one)), None)
    if isinstance(full, OSError):
        place = full.filename or destination.folder
        raise UserError(
            f"{place}: no space left on the disk; {safe}; make space, then {go_on}"
        ) from error
    if not isinstance(error, UserError):  # which would come again
        log.warning("unfinished: %s; %s", safe, go_on)


def _bake(job: RunJob, stopping: Event, run_index: int) -> tuple[int, BakedRun]:
    data_set = job.data_set
    seed = data_set.seed_of(run_index)
    settings = data_set.randomization, data_set.size, data_set.max_frames, data_set.clock
    return run_index, bake(seed, *settings, check_of(stopping))


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
