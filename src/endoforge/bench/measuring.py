"""The `bench` command: measures each part of the work on this machine."""

import io
import json
import logging
import os
import platform
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch

from endoforge import __version__
from endoforge.backends.devices import describe_device, pick_device
from endoforge.backends.torch_backend import has_bfloat16
from endoforge.bench import detect_speed, record_speed, render_speed, train_speed
from endoforge.bench.config import BenchConfig
from endoforge.bench.limits import NearLimit
from endoforge.datagen.config import DatagenConfig
from endoforge.detect.neural import NeuralDetector
from endoforge.sim.engine import Engine, start_engine
from endoforge.sim.randomization import load_randomization
from endoforge.sim.scene import make_scene

log = logging.getLogger(__name__)

RENDER_SCENES, RENDER_SIZES = 4, ((640, 360), (256, 256))
RENDER_BATCH_CPU, RENDER_BATCH_GPU = 1, 256
DATAGEN_FRAMES = 40
TRAIN_SIZE, TRAIN_BATCH_CPU, TRAIN_BATCH_GPU = (256, 256), 16, 64
DETECT_BATCH_CPU, DETECT_BATCH_GPU = 8, 64
DETECT_ONE = "detect in one frame {}x{}".format(*detect_speed.FRAME_SIZE)


@dataclass(frozen=True)
class Figure:
    """A measured number, with its unit and what did the work."""

    what: str
    value: float
    unit: str
    where: str


@dataclass(frozen=True)
class BenchResult:
    """The measured figures, and facts of the machine that they are of."""

    machine: dict[str, str]
    figures: list[Figure]
    as_json: bool

    def lines(self) -> list[str]:
        """A table for people, or one line of JSON."""
        return [json.dumps(self.to_record())] if self.as_json else _table(self)

    def to_record(self) -> dict[str, Any]:
        """The result as JSON's types."""
        figures = [asdict(figure) for figure in self.figures]
        return {"benchmark": "bench", **self.machine, "figures": figures}


def run_bench(config: BenchConfig) -> BenchResult:
    """Measure all parts, one after the other; UserError for a device that isn't there."""
    device = pick_device(config.device)
    engine = start_engine("cpu" if device.type == "cpu" else "auto")
    figures: list[Figure] = []
    parts: dict[str, Callable[[], list[Figure]]] = {
        "rendering": lambda: _rendering(engine),
        "recording": lambda: _recording(engine),
        "training": lambda: _training(device),
        "detecting": lambda: _detecting(device),
    }
    for name, measure in parts.items():
        log.info("measuring %s", name)
        figures += measure()
    return BenchResult(_machine(device, engine), figures, config.json)


def _machine(device: torch.device, engine: Engine) -> dict[str, str]:
    return {
        "version": __version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_cores": str(os.cpu_count()),
        "device": describe_device(device),
        "renderer": engine.name,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "quadrants": version("quadrants"),
    }


def _rendering(engine: Engine) -> list[Figure]:
    seconds = render_speed.seconds_per_scene(range(20, 25))
    batch = RENDER_BATCH_CPU if engine.name == "cpu" else RENDER_BATCH_GPU
    plain = load_randomization("plain")
    scenes = [make_scene(seed, plain) for seed in range(1, RENDER_SCENES + 1)]
    rates = [
        Figure(
            f"render {width}x{height}, batch {batch}",
            render_speed.frames_per_second(scenes, (width, height), engine, batch),
            "frames/s",
            engine.name,
        )
        for width, height in RENDER_SIZES
    ]
    return [Figure("scene from a seed", 1e3 * seconds, "ms", "one CPU core"), *rates]


def _recording(engine: Engine) -> list[Figure]:
    config = DatagenConfig(randomization="plain", max_frames=DATAGEN_FRAMES, renderer=engine.name)
    renderer, rate = record_speed.frames_per_second(config)
    return [Figure(f"datagen {config.resolution}, to disk", rate, "frames/s", renderer)]


def _training(device: torch.device) -> list[Figure]:
    batch = TRAIN_BATCH_CPU if device.type == "cpu" else TRAIN_BATCH_GPU
    speed = train_speed.measure_training(
        device, size=TRAIN_SIZE, batch_size=batch, warm_up=2, repeats=10
    )
    where = describe_device(device)
    dtype = "bfloat16" if has_bfloat16(device) else "float32"
    what = f"training step {TRAIN_SIZE[0]}x{TRAIN_SIZE[1]}, batch {batch}"
    return [
        Figure(what, speed.images_per_second, "images/s", where),
        _limit(speed.near_limit, dtype, where),
        Figure("share of the limit: training", 100 * speed.near_limit.share, "%", where),
    ]


def _detecting(device: torch.device) -> list[Figure]:
    """Measure the detector; on a CPU, on one core, as a program that does more would run it."""
    on_cpu = device.type == "cpu"
    batch = DETECT_BATCH_CPU if on_cpu else DETECT_BATCH_GPU
    where = "one CPU core" if on_cpu else describe_device(device)
    single = _one_frame_on_cpu if on_cpu else _one_frame
    with detect_speed.one_core() if on_cpu else nullcontext():
        detector = detect_speed.fresh_detector(device)
        figures = single(detector, where)
        rate = detect_speed.frames_per_second(detector, batch, repeats=20)
    return [*figures, Figure(f"detect in batches of {batch}", rate, "frames/s", where)]


def _one_frame(detector: NeuralDetector, where: str) -> list[Figure]:
    milliseconds = detect_speed.milliseconds_per_frame(detector, repeats=200)
    return [Figure(DETECT_ONE, milliseconds, "ms", where)]


def _one_frame_on_cpu(detector: NeuralDetector, where: str) -> list[Figure]:
    """Measure a frame beside its floor, which says little of a GPU: a frame alone can't fill it."""
    frame, network = detect_speed.near_limit(detector, repeats=200)
    return [
        Figure(DETECT_ONE, 1e3 * frame.seconds, "ms", where),
        _limit(frame, "float32", where),
        Figure(
            f"floor of {frame.operations / 1e9:.3f} GFLOP", 1e3 * frame.floor_seconds, "ms", where
        ),
        Figure("share of the limit: a frame", 100 * frame.share, "%", where),
        Figure("share of the limit: its network", 100 * network.share, "%", where),
    ]


def _limit(near_limit: NearLimit, dtype: str, where: str) -> Figure:
    return Figure(f"limit: matrix products, {dtype}", near_limit.limit / 1e9, "GFLOP/s", where)


def _table(result: BenchResult) -> list[str]:
    from rich.console import Console
    from rich.table import Table

    machine = result.machine
    table = Table(title=f"EndoForge {machine['version']}")
    table.add_column("what")
    for name in ("", "unit"):
        table.add_column(name, justify="right" if not name else "left")
    table.add_column("where")
    for figure in result.figures:
        table.add_row(figure.what, _shown(figure.value), figure.unit, figure.where)
    text = io.StringIO()
    Console(file=text, width=100).print(table)
    facts = ", ".join(f"{name} {machine[name]}" for name in ("python", "torch", "quadrants"))
    return [
        *text.getvalue().rstrip().splitlines(),
        f"{machine['system']}, {machine['cpu_cores']} CPU cores; {facts}",
    ]


def _shown(value: float) -> str:
    """Write with at least three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
