"""Opens a detector for programs of one's own, and says in words which one it is."""

import os
from typing import get_args

from endoforge.backends.compute import Compute, pick_compute
from endoforge.core.checks import check_choice, check_path, check_text
from endoforge.core.choices import BackendName, DeviceName
from endoforge.core.text import printable
from endoforge.detect.neural import NeuralDetector
from endoforge.detect.packaged import packaged_weights


def load_detector(
    path: str | os.PathLike[str] | None = None,
    device: DeviceName = "cpu",
    *,
    backend: BackendName = "torch",
    adapter: str | None = None,
) -> NeuralDetector:
    """Load the detector of a checkpoint that `train` wrote, ready to use.

    >>> detector = load_detector("checkpoints/tinydet_best.safetensors")
    >>> detector.detect(frame).boxes  # frame: (H, W, 3) uint8 RGB; boxes: (N, 4) xyxy in 0..1

    Without `path` it is the one that `detect` would take: checkpoints/tinydet.safetensors in the
    current folder, or while that isn't there, the one that comes with EndoForge, which is also
    "packaged". `device` is one of those that `endoforge devices` lists, or "auto" for the fastest.
    With the backend "webgpu" (experimental) the `adapter` counts instead, in words as `train
    --adapter` takes them. Raises UserError for a file or a device that can't be used.
    """
    if path is not None:
        check_path("path", path)
    if adapter is not None:
        check_text("adapter", adapter)
    check_choice("backend", backend, get_args(BackendName))
    return NeuralDetector(path, place=pick_compute(backend, device, adapter).net)


def describe_detector(detector: NeuralDetector, compute: Compute) -> str:
    """Name the weights of `detector`, what they find, and where they compute, for people."""
    path = detector.path
    weights = f"packaged weights ({path})" if path == packaged_weights() else f"weights {path}"
    (width, height), name = detector.metadata.input_size, detector.metadata.model.name
    what = f"{name} for {', '.join(detector.classes)}, input {width}x{height}"
    return f"{printable(weights)}: {what}, on {compute.describe()}"
