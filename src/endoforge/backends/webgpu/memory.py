"""Keeps arrays on the WebGPU device where they are, so that kernels are bound to them once."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tinygrad import Tensor, dtypes

from endoforge.backends.webgpu.runtime import DEVICE

Shape = tuple[int, ...]
_DTYPES = {np.dtype(np.float32): dtypes.float32, np.dtype(np.int32): dtypes.int32}


class DeviceArray:
    """An array of fixed shape in a buffer of its own; it begins as zeros.

    `tensor` is it, for tinygrad; what assigns to that writes here.
    """

    def __init__(self, shape: Shape, dtype: type[np.float32 | np.int32] = np.float32) -> None:
        self._dtype = np.dtype(dtype)
        zeros = Tensor.zeros(*shape, dtype=_DTYPES[self._dtype], device=DEVICE)
        self.tensor: Tensor = zeros.contiguous().realize()
        self._buffer: Any = self.tensor.uop.buffer
        self.shape = shape

    def write(self, values: NDArray[np.float32 | np.int32]) -> None:
        """Bring `values` there, straight from where they lie; work sent before isn't disturbed.

        Raises ValueError for another shape.
        """
        values = np.ascontiguousarray(values, self._dtype)
        if values.shape != self.shape:
            raise ValueError(f"an array of {self.shape} can't take {values.shape}")
        self._buffer.allocator._copyin(self._buffer._buf, _bytes(values))

    def read(self) -> NDArray[Any]:
        """Give a copy, once all work sent before is done."""
        values = np.empty(self.shape, self._dtype)
        self._buffer.allocator._copyout(_bytes(values), self._buffer._buf)
        return values


class PackedArrays:
    """Named float32 arrays that lie one after the other in one buffer."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.shapes = dict(shapes)
        self._all = DeviceArray((sum(map(math.prod, self.shapes.values())),))

    @property
    def tensor(self) -> Tensor:
        """The one tensor that holds all of them, flat."""
        return self._all.tensor

    def views(self) -> dict[str, Tensor]:
        """Give a view of each of them, by its name."""
        return {name: self.tensor[place].reshape(shape) for name, place, shape in self._places()}

    def assign(self, values: Mapping[str, Tensor]) -> None:
        """Let tinygrad write some of them, when it realizes `tensor`."""
        for name, place, _ in self._places():
            if name in values:
                self.tensor[place].assign(values[name].flatten())

    def write(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Bring all of them there; raises ValueError for another shape."""
        flat = np.empty(self._all.shape, np.float32)
        for name, place, shape in self._places():
            if arrays[name].shape != shape:
                raise ValueError(f"{name} is {arrays[name].shape}, must be {shape}")
            flat[place] = arrays[name].ravel()
        self._all.write(flat)

    def read(self) -> dict[str, NDArray[np.float32]]:
        """Give copies of all of them, by their names."""
        flat = self._all.read()
        return {name: flat[place].reshape(shape) for name, place, shape in self._places()}

    def _places(self) -> Iterator[tuple[str, slice, Shape]]:
        first = 0
        for name, shape in self.shapes.items():
            yield name, slice(first, first := first + math.prod(shape)), shape


def _bytes(values: NDArray[Any]) -> memoryview:
    return values.reshape(-1).view(np.uint8).data
