"""The workers of a job on a Ray cluster: hired, looked at, given runs, lost, and let go."""

import logging
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from endoforge import __version__
from endoforge.core.errors import UserError
from endoforge.core.files import create_file
from endoforge.datagen.ray_worker import BatchMade, RunFailed, RunMade, RunOrder, worker_class

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
SAY_WAITING_AFTER_S = 15.0
TO_LEAVE_S = 30.0
"""Seconds that workers have to end a batch and keep their kernels, when all is done or stopped."""
MOST_EARLY_DEATHS = 3
"""Workers that may die before they have made anything."""


@dataclass(frozen=True)
class WorkerLost:
    """The worker that was making a run is gone."""

    reason: str


@dataclass(eq=False)
class _Worker:
    actor: Any
    pending: Any
    """What Ray will answer: a greeting, or the batches of a run; None where nothing is asked."""
    greeted: bool = False
    order: RunOrder | None = None
    node: str = ""
    process: int = 0
    threads: int = 1

    @property
    def is_idle(self) -> bool:
        return self.greeted and self.pending is None


class Crew:
    """At most `most` workers, each with a CPU or a GPU of the cluster for its own."""

    def __init__(self, ray: Any, probe: Path, most: int, *, on_gpu: bool) -> None:
        """`probe` is a file in the output root, written by `write_probe`."""
        self._ray, self._probe, self._most, self._on_gpu = ray, probe, most, on_gpu
        needs = {"num_cpus": 0, "num_gpus": 1} if on_gpu else {"num_cpus": 1}
        self._class = ray.remote(max_restarts=0, max_task_retries=0, **needs)(worker_class())
        self._workers: list[_Worker] = []
        self._leaving: dict[Any, Any] = {}
        self._faults: list[str] = []
        self._early_deaths = 0
        self._say_waiting_at = time.monotonic() + SAY_WAITING_AFTER_S

    @property
    def is_busy(self) -> bool:
        """Whether a run is being made."""
        return any(worker.order is not None for worker in self._workers)

    @property
    def has_idle(self) -> bool:
        """Whether a worker waits for a run."""
        return any(worker.is_idle for worker in self._workers)

    def hire(self, num_waiting: int) -> None:
        """Have workers for so many runs more, as far as there may be so many; let others go.

        Raises UserError if there can be none.
        """
        free = [worker for worker in self._workers if worker.order is None]
        for worker in free[num_waiting:]:
            self._let_go(worker)
        most = self._most - len(self._faults)
        if num_waiting and most < 1:
            raise UserError(self._faults[0])
        for _ in range(min(num_waiting - len(free), most - len(self._workers))):
            worker = _Worker(self._class.remote(), None)
            self._greet(worker)
            self._workers.append(worker)

    def give(self, order: RunOrder) -> None:
        """Have an idle worker make a run."""
        worker = next(worker for worker in self._workers if worker.is_idle)
        job = replace(order.job, workers=worker.threads)
        worker.order = order
        batches = worker.actor.make.options(num_returns="streaming")
        worker.pending = batches.remote(replace(order, job=job))
        log.debug("run %d: process %d on %s", order.run_index, worker.process, worker.node)

    def news(self) -> Iterator[tuple[RunOrder, BatchMade | RunMade | RunFailed | WorkerLost]]:
        """Wait for news, a moment at most, and yield them with the run that they are of."""
        asked = {worker.pending: worker for worker in self._workers if worker.pending is not None}
        ready, _ = self._ray.wait([*asked, *self._leaving], timeout=LOOK_EVERY_S)
        for one in ready:
            if one in self._leaving:
                self._ray.kill(self._leaving.pop(one))
            elif asked[one].greeted:
                yield from self._hear(asked[one])
            else:
                self._meet(asked[one])
        self._say_if_waiting()

    def stop(self) -> dict[int, int]:
        """Have workers leave what they make; the frames on disk of each run that was left."""
        orders = {}
        for worker in self._workers:
            if worker.greeted:
                if worker.pending is not None:
                    self._ray.cancel(worker.pending)
                orders[worker.actor.leave.remote()] = worker.order
        left = {}
        for one in self._those_in_time(list(orders)):
            if (order := orders[one]) is not None:
                left[order.run_index] = self._answer(one) or 0
        self._kill_all()
        return left

    def dismiss(self) -> None:
        """Let all workers go, once their kernels are on disk."""
        for worker in list(self._workers):
            self._let_go(worker)
        self._those_in_time(list(self._leaving))
        self._kill_all()

    def _greet(self, worker: _Worker) -> None:
        if not self._probe.exists():  # another job began here, and tidied up
            write_probe(self._probe)
        threads = None if self._on_gpu else 1
        worker.pending = worker.actor.greet.remote(str(self._probe), self._probe.name, threads)

    def _meet(self, worker: _Worker) -> None:
        """Look at a worker's greeting; leave one out that wouldn't make the same runs here."""
        try:
            facts = self._ray.get(worker.pending)
        except self._ray.exceptions.RayError as error:
            self._part_with(worker)
            self._early_deaths += 1
            log.warning("a worker was lost as it started (%s)", _short(error))
            if self._early_deaths > MOST_EARLY_DEATHS:
                raise UserError(
                    "--ray: workers are lost as they start; the logs of Ray on their node say why"
                ) from error
            return
        if not facts["sees"] and not self._probe.exists():
            self._greet(worker)
            return
        fault = _fault(facts, self._probe.parent)
        if fault is not None:
            self._part_with(worker)
            self._faults.append(fault)
            log.warning("%s; it is left out", fault)
            return
        worker.greeted, worker.pending = True, None
        worker.node, worker.process = facts["node"], facts["process"]
        if self._on_gpu:
            worker.threads = self._threads_a_gpu(facts["node_id"])

    def _hear(
        self, worker: _Worker
    ) -> Iterator[tuple[RunOrder, BatchMade | RunMade | RunFailed | WorkerLost]]:
        try:
            news = self._ray.get(next(worker.pending))
        except StopIteration:
            worker.pending = None
            return
        except self._ray.exceptions.RayError as error:
            self._part_with(worker)
            news = WorkerLost(f"its worker on {worker.node} was lost: {_short(error)}")
        if isinstance(news, RunFailed):
            news = _named(news, worker.node)
        order = worker.order
        if not isinstance(news, BatchMade):  # the last word on the run
            worker.order = None
        if order is not None:
            yield order, news

    def _threads_a_gpu(self, node_id: str) -> int:
        """A node's CPU cores for each of its GPUs: as many threads prepare and write."""
        [has] = [node["Resources"] for node in self._ray.nodes() if node["NodeID"] == node_id]
        return max(1, int(has.get("CPU", 1) // max(1, has.get("GPU", 1))))

    def _let_go(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        if worker.greeted:
            self._leaving[worker.actor.leave.remote()] = worker.actor
        else:
            self._ray.kill(worker.actor)

    def _part_with(self, worker: _Worker) -> None:
        """A worker is of no use; it may be there still, behind a broken network."""
        self._workers.remove(worker)
        self._ray.kill(worker.actor)

    def _those_in_time(self, leaving: list[Any]) -> list[Any]:
        if not leaving:
            return []
        there: list[Any]
        there, _ = self._ray.wait(leaving, num_returns=len(leaving), timeout=TO_LEAVE_S)
        return there

    def _answer(self, one: Any) -> int | None:
        try:
            frames: int = self._ray.get(one)
        except self._ray.exceptions.RayError:
            return None
        return frames

    def _kill_all(self) -> None:
        for actor in [*(worker.actor for worker in self._workers), *self._leaving.values()]:
            self._ray.kill(actor)
        self._workers.clear()
        self._leaving.clear()

    def _say_if_waiting(self) -> None:
        if any(worker.greeted for worker in self._workers):
            self._say_waiting_at = float("inf")
        elif time.monotonic() > self._say_waiting_at:
            self._say_waiting_at = float("inf")
            kind = "GPU" if self._on_gpu else "CPU"
            log.info("no worker is there yet: Ray starts one as soon as a %s is free", kind)


def write_probe(path: Path) -> None:
    """Make the file `path`, which holds its own name, for workers to read."""
    with create_file(path) as file:
        file.write(path.name.encode())


def _fault(facts: dict[str, Any], root: Path) -> str | None:
    """Why a worker that greets so can't work for this process, and the mend; None if it can."""
    node = f"--ray: node {facts['node']}"
    mine = platform.python_version_tuple()[:2]
    if tuple(facts["python"].split(".")[:2]) != mine:
        return f"{node} has Python {facts['python']}, this is {'.'.join(mine)}; install the same"
    if facts["version"] != __version__:
        has = facts["version"] or "none"
        return f"{node} has EndoForge {has}, this is {__version__}; install the same there"
    if not facts["sees"]:
        return (
            f"{node} doesn't see --output-root {root}; name a folder on a file system that all "
            "nodes share, at the same path"
        )
    if not facts["writes"]:
        return f"{node} isn't allowed to write in --output-root {root}; change its permissions"
    return None


def _named(failed: RunFailed, node: str) -> RunFailed:
    """The same, with the node in what people read."""
    ends, reason = failed.ends_the_job, f"{failed.reason} (on {node})"
    if isinstance(ends, UserError):
        ends = UserError(f"{ends} (on {node})")
    return replace(failed, reason=reason, ends_the_job=ends)


def _short(error: Exception) -> str:
    """What became of a worker, in some words; Ray has paragraphs."""
    text = str(error)
    if "OutOfMemory" in type(error).__name__ or "running low on memory" in text:
        return "its node ran out of memory"
    if "node has died" in text or "NodeDied" in type(error).__name__:
        return "its node is gone"
    cause = getattr(error, "cause", None)
    if cause is not None:
        return f"{type(cause).__name__}: {cause}"
    return "its process was killed or crashed"
