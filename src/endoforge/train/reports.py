"""What the loop tells its sinks, of which anybody can write one."""

import time
from dataclasses import dataclass
from typing import Literal, Protocol

from endoforge.backends.base import StepResult
from endoforge.evaluate.validate import Validation


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is about to be trained, and how much of it earlier sessions have done."""

    epochs: int
    steps_per_epoch: int
    seed: int
    device: str
    training_id: str
    """Names this training, whatever sessions it takes."""
    epochs_done: int
    """Epochs of earlier sessions, up to the state that this one goes on from."""
    steps_done: int
    """Steps of those sessions, in all epochs together."""


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """A step is done. `epoch` and `step` count from 1, as people do; the step is of its epoch."""

    epoch: int
    step: int
    lr: float
    """The learning rate of this step."""
    result: StepResult
    """Its loss and mean IoU; reading them waits for the device, so best not at every step."""
    images_per_s: float
    """Pictures trained on a second, since this session began, validations left out."""
    eta_s: float
    """Training left, in seconds, without validations."""


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """An epoch is trained and validated. `epoch` counts from 1."""

    epoch: int
    lr: float
    """The learning rate of the epoch's last step."""
    loss: float
    """The mean over the steps of the epoch."""
    validation: Validation
    """Its `metrics`, and of each frame the picture, the true boxes and the detections."""
    is_best: bool
    """Whether no validation before was as good, by --watch."""
    seconds: float
    """Seconds of training and validation since the epoch began, or was resumed."""


Outcome = Literal["done", "stopped", "failed"]
"""How a training ended; one that was stopped, or failed, can be gone on with."""


class Sink(Protocol):
    """Somewhere that reports go: a terminal, a log, a file, or a callback of your own.

    `train(config, sinks=[...])` takes any object with these four methods. They are called in the
    thread of the loop, which waits for them. What they raise ends the training: the caller of
    `train` gets it, and the training can be gone on with from its last save.
    """

    def start(self, plan: Plan) -> None:
        """Hear that training begins, or goes on, before its first step."""
        ...

    def step(self, report: StepReport) -> None:
        """Hear that a step is done; its state isn't saved yet."""
        ...

    def epoch(self, report: EpochReport) -> None:
        """Hear that an epoch is trained and validated; its state is saved afterwards."""
        ...

    def finish(self, status: Outcome, error: str | None) -> None:
        """Hear how it ended: no more reports come. `error` says why it failed, else it is None.

        It comes without a `start` where a training fails before it begins.
        """
        ...


class Pace:
    """How fast training goes, pauses for validation left out."""

    def __init__(self) -> None:
        self._images = self._steps = 0
        self._seconds = 0.0
        self._last = time.monotonic()

    def go_on(self) -> None:
        """Leave out the time since the last step."""
        self._last = time.monotonic()

    def step_done(self, num_images: int) -> None:
        """Count a step of `num_images`, and the time since the last one."""
        now = time.monotonic()
        self._seconds += now - self._last
        self._last = now
        self._images += num_images
        self._steps += 1

    @property
    def images_per_s(self) -> float:
        """Images a second over all steps so far; 0 before the first."""
        return self._images / max(self._seconds, 1e-9)

    def seconds_for(self, num_steps: int) -> float:
        """Seconds that so many more steps are expected to take."""
        return num_steps * self._seconds / max(self._steps, 1)
