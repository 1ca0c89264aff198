"""Where the time of a training step goes: the operators of a CPU, or the kernels of a GPU, by their
share of the time, as torch.profiler counts it."""

import argparse
import json

import torch
from torch.profiler import ProfilerActivity, profile

from endoforge import __version__
from endoforge.backends.devices import describe_device, pick_device
from endoforge.backends.group import Group
from endoforge.backends.torch_backend import TorchBackend
from endoforge.bench.train_speed import random_batch
from endoforge.core.sizes import parse_size
from endoforge.detect.tinydet import MODELS

WARM_UP, STEPS, SHOWN = 4, 20, 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", choices=MODELS, default="tinydet")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--size", default="256x256")
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    on_gpu = device.type == "cuda"
    size = parse_size(arguments.size, "--size")
    batch = random_batch(arguments.batch_size, size, Group(), device)
    model = MODELS[arguments.model]
    backend = TorchBackend(model, seed=0, device=device, batch_size=arguments.batch_size)
    for step in range(WARM_UP):
        float(backend.step(batch, lr=1e-3, epoch=0, step=step).loss)
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiled:
        for step in range(STEPS):
            float(backend.step(batch, lr=1e-3, epoch=1, step=step).loss)
    field = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    spent = {one.key: getattr(one, field) for one in profiled.key_averages()}
    total = sum(spent.values())
    first = sorted(spent, key=lambda key: -spent[key])[:SHOWN]
    result = {
        "benchmark": "profile_step",
        "version": __version__,
        "torch": torch.__version__,
        "device": describe_device(device),
        "model": arguments.model,
        "input": arguments.size,
        "batch_size": arguments.batch_size,
        "ms_a_step": round(total / 1000 / STEPS, 2),
        "shares": {key: round(spent[key] / total, 3) for key in first},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
