"""Takes a training step on tinygrad: forward, loss, backward, optimizer, and the moving average."""

import math
from collections.abc import Mapping
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from tinygrad import Tensor
from tinygrad.engine.jit import TinyJit

from endoforge.backends.recipe import (
    ADAM_BETAS,
    ADAM_EPSILON,
    MAX_GRADIENT_NORM,
    MUON_EPSILON,
    MUON_MOMENTUM,
    NEWTON_SCHULZ,
    NEWTON_SCHULZ_STEPS,
    WEIGHT_DECAY,
    average_decay,
    muon_scale,
)
from endoforge.backends.webgpu.memory import DeviceArray, PackedArrays
from endoforge.backends.webgpu.net import Pass, raw_output
from endoforge.backends.webgpu.runtime import settings
from endoforge.backends.webgpu.tinygrad_loss import CellTensors, Targets, detection_loss
from endoforge.detect.boxes import make_cells
from endoforge.detect.tinydet import TinyDet, hidden_kernels

Inputs = Mapping[str, NDArray[np.float32 | np.int32]]
"""`images` (B, H, W, 3) float32 in 0..1, and the fields of `Targets`."""


class Learner:
    """What a training changes, on the device: parameters, statistics, moments and averages.

    `model` lends its structure and names. First lie the kernels that Muon moves, those of one shape
    side by side (`hidden` names them; none without `muon`), then the other kernels, then what
    doesn't decay. Of what Muon moves, `first_moments` are the momenta, and `second_moments` mean
    nothing.
    """

    def __init__(self, model: TinyDet, *, muon: bool = True) -> None:
        self.model = model
        named = {name: tuple(one.shape) for name, one in model.named_parameters()}
        self.hidden = hidden_kernels(model) if muon else []
        hidden = {name: named[name] for name in sorted(self.hidden, key=lambda name: named[name])}
        others = [item for item in named.items() if item[0] not in hidden]
        shapes = hidden | dict(sorted(others, key=lambda item: len(item[1]) <= 1))
        self._num_decaying = sum(math.prod(one) for one in shapes.values() if len(one) > 1)
        self._num_hidden = sum(math.prod(one) for one in hidden.values())
        self._lots = [
            (len(list(lot)), shape[0], math.prod(shape[1:]))
            for shape, lot in groupby(hidden.values())
        ]
        statistics = {
            name: tuple(one.shape) for name, one in model.named_buffers() if one.is_floating_point()
        }
        self.parameters, self.statistics = PackedArrays(shapes), PackedArrays(statistics)
        self.averaged, self.averaged_statistics = PackedArrays(shapes), PackedArrays(statistics)
        self.first_moments, self.second_moments = PackedArrays(shapes), PackedArrays(shapes)
        self.gradients = PackedArrays(shapes)
        self._result = DeviceArray((2,))
        self._numbers = DeviceArray((4,))
        self._steps: dict[tuple[int, ...], Step] = {}

    def step(self, inputs: Inputs, lr: float, number: int) -> None:
        """Send a step, the training's `number`th (from 1); `result` tells what it gave."""
        beta1, beta2 = ADAM_BETAS
        corrections = [1 - beta1**number, 1 - beta2**number]
        self._numbers.write(np.array([lr, 1 - average_decay(number), *corrections], np.float32))
        shape = tuple(size for array in inputs.values() for size in array.shape)
        if shape not in self._steps:
            self._steps[shape] = Step(self, inputs)
        self._steps[shape](inputs)

    def result(self) -> tuple[float, float]:
        """Wait for the last step, and give its loss and its mean IoU."""
        total, mean_iou = self._result.read().tolist()
        return total, mean_iou

    def learn(self, images: Tensor, targets: Targets, cells: CellTensors) -> None:
        """Take a step on what lies on the device."""
        views = self.parameters.views()
        run = Pass(views)
        raw = raw_output(self.model, images, run)
        total, mean_iou = detection_loss(raw, targets, cells)
        gradients = total.gradient(*views.values())
        self.gradients.assign(dict(zip(views, gradients, strict=True)))
        self._result.tensor.assign(Tensor.stack(total, mean_iou))
        self._note_statistics(run)
        # Before the weights change: tinygrad is lazy, and would else compute these of the new ones.
        Tensor.realize(self.gradients.tensor, self._result.tensor, self.statistics.tensor)
        self._apply_gradients()
        self._follow_averages()

    def _note_statistics(self, run: Pass) -> None:
        """Move the running statistics towards those of the batch, as `SeenStatistics` does."""
        running, moved = self.statistics.views(), {}
        assert run.seen is not None
        for name, seen in run.seen.items():
            momentum = self.model.get_submodule(name).momentum
            assert isinstance(momentum, float)
            for what, new in zip(("mean", "var"), seen, strict=True):
                old = running[f"{name}.running_{what}"]
                moved[f"{name}.running_{what}"] = old + momentum * (new - old)
        self.statistics.assign(moved)

    def _apply_gradients(self) -> None:
        """Take the step of `optimizer.Optimizer`, on gradients cut to MAX_GRADIENT_NORM."""
        lr, correction1, correction2 = (self._numbers.tensor[number] for number in (0, 2, 3))
        gradients, (beta1, beta2) = self.gradients.tensor, ADAM_BETAS
        norm = gradients.square().sum().sqrt().contiguous()
        gradients = gradients * (MAX_GRADIENT_NORM / (norm + 1e-6)).minimum(1)
        first, second = self.first_moments.tensor, self.second_moments.tensor
        weights = self.parameters.tensor
        numbers = Tensor.arange(weights.shape[0])
        momenta = MUON_MOMENTUM * first + gradients
        means = first + (1 - beta1) * (gradients - first)
        first.assign((numbers < self._num_hidden).where(momenta, means))
        second.assign(beta2 * second + (1 - beta2) * gradients.square())
        Tensor.realize(first, second)
        spread = (second / correction2).sqrt() + ADAM_EPSILON
        steps = first / spread / correction1
        if self._lots:
            hidden = slice(0, self._num_hidden)
            ahead = (gradients[hidden] + MUON_MOMENTUM * first[hidden]).contiguous()
            steps = self._muon(ahead).cat(steps[self._num_hidden :])
        kept = 1 - lr * (numbers < self._num_decaying).where(WEIGHT_DECAY, 0.0)
        weights.assign(weights * kept - lr * steps).realize()

    def _muon(self, ahead: Tensor) -> Tensor:
        """Make steps of the momenta of all hidden kernels, (N,), a lot of one shape at a time."""
        steps, first = [], 0
        for count, rows, columns in self._lots:
            end = first + count * rows * columns
            matrices = ahead[first:end].reshape(count, rows, columns)
            steps.append((orthogonal(matrices) * muon_scale(rows, columns)).flatten())
            first = end
        return steps[0].cat(*steps[1:])

    def _follow_averages(self) -> None:
        share = self._numbers.tensor[1]
        for average, now in (
            (self.averaged.tensor, self.parameters.tensor),
            (self.averaged_statistics.tensor, self.statistics.tensor),
        ):
            average.assign(average + share * (now - average)).realize()


def orthogonal(matrices: Tensor) -> Tensor:
    """The twin of `muon.orthogonal`, with fewer pieces of work and more arithmetic."""
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonal(matrices.transpose(1, 2)).transpose(1, 2)
    norms = matrices.square().sum((1, 2), keepdim=True).sqrt()
    now = (matrices / (norms + MUON_EPSILON)).contiguous()
    first, third, fifth = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        squares = (now @ now.transpose(1, 2)).contiguous()
        factors = (third * squares + fifth * (squares @ squares)).contiguous()
        now = (first * now + factors @ now).contiguous()
    return now


class Step:
    """A step for inputs of these shapes: compiled the first time, recorded the second."""

    def __init__(self, learner: Learner, inputs: Inputs) -> None:
        self._inputs = {
            name: DeviceArray(array.shape, array.dtype.type) for name, array in inputs.items()
        }
        given = {name: array.tensor for name, array in self._inputs.items()}
        images = given.pop("images")
        cells = _cells_on_device(learner.model, inputs["images"].shape[1:3])

        def learn() -> None:
            learner.learn(images, Targets(**given), cells)

        self._learn = TinyJit(learn)

    def __call__(self, inputs: Inputs) -> None:
        for name, array in self._inputs.items():
            array.write(inputs[name])
        with settings():
            self._learn()


def _cells_on_device(model: TinyDet, image_hw: tuple[int, ...]) -> CellTensors:
    """Bring the net's cells for pictures of this size to the device."""
    height, width = image_hw
    cells = make_cells((height, width), model.config.strides, torch.device("cpu"))
    arrays = [cells.centres.numpy(), cells.strides.numpy()]
    placed = [DeviceArray(array.shape) for array in arrays]
    for one, array in zip(placed, arrays, strict=True):
        one.write(array)
    return CellTensors(*(one.tensor for one in placed))
