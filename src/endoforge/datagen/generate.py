"""`datagen`: from flags to capture runs, in this process or on a cluster."""

import logging
import time
from contextlib import closing

from endoforge.captures.config import PruneConfig
from endoforge.captures.prune import prune_empty
from endoforge.core.errors import UserError
from endoforge.core.outputs import check_output_folder, refuse_within
from endoforge.core.progress import progress
from endoforge.datagen.config import DatagenConfig
from endoforge.datagen.destination import Destination
from endoforge.datagen.job import RunJob, make_job
from endoforge.datagen.job_report import DatagenReport
from endoforge.datagen.on_ray import record_on_ray
from endoforge.datagen.output import USUAL_FRAMES
from endoforge.datagen.recording import explain, record, renderer_of
from endoforge.roots.bucket import Bucket
from endoforge.roots.checking import check_output_root
from endoforge.roots.places import written_to
from endoforge.sim.engine import start_engine

log = logging.getLogger(__name__)

FIRST = "preparing kernels and runs"
"""What the progress says until the first frames come: kernels may have to be compiled."""


def generate(config: DatagenConfig) -> DatagenReport:
    """Record the runs that `config` asks for, and report what was written.

    Each run becomes a folder under `config.output_root`: frames, a label file for each, and a
    manifest. `config.seed` must be set, or `config.from_manifest`, else it is a ValueError.
    Raises UserError, before anything is rendered, if a folder can't be written, the renderer isn't
    there, or the settings don't fit what is to be resumed; and later if the disk is full. Whatever
    ends it, frames and labels on disk are whole, and `resume` goes on.

    With `config.ray` the workers of a Ray cluster make the runs: UserError too if it can't be
    reached, or none of its workers can make them. Runs that end each worker that makes them are
    the report's `lost`.
    """
    if not isinstance(config, DatagenConfig):
        raise UserError(f"record_runs takes a DatagenConfig, not {config!r}")
    job = make_job(config)
    bucket = _check_outputs(config)
    started = time.monotonic()
    if config.ray is None:
        report = _record_here(job, Destination(written_to(job.output_root), bucket))
    else:
        report = record_on_ray(job, config.ray, config.workers)
    report.seconds = report.seconds or time.monotonic() - started
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


def _record_here(job: RunJob, destination: Destination) -> DatagenReport:
    engine = start_engine(job.renderer)
    report = DatagenReport(destination.folder, engine.name, destination.address)
    found = destination.earlier_runs(job.data_set, engine.name, resume=job.resume)
    todo = report.count_earlier(job.run_indices, found.complete)
    started = time.monotonic()
    log.info("base seed %d, renderer %s", job.data_set.base_seed, engine.name)
    renderer = renderer_of(job, engine)
    expected = len(todo) * (job.data_set.max_frames or USUAL_FRAMES)
    try:
        with (
            progress("simulating", expected, "frames", FIRST) as advance,
            closing(record(job, renderer, destination, found, todo, report, advance)) as batches,
        ):
            for _ in batches:
                pass
    except BaseException as error:
        explain(job, destination, report.on_disk, error)
        raise
    report.seconds = time.monotonic() - started
    return report
