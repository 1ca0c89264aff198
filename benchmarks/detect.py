"""Milliseconds of the detector for one 640x360 frame, frame in, boxes out, in all and by part, and
frames per second in batches; on a CPU, all on one core, and beside the floor: the network's
operations as products of matrices."""

import argparse
import json
from contextlib import nullcontext

from endoforge import __version__
from endoforge.backends.devices import describe_device, pick_device
from endoforge.bench.detect_speed import (
    FRAME_SIZE,
    INPUT_SIZE,
    frames_per_second,
    fresh_detector,
    milliseconds_by_part,
    milliseconds_per_frame,
    near_limit,
    one_core,
)
from endoforge.detect.heuristic import HeuristicDetector


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=300)
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    with one_core() if device.type == "cpu" else nullcontext():
        detector = fresh_detector(device)
        result = {
            "benchmark": "detect",
            "version": __version__,
            "device": describe_device(device),
            "frame": "{}x{}".format(*FRAME_SIZE),
            "input": "{}x{}".format(*INPUT_SIZE),
            "frame_ms": round(milliseconds_per_frame(detector, repeats=arguments.repeats), 3),
        }
        if device.type == "cpu":
            parts = milliseconds_by_part(detector, repeats=arguments.repeats)
            result["part_ms"] = {name: round(value, 3) for name, value in parts.items()}
            whole, network = near_limit(detector, repeats=arguments.repeats)
            result["limit"] = {
                "gflop_a_frame": round(whole.operations / 1e9, 3),
                "gflop_per_s": round(whole.limit / 1e9, 1),
                "floor_ms": round(1e3 * whole.floor_seconds, 3),
                "frame_share": round(whole.share, 3),
                "network_share": round(network.share, 3),
            }
            heuristic = milliseconds_per_frame(HeuristicDetector(), repeats=arguments.repeats)
            result["heuristic_frame_ms"] = round(heuristic, 3)
        result["batch_frames_per_s"] = {
            batch: round(frames_per_second(detector, batch, repeats=20), 1)
            for batch in arguments.batch
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
