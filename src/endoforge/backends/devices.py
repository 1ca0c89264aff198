"""Knows which devices torch can use here, and picks one."""

from __future__ import annotations

import os
from functools import cache
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

    Of the processes that torchrun starts on a machine, each gets an accelerator of its own. Of GPUs
    it sees that one alone, so that a renderer, which always takes the first, takes it too.
    """
    import torch

    together = torch.distributed.is_torchelastic_launched()
    alone = together and _see_one_gpu(torch.distributed.get_node_local_rank())
    available = available_devices()
    if name != "auto" and name not in available:
        raise UserError(f"--device {name}: not usable here; there is {', '.join(available)}")
    device = torch.device(available[0] if name == "auto" else name)
    if device.type == "cpu" or not together:
        return device
    number, there = torch.distributed.get_node_local_rank(), torch.accelerator.device_count()
    if alone and there == 1:
        return torch.device(device.type, 0)
    if number >= there:
        raise UserError(
            f"process {number + 1} of this machine has no {device.type} device of its own: start "
            f"as many as there are, torchrun --nproc-per-node {there}"
        )
    return torch.device(device.type, number)


@cache
def _see_one_gpu(number: int) -> bool:
    """Hide, once, all GPUs but that `number` of those that this process may see; False if it isn't
    there.

    For CUDA and HIP, which read the variable when they are first used; to count GPUs doesn't use
    them where the driver's management library answers, and where it doesn't, nothing is hidden.
    """
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(n) for n in range(torch.cuda.device_count())]
    if number < len(gpus):
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[number]
    return number < len(gpus)


def describe_device(device: torch.device) -> str:
    """Name a device for people: "cpu, 2 threads", "cuda, NVIDIA H100"."""
    import torch

    if device.type == "cuda":
        return f"cuda, {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu, {threads} thread{'s' if threads > 1 else ''}"
    return device.type
