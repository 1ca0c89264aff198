"""What a service is told of a training, and what it can't do to it, whatever it does."""

import logging
import threading
from dataclasses import replace

import pytest

from endoforge.backends.base import StepResult
from endoforge.train import experiments
from endoforge.train.config import TrainConfig
from endoforge.train.experiments import ExperimentSink, ReportRow
from endoforge.train.loop import train
from endoforge.train.reports import EpochReport, Plan, StepReport

from .conftest import Recorder

PLAN = Plan(
    epochs=9,
    steps_per_epoch=4,
    seed=0,
    device="cpu",
    training_id="x",
    epochs_done=0,
    steps_done=0,
)
STEP = StepReport(
    epoch=1, step=1, lr=1e-3, result=StepResult(0.5, 0.25), images_per_s=9.0, eta_s=1.0
)


class Service:
    """Remembers what it is told; `last` is the step that it has from earlier sessions."""

    name = "service"

    def __init__(self, last: int = -1) -> None:
        self.last = last
        self.opened = 0
        self.rows: list[ReportRow] = []
        self.closed: str | None = None

    def open(self, plan: Plan) -> int:  # noqa: ARG002
        self.opened += 1
        return self.last

    def add(self, rows: list[ReportRow]) -> None:
        self.rows += rows

    def close(self, status) -> None:
        self.closed = status

    @property
    def steps(self) -> list[int]:
        return [row.step for row in self.rows]


@pytest.fixture(scope="module")
def epoch_report(small_root, tmp_path_factory) -> EpochReport:
    heard = Recorder()
    config = TrainConfig(
        input_root=str(small_root),
        ckpt_dir=str(tmp_path_factory.mktemp("saves")),
        target_size="64x32",
        val_ratio=0.33,
        device="cpu",
    )
    train(config, [heard])
    return heard.epochs[0]


def told(service, *reports, status="done", every=1):
    sink = ExperimentSink(service, every)
    sink.start(PLAN)
    for report in reports:
        sink.epoch(report) if isinstance(report, EpochReport) else sink.step(report)
    sink.finish(status, None)


def steps(*numbers, epoch=1):
    return [replace(STEP, epoch=epoch, step=number) for number in numbers]


def test_steps_and_epochs_lie_on_one_axis(epoch_report):
    service = Service()
    told(service, *steps(1, 2, 3, 4), epoch_report, *steps(1, epoch=2))
    assert service.steps == [1, 2, 3, 4, 5]
    assert service.rows[0].series == {
        "train/loss": 0.5,
        "train/mean_iou": 0.25,
        "train/learning_rate": 1e-3,
        "train/images_per_s": 9.0,
    }
    last = service.rows[3]
    assert last.series["train/loss"] == 0.5, "the epoch's last step lies with its validation"
    assert last.series["epoch/mean_loss"] == epoch_report.loss
    assert last.series["validation/AP50"] == epoch_report.validation.metrics.ap50
    assert list(last.pictures) == [f"validation/{place:05d}" for place in range(5)]
    assert service.closed == "done"


def test_what_the_service_has_is_not_told_again(epoch_report):
    service = Service(last=4)
    told(service, *steps(3, 4), epoch_report, *steps(1, 2, epoch=2), status="stopped")
    assert service.steps == [5, 6]
    assert service.closed == "stopped"


def test_a_last_step_without_its_validation_waits_for_it():
    service = Service()
    told(service, *steps(3, 4), status="stopped")
    assert service.steps == [3], "the validation comes in the next session, at step 4"


def test_only_steps_that_are_due_are_read():
    service = Service()
    unread = replace(STEP, result=StepResult(None, None))  # type: ignore[arg-type]
    told(service, unread, *steps(2), every=2)
    told(service, unread, every=0)
    assert service.steps == [2]


def test_a_service_that_refuses_is_said_once_with_what_was_lost(caplog):
    class Refuses(Service):
        def add(self, rows):
            raise RuntimeError(f"no\nroom for {len(rows)}")

    with caplog.at_level(logging.WARNING):
        told(Refuses(), *steps(1, 2, 3))
    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith("service: no room for ")
    assert first.endswith("training goes on without it")
    assert second == "service: lost 3 of 3 rows of this session's curves"


def test_after_a_failure_it_is_told_of_what_comes_next(caplog):
    class RefusesOne(Service):
        def add(self, rows):
            if 1 in [row.step for row in rows]:
                raise ConnectionError
            super().add(rows)

    service = RefusesOne()
    sink = ExperimentSink(service, 1)
    with caplog.at_level(logging.WARNING):
        sink.start(PLAN)
        sink.step(STEP)
        while not caplog.records:
            threading.Event().wait(0.001)
        for report in steps(2, 3):
            sink.step(report)
        sink.finish("done", None)
    assert service.steps == [2, 3]
    assert "1 of 3 rows" in caplog.text


def test_a_service_that_opens_late_gets_all(monkeypatch, caplog):
    monkeypatch.setattr(experiments, "OPEN_AGAIN_S", 0.001)
    is_there = threading.Event()

    class Late(Service):
        def open(self, plan):
            super().open(plan)
            if not is_there.is_set():
                raise ConnectionError("refused")
            return -1

    service = Late()
    sink = ExperimentSink(service, 1)
    with caplog.at_level(logging.WARNING):
        sink.start(PLAN)
        for report in steps(1, 2, 3):
            sink.step(report)
        while service.opened < 3:
            threading.Event().wait(0.001)
        is_there.set()
        while not service.steps:
            threading.Event().wait(0.001)
        sink.finish("done", None)
    assert service.steps == [1, 2, 3]
    assert len(caplog.records) == 1, "said once, however often it was asked"


def test_one_that_never_opens_does_not_hold_up_the_end(caplog):
    class Away(Service):
        def open(self, plan):  # noqa: ARG002
            raise ConnectionError("refused")

    with caplog.at_level(logging.WARNING):
        told(Away(), STEP)
    assert "1 of 1 row" in caplog.text


def test_one_that_hangs_is_left_behind(monkeypatch, caplog):
    monkeypatch.setattr(experiments, "FINISH_S", 0.01)
    monkeypatch.setattr(experiments, "MOST_WAITING", 2)
    let_go = threading.Event()

    class Hangs(Service):
        def open(self, plan):
            let_go.wait()
            return super().open(plan)

    with caplog.at_level(logging.WARNING):
        told(Hangs(), *steps(1, 2, 3))
    let_go.set()
    assert "3 of 3 rows" in caplog.text


def test_one_that_lags_gets_numbers_without_pictures(monkeypatch, epoch_report):
    monkeypatch.setattr(experiments, "MOST_WAITING_WITH_PICTURES", 1)
    let_go = threading.Event()

    class Lags(Service):
        def open(self, plan):
            let_go.wait()
            return super().open(plan)

    service = Lags()
    sink = ExperimentSink(service, 1)
    sink.start(PLAN)
    for report in steps(1, 2, 3):
        sink.step(report)
    sink.epoch(epoch_report)
    let_go.set()
    sink.finish("done", None)
    assert service.steps == [1, 2, 3, 4]
    assert not service.rows[-1].pictures


def test_a_training_that_fails_before_it_starts_tells_nothing():
    service = Service()
    ExperimentSink(service, 1).finish("failed", "no frames")
    assert not service.opened
