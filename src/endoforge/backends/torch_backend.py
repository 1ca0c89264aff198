"""Trains on PyTorch: CPU, CUDA, MPS or XPU."""

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, autocast

from endoforge.backends.arrays import Arrays, to_arrays, to_tensors
from endoforge.backends.base import BatchView, StepResult
from endoforge.backends.cuda_graph import GraphedFunction, TensorFunction, compile_for_training
from endoforge.backends.devices import describe_device
from endoforge.backends.ghost_norm import SeenStatistics, parts_to_pass, with_ghost_norms
from endoforge.backends.group import Group
from endoforge.backends.heap import keep_freed_memory
from endoforge.backends.optimizer import Optimizer
from endoforge.backends.recipe import MAX_GRADIENT_NORM, average_decay
from endoforge.backends.rows import lay_in_a_row
from endoforge.backends.side_stream import LateNumber, SideStream
from endoforge.backends.views import Chance, as_batch_view, cells_of, make_views, part_of
from endoforge.data.loader import Batch
from endoforge.detect.detections import Detections
from endoforge.detect.loss import DetectionLoss, detection_loss
from endoforge.detect.predict import predict
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet

log = logging.getLogger(__name__)


class TorchBackend:
    """Trains TinyDet by Muon and AdamW, with an exponential moving average of the weights for use;
    without `muon` by AdamW alone.

    The average (Polyak and Juditsky 1992) is steadier than the weights that it follows, which
    counts most when training is short. Deterministic on a machine, on the CPU for a given number of
    threads. The processes of a `group` each hold the whole model and learn from their part of each
    batch; but for rounding, they go the way of one process that learns from all of it, for norms
    look at groups of rows that no two processes share.

    On CUDA GPUs, batches of `batch_size` are learned from in bfloat16 (where they have that) by a
    compiled step, replayed as one CUDA graph, with the sum over the processes in it; other batches
    by the same step, neither compiled nor recorded.
    """

    def __init__(
        self,
        model_config: TinyDetConfig,
        *,
        seed: int,
        device: torch.device,
        batch_size: int,
        group: Group | None = None,
        painted: float = 0.0,
        muon: bool = True,
    ) -> None:
        torch.backends.cudnn.deterministic = True
        if device.type == "cpu":
            keep_freed_memory()
        self.model_config = model_config
        self._device = device
        self._chance = Chance(seed, device, painted)
        self._batch_size = batch_size
        self._group = group or Group()
        model = build_tinydet(model_config, seed)
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._averaged = copy.deepcopy(model).eval()
        self._model = with_ghost_norms(model)
        self._seen = SeenStatistics(self._model, device)
        self._num_steps = 0
        self._num_rows, self._share = torch.zeros(2, device=device).unbind()
        self._optimizer = Optimizer(self._model, device, muon=muon)
        averages = dict(self._averaged.named_parameters())
        self._averages = lay_in_a_row([averages[name] for name in self._optimizer.names], device)
        statistics = [one for one in self._averaged.buffers() if one.is_floating_point()]
        self._average_statistics = lay_in_a_row(statistics, device)
        self._side = SideStream(device)
        self._graphs: dict[tuple[torch.Size, ...], TensorFunction] = {}

    @property
    def device(self) -> str:
        processes = f"{self._group.size} processes, " if self._group.size > 1 else ""
        return processes + describe_device(self._device)

    @property
    def required_divisor(self) -> int:
        return self._averaged.required_divisor

    def step(self, batch: Batch, *, lr: float, epoch: int, step: int) -> StepResult:
        assert batch.num_all > 0, "a batch without pictures"
        self._num_steps += 1
        with self._side.beside([batch.images, batch.boxes, batch.classes, batch.num_boxes]):
            self._num_rows.fill_(batch.num_all)
            self._share.fill_(1 - average_decay(self._num_steps))
            self._optimizer.set_lr(lr)
            inputs = self._chance.inputs(batch, epoch, step)
            is_whole = batch.num_all == self._batch_size
            total, mean_iou = (self._fast(inputs) if is_whole else self._learn)(*inputs)
        return StepResult(LateNumber(total, self._side), LateNumber(mean_iou, self._side))

    @torch.no_grad()
    def view(self, batch: Batch, *, epoch: int, step: int) -> BatchView:
        with self._side.beside():
            views = make_views(*self._chance.inputs(batch, epoch, step))
            return as_batch_view(views, self._averaged(views[0]), self.model_config)

    def predict(self, images: Tensor) -> list[Detections]:
        with self._side.beside():
            return predict(self._averaged, images)

    def weights(self) -> Arrays:
        with self._side.beside():
            arrays: Arrays = to_arrays(dict(self._averaged.state_dict()))
        return arrays

    def load_weights(self, weights: Arrays) -> None:
        tensors = to_tensors(weights)
        with self._side.beside():
            self._model.load_state_dict(tensors)
            self._averaged.load_state_dict(tensors)

    def state_dict(self) -> dict[str, Any]:
        with self._side.beside():
            state: dict[str, Any] = to_arrays(
                {
                    "model": dict(self._model.state_dict()),
                    "averaged": dict(self._averaged.state_dict()),
                    "optimizer": self._optimizer.state,
                    "num_steps": self._num_steps,
                }
            )
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        state = to_tensors(state)
        with self._side.beside():
            self._model.load_state_dict(state["model"])
            self._averaged.load_state_dict(state["averaged"])
            self._optimizer.load_state(state["optimizer"])
        self._num_steps = state["num_steps"]

    def _learn(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Take a step, all of it on the device, and give its loss and its mean IoU, scalars."""
        return self._learn_by(self._forward, inputs)

    def _learn_by(
        self, forward: Callable[..., Tensor], inputs: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        self._model.train()
        self._model.zero_grad(set_to_none=True)
        self._seen.forget()
        sums = torch.zeros(3, device=self._device)
        at_once = self._device.type == "cuda"
        for rows in parts_to_pass(len(inputs[0]), at_once=at_once):
            # Around all of it, though it concerns the net alone: what is compiled with a change of
            # it inside isn't kept for the next start.
            with autocast(self._device.type, torch.bfloat16, enabled=has_bfloat16(self._device)):
                own = forward(*part_of(inputs, rows))
            own[0].backward()  # type: ignore[no-untyped-call]
            sums += own.detach()
        self._optimizer.gather()
        loss = DetectionLoss(*self._add_up(sums).unbind())
        self._descend(loss.num_positive.clamp(min=1))
        self._seen.follow(self._num_rows)
        self._follow()
        return loss.total, loss.mean_iou

    def _forward(self, *inputs: Tensor) -> Tensor:
        """Augment a part of a batch, ask the net, and give the fields of its DetectionLoss, (3,).

        To go backward from the first.
        """
        views, boxes, classes, num_boxes = make_views(*inputs)
        raw = self._model(views)
        cells = cells_of(views, self.model_config)
        loss = detection_loss(raw.float(), boxes, classes, num_boxes, cells)
        return torch.stack([loss.loss_sum, loss.overlap_sum, loss.num_positive])

    def _fast(self, inputs: Sequence[Tensor]) -> TensorFunction:
        """Give the step for such inputs: on CUDA GPUs compiled and recorded, else plain."""
        if self._device.type != "cuda":
            return self._learn
        shapes = tuple(given.shape for given in inputs)
        if shapes not in self._graphs:
            self._graphs[shapes] = self._recorded(inputs)
        return self._graphs[shapes]

    def _recorded(self, inputs: Sequence[Tensor]) -> GraphedFunction:
        # Here, for it takes a second, and only a GPU's training needs it.
        from torch._dynamo.exc import TorchDynamoException

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
        """List every tensor that a step changes."""
        moments = [tensor for state in self._optimizer.state.values() for tensor in state.values()]
        nets = [net.state_dict().values() for net in (self._model, self._averaged)]
        return [*moments, *nets[0], *nets[1]]

    @torch.no_grad()
    def _add_up(self, sums: Tensor) -> Tensor:
        """Add up, over all processes and in place, gradients, what norms saw, and `sums`."""
        if self._group.size == 1:
            return sums
        # One row: a sum over processes costs its latency, whatever its size.
        own = [sums, self._seen.sums, self._optimizer.gradients]
        total = self._group.add_up(torch.cat(own))
        torch._foreach_copy_(own, torch.split(total, [len(one) for one in own]))
        return sums

    @torch.no_grad()
    def _descend(self, num_positive: Tensor) -> None:
        """Take the optimizer's step by gradients of a loss that is a sum over positive cells."""
        gradients = self._optimizer.gradients.div_(num_positive)
        # As torch's clip_grad_norm_, which wants a list of parameters.
        gradients *= (MAX_GRADIENT_NORM / (gradients.norm() + 1e-6)).clamp(max=1)
        self._optimizer.step()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averaged weights, and norms' statistics, towards the present ones."""
        for average, present in (
            (self._averages, self._optimizer.parameters),
            (self._average_statistics, self._seen.running),
        ):
            average.lerp_(present, self._share)


def has_bfloat16(device: torch.device) -> bool:
    """Say if the device is faster in bfloat16 than in float32; of CPUs those with AMX are."""
    if device.type == "cpu":
        return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
