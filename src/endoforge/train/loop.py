"""The training loop."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import SupportsFloat

import numpy as np

from endoforge.backends.arrays import Arrays, to_arrays
from endoforge.backends.base import Backend, StepResult
from endoforge.backends.compute import Compute, pick_compute
from endoforge.backends.group import Group, joined, warn_of_idle
from endoforge.core.checks import check_size
from endoforge.core.errors import Resumable, UserError
from endoforge.core.progress import progress
from endoforge.core.text import counted
from endoforge.data.loader import Batch, Loader
from endoforge.detect.tinydet import MODELS
from endoforge.detect.weights import WeightsMetadata
from endoforge.evaluate.config import VALIDATION_BATCH_SIZE
from endoforge.evaluate.validate import Validation, validate
from endoforge.roots.places import cloud_root, written_to
from endoforge.train.checkpoint import CheckpointFolder, changed_settings
from endoforge.train.config import DEBUG_NAME, TrainConfig
from endoforge.train.debug import draw_batch
from endoforge.train.facts import StartWeights, load_start, training_facts, with_classes
from endoforge.train.output_files import outputs_of
from endoforge.train.reports import EpochReport, Pace, Plan, Sink, StepReport
from endoforge.train.schedule import learning_rate
from endoforge.train.sinks import build_sinks, outcome_to
from endoforge.train.sources import TrainingSource, training_source
from endoforge.train.state import TrainState
from endoforge.train.stop import Stop, StopRequested, stop_on_signal
from endoforge.train.train_result import TrainResult
from endoforge.train.watch import NAMES as WATCHED
from endoforge.train.watch import score_of

log = logging.getLogger(__name__)


def train(config: TrainConfig, sinks: Sequence[Sink] = ()) -> TrainResult:
    """Train a detector as `config` says, or go on with the training that its folder holds.

    `sinks` are told of every step and epoch, after those that `config` asks for; what one of them
    raises ends the training, which can be gone on with from its last save. Of several processes
    that torchrun started, each works on its part; the main one writes, and it alone tells sinks.
    Raises UserError for input that can't be used, and Resumable when the user stops it, with the
    state saved.
    """
    # Outputs are tried before anything is loaded: a folder that can't be written shouldn't cost the
    # minutes that loading takes. Sinks come before the data, for a failure there is told too.
    compute = pick_compute(config.backend, config.device, config.adapter)
    with joined(compute.torch_device) as group, outputs_of(config, group) as on_save:
        told = [*build_sinks(config), *sinks] if group.is_main else []
        with outcome_to(told):
            training = prepare(config, compute, group, told, on_save)
            with training.opened(), stop_on_signal(group) as stop:
                return training.run(stop)


def prepare(
    config: TrainConfig,
    compute: Compute,
    group: Group,
    sinks: list[Sink],
    on_save: Callable[[], None],
) -> "Training":
    """Load the frames and the start weights, and build the detector and all that the loop holds.

    `on_save` is called after each save. Raises UserError for data, weights or sizes that can't be
    used.
    """
    model = MODELS[config.model]
    check_size("--target-size", config.target_size, model.strides[0])
    check_size("--val-target-size", config.val_target_size or config.target_size, model.strides[0])
    for flag in config.unused:
        log.warning("%s is ignored: with --real-val-dir nothing is split", flag)
    warn_of_idle(group, config.batch_size)
    start = load_start(config.demo_checkpoint, model)
    source = training_source(config, compute.torch_device, group)
    model = replace(model, classes=source.class_names)
    start = start and with_classes(start, model, config.seed)
    backend = compute.backend(
        model,
        seed=config.seed,
        batch_size=config.batch_size,
        group=group,
        painted=config.paint,
        # Muon has all directions of a layer move alike, and so undoes what given weights know.
        muon=start is None,
    )
    metadata = WeightsMetadata(
        model=model,
        input_size=config.val_input_size,
        resize_mode=config.val_resize_mode or config.resize_mode,
        label_field=config.label,
    )
    checkpoints = CheckpointFolder(
        written_to(config.ckpt_dir),
        config=config,
        metadata=metadata,
        facts=training_facts(config, source, model, start),
        on_save=on_save,
    )
    return Training(config, backend, source, checkpoints, sinks, group, start, compute)


class Training:
    """A training under way: everything that the loop holds."""

    def __init__(
        self,
        config: TrainConfig,
        backend: Backend,
        source: TrainingSource,
        checkpoints: CheckpointFolder,
        sinks: list[Sink],
        group: Group,
        start: StartWeights | None,
        compute: Compute,
    ) -> None:
        self.config = config
        self.backend = backend
        self.checkpoints = checkpoints
        self.sinks = sinks
        self.group = group
        self.start = start
        device = compute.torch_device
        self.train_batches = source.batches()
        self.val_loader = Loader(source.val, VALIDATION_BATCH_SIZE, seed=None, device=device)
        self.state = TrainState()
        self.pace = Pace()
        self.validation: Validation | None = None
        self.unread_losses: list[SupportsFloat] = []

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Go to where the training in the folder stands; in the end close what makes batches."""
        if self.group.is_main:
            self.checkpoints.open()
        try:
            self._go_to_where_it_stands()
            yield
        finally:
            self.train_batches.close()

    def _go_to_where_it_stands(self) -> None:
        saved = self.checkpoints.load() if self.group.is_main else None
        saved = self.group.from_main(saved)
        if saved is not None:
            self.state = saved.state
            self.backend.load_state_dict(saved.backend)
            for line in changed_settings(saved.config, asdict(self.config)):
                log.info("since the last session, %s", line)
            return
        if self.start is not None:
            self.backend.load_weights(to_arrays(self.start.tensors))
            log.info("starting from other weights: %s", self.config.demo_checkpoint)
        if self.group.is_main:
            # A training that can't be saved shouldn't begin, and one that is killed keeps its name.
            self.checkpoints.begin(self.backend.state_dict(), self.state)

    def run(self, stop: Stop) -> TrainResult:
        """Train to the end; when stopped, save and raise Resumable."""
        self._announce()
        try:
            if self.config.debug_batch:
                self._draw_first_batch()
            while not self._finished():
                self._train_and_validate_epoch(stop)
        except StopRequested as stopped:
            self._save()
            where = f"epoch {self.state.epoch + 1} after step {self.state.step}"
            log.warning("stopped in %s; saved in %s", where, self.config.ckpt_dir)
            raise Resumable from stopped
        return self._result()

    def _train_and_validate_epoch(self, stop: Stop) -> None:
        started = time.monotonic()
        self._train_epoch(stop)
        self.validation = self._validate(stop)
        metrics = self.validation.metrics
        # The best weights are on the disk before the state that says so: a kill in between costs a
        # validation, which is made again with the same result.
        score = score_of(metrics, self.config.watch)
        is_best = self.state.note_validation(score, self.config.patience_min_delta)
        if is_best:
            self.state.best_validation = metrics.to_record(self.validation.batches)
        if is_best and self.group.is_main:
            self.checkpoints.save_best(self._finite_weights())
        self._report_epoch(self.validation, is_best, time.monotonic() - started)
        self.state.next_epoch()
        if self._finished() or _due(self.state.epoch, self.config.ckpt_every_epochs):
            self._save()

    def _train_epoch(self, stop: Stop) -> None:
        state = self.state
        self.pace.go_on()
        for batch in self._batches(stop):
            # All that a step depends on follows from its place (seed, epoch, step): a training that
            # is stopped and resumed takes the same steps.
            lr = self._learning_rate(self._steps_done())
            result = self.backend.step(batch, lr=lr, epoch=state.epoch, step=state.step)
            state.step += 1
            self.unread_losses.append(result.loss)  # a number on the device, which runs behind
            self.pace.step_done(batch.num_all)
            self._report_step(lr, result)
            if _due(self._steps_done(), self.config.ckpt_every_steps):
                self._save()
            stop.check()  # after the step is counted, so that no step is done twice or left out

    def _batches(self, stop: Stop) -> Iterator[Batch]:
        """The batches of this epoch that are to come.

        Slurm, systemd and timeout send SIGTERM to all processes of a command: where that ended
        those that make scenes, StopRequested is raised, for no step is half done.
        """
        try:
            yield from self.train_batches.batches(self.state.epoch, start=self.state.step)
        except UserError as error:
            # Of several processes, others may be within the step already, which waits for all.
            if stop.requested_at is None or self.group.size > 1:
                raise
            raise StopRequested from error

    def _validate(self, stop: Stop) -> Validation:
        with progress("validating", len(self.val_loader.pack), "frames") as advance:

            def on_batch(num_frames: int) -> None:
                advance(num_frames)
                stop.check()

            return validate(
                self.backend.predict,
                self.val_loader,
                obj_thresh=self.config.val_obj_thresh,
                iou_threshs=self.config.iou_thresholds,
                flip_probability=self.config.val_flip_prob,
                seed=self.config.seed,
                group=self.group,
                on_batch=on_batch,
            )

    def _finished(self) -> bool:
        out_of_patience = self.state.out_of_patience(self.config.patience)
        return out_of_patience or self.state.epoch >= self.config.epochs

    def _steps_done(self) -> int:
        return self.state.epoch * len(self.train_batches) + self.state.step

    def _num_steps(self) -> int:
        return self.config.epochs * len(self.train_batches)

    def _learning_rate(self, step: int) -> float:
        return learning_rate(
            step,
            self._num_steps(),
            scheduler=self.config.scheduler,
            start=self.config.lr_start,
            end=self.config.lr_end,
        )

    def _save(self) -> None:
        self._read_losses()  # in all processes: each holds the sum, and the state has it
        if not self.group.is_main:
            return
        self.checkpoints.save(self._finite_weights(), self.backend.state_dict(), self.state)

    def _finite_weights(self) -> Arrays:
        weights = self.backend.weights()
        # Never over good weights: what a diverged training would save helps nobody.
        if not all(np.isfinite(array).all() for array in weights.values()):
            raise self._diverged()
        return weights

    def _draw_first_batch(self) -> None:
        # By all processes, for where frames are simulated they make them for each other.
        batch = next(self.train_batches.batches(self.state.epoch))
        if self.group.is_main:
            view = self.backend.view(batch, epoch=self.state.epoch, step=0)
            path = written_to(self.config.ckpt_dir) / DEBUG_NAME
            for line in draw_batch(path, view, self.backend.model_config.classes):
                log.info("%s", line)

    def _read_losses(self) -> None:
        """Add the epoch's losses up; put off until needed, since reading waits for the device."""
        for loss in self.unread_losses:
            self.state.loss_sum += float(loss)
        self.unread_losses.clear()
        if not math.isfinite(self.state.loss_sum):
            raise self._diverged()

    def _diverged(self) -> UserError:
        return UserError(
            f"training diverged in epoch {self.state.epoch + 1}: loss or weights are no numbers; "
            f"the last save in {self.config.ckpt_dir} is from before: a lower --lr-start goes on "
            "from there, with --fresh it starts over"
        )

    def _announce(self) -> None:
        plan = Plan(
            epochs=self.config.epochs,
            steps_per_epoch=len(self.train_batches),
            seed=self.config.seed,
            device=self.backend.device,
            training_id=self.state.training_id,
            epochs_done=self.state.epoch,
            steps_done=self._steps_done(),
        )
        for sink in self.sinks:
            sink.start(plan)
        if self._finished():
            log.info("%s", self._how_to_go_on())
        elif self._steps_done() > 0:
            place = f"epoch {self.state.epoch + 1}, step {self.state.step + 1}"
            log.info("going on with the training in %s: %s", self.config.ckpt_dir, place)

    def _how_to_go_on(self) -> str:
        more = "a larger --patience" if self.state.epoch < self.config.epochs else "more --epochs"
        return (
            f"the training in {self.config.ckpt_dir} is finished after "
            f"{counted(self.state.epoch, 'epoch')}: "
            f"give {more} to go on, --fresh to start over, or another --ckpt-dir to train anew "
            "beside it"
        )

    def _report_step(self, lr: float, result: StepResult) -> None:
        report = StepReport(
            epoch=self.state.epoch + 1,
            step=self.state.step,
            lr=lr,
            result=result,
            images_per_s=self.pace.images_per_s,
            eta_s=self.pace.seconds_for(self._num_steps() - self._steps_done()),
        )
        for sink in self.sinks:
            sink.step(report)

    def _report_epoch(self, validation: Validation, is_best: bool, seconds: float) -> None:
        self._read_losses()
        report = EpochReport(
            epoch=self.state.epoch + 1,
            lr=self._learning_rate(self._steps_done() - 1),
            loss=self.state.loss_sum / len(self.train_batches),
            validation=validation,
            is_best=is_best,
            seconds=seconds,
        )
        for sink in self.sinks:
            sink.epoch(report)

    def _result(self) -> TrainResult:
        if self.validation is not None and self.state.epoch < self.config.epochs:
            log.info(
                "stopped early: %s gained nothing in %s",
                WATCHED[self.config.watch], counted(self.config.patience, "epoch"),
            )  # fmt: skip
        best_is_used = self.config.patience > 0 and self.state.best_epoch is not None
        if best_is_used and self.group.is_main:
            self.checkpoints.use_best()
        return TrainResult(
            checkpoint=self.checkpoints.weights_path,
            best_checkpoint=self.checkpoints.best_path,
            epochs=self.state.epoch,
            watch=self.config.watch,
            best_score=self.state.best_score,
            best_epoch=self.state.best_epoch,
            metrics=self.validation.metrics if self.validation else None,
            best_is_used=best_is_used,
            address=None if (root := cloud_root(self.config.ckpt_dir)) is None else str(root),
        )


def _due(count: int, every: int) -> bool:
    """Whether it is time again, for a cadence of which 0 means never."""
    return every > 0 and count % every == 0
