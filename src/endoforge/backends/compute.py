"""Chooses what computes, by `--backend`, `--device` and `--adapter`: nothing above asks again."""

from typing import Protocol

import torch

from endoforge.backends.base import Backend
from endoforge.backends.devices import describe_device, pick_device
from endoforge.backends.group import Group
from endoforge.backends.torch_backend import TorchBackend
from endoforge.core.choices import BackendName, DeviceName
from endoforge.detect.predict import Net
from endoforge.detect.tinydet import TinyDet, TinyDetConfig


class Compute(Protocol):
    """A device, ready to train or to detect on."""

    @property
    def torch_device(self) -> torch.device:
        """Where batches lie best: the device itself, or the CPU if it isn't one of torch's."""
        ...

    @property
    def on_cpu(self) -> bool:
        """Does it need the cores that other work of the program needs too?"""
        ...

    def describe(self) -> str:
        """Name the device for people."""
        ...

    def backend(
        self,
        model_config: TinyDetConfig,
        *,
        seed: int,
        batch_size: int,
        group: Group,
        painted: float = 0.0,
        muon: bool = True,
    ) -> Backend:
        """Make a backend to train on; `batch_size` is that of whole batches, of all processes.

        Raises UserError if `group` has more processes than it can use.
        """
        ...

    def net(self, model: TinyDet) -> Net:
        """Bring `model`, in evaluation mode, to where it computes."""
        ...


class TorchCompute:
    """A device of torch, ready to train or to detect on."""

    def __init__(self, device: torch.device) -> None:
        self.torch_device = device

    @property
    def on_cpu(self) -> bool:
        return self.torch_device.type == "cpu"

    def describe(self) -> str:
        return describe_device(self.torch_device)

    def backend(
        self,
        model_config: TinyDetConfig,
        *,
        seed: int,
        batch_size: int,
        group: Group,
        painted: float = 0.0,
        muon: bool = True,
    ) -> Backend:
        return TorchBackend(
            model_config,
            seed=seed,
            device=self.torch_device,
            batch_size=batch_size,
            group=group,
            painted=painted,
            muon=muon,
        )

    def net(self, model: TinyDet) -> Net:
        return model.to(self.torch_device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def pick_compute(backend: BackendName, device: DeviceName, adapter: str | None) -> Compute:
    """Open what these flags choose; raises UserError where that isn't there."""
    if backend == "torch":
        return TorchCompute(pick_device(device))
    # An extra: `endoforge[webgpu]` may not be installed.
    from endoforge.backends.webgpu.webgpu_compute import WebGpuCompute

    return WebGpuCompute(adapter)
