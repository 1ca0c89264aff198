"""Pictures in, detections out: the one way a TinyDet is asked, in training, `eval` and live."""

import torch
from torch import Tensor

from endoforge.detect.boxes import make_cells
from endoforge.detect.decode import MIN_SCORE, NMS_IOU, decode_batch
from endoforge.detect.detections import Detections
from endoforge.detect.tinydet import TinyDet


def to_input(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in 0..1, channels last in memory."""
    return images.permute(0, 3, 1, 2).float().div_(255)


@torch.inference_mode()
def predict(
    model: TinyDet,
    images: Tensor,
    *,
    score_threshold: float = MIN_SCORE,
    iou_threshold: float = NMS_IOU,
) -> list[Detections]:
    """Detections in each of (B, H, W, 3) uint8 RGB pictures of the model's input size.

    `model` is in evaluation mode; the work is done on its device.
    """
    device = next(model.parameters()).device
    raw = model(to_input(images.to(device, non_blocking=True)))
    cells = make_cells((images.shape[1], images.shape[2]), model.config.strides, device)
    return decode_batch(raw, cells, score_threshold=score_threshold, iou_threshold=iou_threshold)
