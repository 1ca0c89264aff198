"""A stream of work beside that of the program, so that a GPU renders or loads while it learns."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

MOST_AHEAD = 64
"""Pieces of work that may wait on the stream; each keeps the memory that it needs."""
FIRST = -1
"""The priority of a stream whose small kernels shouldn't wait behind the large ones of others."""


class SideStream:
    """A CUDA stream of its own; on other devices nothing but the program's order.

    Work that is begun `beside` comes after all that the program's stream had begun before. The
    program's stream doesn't wait for it: read what it gives by `LateNumber`, or inside of another
    `beside`.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device, FIRST) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._begun: deque[torch.cuda.Event] = deque()

    @contextmanager
    def beside(self, given: Sequence[Tensor] = ()) -> Iterator[None]:
        """Begin work on the stream, of tensors `given` by the program's stream.

        Waits while more than MOST_AHEAD pieces of it aren't done.
        """
        if self.stream is None:
            yield
            return
        if len(self._begun) == MOST_AHEAD:
            self._begun.popleft().synchronize()
        self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))
        with torch.cuda.stream(self.stream):
            yield
            for tensor in given:
                if tensor.is_cuda:  # so that its memory isn't given away before it is read
                    tensor.record_stream(self.stream)
            self._begun.append(self.stream.record_event())


class LateNumber:
    """A scalar that work on a side stream gives; to read it waits for that work."""

    def __init__(self, value: Tensor, side: SideStream) -> None:
        self._value, self._side = value, side

    def __float__(self) -> float:
        with torch.cuda.stream(self._side.stream):  # None: as it is
            return float(self._value)
