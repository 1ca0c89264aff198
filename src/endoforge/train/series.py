"""What the curves and sample pictures of a training show, under one name each wherever they go."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from endoforge.evaluate.matching import match_picture
from endoforge.evaluate.metrics import Metrics
from endoforge.evaluate.validate import Validation
from endoforge.report.drawn_frames import draw_found, evenly_spread
from endoforge.train.reports import EpochReport, Plan, StepReport

NUM_PICTURES = 8


def steps_done(plan: Plan, epochs: int, steps: int = 0) -> int:
    """Steps done after whole `epochs` and `steps` of the next: the one axis of all series."""
    return epochs * plan.steps_per_epoch + steps


def is_due(report: StepReport, every_steps: int) -> bool:
    """Whether a step's numbers are shown, of which every so many steps are (0: none).

    Reading them may wait for the device.
    """
    return every_steps > 0 and report.step % every_steps == 0


def step_series(report: StepReport) -> dict[str, float]:
    """The numbers of a step, by name."""
    return {
        "train/loss": float(report.result.loss),
        "train/mean_iou": float(report.result.mean_iou),
        "train/learning_rate": report.lr,
        "train/images_per_s": report.images_per_s,
    }


def epoch_series(report: EpochReport) -> dict[str, float]:
    """The numbers of an epoch and its validation, by name, without those that aren't defined."""
    return {"epoch/mean_loss": report.loss, **_validation_series(report.validation.metrics)}


def _validation_series(metrics: Metrics) -> dict[str, float]:
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
    return {name: value for name, value in values.items() if value is not None}


def sample_pictures(validation: Validation) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Names and pictures (H, W, 3), RGB, evenly spread over the validation frames.

    They are the same ones each epoch, with their truth and what was found.
    """
    for place in evenly_spread(len(validation.images), NUM_PICTURES):
        yield f"validation/{place:05d}", _with_boxes(validation, place)


def _with_boxes(validation: Validation, place: int) -> NDArray[np.uint8]:
    """A picture with its truth, and what was found there from the score threshold on."""
    metrics, truth = validation.metrics, validation.truths[place]
    found = validation.detections[place].above(metrics.obj_thresh)
    hits = match_picture(found, truth, metrics.at_iou[0].iou) > 0
    return draw_found(validation.picture(place), truth, found, hits, validation.class_names)
