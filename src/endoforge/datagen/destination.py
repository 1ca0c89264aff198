"""Where a job's runs go as they are complete: they stay in a folder, or are put behind it."""

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

from endoforge.captures.publishing import complete_runs, manifests_in, publish_run
from endoforge.captures.schema import MANIFEST_NAME
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.folders import make_folder
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import counted
from endoforge.datagen.job import DataSet
from endoforge.datagen.resume import EarlierRuns, Unfinished, find_runs
from endoforge.roots.bucket import Bucket

log = logging.getLogger(__name__)

MOST_WAITING = 2
"""Runs that wait to be put. While one more is complete, the job waits: its disk stays small."""


class Destination:
    """The root of a job, which writes in `folder`; `bucket` is where it lies, None for a folder."""

    def __init__(self, folder: Path, bucket: Bucket | None) -> None:
        self.folder, self.bucket = folder, bucket
        self._stopping = Event()
        self._pool = ThreadPoolExecutor(1)  # a run at a time, and of it many files
        self._waiting: deque[tuple[Path, Future[str]]] = deque()

    @property
    def address(self) -> str | None:
        """The bucket's, for manifests; None for a folder."""
        return None if self.bucket is None else str(self.bucket.root)

    def __str__(self) -> str:
        if self.bucket is None:
            return str(self.folder)
        return f"{self.address} and, what isn't put yet, in {self.folder}"

    def earlier_runs(self, data_set: DataSet, renderer: str, *, resume: bool) -> EarlierRuns:
        """What earlier jobs left of the data set; what they made but didn't put, is put first.

        Without `resume` that is all, and no earlier run counts.
        """
        self._put_what_is_left()
        if not resume:
            return EarlierRuns()
        if self.bucket is None:
            return find_runs(self.folder, data_set, renderer)
        here = find_runs(self.folder, data_set, renderer)
        with manifests_in(self.bucket) as folder:
            there = find_runs(folder, data_set, renderer)
            for index, run in there.unfinished.items():
                if index not in here.unfinished and index not in there.complete:
                    here.unfinished[index] = self._brought(run)
        for index in there.complete:
            if index in here.unfinished:
                done = here.unfinished.pop(index).run_dir
                log.warning("%s stays: the run is complete in %s", done, self.bucket.root)
        return EarlierRuns(there.complete, here.unfinished)

    def add(self, run_dir: Path) -> None:
        """A run is complete; waits while too many before it aren't put yet.

        Raises UserError for one of those before that couldn't be put.
        """
        if self.bucket is None:
            return
        while len(self._waiting) >= MOST_WAITING or (self._waiting and self._waiting[0][1].done()):
            self._settle_one()
        job = self._pool.submit(publish_run, run_dir, self.bucket, stopping=self._stopping)
        self._waiting.append((run_dir, job))

    def settle(self) -> None:
        """Wait until all runs are put; raises UserError for the first that can't be."""
        if self._waiting:
            log.info("putting the last to %s: %s", self.address, counted(len(self._waiting), "run"))
        while self._waiting:
            self._settle_one()
        self._pool.shutdown()

    def stop(self) -> None:
        """Put no more; what isn't put stays, for a job with `--resume` to put."""
        self._stopping.set()
        if self.bucket is not None:
            self.bucket.hurry.set()
        self._pool.shutdown(cancel_futures=True)

    def _settle_one(self) -> None:
        run_dir, job = self._waiting[0]
        try:
            job.result()
        except UserError as error:
            raise UserError(
                f"{error}; the run is whole in {run_dir}, and the same command with --resume puts "
                "it"
            ) from error
        self._waiting.popleft()

    def _put_what_is_left(self) -> None:
        if self.bucket is None:
            return
        for run_dir in complete_runs(self.folder):
            try:
                log.info("an earlier job's run is put: %s", publish_run(run_dir, self.bucket))
            except BlockingIOError:
                log.info("%s is being put by another process", run_dir)

    def _brought(self, run: Unfinished) -> Unfinished:
        """A run of which the bucket has but a part, to be made here."""
        run_dir = self.folder / run.run_dir.name
        make_folder(run_dir)
        data = read_regular(run.run_dir / MANIFEST_NAME, MOST_LABEL_BYTES)
        write_atomic(run_dir / MANIFEST_NAME, data)
        return Unfinished(run_dir, run.manifest)
