"""Finds the adapters that Dawn sees on this machine, and chooses one.

Dawn's C interface has no list of adapters: it hands out the best one for what is asked. So it is
asked for each API, for both power preferences, and for the software fallback; a third adapter of
one API can't be seen.
"""

import importlib.util
import logging
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from endoforge.backends.wish import AdapterWish
from endoforge.core.errors import UserError
from endoforge.core.packages import check_packages

log = logging.getLogger(__name__)

LIBRARIES = {
    ("Linux", "x86_64"): "libwebgpu_dawn_x86_64.so",
    ("Linux", "aarch64"): "libwebgpu_dawn_aarch64.so",
    ("Darwin", "arm64"): "libwebgpu_dawn_arm64.dylib",
    ("Darwin", "x86_64"): "libwebgpu_dawn_x86_64.dylib",
    ("Windows", "AMD64"): "libwebgpu_dawn.dll",
}
"""The files of Dawn in dawn-python, by system and processor."""

SOFTWARE = "software"
KINDS = {1: "discrete GPU", 2: "integrated GPU", 3: SOFTWARE, 4: "unknown type"}
"""The kinds of adapter by Dawn's number, the best first; low-power prefers an integrated one."""

NEEDED_BUFFERS = 8
"""The storage buffers that a kernel must be able to have: tinygrad makes kernels of so many."""


@dataclass(frozen=True)
class Adapter:
    """A GPU, or what stands in for one, through one API."""

    name: str
    vendor: str
    api: str
    kind: str
    handle: Any = field(compare=False, repr=False)
    """Dawn's own handle of it."""

    def __str__(self) -> str:
        return f"{self.name} ({self.vendor or 'vendor unknown'}, {self.api}, {self.kind})"

    @property
    def is_software(self) -> bool:
        """Say if the CPU does its work."""
        return self.kind == SOFTWARE


def load_dawn() -> None:
    """Make tinygrad find the library that dawn-python brings; UserError where something lacks."""
    check_packages("webgpu", "WebGPU", ("tinygrad", "pydawn"))
    if "WEBGPU_PATH" in os.environ:
        return
    system = (platform.system(), platform.machine())
    spec = importlib.util.find_spec("pydawn")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "lib" / LIBRARIES.get(system, "-")
    if not path.is_file():
        raise UserError(
            f"dawn-python has no library for {' '.join(system)}: build Dawn, and name its library "
            "in WEBGPU_PATH"
        )
    os.environ["WEBGPU_PATH"] = str(path)


def list_adapters() -> list[Adapter]:
    """List all that Dawn shows, the one picked without a wish first; UserError without Dawn."""
    load_dawn()
    try:
        from tinygrad.runtime import ops_webgpu as ops
    except (AttributeError, OSError) as error:
        raise UserError(
            f"Dawn's library {os.environ['WEBGPU_PATH']} can't be loaded ({error}): it may be "
            "damaged, or made for another system"
        ) from error
    from tinygrad.runtime.autogen import webgpu as wgpu

    apis = {
        "vulkan": wgpu.WGPUBackendType_Vulkan,
        "dx12": wgpu.WGPUBackendType_D3D12,
        "metal": wgpu.WGPUBackendType_Metal,
        "gl": wgpu.WGPUBackendType_OpenGL,
    }
    powers = (wgpu.WGPUPowerPreference_HighPerformance, wgpu.WGPUPowerPreference_LowPower)
    found: dict[Adapter, None] = {}
    for api, number in apis.items():
        for power, fallback in ((powers[0], False), (powers[1], False), (powers[0], True)):
            options = wgpu.WGPURequestAdapterOptions(
                powerPreference=power, backendType=number, forceFallbackAdapter=fallback
            )
            try:
                handle = ops.InstanceRequestAdapter(ops.instance, options)
            except RuntimeError:  # there is none
                continue
            if (adapter := _described(handle, api)) is not None:
                found.setdefault(adapter)
    kinds = list(KINDS.values())
    return sorted(found, key=lambda one: kinds.index(one.kind))


def choose(wish: AdapterWish, adapters: list[Adapter]) -> Adapter:
    """Choose the best of `adapters` that is as wished; UserError, which lists them, if none is."""
    if not adapters:
        raise UserError(
            "no WebGPU adapter here: install a driver of Vulkan, DX12 or Metal for the GPU (for a "
            "software one on Debian: apt-get install mesa-vulkan-drivers)"
        )
    matching = [one for one in adapters if _matches(one, wish)]
    if not matching:
        there = "; ".join(map(str, adapters))
        raise UserError(f"--adapter {wish}: no such adapter; there is {there}")
    if wish.power == "low-power":
        return min(matching, key=lambda one: one.kind != "integrated GPU")
    return matching[0]


def pick_adapter(words: str | None) -> Adapter:
    """Pick the adapter that `--adapter` wishes for, and log it, with a warning if it is software.

    Raises UserError where there is none, or no WebGPU.
    """
    adapter = choose(AdapterWish.parse(words), list_adapters())
    log.info("WebGPU adapter: %s", adapter)
    if adapter.is_software:
        log.warning(
            "this adapter is software: the CPU does its work, far slower than with --backend torch"
        )
    return adapter


def _matches(adapter: Adapter, wish: AdapterWish) -> bool:
    names = f"{adapter.name} {adapter.vendor}".lower()
    return wish.api in (None, adapter.api) and (wish.name or "").lower() in names


def _described(handle: Any, api: str) -> Adapter | None:
    """Describe an adapter of Dawn's; None for one that can't do the work."""
    from tinygrad.runtime import ops_webgpu as ops
    from tinygrad.runtime.autogen import webgpu as wgpu

    wgpu.wgpuAdapterGetInfo(handle, info := wgpu.WGPUAdapterInfo())
    name, vendor, about = map(ops.from_wgpu_str, (info.device, info.vendor, info.description))
    kind = KINDS.get(info.adapterType, "unknown type")
    wgpu.wgpuAdapterInfoFreeMembers(info)
    wgpu.wgpuAdapterGetLimits(handle, limits := wgpu.WGPUSupportedLimits())
    if limits.limits.maxStorageBuffersPerShaderStage < NEEDED_BUFFERS:
        log.debug("%s through %s: too few storage buffers for a kernel", name, api)
        return None
    return Adapter(name or about or "unnamed", vendor, api, kind, handle)
