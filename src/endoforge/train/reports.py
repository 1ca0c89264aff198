"""What the loop tells its sinks."""

import time
from dataclasses import dataclass
from typing import Protocol

from endoforge.backends.base import StepResult
from endoforge.evaluate.validate import Validation


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is about to be trained."""

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
    """A step is done. `epoch` and `step` count from 1, as people do."""

    epoch: int
    step: int
    lr: float
    result: StepResult
    """Reading its values may wait for the device."""
    images_per_s: float
    eta_s: float
    """Training left, in seconds, without validations."""


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """An epoch is trained and validated. `epoch` counts from 1."""

    epoch: int
    lr: float
    loss: float
    """Mean over the steps of the epoch."""
    validation: Validation
    is_best: bool
    seconds: float
    """Seconds of training and validation since the epoch began, or was resumed."""


class Sink(Protocol):
    """Somewhere that reports go: a terminal, a log, a file."""

    def start(self, plan: Plan) -> None:
        """Training begins."""
        ...

    def step(self, report: StepReport) -> None:
        """A step is done."""
        ...

    def epoch(self, report: EpochReport) -> None:
        """An epoch is done."""
        ...

    def finish(self, status: str, error: str | None) -> None:
        """No more reports come: `status` is done, stopped or failed, the last with its error."""
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
        now = time.monotonic()
        self._seconds += now - self._last
        self._last = now
        self._images += num_images
        self._steps += 1

    @property
    def images_per_s(self) -> float:
        return self._images / max(self._seconds, 1e-9)

    def seconds_for(self, num_steps: int) -> float:
        """Expected for so many more steps."""
        return num_steps * self._seconds / max(self._steps, 1)
