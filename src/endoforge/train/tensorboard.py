"""Curves, precision over recall, and sample pictures of a training, for TensorBoard to show."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.core.errors import UserError
from endoforge.core.files import naming
from endoforge.evaluate.matching import match_all, match_picture
from endoforge.evaluate.metrics import OBJECTNESS_SWEEP, Metrics
from endoforge.evaluate.validate import Validation
from endoforge.report.drawn_frames import draw_found, evenly_spread
from endoforge.train.reports import EpochReport, Outcome, Plan, StepReport

NUM_PICTURES = 8
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
        if not self._every_steps or report.step % self._every_steps:
            return
        values = {
            "train/loss": float(report.result.loss),
            "train/mean_iou": float(report.result.mean_iou),
            "train/learning_rate": report.lr,
            "train/images_per_s": report.images_per_s,
        }
        with naming(self._folder):
            self._add_scalars(values, self._steps_done(report.epoch - 1, report.step))

    def epoch(self, report: EpochReport) -> None:
        step = self._steps_done(report.epoch)
        with naming(self._folder):
            self._add_scalars({"epoch/mean_loss": report.loss}, step)
            self._add_scalars(_validation_scalars(report.validation.metrics), step)
            self._add_curve(report.validation, step)
            self._add_pictures(report.validation, step)
            self._writer.flush()

    def finish(self, status: Outcome, error: str | None) -> None:  # noqa: ARG002 - no tab shows these
        if self._writer is not None:
            with naming(self._folder):
                self._writer.close()

    def _steps_done(self, epochs: int, steps: int = 0) -> int:
        """Steps done after whole `epochs` and `steps` of the next."""
        assert self._plan is not None
        return epochs * self._plan.steps_per_epoch + steps

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

    def _add_pictures(self, validation: Validation, step: int) -> None:
        """Add pictures evenly spread over the validation frames, the same ones each epoch."""
        for place in evenly_spread(len(validation.images), NUM_PICTURES):
            picture = _with_boxes(validation, place)
            self._writer.add_image(f"validation/{place:05d}", picture, step, dataformats="HWC")


def _comes_again(plan: Plan) -> int:
    """The first step that is written again.

    After the last step of an epoch that is yet to be validated, that step itself: the validation
    lies there too. Its scalars are lost with it, one point of many.
    """
    end_of_epoch = (plan.epochs_done + 1) * plan.steps_per_epoch
    return plan.steps_done + (plan.steps_done < end_of_epoch)


def _import_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            f'--tensorboard needs one more package: pip install "endoforge[tensorboard]" ({error})'
        ) from error
    return SummaryWriter


def _validation_scalars(metrics: Metrics) -> dict[str, float]:
    """The validation's numbers by TensorBoard's tags, without those that aren't defined."""
    first = metrics.at_iou[0]
    values = {
        "validation/AP50": metrics.ap50,
        "validation/AP": metrics.ap,
        "validation/AP75": metrics.ap75,
        "validation/mean_iou": first.mean_iou,
        "validation/precision": first.precision,
        "validation/recall": first.recall,
    }
    if len(metrics.by_class) > 1:
        values |= {f"validation_AP50/{one.name}": one.ap50 for one in metrics.by_class}
    return {tag: value for tag, value in values.items() if value is not None}


def _with_boxes(validation: Validation, place: int) -> NDArray[np.uint8]:
    """A picture with its truth, and what was found there from the score threshold on."""
    metrics, truth = validation.metrics, validation.truths[place]
    found = validation.detections[place].above(metrics.obj_thresh)
    hits = match_picture(found, truth, metrics.at_iou[0].iou) > 0
    return draw_found(validation.picture(place), truth, found, hits, validation.class_names)
