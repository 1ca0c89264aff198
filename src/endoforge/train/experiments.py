"""Trainings told to services that show them: in a thread of its own, so that training never waits.

A service may be slow, away, or refuse; none of that is a reason for a training to end.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from threading import Event, Thread
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from endoforge.core.text import counted
from endoforge.train.reports import EpochReport, Outcome, Plan, StepReport
from endoforge.train.series import epoch_series, is_due, sample_pictures, step_series, steps_done

log = logging.getLogger(__name__)

FINISH_S = 30.0
"""How long the end of a training waits for what is still on its way."""
OPEN_AGAIN_S = 60.0
"""After how long a service that couldn't be opened is asked again."""
MOST_WAITING = 10_000
"""Rows that wait for a service; of more, the new ones are lost."""
MOST_AT_ONCE = 200
"""Rows handed over together: what fails is lost together too."""
MOST_WAITING_WITH_PICTURES = 50
"""With more than these waiting, rows come without pictures, which take a megabyte an epoch."""


@dataclass(frozen=True, kw_only=True)
class ReportRow:
    """What is to be shown at a place on the axis of steps done."""

    step: int
    series: Mapping[str, float]
    pictures: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    unix_time: float = field(default_factory=time.time)


class Experiment(Protocol):
    """A training's place in a service. One thread calls these; they may block and raise anything.

    After an `open` that raised, it is called again.
    """

    name: str
    """The service's, for people."""

    def open(self, plan: Plan) -> int:
        """Begin, or go on with, what the service has of this training; the last step that it has.

        -1 if it has none.
        """
        ...

    def add(self, rows: list[ReportRow]) -> None:
        """Add rows, whose steps rise."""
        ...

    def close(self, status: Outcome) -> None:
        """Say how the training ended."""
        ...


class ExperimentSink:
    """Tells an `Experiment` of each step that is due (0: none) and of each epoch, once each.

    Steps that come again after a crash are left out, since the service has them; so the last step
    of an epoch waits for the validation, which lies there too. Of what goes wrong a line is logged,
    and at the end how many rows were lost.
    """

    def __init__(self, experiment: Experiment, every_steps: int) -> None:
        self._experiment = experiment
        self._every_steps = every_steps
        self._plan: Plan | None = None
        self._courier: _Courier | None = None
        self._last_step: dict[str, float] = {}

    def start(self, plan: Plan) -> None:
        self._plan = plan
        self._courier = _Courier(self._experiment, plan)

    def step(self, report: StepReport) -> None:
        assert self._plan is not None
        if not is_due(report, self._every_steps):
            return
        if report.step == self._plan.steps_per_epoch:
            self._last_step = step_series(report)
        else:
            self._tell(report.epoch - 1, report.step, step_series(report))

    def epoch(self, report: EpochReport) -> None:
        series = self._last_step | epoch_series(report)
        self._last_step = {}
        self._tell(report.epoch, 0, series, dict(sample_pictures(report.validation)))

    def _tell(
        self,
        epochs: int,
        steps: int,
        series: Mapping[str, float],
        pictures: Mapping[str, NDArray[np.uint8]] | None = None,
    ) -> None:
        assert self._plan is not None
        assert self._courier is not None
        step = steps_done(self._plan, epochs, steps)
        self._courier.give(ReportRow(step=step, series=series, pictures=pictures or {}))

    def finish(self, status: Outcome, error: str | None) -> None:  # noqa: ARG002 - the log has it
        if self._courier is not None:
            self._courier.finish(status)


class _Courier:
    """The thread between a training and a service, and the rows that wait for it."""

    def __init__(self, experiment: Experiment, plan: Plan) -> None:
        self._experiment = experiment
        self._plan = plan
        self._rows: SimpleQueue[ReportRow | None] = SimpleQueue()
        self._ending = Event()
        self._status: Outcome = "failed"
        self._given = self._settled = 0
        self._has_warned = False
        self._thread = Thread(target=self._serve, name=experiment.name, daemon=True)
        self._thread.start()

    def give(self, row: ReportRow) -> None:
        """Have a row told when its turn comes."""
        self._given += 1
        waiting = self._rows.qsize()
        if waiting >= MOST_WAITING:
            return
        slow = waiting > MOST_WAITING_WITH_PICTURES
        self._rows.put(replace(row, pictures={}) if slow else row)

    def finish(self, status: Outcome) -> None:
        """Wait for what is on its way, at most FINISH_S, and say how much was lost."""
        self._status = status
        self._rows.put(None)
        self._ending.set()
        self._thread.join(FINISH_S)
        if lost := self._given - self._settled:
            log.warning(
                "%s: lost %d of %s of this session's curves",
                self._experiment.name, lost, counted(self._given, "row"),
            )  # fmt: skip

    def _serve(self) -> None:
        last = self._opened()
        if last is None:
            return
        going_on = True
        while going_on:
            rows, going_on = self._waiting_rows()
            try:
                self._experiment.add([row for row in rows if row.step > last])
                self._settled += len(rows)
            except Exception as error:  # services' libraries raise anything
                self._warn(error)
        try:
            self._experiment.close(self._status)
        except Exception as error:
            self._warn(error)

    def _opened(self) -> int | None:
        """The last step that the service has; None if it can't be opened before the end."""
        while True:
            try:
                return self._experiment.open(self._plan)
            except Exception as error:
                self._warn(error)
            if self._ending.wait(OPEN_AGAIN_S):
                return None

    def _waiting_rows(self) -> tuple[list[ReportRow], bool]:
        """The next row and those behind it, and whether more may come."""
        rows: list[ReportRow] = []
        one = self._rows.get()
        while one is not None:
            rows.append(one)
            if len(rows) == MOST_AT_ONCE or self._rows.empty():  # none but this thread takes any
                return rows, True
            one = self._rows.get()
        return rows, False

    def _warn(self, error: Exception) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        reason = " ".join(str(error).split()) or type(error).__name__
        log.warning("%s: %s; training goes on without it", self._experiment.name, reason)
