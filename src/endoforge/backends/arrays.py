"""The state that every backend reads and writes: nested dictionaries of numbers and arrays."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
"""NumPy arrays by the names that TinyDet's `state_dict` has for them."""


def to_arrays(state: Any) -> Any:
    """Give `state` with arrays in place of its tensors: copies, in plain memory order."""
    if isinstance(state, dict):
        return {name: to_arrays(value) for name, value in state.items()}
    if isinstance(state, torch.Tensor):
        copy = torch.empty(state.shape, dtype=state.dtype).copy_(state.detach())
        return copy.numpy()
    return state


def to_tensors(state: Any) -> Any:
    """Give `state` with CPU tensors in place of its arrays, whose memory they share."""
    if isinstance(state, dict):
        return {name: to_tensors(value) for name, value in state.items()}
    return torch.from_numpy(state) if isinstance(state, np.ndarray) else state
