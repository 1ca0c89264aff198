"""Where a training stands: all that the loop changes beside the backend's own state."""

import uuid
from dataclasses import dataclass, field
from typing import Any


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


@dataclass(kw_only=True)
class TrainState:
    """The position is the next step to do: `step` of `epoch`, both from 0.

    `step` equal to the steps of an epoch means that the epoch is trained but not yet validated.
    """

    training_id: str = field(default_factory=_new_id)
    """Tells its lines from others' in a metrics file; no part of the arithmetic."""
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    """Of the steps done in this epoch."""
    best_mean_iou: float | None = None
    """Of the best validation so far, whose weights are kept."""
    best_epoch: int | None = None
    """The epoch of that validation, from 0."""
    best_validation: dict[str, Any] | None = None
    """Its metrics, as a metrics file has them."""
    mean_iou_to_beat: float | None = None
    """Of the last validation that counted as a gain for the patience."""
    epochs_without_gain: int = 0

    def note_validation(self, mean_iou: float, min_delta: float) -> bool:
        """Take the epoch's validation in; True if it is the best so far."""
        if self.mean_iou_to_beat is None or mean_iou > self.mean_iou_to_beat + min_delta:
            self.mean_iou_to_beat = mean_iou
            self.epochs_without_gain = 0
        else:
            self.epochs_without_gain += 1
        is_best = self.best_mean_iou is None or mean_iou > self.best_mean_iou
        if is_best:
            self.best_mean_iou, self.best_epoch = mean_iou, self.epoch
        return is_best

    def out_of_patience(self, patience: int) -> bool:
        """True after `patience` validations in a row without a gain; never for 0."""
        return 0 < patience <= self.epochs_without_gain

    def next_epoch(self) -> None:
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
