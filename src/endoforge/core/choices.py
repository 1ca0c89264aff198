"""What flags, files and functions of several folders choose from; each choice is spelt here only.

Nothing heavy is imported, so that `endoforge COMMAND --help` need not load what computes.
"""

from typing import Literal

BackendName = Literal["torch", "webgpu"]
"""The library that trains and detects."""

DeviceName = Literal["auto", "cpu", "cuda", "mps", "xpu"]
"""Where torch computes, by torch's own names; auto is the fastest there is."""

DetectorKind = Literal["neural", "heuristic"]
"""The kinds of detector: that of weights which it has learned, and the classical one."""

RendererName = Literal["auto", "cpu", "cuda", "vulkan", "metal", "amdgpu"]
"""What runs the simulator's kernels, by the names of quadrants' back ends."""

ResizeMode = Literal["letterbox", "force"]
"""How a picture fills an input of another shape: with black bars, or stretched."""

LabelField = Literal["label", "paris"]
"""The field of a polyp's label that names its class."""

DETECTED_FROM = 0.3
"""Score from which a detection is shown and written down, where nothing else is said."""
