"""Trains on WebGPU: any GPU with a driver of Vulkan, DX12 or Metal."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoforge.backends.arrays import Arrays, to_arrays
from endoforge.backends.base import BatchView, StepResult
from endoforge.backends.recipe import moments_of
from endoforge.backends.views import Chance, as_batch_view, cells_of, make_views
from endoforge.backends.webgpu.adapters import Adapter
from endoforge.backends.webgpu.compiled_net import WebGpuNet
from endoforge.backends.webgpu.runtime import open_device
from endoforge.backends.webgpu.step import Learner
from endoforge.data.loader import Batch
from endoforge.detect.assign import assign_cells
from endoforge.detect.boxes import to_pixels
from endoforge.detect.detections import Detections
from endoforge.detect.predict import predict
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet

CPU = torch.device("cpu")


class WebGpuBackend:
    """`TorchBackend`, but for rounding, on the adapter that is given; float32 throughout.

    A batch is augmented, and its cells assigned, on the CPU by the code that `TorchBackend` uses,
    while the device works on the batch before; the net, the loss and the optimizer are kernels of
    tinygrad. They are compiled at the first batch of a size, and then submitted as lists.
    """

    def __init__(
        self,
        model_config: TinyDetConfig,
        *,
        seed: int,
        adapter: Adapter,
        painted: float = 0.0,
        muon: bool = True,
    ) -> None:
        open_device(adapter)
        self.model_config = model_config
        self._adapter = adapter
        self._chance = Chance(seed, CPU, painted)
        model = build_tinydet(model_config, seed).eval()
        self._divisor = model.required_divisor
        self._learner = Learner(model, muon=muon)
        averaged = (self._learner.averaged, self._learner.averaged_statistics)
        self._net = WebGpuNet(model, averaged[0].views() | averaged[1].views())
        self._num_steps = 0
        self._last: _Outcome | None = None
        self._counts: Arrays = {}
        self._averaged_counts: Arrays = {}
        self.load_weights(to_arrays(dict(model.state_dict())))

    @property
    def device(self) -> str:
        return f"webgpu, {self._adapter}"

    @property
    def required_divisor(self) -> int:
        return self._divisor

    def step(self, batch: Batch, *, lr: float, epoch: int, step: int) -> StepResult:
        inputs = self._inputs(batch, epoch, step)
        self._settle()
        self._num_steps += 1
        self._learner.step(inputs, lr, self._num_steps)
        self._counts = {name: np.asarray(one + 1) for name, one in self._counts.items()}
        self._last = _Outcome(self._learner)
        return StepResult(_Late(self._last, 0), _Late(self._last, 1))

    @torch.no_grad()
    def view(self, batch: Batch, *, epoch: int, step: int) -> BatchView:
        views = make_views(*self._chance.inputs(batch, epoch, step))
        return as_batch_view(views, self._net(views[0]), self.model_config)

    def predict(self, images: Tensor) -> list[Detections]:
        return predict(self._net, images)

    def weights(self) -> Arrays:
        learner = self._learner
        return self._in_order(
            learner.averaged.read(), learner.averaged_statistics.read(), self._averaged_counts
        )

    def load_weights(self, weights: Arrays) -> None:
        learner = self._learner
        for packed in (learner.parameters, learner.averaged):
            packed.write(weights)
        for packed in (learner.statistics, learner.averaged_statistics):
            packed.write(weights)
        self._counts = self._averaged_counts = _counts(weights)

    def state_dict(self) -> dict[str, Any]:
        learner = self._learner
        first, second = learner.first_moments.read(), learner.second_moments.read()
        step = np.array(self._num_steps, np.float32)
        moments = {"momentum": first, "exp_avg": first, "exp_avg_sq": second}
        names = [name for name, _ in learner.model.named_parameters()]
        return {
            "model": self._in_order(
                learner.parameters.read(), learner.statistics.read(), self._counts
            ),
            "averaged": self.weights(),
            "optimizer": {
                name: {
                    kind: step.copy() if kind == "step" else moments[kind][name]
                    for kind in moments_of(name in learner.hidden)
                }
                for name in names
            },
            "num_steps": self._num_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        learner, optimizer = self._learner, state["optimizer"]
        learner.parameters.write(state["model"])
        learner.statistics.write(state["model"])
        learner.averaged.write(state["averaged"])
        learner.averaged_statistics.write(state["averaged"])
        hidden = learner.hidden
        first = {name: "momentum" if name in hidden else "exp_avg" for name in optimizer}
        second = {name: "momentum" if name in hidden else "exp_avg_sq" for name in optimizer}
        for packed, kinds in ((learner.first_moments, first), (learner.second_moments, second)):
            packed.write({name: optimizer[name][kind] for name, kind in kinds.items()})
        self._counts, self._averaged_counts = _counts(state["model"]), _counts(state["averaged"])
        self._num_steps = state["num_steps"]

    def _inputs(
        self, batch: Batch, epoch: int, step: int
    ) -> dict[str, NDArray[np.float32 | np.int32]]:
        """Make, on the CPU, the views of a batch, and what is wanted of each cell."""
        views = make_views(*self._chance.inputs(batch, epoch, step))
        images, boxes, classes, num_boxes = views
        cells = cells_of(images, self.model_config)
        targets = assign_cells(to_pixels(boxes, cells.image_hw), num_boxes, cells)
        return {
            "images": images.permute(0, 2, 3, 1).contiguous().numpy(),
            "positive": targets.positive.float().numpy(),
            "boxes": targets.boxes.numpy(),
            "classes": classes.gather(1, targets.places).int().numpy(),
        }

    def _settle(self) -> None:
        """Wait for the last step: the next one overwrites its result."""
        if self._last is not None:
            self._last.values()
            self._last = None

    def _in_order(self, parameters: Arrays, statistics: Arrays, counts: Arrays) -> Arrays:
        """Put arrays into the order of TinyDet's `state_dict`."""
        everything = parameters | statistics | {name: one.copy() for name, one in counts.items()}
        return {name: everything[name] for name in self._learner.model.state_dict()}


class _Outcome:
    """The loss and the mean IoU of a step, read when somebody asks, or the next step begins."""

    def __init__(self, learner: Learner) -> None:
        self._learner: Learner | None = learner
        self._values = (0.0, 0.0)

    def values(self) -> tuple[float, float]:
        if self._learner is not None:
            self._values, self._learner = self._learner.result(), None
        return self._values


class _Late:
    """One number of an outcome, read once it is asked for."""

    def __init__(self, outcome: _Outcome, place: int) -> None:
        self._outcome, self._place = outcome, place

    def __float__(self) -> float:
        return self._outcome.values()[self._place]


def _counts(weights: Arrays) -> Arrays:
    """Pick the counts of batches that norms have seen, which no kernel needs."""
    return {name: array for name, array in weights.items() if array.dtype == np.int64}
