"""Runs tinygrad's WebGPU device on the adapter that was chosen, with nothing made twice.

tinygrad 0.14 takes the system's first adapter, and for every launch of a kernel it makes its
layouts, its pipeline and its bind group anew, each with a wait. Here a kernel's pipeline is made
once, and a captured step (`TinyJit`) is one list of dispatches, which a step submits as it is.
"""

import ctypes
from contextlib import AbstractContextManager
from typing import Any

from tinygrad.device import Compiled, Device, Program
from tinygrad.engine.jit import GraphRunner
from tinygrad.helpers import Context
from tinygrad.renderer.wgsl import WGSLRenderer
from tinygrad.runtime import ops_webgpu as ops
from tinygrad.runtime.autogen import webgpu as wgpu
from tinygrad.runtime.support import c
from tinygrad.uop.ops import Ops

from endoforge.backends.webgpu.adapters import Adapter
from endoforge.core.errors import UserError

DEVICE = "WEBGPU"
"""The name by which tinygrad knows the device."""

Dims = tuple[int, ...]


def open_device(adapter: Adapter) -> None:
    """Let tinygrad compute on `adapter`; a process has one, and keeps it."""
    if ChosenDevice.adapter is None:
        ChosenDevice.adapter = adapter
        ops.WebGpuDevice = ChosenDevice
    if ChosenDevice.adapter != adapter:
        raise UserError(f"this process computes on {ChosenDevice.adapter} already")


def settings() -> AbstractContextManager[None]:
    """Set tinygrad's switches for all that it does here: this process alone compiles kernels."""
    context: AbstractContextManager[None] = Context(PARALLEL=0, TRAINING=1)
    return context


class ChosenDevice(ops.WebGpuDevice):  # type: ignore[misc]
    """tinygrad's device, on the adapter that `open_device` was given."""

    adapter: Adapter | None = None

    def __init__(self, name: str) -> None:
        assert self.adapter is not None
        handle = self.adapter.handle
        wanted = (wgpu.WGPUFeatureName_TimestampQuery, wgpu.WGPUFeatureName_ShaderF16)
        self.features = [one for one in wanted if wgpu.wgpuAdapterHasFeature(handle, one)]
        wgpu.wgpuAdapterGetLimits(handle, limits := wgpu.WGPUSupportedLimits())
        description = wgpu.WGPUDeviceDescriptor(
            requiredFeatureCount=len(self.features),
            requiredFeatures=(wgpu.WGPUFeatureName * len(self.features))(*self.features),
            requiredLimits=c.pointer(wgpu.WGPURequiredLimits(limits=limits.limits)),
        )
        self.device_res = ops.AdapterRequestDevice(handle, description)
        self.queue = wgpu.wgpuDeviceGetQueue(self.device_res)
        arch = "shader-f16" * (wgpu.WGPUFeatureName_ShaderF16 in self.features)
        self.largest_buffer = int(limits.limits.maxStorageBufferBindingSize)
        Compiled.__init__(
            self, name, Memory(self), [WGSLRenderer], Kernel, graph=CommandRecording, arch=arch
        )
        self.infinity = self.create_uniform(float("inf"))

    def write_buffer(self, buf: Any, src: Any) -> None:
        """Write as tinygrad does, without its copy of what can be read where it lies."""
        view = memoryview(src)
        if view.readonly:
            super().write_buffer(buf, src)
            return
        wgpu.wgpuQueueWriteBuffer(
            self.queue, buf, 0, (ctypes.c_uint8 * view.nbytes).from_buffer(view), view.nbytes
        )


class Memory(ops.WebGpuAllocator):  # type: ignore[misc]
    """Buffers of the device; UserError for one that is too large for it."""

    def _alloc(self, size: int, options: Any) -> Any:
        if size > self.dev.largest_buffer:
            raise UserError(
                f"a buffer of {size / 1e6:.0f} MB is needed, and the adapter takes "
                f"{self.dev.largest_buffer / 1e6:.0f} MB at most: lower --batch-size"
            )
        wgpu.wgpuDevicePushErrorScope(self.dev.device_res, wgpu.WGPUErrorFilter_OutOfMemory)
        buffer = super()._alloc(size, options)
        if error := self.dev.pop_error():
            raise UserError(f"the adapter's memory is full ({error}): lower --batch-size")
        return buffer


class Kernel(Program[ChosenDevice]):  # type: ignore[misc]
    """A kernel whose pipeline is made when it is first launched, and kept."""

    def __init__(self, dev: ChosenDevice, obj: Any) -> None:
        self._dev = dev
        self._name = ops.to_wgpu_str(obj.name)
        self._pipeline: Any = None
        self._layout: Any = None
        source = wgpu.WGPUShaderModuleWGSLDescriptor(
            code=ops.to_wgpu_str(obj.lib.decode()),
            chain=wgpu.WGPUChainedStruct(sType=wgpu.WGPUSType_ShaderSourceWGSL),
        )
        description = wgpu.WGPUShaderModuleDescriptor(
            nextInChain=ctypes.cast(
                ctypes.pointer(source), ctypes.POINTER(wgpu.struct_WGPUChainedStruct)
            )
        )
        wgpu.wgpuDevicePushErrorScope(dev.device_res, wgpu.WGPUErrorFilter_Validation)
        self._module = wgpu.wgpuDeviceCreateShaderModule(dev.device_res, description)
        if error := dev.pop_error():
            raise RuntimeError(f"a shader doesn't compile: {error}")

    def __call__(
        self,
        *buffers: Any,
        global_size: Dims = (1, 1, 1),
        local_size: Dims = (1, 1, 1),  # noqa: ARG002 - it is in the kernel's source
        wait: bool = False,
        **_: Any,
    ) -> None:
        group = self.bind(buffers)
        submit(self._dev, [(self, group, global_size)])
        wgpu.wgpuBindGroupRelease(group)
        if wait:
            self._dev.synchronize()

    def bind(self, buffers: tuple[Any, ...]) -> Any:
        """Make a bind group of these buffers; the caller releases it."""
        device = self._dev.device_res
        if self._pipeline is None:
            self._make_pipeline(len(buffers))
        bound = [self._dev.infinity, *buffers]
        entries = (wgpu.WGPUBindGroupEntry * len(bound))(
            *(
                wgpu.WGPUBindGroupEntry(
                    binding=number, buffer=one, offset=0, size=wgpu.wgpuBufferGetSize(one)
                )
                for number, one in enumerate(bound)
            )
        )
        description = wgpu.WGPUBindGroupDescriptor(
            layout=self._layout, entryCount=len(bound), entries=entries
        )
        wgpu.wgpuDevicePushErrorScope(device, wgpu.WGPUErrorFilter_Validation)
        group = wgpu.wgpuDeviceCreateBindGroup(device, description)
        if error := self._dev.pop_error():
            raise RuntimeError(f"a kernel's buffers don't fit: {error}")
        return group

    def dispatch(self, compute_pass: Any, group: Any, global_size: Dims) -> None:
        """Put a launch of `global_size` workgroups into a pass."""
        wgpu.wgpuComputePassEncoderSetPipeline(compute_pass, self._pipeline)
        wgpu.wgpuComputePassEncoderSetBindGroup(compute_pass, 0, group, 0, None)
        wgpu.wgpuComputePassEncoderDispatchWorkgroups(compute_pass, *global_size)

    def _make_pipeline(self, num_buffers: int) -> None:
        device = self._dev.device_res
        uniform, storage = wgpu.WGPUBufferBindingType_Uniform, wgpu.WGPUBufferBindingType_Storage
        kinds = [uniform, *[storage] * num_buffers]
        entries = (wgpu.WGPUBindGroupLayoutEntry * len(kinds))(
            *(
                wgpu.WGPUBindGroupLayoutEntry(
                    binding=number,
                    visibility=wgpu.WGPUShaderStage_Compute,
                    buffer=wgpu.WGPUBufferBindingLayout(type=kind),
                )
                for number, kind in enumerate(kinds)
            )
        )
        wgpu.wgpuDevicePushErrorScope(device, wgpu.WGPUErrorFilter_Validation)
        self._layout = wgpu.wgpuDeviceCreateBindGroupLayout(
            device, wgpu.WGPUBindGroupLayoutDescriptor(entryCount=len(kinds), entries=entries)
        )
        layouts = (wgpu.WGPUBindGroupLayout * 1)(self._layout)
        layout = wgpu.wgpuDeviceCreatePipelineLayout(
            device,
            wgpu.WGPUPipelineLayoutDescriptor(bindGroupLayoutCount=1, bindGroupLayouts=layouts),
        )
        if error := self._dev.pop_error():
            raise RuntimeError(f"a kernel has too many buffers: {error}")
        compute = wgpu.WGPUComputeState(module=self._module, entryPoint=self._name)
        self._pipeline = ops.DeviceCreateComputePipeline(
            device, wgpu.WGPUComputePipelineDescriptor(layout=layout, compute=compute)
        )
        wgpu.wgpuPipelineLayoutRelease(layout)


class CommandRecording(GraphRunner):  # type: ignore[misc]
    """Kernels in a row, bound to their buffers once and submitted together."""

    def __init__(self, linear: Any, input_uops: tuple[Any, ...] = ()) -> None:
        super().__init__(linear, input_uops)
        if self.vars or any(self.uop_replace):
            raise RuntimeError("a recorded step must work on buffers that stay")
        self._launches = []
        for kernel, (_, ast, buffers, _) in zip(self.runtimes, self.calls, strict=True):
            size, _ = ast.arg.launch_dims({})
            self._launches.append((kernel, kernel.bind(tuple(one._buf for one in buffers)), size))
        self._dev = Device[self.device]

    @staticmethod
    def supports_uop(batch_devs: Any, new_call: Any) -> bool:
        """Say if a call can be recorded: none of its buffers is an input of the function."""
        fixed = not any(one.op is Ops.PARAM for arg in new_call.src[1:] for one in arg.toposort())
        return fixed and GraphRunner.supports_uop(batch_devs, new_call)

    def __call__(self, input_uops: Any, var_vals: Any, wait: bool = False) -> None:  # noqa: ARG002
        submit(self._dev, self._launches)
        if wait:
            self._dev.synchronize()

    def __del__(self) -> None:
        for _, group, _ in getattr(self, "_launches", ()):
            wgpu.wgpuBindGroupRelease(group)


def submit(dev: ChosenDevice, launches: list[tuple[Kernel, Any, Dims]]) -> None:
    """Launch kernels, one after the other, in one command buffer; doesn't wait."""
    encoder = wgpu.wgpuDeviceCreateCommandEncoder(
        dev.device_res, wgpu.WGPUCommandEncoderDescriptor()
    )
    compute_pass = wgpu.wgpuCommandEncoderBeginComputePass(
        encoder, wgpu.WGPUComputePassDescriptor()
    )
    for kernel, group, size in launches:
        kernel.dispatch(compute_pass, group, size)
    wgpu.wgpuComputePassEncoderEnd(compute_pass)
    commands = wgpu.wgpuCommandEncoderFinish(encoder, wgpu.WGPUCommandBufferDescriptor())
    wgpu.wgpuQueueSubmit(dev.queue, 1, (wgpu.WGPUCommandBuffer * 1)(commands))
    wgpu.wgpuComputePassEncoderRelease(compute_pass)
    wgpu.wgpuCommandEncoderRelease(encoder)
    wgpu.wgpuCommandBufferRelease(commands)
