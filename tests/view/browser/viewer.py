"""`endoforge sim-view` as a subprocess in a folder of its own, and files for it to show."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.detect.tinydet import TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, save_weights

WAIT_S = 600.0
SIZE = (160, 96)
CHECKPOINT = "checkpoints/tinydet.safetensors"
BEST = "checkpoints/tinydet_best.safetensors"
FLAGS = ["--device", "cpu", "--checkpoint", CHECKPOINT]
SEED = ["--seed", "7"]
STATUS = "logs/train_status.json"
METRICS = "logs/train_metrics.jsonl"


class Viewer:
    """A running server; all of its paths are the defaults, within `folder`."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.runs = folder / "assets/datasets/captures"
        self.said: list[str] = []
        command = [sys.executable, "-m", "endoforge", "sim-view", "--headless", "--port", "0"]
        size = "x".join(map(str, SIZE))
        self.process = subprocess.Popen(
            [
                *command,
                *FLAGS,
                *([] if "--source" in flags else SEED),
                "--resolution",
                size,
                *flags,
            ],
            cwd=folder,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            wait_until(lambda: self._address() is not None or self.process.poll() is not None)
            address = self._address()
            assert address is not None, "no address:\n" + "".join(self.said)
        except BaseException:
            self.process.kill()
            raise
        self.address = address

    def put_checkpoint(self) -> None:
        """An untrained detector, where the server looks for one."""
        write_checkpoint(self.folder / CHECKPOINT)

    def stop(self) -> None:
        """End it, however it is."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)

    def _address(self) -> str | None:
        found = re.search(r"http://[\w.:]+", "".join(self.said))
        return found[0] if found else None


def renderers_of(viewer: Viewer) -> list[int]:
    """The numbers of its renderers' processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        if parent == viewer.process.pid and b"spawn_main" in words:
            found.append(int(folder.name))
    return found


def write_checkpoint(path: Path) -> None:
    """An untrained TinyDet for inputs of the frames' size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model = build_tinydet(TinyDetConfig(), seed=0)
    metadata = WeightsMetadata(model=model.config, input_size=SIZE, resize_mode="letterbox")
    save_weights(path, model.state_dict(), metadata)


def wait_until(true: Callable[[], object], seconds: float = WAIT_S) -> None:
    """Until `true()` is, or fail after `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.05)


def write_training(folder: Path) -> None:
    """The files of a training in its third epoch."""
    (folder / STATUS).parent.mkdir(parents=True, exist_ok=True)
    status = {"status": "running", "epoch": 3, "epochs": 8, "step": 5, "steps_per_epoch": 20}
    status |= {"loss": 0.75, "mean_iou": 0.61, "images_per_s": 123.0, "eta_s": 90.0, "lr": 1e-3}
    status |= {"seed": 42, "device": "cpu", "pid": 1, "updated_unix": time.time() + 3600}
    (folder / STATUS).write_text(json.dumps(status))
    lines = [metrics_line(epoch) for epoch in (1, 2)]
    (folder / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))


def metrics_line(epoch: int) -> dict[str, object]:
    at = {"iou": 0.5, "mean_iou": 0.3 * epoch, "precision": 0.8, "recall": 0.7, "map": 0.5}
    at |= {"tp": 1, "fp": 1, "fn": 1, "batches": 1}
    line = {"epoch": epoch, "seed": 42, "training": "a", "obj_thresh": 0.3, "val_metrics": [at]}
    line |= {"ap": 0.11 * epoch, "ap50": 0.25 * epoch, "ap75": 0.17 * epoch, "images": 9}
    return line | {"seconds": 1.0, "loss": 2.0 / epoch, "lr": 1e-3}


def write_run(root: Path) -> None:
    """Three frames with a box each."""
    recorder = RunRecorder.create(root, seed=2**64 - 1, max_frames=None, extra={})
    box = PolypLabel(center_world=(1, 2, 3), bbox_norm=(0.25, 0.25, 0.5, 0.75))
    for frame in range(3):
        label = FrameLabel(
            frame_id=frame,
            sim_time=frame,
            unix_time=1.0,
            image=image_name(frame),
            image_present=True,
            camera_active=True,
            polyp_seed=3,
            polyp_labels=[box],
        )
        recorder.write(np.full((60, 100, 3), 60 * frame, np.uint8), label)
    recorder.finish()
    recorder.close()
