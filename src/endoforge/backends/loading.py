"""Opens a detector for programs of one's own."""

import os
from typing import get_args

from endoforge.backends.compute import pick_compute
from endoforge.core.checks import check_choice, check_path, check_text
from endoforge.core.choices import BackendName, DeviceName
from endoforge.detect.neural import NeuralDetector


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
