"""Images per second of training steps (augmentation, forward, loss, backward, optimizer), data in
memory; and their share of the limit, the network's operations as products of matrices, which each
process measures in turn with its steps.

`torchrun --nproc-per-node 2 benchmarks/train.py` measures several processes together; the batch
size is that of each, so that N times the images per second of one process is perfect.
"""

import argparse
import json

from endoforge import __version__
from endoforge.backends.devices import describe_device, pick_device
from endoforge.backends.group import joined
from endoforge.bench.train_speed import measure_training
from endoforge.core.sizes import parse_size
from endoforge.detect.tinydet import MODELS, TinyDet

WARM_UP, STEPS = 8, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", choices=MODELS, default="tinydet")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--size", default="320x192")
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    with joined(device) as group:
        speed = measure_training(
            device,
            size=parse_size(arguments.size, "--size"),
            batch_size=arguments.batch_size,
            warm_up=WARM_UP,
            repeats=STEPS,
            config=MODELS[arguments.model],
            group=group,
        )
        result = {
            "benchmark": "train",
            "version": __version__,
            "device": describe_device(device),
            "processes": group.size,
            "model": arguments.model,
            "input": arguments.size,
            "batch_size": arguments.batch_size,
            "parameters": sum(p.numel() for p in TinyDet(MODELS[arguments.model]).parameters()),
            "train_images_per_s": round(speed.images_per_second, 1),
            "limit_gflop_per_s": round(speed.near_limit.limit / 1e9, 1),
            "share_of_limit": round(speed.near_limit.share, 3),
        }
        if group.is_main:
            print(json.dumps(result))


if __name__ == "__main__":
    main()
