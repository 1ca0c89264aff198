"""Tensors side by side in one row of numbers, so that what is done to all is one operation.

A net has dozens of small tensors, and to begin an operation on each takes longer than its work.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def lay_in_a_row(tensors: Sequence[Tensor], device: torch.device) -> Tensor:
    """Make dense float32 tensors on `device` views of one row, (N,), which is returned.

    Their values stay, and so does how each lies in memory.
    """
    row = torch.empty(sum(one.numel() for one in tensors), device=device)
    for one, view in zip(tensors, cut(row, tensors), strict=True):
        view.copy_(one.detach())
        one.data = view
    return row


def cut(row: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """View a row of numbers as tensors of the shapes of `tensors`, which lie in memory as those."""
    parts = torch.split(row, [one.numel() for one in tensors])
    return [
        part.as_strided(one.shape, one.stride()) for part, one in zip(parts, tensors, strict=True)
    ]
