"""Where a training stands: all that the loop changes beside the backend's own state."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from endoforge.train.watch import Score


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
    """The losses of the steps done in this epoch, added up."""
    best_score: Score | None = None
    """Score of the best validation so far, whose weights are kept; None too without any box."""
    best_epoch: int | None = None
    """The epoch of that validation, from 0."""
    best_validation: dict[str, Any] | None = None
    """The metrics of that validation, as a metrics file has them."""
    score_to_beat: float | None = None
    """What the last validation that counted as a gain reached; None until there is one."""
    epochs_without_gain: int = 0

    def note_validation(self, score: Score | None, min_delta: float) -> bool:
        """Take the epoch's validation in; True if it is the best so far.

        Of equal scores the first is the best. Without a score nothing can be compared, and the last
        validation is. The first score above 0 is a gain, and only then does patience begin to
        count: before, the detector finds nothing yet.
        """
        if score is not None:
            self._note_gain(score[0], min_delta)
        # Tuples compare from the left: what is watched first, then what decides a tie.
        is_best = score is None or self.best_score is None or score > self.best_score
        if is_best:
            self.best_score, self.best_epoch = score, self.epoch
        return is_best

    def _note_gain(self, watched: float, min_delta: float) -> None:
        if self.score_to_beat is None:
            is_gain = watched > 0
        else:
            is_gain = watched > self.score_to_beat + min_delta
        if is_gain:
            self.score_to_beat, self.epochs_without_gain = watched, 0
        elif self.score_to_beat is not None:
            self.epochs_without_gain += 1

    def forget_best(self) -> None:
        """Let the next validation be the best: the weights of the one so far are gone."""
        self.best_score = self.best_epoch = self.best_validation = None

    def out_of_patience(self, patience: int) -> bool:
        """True after `patience` validations in a row without a gain; never for 0."""
        return 0 < patience <= self.epochs_without_gain

    def next_epoch(self) -> None:
        """Move on to the first step of the next epoch."""
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
