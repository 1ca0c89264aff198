"""The live view as a viewer has it: frames/s shown, and how long each part takes.

A real server in a process of its own, a real WebSocket client in this one, and a TinyDet that has
learned nothing, which takes as long as one that has.
"""

import argparse
import json
import os
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from endoforge import __version__
from endoforge.bench.detect_speed import INPUT_SIZE
from endoforge.core.machine import cpu_cores
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, save_weights

STARTS_S = 180.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--resolution", default="640x360")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--shown",
        choices=("newest", "detected"),
        default="newest",
        help="newest: the newest picture, with the boxes that there are; detected: as a page has it"
        " at first, each with its own boxes",
    )
    parser.add_argument("--warm-up", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "tinydet.safetensors"
        save_fresh_weights(checkpoint)
        server = start(arguments, folder, checkpoint)
        try:
            address = address_of(server)
            with connect(
                f"ws://{address}/live",
                origin=Origin(f"http://{address}"),
                max_size=None,
                compression=None,
            ) as socket:
                if arguments.shown == "newest":
                    socket.send(json.dumps({"type": "switch", "what": "newest_first"}))
                result = watch(socket, arguments.warm_up, arguments.seconds)
        finally:
            ended = time.monotonic()
            server.send_signal(signal.SIGINT)
            server.wait(30)
            ended = time.monotonic() - ended
    facts = {
        "benchmark": "view",
        "version": __version__,
        "resolution": arguments.resolution,
        "shown": arguments.shown,
        "cpu_cores": cpu_cores(),
        "load_before": round(LOAD_BEFORE, 2),
    }
    print(json.dumps({**facts, **result, "ends_s": round(ended, 2)}))


LOAD_BEFORE = os.getloadavg()[0] if hasattr(os, "getloadavg") else -1.0


def save_fresh_weights(path: Path) -> None:
    """A TinyDet of random weights."""
    model = build_tinydet(TinyDetConfig(), seed=0)
    metadata = WeightsMetadata(model=model.config, input_size=INPUT_SIZE, resize_mode="letterbox")
    save_weights(path, model.state_dict(), metadata)


def start(arguments: argparse.Namespace, folder: str, checkpoint: Path) -> "subprocess.Popen[str]":
    """The server, as a user starts it."""
    flags = ["--headless", "--port", "0", "--seed", str(arguments.seed), "--output-root", folder]
    flags += ["--randomization", "plain"]
    for flag in ("renderer", "device", "resolution"):
        flags += [f"--{flag}", getattr(arguments, flag)]
    return subprocess.Popen(
        [sys.executable, "-m", "endoforge", "sim-view", *flags, "--checkpoint", str(checkpoint)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def address_of(server: "subprocess.Popen[str]") -> str:
    """Host and port, from the line that it prints."""
    assert server.stdout is not None
    line = server.stdout.readline()
    return line.split("http://")[1].split("/")[0]


def watch(socket: ClientConnection, warm_up_s: float, seconds: float) -> dict[str, Any]:
    """Take frames as a page does, the first ones of which don't count."""
    arrivals: list[float] = []
    states: list[dict[str, Any]] = []
    replies: list[float] = []
    asked, next_speed = 0.0, 1.0
    started: float | None = None
    size, last_frame = 0, 0
    waiting_since = time.monotonic()
    while started is None or time.monotonic() < started + warm_up_s + seconds:
        assert time.monotonic() - waiting_since < STARTS_S + warm_up_s + seconds
        try:
            message = socket.recv(timeout=1)
        except TimeoutError:
            continue
        now = time.monotonic()
        counts = started is not None and now > started + warm_up_s
        if isinstance(message, str):
            state = json.loads(message)
            if state["type"] == "state" and asked and state["world"]["speed"] == next_speed:
                replies.append(now - asked)
                asked = 0.0
            if state["type"] == "state" and counts:
                states.append(state)
                if not asked and len(states) % 8 == 0:
                    next_speed = 1.0 if state["world"]["speed"] != 1.0 else 0.5
                    command = {"type": "speed", "speed": next_speed}
                    asked = time.monotonic()
                    socket.send(json.dumps(command))
            continue
        length = struct.unpack("<I", message[:4])[0]
        header = json.loads(message[4 : 4 + length])
        socket.send(json.dumps({"type": "ack", "frame": header["frame"]}))
        started = started or now
        if counts and header["frame"] != last_frame:
            arrivals.append(now)
            size += len(message)
        last_frame = header["frame"]
    return figures(arrivals, states, replies, size)


def figures(
    arrivals: list[float], states: list[dict[str, Any]], replies: list[float], size: int
) -> dict[str, Any]:
    """Medians of what the state messages said, and of what was seen here."""

    def median(part: str, name: str) -> float:
        values = [state[part][name] for state in states if state[part][name] is not None]
        return round(statistics.median(values), 2) if values else -1.0

    gaps = sorted(late - early for early, late in pairwise(arrivals))
    return {
        "renderer": states[-1]["renderer"],
        "device": states[-1]["device"],
        "detector": states[-1]["detector"]["mode"],
        "shown_hz": round((len(arrivals) - 1) / (arrivals[-1] - arrivals[0]), 1),
        "gap_p95_ms": round(1e3 * gaps[int(0.95 * (len(gaps) - 1))], 1),
        "rendered_hz": median("rates", "rendered_hz"),
        "dropped": states[-1]["rates"]["dropped"] - states[0]["rates"]["dropped"],
        "skipped": states[-1]["client"]["skipped"] - states[0]["client"]["skipped"],
        "detect_hz": median("detector", "hz"),
        "detect_ms_median": median("detector", "ms_median"),
        "detect_ms_p95": median("detector", "ms_p95"),
        "reply_ms": round(1e3 * statistics.median(replies), 1) if replies else None,
        "frame_kb": round(size / len(arrivals) / 1e3, 1),
    }


if __name__ == "__main__":
    main()
