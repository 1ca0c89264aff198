"""Where the reports of a training go. The loop knows none of these by name."""

import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from endoforge.core.bar import NarrowBar
from endoforge.core.errors import UserError
from endoforge.core.files import append_json_line, is_stream, write_atomic, write_json_atomic
from endoforge.core.folders import make_folder_of
from endoforge.core.parsing import parse_json
from endoforge.core.progress import on_terminal
from endoforge.core.reading import MOST_LIST_BYTES, read_regular
from endoforge.core.text import counted
from endoforge.roots.places import written_to
from endoforge.train.config import TrainConfig
from endoforge.train.experiments import Experiment, ExperimentSink
from endoforge.train.mlflow_run import MlflowRun
from endoforge.train.reports import EpochReport, Outcome, Plan, Sink, StepReport
from endoforge.train.tensorboard import TensorBoard
from endoforge.train.wandb_run import WandbRun

log = logging.getLogger(__name__)

STATUS_EVERY_S = 1.0
BAR_EVERY_S = 0.2


def build_sinks(config: TrainConfig) -> list[Sink]:
    """The sinks that `config` asks for; on a terminal a bar stands for the lines of the steps.

    What may refuse comes before the status file, which says at once that training runs.
    """
    with_bar = on_terminal()
    sinks: list[Sink] = [ProgressBar()] if with_bar else []
    sinks.append(LogLines(0 if with_bar else config.log_every))
    if config.tensorboard is not None:
        sinks.append(TensorBoard(Path(config.tensorboard), config.log_every))
    sinks += [ExperimentSink(one, config.log_every) for one in _experiments(config)]
    if config.metrics_out is not None:
        sinks.append(MetricsFile(written_to(config.metrics_out)))
    if config.status_file is not None:
        sinks.append(StatusFile(written_to(config.status_file)))
    return sinks


def _experiments(config: TrainConfig) -> Iterator[Experiment]:
    if config.wandb is not None:
        yield WandbRun(config.wandb, asdict(config))
    if config.mlflow is not None:
        yield MlflowRun(config.mlflow, asdict(config))


@contextmanager
def outcome_to(sinks: list[Sink]) -> Iterator[None]:
    """Tell the sinks how what is inside ended."""
    status: Outcome = "failed"
    message = None
    try:
        yield
        status = "done"
    except KeyboardInterrupt:
        status = "stopped"
        raise
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
        raise
    finally:
        with ExitStack() as stack:  # which tells all of them, whatever one raises
            for sink in reversed(sinks):
                stack.callback(_tell_outcome, sink, status, message)


def _tell_outcome(sink: Sink, status: Outcome, message: str | None) -> None:
    """Tell a sink how a training ended; what it raises of a bad end isn't why it ended."""
    try:
        sink.finish(status, message)
    except Exception as error:  # sinks of one's own may raise anything
        if status == "done":
            raise
        log.warning("%s can't write how it ended: %s", type(sink).__name__, error)


class LogLines:
    """Lines of the log: every so many steps (0: none), and each epoch."""

    def __init__(self, every_steps: int) -> None:
        self._every_steps = every_steps
        self._plan: Plan | None = None

    def start(self, plan: Plan) -> None:
        self._plan = plan
        epochs, steps = counted(plan.epochs, "epoch"), counted(plan.steps_per_epoch, "step")
        log.info("training %s of %s on %s", epochs, steps, plan.device)

    def step(self, report: StepReport) -> None:
        if self._plan is None or not self._every_steps or report.step % self._every_steps:
            return
        log.info(
            "epoch %d/%d step %d/%d: loss %.4f, mean IoU %.3f, lr %.2e, %.1f images/s, %s left",
            report.epoch,
            self._plan.epochs,
            report.step,
            self._plan.steps_per_epoch,
            float(report.result.loss),
            float(report.result.mean_iou),
            report.lr,
            report.images_per_s,
            _duration(report.eta_s),
        )

    def epoch(self, report: EpochReport) -> None:
        log.info(
            "epoch %d: loss %.4f, %s%s, %s",
            report.epoch,
            report.loss,
            report.validation.metrics.summary(),
            ", the best so far" if report.is_best else "",
            _duration(report.seconds),
        )

    def finish(self, status: Outcome, error: str | None) -> None:
        """Say nothing, for the caller of the training says how it ended."""


class ProgressBar:
    """A bar for each epoch on the terminal, gone when the epoch is; the time left is of all."""

    def __init__(self) -> None:
        self._plan: Plan | None = None
        self._bar: NarrowBar | None = None
        self._next = 0.0

    def start(self, plan: Plan) -> None:
        self._plan = plan

    def step(self, report: StepReport) -> None:
        if self._bar is None:
            self._bar = self._open(report.epoch)
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + BAR_EVERY_S
        text = (
            f"loss {float(report.result.loss):.3f}  IoU {float(report.result.mean_iou):.2f}  "
            f"{report.images_per_s:,.0f} images/s"
        )
        self._bar.show(report.step, text, report.eta_s)

    def epoch(self, report: EpochReport) -> None:  # noqa: ARG002 - the log has the numbers
        self._close()

    def finish(self, status: Outcome, error: str | None) -> None:  # noqa: ARG002
        self._close()

    def _open(self, epoch: int) -> NarrowBar:
        assert self._plan is not None
        bar = NarrowBar(f"epoch {epoch}/{self._plan.epochs}", self._plan.steps_per_epoch)
        bar.start()
        return bar

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class MetricsFile:
    """JSON Lines: an object an epoch, once for each epoch whatever happens between."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._plan: Plan | None = None

    def start(self, plan: Plan) -> None:
        """Remove the lines of epochs that were lost with a crash, and a line that was cut short."""
        self._plan = plan
        path = self._path
        if is_stream(path) or not path.is_file():
            return
        # A session that was killed may have told of epochs beyond the state that it left; they come
        # again, and a reader of the file should see each once.
        lines = read_regular(path, MOST_LIST_BYTES).splitlines(keepends=True)
        kept = [line for line in lines if not _is_cut_short(line) and not self._comes_again(line)]
        if kept != lines:
            again = counted(len(lines) - len(kept), "line")
            log.info("%s: removed %s, to be written again", self._path, again)
            write_atomic(path, b"".join(kept), sync=True)

    def _comes_again(self, line: bytes) -> bool:
        assert self._plan is not None
        try:
            record = parse_json(line)
            ours = record["training"] == self._plan.training_id
            return bool(ours and record["epoch"] > self._plan.epochs_done)
        except (ValueError, KeyError, TypeError):  # another program's line
            return False

    def step(self, report: StepReport) -> None:
        """Write nothing, for only epochs have a line."""

    def epoch(self, report: EpochReport) -> None:
        assert self._plan is not None
        validation = report.validation
        record = {
            "epoch": report.epoch,
            "seed": self._plan.seed,
            "training": self._plan.training_id,
            **validation.metrics.to_record(validation.batches),
            "loss": _finite(report.loss),
            "lr": report.lr,
            "seconds": round(report.seconds, 3),
        }
        try:
            append_json_line(self._path, record)
        except BrokenPipeError as error:
            raise UserError(
                f"--metrics-out {self._path}: nobody reads it any more; give another, then "
                "the same command goes on"
            ) from error

    def finish(self, status: Outcome, error: str | None) -> None:
        """Do nothing, for each line is on disk already."""


def _is_cut_short(line: bytes) -> bool:
    """Whether it is the first part of a line of JSON, as a crash leaves it."""
    if line.endswith(b"\n") or not line.startswith(b"{"):
        return False
    try:
        parse_json(line)
    except ValueError:
        return True
    return False


class StatusFile:
    """A small JSON file for other programs to watch, replaced at most once a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._plan: Plan | None = None
        self._last: StepReport | None = None
        self._next = 0.0
        make_folder_of(path)
        self._write("running")

    def start(self, plan: Plan) -> None:
        self._plan = plan
        self._write("running")

    def step(self, report: StepReport) -> None:
        self._last = report
        if time.monotonic() >= self._next:
            self._write("running")

    def epoch(self, report: EpochReport) -> None:  # noqa: ARG002 - the last step says it all
        self._write("running")

    def finish(self, status: Outcome, error: str | None) -> None:
        self._write(status, error)

    def _write(self, status: str, error: str | None = None) -> None:
        plan, last = self._plan, self._last
        fields: dict[str, Any] = {
            "status": status,
            "epoch": last.epoch if last else 0,
            "epochs": plan.epochs if plan else None,
            "step": last.step if last else 0,
            "steps_per_epoch": plan.steps_per_epoch if plan else None,
            "lr": last.lr if last else None,
            "loss": _finite(float(last.result.loss)) if last else None,
            "mean_iou": _finite(float(last.result.mean_iou)) if last else None,
            "images_per_s": round(last.images_per_s, 2) if last else None,
            "eta_s": round(last.eta_s, 1) if last else None,
            "seed": plan.seed if plan else None,
            "device": plan.device if plan else None,
            "pid": os.getpid(),
            "updated_unix": time.time(),
        }
        if error is not None:
            fields["error"] = error
        write_json_atomic(self._path, fields)
        self._next = time.monotonic() + STATUS_EVERY_S


def _finite(value: float) -> float | None:
    """The value, or None for NaN and infinity, which JSON doesn't have."""
    return value if math.isfinite(value) else None


def _duration(seconds: float) -> str:
    """Seconds for people: "42 s", "12 min", "3.1 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
