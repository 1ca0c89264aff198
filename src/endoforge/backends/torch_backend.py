"""Training on PyTorch: CPU, CUDA, MPS or XPU."""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from endoforge.backends.base import BatchView, StepResult
from endoforge.backends.devices import describe_device
from endoforge.backends.group import Group
from endoforge.backends.sync_norm import synchronise_norms
from endoforge.data.augment import augment, draw, seeded_generator
from endoforge.data.loader import Batch
from endoforge.detect.assign import assign_cells
from endoforge.detect.decode import decode_batch
from endoforge.detect.detections import Detections
from endoforge.detect.loss import DetectionLoss, detection_loss
from endoforge.detect.predict import predict, to_input
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet

WEIGHT_DECAY = 0.05
MAX_GRADIENT_NORM = 10.0
AVERAGE_DECAY = 0.998
"""Share of the averaged weights that a step keeps, once the average has warmed up."""


class TorchBackend:
    """AdamW on TinyDet, with an exponential moving average of the weights for use.

    The average (Polyak and Juditsky 1992) is steadier than the weights that it follows, which
    counts most when training is short. Deterministic on a machine, on the CPU for a given number of
    threads. The processes of a `group` each hold the whole model and learn from their part of each
    batch; but for rounding, they go the way of one process that learns from all of it.
    """

    def __init__(
        self,
        model_config: TinyDetConfig,
        *,
        seed: int,
        device: torch.device,
        group: Group | None = None,
    ) -> None:
        torch.backends.cudnn.deterministic = True
        self.model_config = model_config
        self._seed = seed
        self._device = device
        self._group = group or Group()
        model = build_tinydet(model_config, seed)
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._averaged = copy.deepcopy(model).eval()
        self._model = synchronise_norms(model, self._group, device)
        self._num_steps = 0
        self._optimizer = _build_optimizer(self._model, device)

    @property
    def device(self) -> str:
        processes = f"{self._group.size} processes, " if self._group.size > 1 else ""
        return processes + describe_device(self._device)

    @property
    def required_divisor(self) -> int:
        return self._averaged.required_divisor

    def step(self, batch: Batch, *, lr: float, epoch: int, step: int) -> StepResult:
        images, boxes, num_boxes = self._augmented(batch, epoch, step)
        self._model.train()
        raw = self._model(images)
        loss = self._loss(raw, boxes, num_boxes)
        self._optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        total = self._add_up_gradients(loss.total.detach())
        nn.utils.clip_grad_norm_(self._model.parameters(), MAX_GRADIENT_NORM)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        self._follow()
        return StepResult(total, loss.mean_iou)

    @torch.no_grad()
    def view(self, batch: Batch, *, epoch: int, step: int) -> BatchView:
        images, boxes, num_boxes = self._augmented(batch, epoch, step)
        raw, stride = self._averaged(images), self.model_config.stride
        loss = detection_loss(raw, boxes, num_boxes, stride)
        grid = (raw.shape[2], raw.shape[3])
        size = torch.tensor(images.shape[:1:-1], device=self._device).repeat(2)
        targets = assign_cells(boxes * size, num_boxes, grid, stride)
        return BatchView(
            images=images.permute(0, 2, 3, 1).cpu().numpy(),
            boxes=boxes.cpu().numpy(),
            num_boxes=num_boxes.cpu().numpy(),
            positive=targets.positive.reshape(-1, *grid).cpu().numpy(),
            raw=raw.cpu().numpy(),
            detections=decode_batch(raw, stride),
            loss=float(loss.total),
            mean_iou=float(loss.mean_iou),
        )

    def predict(self, images: NDArray[np.uint8]) -> list[Detections]:
        return predict(self._averaged, images)

    def weights(self) -> dict[str, Tensor]:
        return _to_cpu(self._averaged.state_dict())

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self._model.load_state_dict(weights)
        self._averaged.load_state_dict(weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": _to_cpu(self._model.state_dict()),
            "averaged": _to_cpu(self._averaged.state_dict()),
            "optimizer": self._optimizer_state(),
            "num_steps": self._num_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._model.load_state_dict(state["model"])
        self._averaged.load_state_dict(state["averaged"])
        self._load_optimizer_state(state["optimizer"])
        self._num_steps = state["num_steps"]

    def _augmented(self, batch: Batch, epoch: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """The batch on the device, augmented by what (seed, epoch, step) draw."""
        boxes = torch.from_numpy(batch.boxes).to(self._device, non_blocking=True)
        num_boxes = torch.from_numpy(batch.num_boxes).to(self._device, non_blocking=True)
        images = to_input(batch.images, self._device)
        generator = seeded_generator(self._seed, epoch, step)
        draws = draw(batch.num_all, batch.images.shape[1:3], generator).rows(batch.rows)
        return augment(images, boxes, num_boxes, draws.to(self._device))

    def _loss(self, raw: Tensor, boxes: Tensor, num_boxes: Tensor) -> DetectionLoss:
        stride = self.model_config.stride
        return detection_loss(raw, boxes, num_boxes, stride, self._group.add_up)

    def _add_up_gradients(self, loss: Tensor) -> Tensor:
        """Gradients, in place, and the loss: what all processes have of them, added up."""
        if self._group.size == 1:
            return loss
        gradients = [p.grad for p in self._model.parameters() if p.grad is not None]
        parts = [loss, *gradients]
        flat = self._group.add_up(torch.cat([part.reshape(-1) for part in parts]))
        total, *summed = torch.split(flat, [part.numel() for part in parts])
        for gradient, one in zip(gradients, summed, strict=True):
            gradient.copy_(one.view_as(gradient))
        return total[0]

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averaged weights towards the present ones; quickly at first.

        The share kept grows as (1 + n) / (10 + n) over the steps n, up to AVERAGE_DECAY, so that
        the untrained start is soon forgotten.
        """
        self._num_steps += 1
        kept = min(AVERAGE_DECAY, (1 + self._num_steps) / (10 + self._num_steps))
        present = self._model.state_dict()
        for name, average in self._averaged.state_dict().items():
            if average.is_floating_point():
                average.lerp_(present[name], 1 - kept)
            else:
                average.copy_(present[name])

    def _optimizer_state(self) -> dict[str, dict[str, Tensor]]:
        """AdamW's moments by parameter name."""
        return {
            name: _to_cpu(self._optimizer.state[parameter])
            for name, parameter in self._model.named_parameters()
            if parameter in self._optimizer.state
        }

    def _load_optimizer_state(self, state: dict[str, dict[str, Tensor]]) -> None:
        """The moments must lie in memory as their parameters do: fused AdamW walks both at once."""
        step_device = self._device if self._optimizer.defaults["fused"] else torch.device("cpu")
        self._optimizer.state.clear()
        for name, parameter in self._model.named_parameters():
            if name in state:
                entry = state[name]
                self._optimizer.state[parameter] = {
                    "step": entry["step"].to(step_device),
                    "exp_avg": torch.empty_like(parameter).copy_(entry["exp_avg"]).detach(),
                    "exp_avg_sq": torch.empty_like(parameter).copy_(entry["exp_avg_sq"]).detach(),
                }


def _build_optimizer(model: nn.Module, device: torch.device) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) that leaves biases and norms undecayed."""
    kernels = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": WEIGHT_DECAY},
        {"params": others, "weight_decay": 0.0},
    ]
    fused = device.type in ("cpu", "cuda")
    return torch.optim.AdamW(groups, fused=fused)


def _to_cpu(tensors: dict[str, Any]) -> dict[str, Tensor]:
    """Copies on the CPU in plain memory order, which later steps don't change."""
    return {
        name: torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())
        for name, tensor in tensors.items()
    }
