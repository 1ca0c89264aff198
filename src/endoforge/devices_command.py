"""The `devices` command: what can render and train on this machine."""

from dataclasses import dataclass
from typing import Annotated, get_args

from tyro.conf import arg


@dataclass(frozen=True, kw_only=True)
class DevicesConfig:
    """List every device for rendering and for training, and which one is picked."""

    adapter: Annotated[str | None, arg(metavar="WORDS")] = None
    """Mark the WebGPU adapter that these words pick, as --adapter of `train` takes them."""


def device_lines(config: DevicesConfig) -> list[str]:
    """The list for people; the picks are marked with *.

    Raises UserError for a wish for an adapter that none here meets.
    """
    return [
        "rendering (--renderer)",
        *_renderers(),
        "",
        "training and detecting (--device)",
        *_trainers(),
        "",
        "training and detecting on any GPU (--backend webgpu, --adapter)",
        *_adapters(config.adapter),
    ]


def _renderers() -> list[str]:
    from endoforge.core.choices import RendererName
    from endoforge.sim.engine import PREFERRED, available

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


def _adapters(words: str | None) -> list[str]:
    from endoforge.backends.webgpu.adapters import choose, list_adapters
    from endoforge.backends.wish import AdapterWish
    from endoforge.core.errors import UserError

    wish = AdapterWish.parse(words)
    try:
        there = list_adapters()
        picked = choose(wish, there)
    except UserError as error:
        if words is not None:
            raise
        return [f"  not here: {error}"]
    return [f"{'*' if adapter == picked else ' '} {adapter}" for adapter in there]


def _line(name: str, usable: bool, picked: bool, detail: str = "") -> str:
    state = "usable" if usable else "not here"
    text = f"{'*' if picked else ' '} {name:<8} {state}"
    return f"{text}  {detail}" if detail and detail != name else text
