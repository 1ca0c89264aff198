"""One training step on tinygrad: forward, loss, backward, AdamW, and the moving average."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from tinygrad import Tensor
from tinygrad.engine.jit import TinyJit

from endoforge.backends.recipe import (
    ADAM_BETAS,
    ADAM_EPSILON,
    MAX_GRADIENT_NORM,
    WEIGHT_DECAY,
    kept_share,
)
from endoforge.backends.webgpu.memory import DeviceArray, PackedArrays
from endoforge.backends.webgpu.net import Pass, raw_output
from endoforge.backends.webgpu.runtime import settings
from endoforge.backends.webgpu.tinygrad_loss import Places, Targets, detection_loss
from endoforge.detect.boxes import make_cells
from endoforge.detect.tinydet import TinyDet

Inputs = Mapping[str, NDArray[np.float32 | np.int32]]
"""`images` (B, H, W, 3) float32 in 0..1, and the fields of `Targets`."""


class Learner:
    """What a training changes, on the device: parameters, statistics, moments and averages.

    `model` lends its structure and names. Parameters that decay lie before those that don't.
    """

    def __init__(self, model: TinyDet) -> None:
        self.model = model
        shapes = {name: tuple(one.shape) for name, one in model.named_parameters()}
        shapes = dict(sorted(shapes.items(), key=lambda item: len(item[1]) <= 1))
        self._num_decaying = sum(int(np.prod(one)) for one in shapes.values() if len(one) > 1)
        statistics = {
            name: tuple(one.shape) for name, one in model.named_buffers() if one.is_floating_point()
        }
        self.parameters, self.statistics = PackedArrays(shapes), PackedArrays(statistics)
        self.averaged, self.averaged_statistics = PackedArrays(shapes), PackedArrays(statistics)
        self.means, self.squares = PackedArrays(shapes), PackedArrays(shapes)
        self.slopes = PackedArrays(shapes)
        self._result = DeviceArray((2,))
        self._numbers = DeviceArray((4,))
        self._steps: dict[tuple[int, ...], Step] = {}

    def step(self, inputs: Inputs, lr: float, number: int) -> None:
        """Send a step, the training's `number`th (from 1); `result` tells what it gave."""
        beta1, beta2 = ADAM_BETAS
        corrections = [1 - beta1**number, 1 - beta2**number]
        self._numbers.write(np.array([lr, 1 - kept_share(number), *corrections], np.float32))
        shape = tuple(size for array in inputs.values() for size in array.shape)
        if shape not in self._steps:
            self._steps[shape] = Step(self, inputs)
        self._steps[shape](inputs)

    def result(self) -> tuple[float, float]:
        """The loss and the mean IoU of the last step, when it is done."""
        total, mean_iou = self._result.read().tolist()
        return total, mean_iou

    def learn(self, images: Tensor, targets: Targets, places: Places) -> None:
        """A step, on what lies on the device."""
        views = self.parameters.views()
        run = Pass(views)
        raw = raw_output(self.model, images, run)
        total, mean_iou = detection_loss(raw, targets, places)
        slopes = total.gradient(*views.values())
        self.slopes.assign(dict(zip(views, slopes, strict=True)))
        self._result.tensor.assign(Tensor.stack(total, mean_iou))
        self._note_statistics(run)
        Tensor.realize(self.slopes.tensor, self._result.tensor, self.statistics.tensor)
        self._follow_slopes()
        self._follow_averages()

    def _note_statistics(self, run: Pass) -> None:
        """Move the running statistics towards those of the batch, as `nn.BatchNorm2d` does."""
        running, moved = self.statistics.views(), {}
        assert run.seen is not None
        for name, seen in run.seen.items():
            momentum = self.model.get_submodule(name).momentum
            assert isinstance(momentum, float)
            for what, new in zip(("mean", "var"), seen, strict=True):
                old = running[f"{name}.running_{what}"]
                moved[f"{name}.running_{what}"] = old + momentum * (new - old)
        self.statistics.assign(moved)

    def _follow_slopes(self) -> None:
        """AdamW (Loshchilov and Hutter 2019), of slopes cut to MAX_GRADIENT_NORM."""
        lr, correction1, correction2 = (self._numbers.tensor[place] for place in (0, 2, 3))
        slopes, (beta1, beta2) = self.slopes.tensor, ADAM_BETAS
        norm = slopes.square().sum().sqrt().contiguous()
        slopes = slopes * (MAX_GRADIENT_NORM / (norm + 1e-6)).minimum(1)
        means, squares, weights = self.means.tensor, self.squares.tensor, self.parameters.tensor
        means.assign(means + (1 - beta1) * (slopes - means))
        squares.assign(beta2 * squares + (1 - beta2) * slopes.square())
        Tensor.realize(means, squares)
        decays = Tensor.arange(weights.shape[0]) < self._num_decaying
        kept = 1 - lr * decays.where(WEIGHT_DECAY, 0.0)
        spread = (squares / correction2).sqrt() + ADAM_EPSILON
        weights.assign(weights * kept - (lr / correction1) * means / spread).realize()

    def _follow_averages(self) -> None:
        share = self._numbers.tensor[1]
        for average, now in (
            (self.averaged.tensor, self.parameters.tensor),
            (self.averaged_statistics.tensor, self.statistics.tensor),
        ):
            average.assign(average + share * (now - average)).realize()


class Step:
    """A step for inputs of these shapes: compiled the first time, recorded the second."""

    def __init__(self, learner: Learner, inputs: Inputs) -> None:
        self._inputs = {
            name: DeviceArray(array.shape, array.dtype.type) for name, array in inputs.items()
        }
        given = {name: array.tensor for name, array in self._inputs.items()}
        images = given.pop("images")
        places = _places(learner.model, inputs["images"].shape[1:3])

        def learn() -> None:
            learner.learn(images, Targets(**given), places)

        self._learn = TinyJit(learn)

    def __call__(self, inputs: Inputs) -> None:
        for name, array in self._inputs.items():
            array.write(inputs[name])
        with settings():
            self._learn()


def _places(model: TinyDet, image_hw: tuple[int, ...]) -> Places:
    """The net's cells for pictures of this size, on the device."""
    height, width = image_hw
    cells = make_cells((height, width), model.config.strides, torch.device("cpu"))
    arrays = [cells.centres.numpy(), cells.strides.numpy()]
    placed = [DeviceArray(array.shape) for array in arrays]
    for one, array in zip(placed, arrays, strict=True):
        one.write(array)
    return Places(*(one.tensor for one in placed))
