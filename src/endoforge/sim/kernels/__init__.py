"""The render kernels, one source for CPU, CUDA, Vulkan, Metal and AMD (quadrants).

`types` holds what they read and write, `geometry` and `polyp_geometry` the distances, `patches` and
`shading` what light meets, `passes` and `pixels` the kernels that draw. They hold no state: every
array is a torch tensor of the caller's.
"""

import inspect
import os
import warnings

from endoforge.core.signals import held_interrupts

# quadrants prints a banner on import; what our commands print is theirs alone.
os.environ.setdefault("ENABLE_QUADRANTS_HEADER_PRINT", "false")
# In notebooks it announces how it passes on the prints of kernels; ours print nothing.
os.environ.setdefault("QD_ENABLE_PYBUF", "0")

# It warns of each number that kernels take from a module; `engine.fingerprint` sees to those.
warnings.filterwarnings("ignore", r"\[PURE\.VIOLATION\]")

# Its decorators ask `inspect` who declares a kernel: the import system, which has no file, so that
# all modules are looked through each time, half a second in all. Noted here, it is found at once.
inspect.modulesbyfile[os.path.normcase(os.path.abspath("<frozen importlib._bootstrap>"))] = (  # noqa: PTH100
    "importlib._bootstrap"
)

# They drop every exception meanwhile.
with held_interrupts():
    from endoforge.sim.kernels import (
        develop,
        geometry,
        glare,
        jpeg,
        lighting,
        passes,
        patches,
        picture,
        pixels,
        polyp_geometry,
        shading,
        shadow,
        sharpening,
        tone,
        trace,
        types,
    )

__all__ = [
    "develop",
    "geometry",
    "glare",
    "jpeg",
    "lighting",
    "passes",
    "patches",
    "picture",
    "pixels",
    "polyp_geometry",
    "shading",
    "shadow",
    "sharpening",
    "tone",
    "trace",
    "types",
]
