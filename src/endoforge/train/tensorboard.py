"""Curves, precision over recall, and sample pictures of a training, for TensorBoard to show."""

from pathlib import Path
from typing import Any

import numpy as np

from endoforge.core.files import naming
from endoforge.core.packages import packages_of
from endoforge.evaluate.matching import match_all
from endoforge.evaluate.metrics import OBJECTNESS_SWEEP
from endoforge.evaluate.validate import Validation
from endoforge.train.reports import EpochReport, Outcome, Plan, StepReport
from endoforge.train.series import epoch_series, is_due, sample_pictures, step_series, steps_done

FLUSH_EVERY_S = 10
"""What a process that is killed may lose of its curves."""

SCORES = (0.0, *OBJECTNESS_SWEEP, 1.0)
"""TensorBoard takes the points of a curve to lie at even scores from 0 to 1."""


class TensorBoard:
    """Event files. All of a training lies on one axis, the steps done, epochs at their last step.

    The scalars of steps come every `every_steps` steps of an epoch (0: none): reading them may
    wait for the device. Raises UserError where the package is missing.
    """

    def __init__(self, folder: Path, every_steps: int) -> None:
        self._writer_class = _import_writer()
        self._folder = folder
        self._every_steps = every_steps
        self._plan: Plan | None = None
        self._writer: Any = None

    def start(self, plan: Plan) -> None:
        """Take back what lies beyond the state that training goes on from: it comes again."""
        self._plan = plan
        with naming(self._folder):
            self._writer = self._writer_class(
                str(self._folder), purge_step=_comes_again(plan), flush_secs=FLUSH_EVERY_S
            )

    def step(self, report: StepReport) -> None:
        if not is_due(report, self._every_steps):
            return
        with naming(self._folder):
            self._add_scalars(step_series(report), self._place(report.epoch - 1, report.step))

    def epoch(self, report: EpochReport) -> None:
        place = self._place(report.epoch)
        with naming(self._folder):
            self._add_scalars(epoch_series(report), place)
            self._add_curve(report.validation, place)
            for tag, picture in sample_pictures(report.validation):
                self._writer.add_image(tag, picture, place, dataformats="HWC")
            self._writer.flush()

    def finish(self, status: Outcome, error: str | None) -> None:  # noqa: ARG002 - no tab shows these
        if self._writer is not None:
            with naming(self._folder):
                self._writer.close()

    def _place(self, epochs: int, steps: int = 0) -> int:
        assert self._plan is not None
        return steps_done(self._plan, epochs, steps)

    def _add_scalars(self, values: dict[str, float], step: int) -> None:
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, step)

    def _add_curve(self, validation: Validation, step: int) -> None:
        """Add precision over recall at the first IoU threshold, by the counts at each of SCORES."""
        iou = validation.metrics.at_iou[0].iou
        matches = match_all(validation.detections, validation.truths, iou)
        points = [matches.above(score) for score in SCORES]
        self._writer.add_pr_curve_raw(
            "validation/precision_over_recall",
            true_positive_counts=np.array([point.true_positives for point in points]),
            false_positive_counts=np.array([point.false_positives for point in points]),
            true_negative_counts=np.zeros(len(points)),  # there is no count of boxes not drawn
            false_negative_counts=np.array([point.false_negatives for point in points]),
            precision=np.array([point.precision for point in points]),
            recall=np.array([point.recall for point in points]),
            num_thresholds=len(points),
            global_step=step,
        )


def _comes_again(plan: Plan) -> int:
    """The first step that is written again.

    After the last step of an epoch that is yet to be validated, that step itself: the validation
    lies there too. Its scalars are lost with it, one point of many.
    """
    end_of_epoch = (plan.epochs_done + 1) * plan.steps_per_epoch
    return plan.steps_done + (plan.steps_done < end_of_epoch)


def _import_writer() -> Any:
    with packages_of("tensorboard", "--tensorboard"):
        from torch.utils.tensorboard import SummaryWriter
    return SummaryWriter
