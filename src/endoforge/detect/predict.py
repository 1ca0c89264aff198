"""Pictures in, detections out: the one way a TinyDet is asked, in training, `eval` and live."""

from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor, nn

from endoforge.detect.boxes import Cells, make_cells
from endoforge.detect.decode import MIN_SCORE, NMS_IOU, decode_batch
from endoforge.detect.detections import Detections
from endoforge.detect.tinydet import TinyDetConfig


class Net(Protocol):
    """A TinyDet in evaluation mode, or its twin on another backend."""

    config: TinyDetConfig

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) float32 in 0..1 to raw output (B, N, C + NUM_EDGE_CHANNELS)."""
        ...


def to_input(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in 0..1, channels last in memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)


@torch.inference_mode()
def predict(
    model: Net,
    images: Tensor,
    *,
    score_threshold: float = MIN_SCORE,
    iou_threshold: float = NMS_IOU,
) -> list[Detections]:
    """Detections in each of (B, H, W, 3) uint8 RGB pictures of the model's input size.

    The work is done on the device of `model`.
    """
    device = next(model.parameters()).device if isinstance(model, nn.Module) else images.device
    # As bytes to the device, as floats there: a quarter of what would go over the bus.
    raw = model(to_input(images.to(device, non_blocking=True)))
    cells = _kept_cells((images.shape[1], images.shape[2]), model.config.strides, device)
    return decode_batch(raw, cells, score_threshold=score_threshold, iou_threshold=iou_threshold)


@lru_cache(maxsize=16)  # inputs are of few sizes, and making cells takes longer than decoding them
def _kept_cells(image_hw: tuple[int, int], strides: tuple[int, ...], device: torch.device) -> Cells:
    return make_cells(image_hw, strides, device)
