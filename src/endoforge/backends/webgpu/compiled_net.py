"""Compiles a TinyDet, once for each size of batch, to detect on the WebGPU device."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from tinygrad import Tensor
from tinygrad.engine.jit import TinyJit

from endoforge.backends.webgpu.memory import DeviceArray, PackedArrays
from endoforge.backends.webgpu.net import Pass, raw_output
from endoforge.backends.webgpu.runtime import settings
from endoforge.detect.boxes import make_cells
from endoforge.detect.tinydet import TinyDet


class WebGpuNet:
    """A net as `detect.predict` asks it: the structure of `model`, the weights of `tensors`.

    Batches are filled up to a power of two, since every size is compiled anew, which takes seconds.
    """

    def __init__(self, model: TinyDet, tensors: Mapping[str, Tensor]) -> None:
        self.config = model.config
        self._model, self._tensors = model, tensors
        self._forwards: dict[tuple[int, ...], _Forward] = {}

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Take (B, 3, H, W) float32 in 0..1 to raw output (B, N, C + 68), both on the CPU."""
        given = images.permute(0, 2, 3, 1).contiguous().numpy()
        shape = (1 << (len(given) - 1).bit_length(), *given.shape[1:])
        if shape not in self._forwards:
            self._forwards[shape] = _Forward(self._model, self._tensors, shape)
        if len(given) < shape[0]:
            padded = np.zeros(shape, np.float32)
            padded[: len(given)] = given
            return torch.from_numpy(self._forwards[shape](padded)[: len(given)])
        return torch.from_numpy(self._forwards[shape](given))


def net_of(model: TinyDet) -> WebGpuNet:
    """Bring `model`, in evaluation mode, to the device that is open."""
    arrays = {
        name: tensor.detach().cpu().numpy()
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point()
    }
    packed = PackedArrays({name: array.shape for name, array in arrays.items()})
    packed.write(arrays)
    return WebGpuNet(model, packed.views())


class _Forward:
    """The way through a net for inputs of one shape: compiled once, then recorded."""

    def __init__(
        self, model: TinyDet, tensors: Mapping[str, Tensor], shape: tuple[int, ...]
    ) -> None:
        batch, height, width, _ = shape
        cells = make_cells((height, width), model.config.strides, torch.device("cpu"))
        self._images = DeviceArray(shape)
        self._raw = DeviceArray((batch, len(cells.centres), model.config.num_outputs))

        def forward() -> None:
            run = Pass(tensors, seen=None)
            self._raw.tensor.assign(raw_output(model, self._images.tensor, run)).realize()

        self._forward = TinyJit(forward)

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        self._images.write(images)
        with settings():
            self._forward()
        return self._raw.read()
