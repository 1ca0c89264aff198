"""Knows which devices torch can use here, and picks one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from endoforge.core.choices import DeviceName
from endoforge.core.errors import UserError

if TYPE_CHECKING:
    import torch


BY_PREFERENCE = ("cuda", "xpu", "mps", "cpu")


def available_devices() -> list[str]:
    """List the devices that torch can use on this machine, the one that `auto` picks first."""
    import torch

    usable = {
        "cuda": torch.cuda.is_available(),
        "xpu": torch.xpu.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    return [name for name in BY_PREFERENCE if usable[name]]


def pick_device(name: DeviceName) -> torch.device:
    """Pick the device of that name, or for `auto` the best one; UserError where it isn't there.

    Of the processes that torchrun starts on a machine, each gets an accelerator of its own.
    """
    import torch

    available = available_devices()
    if name != "auto" and name not in available:
        raise UserError(f"--device {name}: not usable here; there is {', '.join(available)}")
    device = torch.device(available[0] if name == "auto" else name)
    if device.type == "cpu" or not torch.distributed.is_torchelastic_launched():
        return device
    number, there = torch.distributed.get_node_local_rank(), torch.accelerator.device_count()
    if number >= there:
        raise UserError(
            f"process {number + 1} of this machine has no {device.type} device of its own: start "
            f"as many as there are, torchrun --nproc-per-node {there}"
        )
    return torch.device(device.type, number)


def describe_device(device: torch.device) -> str:
    """Name a device for people: "cpu, 2 threads", "cuda, NVIDIA H100"."""
    import torch

    if device.type == "cuda":
        return f"cuda, {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu, {threads} thread{'s' if threads > 1 else ''}"
    return device.type
