"""Training on PyTorch: CPU, CUDA, MPS or XPU."""

import copy
import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, autocast, nn
from torch._dynamo.exc import TorchDynamoException

from endoforge.backends.base import BatchView, StepResult
from endoforge.backends.cuda_graph import GraphedFunction, TensorFunction, compile_for_training
from endoforge.backends.devices import describe_device
from endoforge.backends.group import Group
from endoforge.backends.sync_norm import synchronise_norms
from endoforge.data.augment import Draws, Views, augment, draw, noise_tile, seeded_generator
from endoforge.data.loader import Batch
from endoforge.detect.assign import assign_cells
from endoforge.detect.boxes import Cells, make_cells, to_pixels
from endoforge.detect.decode import decode_batch
from endoforge.detect.detections import Detections
from endoforge.detect.loss import detection_loss
from endoforge.detect.predict import predict, to_input
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet

log = logging.getLogger(__name__)

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

    On one CUDA GPU, batches of `batch_size` are learned from in bfloat16 (where it has that) by a
    compiled step, replayed as one CUDA graph; other batches by the same step, neither compiled nor
    recorded.
    """

    def __init__(
        self,
        model_config: TinyDetConfig,
        *,
        seed: int,
        device: torch.device,
        batch_size: int,
        group: Group | None = None,
    ) -> None:
        torch.backends.cudnn.deterministic = True
        self.model_config = model_config
        self._seed = seed
        self._device = device
        self._batch_size = batch_size
        self._group = group or Group()
        model = build_tinydet(model_config, seed)
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._averaged = copy.deepcopy(model).eval()
        self._model = synchronise_norms(model, self._group, device)
        self._num_steps = 0
        self._share = torch.zeros((), device=device)
        self._optimizer = _build_optimizer(self._model, device)
        self._tiles: dict[tuple[int, int], Tensor] = {}
        self._graphs: dict[tuple[torch.Size, ...], TensorFunction] = {}

    @property
    def device(self) -> str:
        processes = f"{self._group.size} processes, " if self._group.size > 1 else ""
        return processes + describe_device(self._device)

    @property
    def required_divisor(self) -> int:
        return self._averaged.required_divisor

    def step(self, batch: Batch, *, lr: float, epoch: int, step: int) -> StepResult:
        self._num_steps += 1
        self._share.fill_(1 - _kept(self._num_steps))
        self._set_lr(lr)
        inputs = self._inputs(batch, epoch, step)
        is_whole = batch.num_all == self._batch_size
        total, mean_iou = (self._fast(inputs) if is_whole else self._learn)(*inputs)
        return StepResult(total, mean_iou)

    @torch.no_grad()
    def view(self, batch: Batch, *, epoch: int, step: int) -> BatchView:
        images, boxes, classes, num_boxes = _views(*self._inputs(batch, epoch, step))
        raw, cells = self._averaged(images), self._cells(images)
        loss = detection_loss(raw, boxes, classes, num_boxes, cells)
        targets = assign_cells(to_pixels(boxes, cells.image_hw), num_boxes, cells)
        return BatchView(
            images=images.permute(0, 2, 3, 1).cpu().numpy(),
            boxes=boxes.cpu().numpy(),
            classes=classes.cpu().numpy(),
            num_boxes=num_boxes.cpu().numpy(),
            centres=cells.centres.cpu().numpy(),
            strides=cells.strides.cpu().numpy(),
            positive=targets.positive.cpu().numpy(),
            raw=raw.cpu().numpy(),
            detections=decode_batch(raw, cells),
            loss=float(loss.total),
            mean_iou=float(loss.mean_iou),
        )

    def predict(self, images: Tensor) -> list[Detections]:
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

    def _inputs(self, batch: Batch, epoch: int, step: int) -> list[Tensor]:
        """On the device: the batch, and what (seed, epoch, step) draw for it, as `_views` wants."""
        image_hw = (batch.images.shape[1], batch.images.shape[2])
        generator = seeded_generator(self._seed, epoch, step)
        draws = draw(batch.num_all, image_hw, generator).rows(batch.rows)
        given = (
            batch.images,
            batch.boxes,
            batch.classes,
            batch.num_boxes,
            draws.own,
            draws.noise_at,
        )
        on_device = [tensor.to(self._device, non_blocking=True) for tensor in given]
        return [*on_device, self._tile(image_hw)]

    def _tile(self, image_hw: tuple[int, int]) -> Tensor:
        if image_hw not in self._tiles:
            tile = noise_tile(image_hw, seeded_generator(self._seed))
            self._tiles[image_hw] = tile.to(self._device)
        return self._tiles[image_hw]

    def _learn(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """A step, all of it on the device: its loss and its mean IoU."""
        return self._learn_by(self._forward, inputs)

    def _learn_by(self, forward: TensorFunction, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        self._model.train()
        own_total, mean_iou = forward(*inputs)
        self._optimizer.zero_grad(set_to_none=True)
        own_total.backward()  # type: ignore[no-untyped-call]
        total = self._add_up_gradients(own_total.detach())
        nn.utils.clip_grad_norm_(self._model.parameters(), MAX_GRADIENT_NORM)
        self._optimizer.step()
        self._follow()
        return total, mean_iou.detach()

    def _forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The views of a batch, what the net says of them, and the loss."""
        views, boxes, classes, num_boxes = _views(*inputs)
        with autocast(self._device.type, torch.bfloat16, enabled=_has_bfloat16(self._device)):
            raw = self._model(views)
        cells, add_up = self._cells(views), self._group.add_up
        loss = detection_loss(raw.float(), boxes, classes, num_boxes, cells, add_up)
        return loss.total, loss.mean_iou

    def _cells(self, images: Tensor) -> Cells:
        """The cells of what the net says of (B, 3, H, W)."""
        image_hw = (images.shape[2], images.shape[3])
        return make_cells(image_hw, self.model_config.strides, images.device)

    def _fast(self, inputs: Sequence[Tensor]) -> TensorFunction:
        """The step for inputs like these: on one CUDA GPU compiled and recorded, else as it is."""
        if self._device.type != "cuda" or self._group.size > 1:
            return self._learn
        shapes = tuple(given.shape for given in inputs)
        if shapes not in self._graphs:
            self._graphs[shapes] = self._recorded(inputs)
        return self._graphs[shapes]

    def _recorded(self, inputs: Sequence[Tensor]) -> GraphedFunction:
        compiled = compile_for_training(self._forward)
        try:
            return GraphedFunction(
                lambda *given: self._learn_by(compiled, given), inputs, self._changing()
            )
        except TorchDynamoException as error:
            reason = str(error).strip().splitlines()[0]
            log.info("the step isn't compiled, which makes it slower (%s)", reason)
            return GraphedFunction(self._learn, inputs, self._changing())

    def _changing(self) -> list[Tensor]:
        """Every tensor that a step changes."""
        moments = [tensor for state in self._optimizer.state.values() for tensor in state.values()]
        nets = [net.state_dict().values() for net in (self._model, self._averaged)]
        return [*moments, *nets[0], *nets[1]]

    def _set_lr(self, lr: float) -> None:
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr

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
        """Move the averaged weights, and norms' statistics, towards the present ones."""
        nets = (self._averaged, self._model)
        averages, present = (list(net.state_dict().values()) for net in nets)
        floats = [number for number, one in enumerate(averages) if one.is_floating_point()]
        moving = [averages[number] for number in floats]
        ahead = torch._foreach_sub([present[number] for number in floats], moving)
        torch._foreach_mul_(ahead, self._share)
        torch._foreach_add_(moving, ahead)

    def _optimizer_state(self) -> dict[str, dict[str, Tensor]]:
        """AdamW's moments by parameter name."""
        return {
            name: _to_cpu(self._optimizer.state[parameter])
            for name, parameter in self._model.named_parameters()
        }

    def _load_optimizer_state(self, state: dict[str, dict[str, Tensor]]) -> None:
        """In place: a recorded step goes on with the tensors that it knows."""
        for name, parameter in self._model.named_parameters():
            for key, tensor in self._optimizer.state[parameter].items():
                tensor.copy_(state[name][key])


def _views(
    images: Tensor,
    boxes: Tensor,
    classes: Tensor,
    num_boxes: Tensor,
    chance: Tensor,
    noise_at: Tensor,
    tile: Tensor,
) -> Views:
    """What a step learns from, of a batch and what was drawn for it."""
    return augment(to_input(images), boxes, classes, num_boxes, Draws(chance, noise_at), tile)


def _kept(num_steps: int) -> float:
    """Of the averaged weights, in a step; less at first, so that the start is soon forgotten."""
    return min(AVERAGE_DECAY, (1 + num_steps) / (10 + num_steps))


def _has_bfloat16(device: torch.device) -> bool:
    """Does the device compute in bfloat16 faster than in float32? Of CPUs, those with AMX do."""
    if device.type == "cpu":
        return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _build_optimizer(model: nn.Module, device: torch.device) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) that leaves biases and norms undecayed; moments made."""
    kernels = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": WEIGHT_DECAY},
        {"params": others, "weight_decay": 0.0},
    ]
    on_gpu = device.type == "cuda"
    # What a recorded step reads must lie on the device.
    lr = torch.zeros((), device=device) if on_gpu else 0.0
    fused = device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(groups, lr=lr, fused=fused, capturable=on_gpu)
    for parameter in model.parameters():
        optimizer.state[parameter] = {
            "step": torch.zeros((), device=device if fused else "cpu"),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimizer


def _to_cpu(tensors: dict[str, Any]) -> dict[str, Tensor]:
    """Copies on the CPU in plain memory order, which later steps don't change."""
    return {
        name: torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())
        for name, tensor in tensors.items()
    }
