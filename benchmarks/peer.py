"""Our detectors beside Ultralytics': parameters, and images per second of a training step (forward,
loss, backward, optimizer; ours' augmentation too), on the same machine in one run.

The peer is no dependency of EndoForge: `pip install ultralytics` into an environment that has
EndoForge too, and run this there. Steps of the nets are timed in turn, so that what else the
machine does meets all of them. On a GPU the peer computes in bfloat16, channels-last, its step as
Ultralytics' trainer does it, call by call.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from ultralytics.cfg import get_cfg  # type: ignore[import-not-found]
from ultralytics.nn.tasks import DetectionModel  # type: ignore[import-not-found]

from endoforge import __version__
from endoforge.backends.devices import describe_device, pick_device
from endoforge.backends.group import Group
from endoforge.backends.torch_backend import TorchBackend
from endoforge.bench.train_speed import random_batch
from endoforge.core.sizes import parse_size
from endoforge.data.loader import Batch
from endoforge.detect.tinydet import MODELS, TinyDet

WARM_UP = 3


def peer_step(name: str, batch: Batch, device: torch.device) -> tuple[int, Callable[[], None]]:
    """Parameters of the peer, and a step of it on `batch`."""
    model = DetectionModel(f"{name}.yaml", nc=1, verbose=False)
    model.args = get_cfg()
    model.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    corners = batch.boxes.flatten(0, 1)
    places = torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1)
    given = {
        "img": (batch.images.permute(0, 3, 1, 2).float() / 255).to(device),
        "cls": torch.zeros(len(places), 1, device=device),
        "bboxes": places.to(device),
        "batch_idx": torch.arange(len(batch.images), device=device).repeat_interleave(2).float(),
    }

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss, _ = model(given)
        optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()

    return sum(parameter.numel() for parameter in model.parameters()), step


def own_step(name: str, batch: Batch, device: torch.device) -> tuple[int, Callable[[], None]]:
    """Parameters of one of ours, and a step of it on `batch`."""
    config = MODELS[name]
    backend = TorchBackend(config, seed=0, device=device, batch_size=batch.num_all)
    numbers = iter(range(10**9))

    def step() -> None:
        backend.step(batch, lr=1e-3, epoch=0, step=next(numbers))

    return sum(parameter.numel() for parameter in TinyDet(config).parameters()), step


def seconds_of(step: Callable[[], None], repeats: int, device: torch.device) -> float:
    """Of one step, on average over `repeats`."""
    started = time.perf_counter()
    for _ in range(repeats):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["tinydet", "middet"])
    parser.add_argument("--peers", nargs="+", default=["yolo11n", "yolo26n"])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    batch = random_batch(
        arguments.batch_size, parse_size(arguments.size, "--size"), Group(), device
    )
    steps = {name: own_step(name, batch, device) for name in arguments.models}
    steps |= {name: peer_step(name, batch, device) for name in arguments.peers}
    repeats = 20 if device.type == "cuda" else 1
    for _, step in steps.values():
        seconds_of(step, WARM_UP, device)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(arguments.rounds):
        for name, (_, step) in steps.items():
            seconds[name].append(seconds_of(step, repeats, device))
    rates = {name: arguments.batch_size / statistics.median(own) for name, own in seconds.items()}
    result = {
        "benchmark": "peer",
        "version": __version__,
        "torch": torch.__version__,
        "device": describe_device(device),
        "input": arguments.size,
        "batch_size": arguments.batch_size,
        "parameters": {name: number for name, (number, _) in steps.items()},
        "train_images_per_s": {name: round(rate, 1) for name, rate in rates.items()},
        "times_the_peer": {
            own: {peer: round(rates[own] / rates[peer], 2) for peer in arguments.peers}
            for own in arguments.models
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
