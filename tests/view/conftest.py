"""A small world, rendered in the tests' own process, and detectors that are told what to do."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from endoforge.core.choices import DetectorKind, RendererName
from endoforge.detect.detections import Detections
from endoforge.sim.engine import Engine, start_engine
from endoforge.sim.renderer import Renderer
from endoforge.view.config import SimViewConfig
from endoforge.view.encoding import Packet
from endoforge.view.painter import PaintedPicture, Painter
from endoforge.view.session import Session
from endoforge.view.world import Colon, bake_colon
from tests.plain_ranges import PLAIN

SIZE = (96, 64)
SEED = 3


@pytest.fixture(scope="session")
def colon() -> Colon:
    return bake_colon(SEED, PLAIN, SIZE, None)


@pytest.fixture(scope="session")
def cpu(colon: Colon) -> Engine:
    """Its kernels are compiled here: only the main thread may, then any may run them."""
    engine = start_engine("cpu")
    renderer = Renderer(*SIZE, engine)
    tables = {name: torch.tensor(table) for name, table in colon.tables.items()}
    renderer.use(tables, with_jpeg=True)
    renderer.switch_jpeg(True)
    cameras, polyps = colon.camera_rows(colon.run.states[0], 0)
    renderer.render_rows(torch.from_numpy(cameras), torch.from_numpy(polyps))
    return engine


class InProcessPainter(Painter):
    """As `Painter`, without its process: a picture is rendered when it is asked for."""

    def __init__(self, size: tuple[int, int], renderer: RendererName) -> None:
        self.engine = ""
        self.in_flight = 0
        self.closed = False
        self._renderer = Renderer(*size, start_engine(renderer))
        self._done: list[PaintedPicture] = []

    def load(self, colon: Colon) -> None:
        assert self.in_flight == 0
        self._has_jpeg = colon.has_jpeg
        tables = {name: torch.tensor(table) for name, table in colon.tables.items()}
        self._renderer.use(tables, with_jpeg=colon.has_jpeg)
        self.engine = "cpu"

    def shoot(self, cameras: np.ndarray, polyps: np.ndarray, *, in_full: bool) -> None:
        if self._has_jpeg:
            self._renderer.switch_jpeg(in_full)
        frames = self._renderer.render_rows(
            torch.from_numpy(cameras), torch.from_numpy(polyps), hidden=in_full
        )
        rgbi, stats = frames.rgbi[0].numpy().copy(), frames.stats[0].numpy().copy()
        self._done.append(PaintedPicture(rgbi, stats))
        self.in_flight += 1

    def picture(self, _timeout_s: float) -> PaintedPicture | None:
        time.sleep(0.002)  # others want Python's lock too
        self.in_flight -= 1
        return self._done.pop(0)

    def close(self) -> None:
        self.closed = True


class FakeDetector:
    """Finds what it is told; throws while `failure` is set."""

    kind: DetectorKind = "heuristic"
    classes = ("polyp",)

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self.boxes = boxes
        self.thresholds: tuple[float, float] | None = None
        self.failure: Exception | None = None
        self.calls = 0
        self.seen: np.ndarray | None = None

    def set_thresholds(self, objectness: float, iou: float) -> None:
        self.thresholds = objectness, iou

    def detect(self, frame: np.ndarray) -> Detections:
        self.calls += 1
        self.seen = frame
        if self.failure is not None:
            raise self.failure
        assert frame.dtype == np.uint8
        count = len(self.boxes)
        return Detections(
            np.array(self.boxes, np.float32).reshape(-1, 4),
            np.linspace(0.9, 0.5, count, dtype=np.float32),
            np.zeros(count, np.int64),
        )


@pytest.fixture
def detector() -> FakeDetector:
    return FakeDetector((0.25, 0.25, 0.5, 0.5))


def small_config(folder: Path, **flags: Any) -> SimViewConfig:
    """Everything under `folder`."""
    values: dict[str, Any] = {
        "randomization": "plain",
        "resolution": "96x64",
        "renderer": "cpu",
        "device": "cpu",
        "headless": True,
        "output_root": str(folder / "captures"),
        "checkpoint": str(folder / "checkpoints" / "tinydet.safetensors"),
        "status_file": str(folder / "logs" / "status.json"),
        "metrics_out": str(folder / "logs" / "metrics.jsonl"),
    }
    return SimViewConfig(**(values | flags))


def until(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until `what()` is true, and return it; too many seconds fail the test."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
    return found


class Watched:
    """A session that is watched: its packets are kept, the newest last."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.packets: list[Packet] = []
        self.ended: list[Exception | None] = []
        self._lock = threading.Lock()
        session.on_packet = self.packets.append
        session.on_end = self.ended.append
        session.watch(1)
        session.start()

    def until(self, what: Callable[[], Any], seconds: float = 30.0) -> Any:
        """Wait until `what()` is true, and return it."""
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, f"waited in vain; events: {self.session.events.last()}"
            time.sleep(0.01)
        return found

    def texts(self) -> list[str]:
        return [event.text for event in self.session.events.last()]


@pytest.fixture
def watch(
    cpu: Engine,  # noqa: ARG001 - it starts in the main thread
    tmp_path: Path,
    detector: FakeDetector,
) -> Iterator[Callable[..., Watched]]:
    """Starts sessions, and ends them after the test."""
    begun: list[Session] = []

    def start(**flags: Any) -> Watched:
        session = Session(
            small_config(tmp_path, **flags),
            SEED,
            make_painter=InProcessPainter,
            make_heuristic=lambda: detector,
        )
        begun.append(session)
        watched = Watched(session)
        watched.until(lambda: watched.packets)
        return watched

    yield start
    for session in begun:
        session.close()
