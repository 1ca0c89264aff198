"""Records a step as one CUDA graph, whose kernels the GPU replays without waiting for Python."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from endoforge.detect.boxes import NUM_BINS

WARM_UPS = 2
"""Calls before the recording: the first ones choose algorithms, compile and take memory."""

Result = TypeVar("Result")
TensorFunction = Callable[..., Sequence[Tensor]]


class GraphedFunction:
    """A function of tensors of fixed shapes, replayed (CUDA graphs, as `torch.cuda.CUDAGraph`).

    `function` may change `state`, tensors that stay where they are; to record it leaves them as
    they were. It must not wait for the device or look at values on it.
    """

    def __init__(
        self, function: TensorFunction, inputs: Sequence[Tensor], state: Sequence[Tensor]
    ) -> None:
        self._inputs = [given.clone() for given in inputs]
        before = [tensor.detach().clone() for tensor in state]
        self._graph = torch.cuda.CUDAGraph()
        try:
            _warm_up(function, self._inputs)
            # Other threads may wait for the device meanwhile, as one of NCCL's does.
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._outputs = function(*self._inputs)
        finally:
            for tensor, saved in zip(state, before, strict=True):
                tensor.detach().copy_(saved)

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Give what the function gives for `inputs`, whose shapes are those of the first ones."""
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        self._graph.replay()
        # The next replay writes over them, and may begin before anybody has read these.
        return [output.clone() for output in self._outputs]


def _warm_up(function: TensorFunction, inputs: Sequence[Tensor]) -> None:
    """Call the function on a stream of its own, as recording wants it."""
    side = torch.cuda.Stream(inputs[0].device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            function(*inputs)
    torch.cuda.current_stream().wait_stream(side)


def compile_for_training(function: Callable[..., Result]) -> Callable[..., Result]:
    """Compile `function` to fused kernels that give the same bits each time.

    Compiles when first called, and raises TorchDynamoException then where there is no compiler.
    """
    # Set as options they hold for the backward pass too: what is set in torch._inductor.config
    # doesn't.
    options: dict[str, Any] = {
        # Without it each compilation tries out anew which way of adding up is the fastest.
        "deterministic": True,
        # It then adds up each cell's few bins on a part of the GPU of their own, in ten times the
        # time, unless such sums are written out.
        "unroll_reductions_threshold": NUM_BINS + 1,
    }
    compiled: Callable[..., Result] = torch.compile(function, dynamic=False, options=options)
    return compiled
