"""EndoForge teaches a tiny detector to find polyps, with colonoscopy video that it simulates."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from endoforge.backends.devices import BackendName, DeviceName
    from endoforge.detect.neural import NeuralDetector

__version__ = "0.1.0"


def load_detector(
    path: str | os.PathLike[str] | None = None,
    device: DeviceName = "cpu",
    *,
    backend: BackendName = "torch",
    adapter: str | None = None,
) -> NeuralDetector:
    """The detector of a checkpoint that `train` wrote, or of the packaged one, ready to use.

    >>> detector = load_detector("checkpoints/tinydet_best.safetensors")
    >>> detector.detect(frame).boxes  # frame: (H, W, 3) uint8 RGB; boxes: (N, 4) xyxy in 0..1

    `device` is one of those that `endoforge devices` lists, or "auto" for the fastest. With the
    backend "webgpu" the `adapter` counts instead, in words as `train --adapter` takes them. Raises
    UserError for a file or a device that can't be used.
    """
    from endoforge.backends.compute import pick_compute
    from endoforge.detect.neural import NeuralDetector

    compute = pick_compute(backend, device, adapter)
    return NeuralDetector(path, place=compute.net)
