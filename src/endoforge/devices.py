"""The `devices` command: what can render and train on this machine."""

from dataclasses import dataclass
from typing import get_args


@dataclass(frozen=True, kw_only=True)
class DevicesConfig:
    """List every device for rendering and for training, and which one `auto` picks."""


def device_lines() -> list[str]:
    """The list for people; the picks are marked with *."""
    return ["rendering (--renderer)", *_renderers(), "", "training (--device)", *_trainers()]


def _renderers() -> list[str]:
    from endoforge.sim.engine import PREFERRED, RendererName, available

    there = available()
    picked = next(name for name in PREFERRED if name in there)
    names = [name for name in get_args(RendererName) if name != "auto"]
    return [_line(name, name in there, name == picked) for name in names]


def _trainers() -> list[str]:
    import torch

    from endoforge.backends.devices import BY_PREFERENCE, available_devices, describe_device

    there = available_devices()
    lines = []
    for name in reversed(BY_PREFERENCE):
        detail = describe_device(torch.device(name)) if name in there else ""
        lines.append(_line(name, name in there, name == there[0], detail))
    return [*lines, f"  (PyTorch {torch.__version__})"]


def _line(name: str, usable: bool, picked: bool, detail: str = "") -> str:
    state = "usable" if usable else "not here"
    text = f"{'*' if picked else ' '} {name:<8} {state}"
    return f"{text}  {detail}" if detail and detail != name else text
