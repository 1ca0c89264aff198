"""The seam between the training harness and the arithmetic."""

from dataclasses import dataclass
from typing import Any, Protocol, SupportsFloat

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from endoforge.backends.arrays import Arrays
from endoforge.data.loader import Batch
from endoforge.detect.detections import Detections
from endoforge.detect.tinydet import TinyDetConfig


@dataclass(frozen=True)
class StepResult:
    """What a step gave. Reading a value may wait for the device, so read only what is shown."""

    loss: SupportsFloat
    mean_iou: SupportsFloat
    """Mean overlap of the boxes of the positive cells with their truth, before the step."""


@dataclass(frozen=True, eq=False)
class BatchView:
    """What a step would learn from, and what the detector says of it before the step.

    `images` is (B, H, W, 3) float32 RGB in 0..1; `boxes` (B, M, 4) float32 xyxy in 0..1, of which
    the first `num_boxes` (B,) count, and `classes` (B, M) int64 are theirs. Of the detector's N
    cells, `centres` (N, 2) and `strides` (N,) in pixels are where and how large they are,
    `positive` (B, N) bool which must find a box, `raw` (B, N, C + NUM_EDGE_CHANNELS) float32 what
    they say.
    """

    images: NDArray[np.float32]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    num_boxes: NDArray[np.int64]
    centres: NDArray[np.float32]
    strides: NDArray[np.float32]
    positive: NDArray[np.bool_]
    raw: NDArray[np.float32]
    detections: list[Detections]
    loss: float
    mean_iou: float


class Backend(Protocol):
    """Trains a detector and asks it; built from a model's configuration and a seed.

    The same configuration, seed and batches give the same weights on the same machine, and on
    another backend the same but for rounding. A step
    depends on nothing but the state and its own arguments, so that a training that stops and
    resumes from the state and its position goes on as if it had never stopped.
    """

    model_config: TinyDetConfig

    @property
    def device(self) -> str:
        """What does the work, in words for people."""
        ...

    @property
    def required_divisor(self) -> int:
        """The number that an input's height and width must be multiples of, in pixels."""
        ...

    def step(self, batch: Batch, *, lr: float, epoch: int, step: int) -> StepResult:
        """Augment a batch and learn from it; `epoch` and `step` in it seed the augmentation."""
        ...

    def view(self, batch: Batch, *, epoch: int, step: int) -> BatchView:
        """Give the batch as `step` would learn from it; this changes nothing."""
        ...

    def predict(self, images: Tensor) -> list[Detections]:
        """Detect in each of (B, H, W, 3) uint8 RGB pictures; boxes are in 0..1 of the picture."""
        ...

    def weights(self) -> Arrays:
        """Copy the model that `predict` uses, the averaged one, under TinyDet's names."""
        ...

    def load_weights(self, weights: Arrays) -> None:
        """Start from weights that `weights` gave."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Copy all that training needs to go on: nested dictionaries of numbers and arrays.

        `model` and `averaged`, weights and statistics under TinyDet's names; `optimizer`, for each
        parameter what `recipe.moments_of` names; `num_steps`. The same for every backend, so that
        one goes on where another stopped.
        """
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that any backend's `state_dict` gave."""
        ...
