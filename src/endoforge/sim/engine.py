"""The engine that runs the kernels: chosen by name, started once in a process."""

import atexit
import contextlib
import hashlib
import importlib
import io
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.core.choices import RendererName
from endoforge.core.errors import UserError
from endoforge.core.folders import make_folder, remove_files
from endoforge.core.forks import refuse_fork

log = logging.getLogger(__name__)

PREFERRED: tuple[RendererName, ...] = ("cuda", "amdgpu", "metal", "cpu")
"""`auto` takes the first of these that works. Vulkan works where asked for, with copies."""

LOCK_HELD_S = 10.0
"""quadrants locks its kernels on disk for milliseconds; a lock of this age is of a dead process."""

_TORCH_DEVICE = {"cuda": "cuda", "amdgpu": "cuda", "metal": "mps"}


@dataclass(frozen=True)
class Engine:
    """A running engine: its name, and the torch device that its arrays live on."""

    name: RendererName
    device: torch.device


def start_engine(name: RendererName = "auto") -> Engine:
    """Start the engine `name`; a second start with the same name costs nothing.

    Raises UserError if it isn't there: quadrants would fall back to the CPU in silence. So it does
    in a process that was forked from one with an engine.
    """
    refuse_fork("the renderer")
    there = available()
    if name == "auto":
        name = next(choice for choice in PREFERRED if choice in there)
    if name not in there:
        raise UserError(
            f"--renderer {name}: not available here; choose from auto, {', '.join(there)}"
        )
    _start(name)
    return Engine(name, torch.device(_TORCH_DEVICE.get(name, "cpu")))


def available() -> tuple[RendererName, ...]:
    """The engines that this machine can run: a driver is there, and torch can hold the arrays."""
    quadrants = _quadrants()
    supported = quadrants.lang.misc.is_arch_supported
    names: list[RendererName] = ["cpu"]
    if torch.cuda.is_available() and torch.version.hip is None and supported(quadrants.cuda):
        names.append("cuda")
    if torch.cuda.is_available() and torch.version.hip and supported(quadrants.amdgpu):
        names.append("amdgpu")
    if torch.backends.mps.is_available() and supported(quadrants.metal):
        names.append("metal")
    if supported(quadrants.vulkan):
        names.append("vulkan")
    return tuple(names)


def wait(engine: Engine) -> None:
    """Return when all kernels that were started have ended."""
    if engine.name != "cpu":
        _quadrants().sync()


def pin(engine: Engine, memory: NDArray[np.uint8]) -> bool:
    """Keep `memory` (N,) where it is, so that the CUDA `engine` copies from it at its full speed.

    Returns whether it is so kept: then `unpin` it before it is given back.
    """
    runtime = _cuda_runtime()
    if int(runtime.cudaHostRegister(memory.ctypes.data, memory.nbytes, 0)) == 0:
        return True
    log.debug("%d MB can't be pinned: copies from there are slower", memory.nbytes // 2**20)
    # The next launch would report the error that the driver keeps.
    with contextlib.suppress(RuntimeError):
        torch.zeros(1, device=engine.device)
    return False


def unpin(memory: NDArray[np.uint8]) -> None:
    """Undo a `pin`."""
    _cuda_runtime().cudaHostUnregister(memory.ctypes.data)


def _cuda_runtime() -> Any:
    cuda: Any = torch.cuda
    return cuda.cudart()


def settle(engine: Engine) -> None:
    """Return when all that torch has started on the engine's device has ended.

    Kernels that read what torch writes come after this, as torch may read what they write after
    `wait`: nothing says that the two share a queue. On CUDA only what the present stream has
    started counts, so that a training on a stream of its own goes on.
    """
    if engine.device.type == "cuda":
        torch.cuda.current_stream(engine.device).synchronize()
    elif engine.device.type != "cpu":
        torch.accelerator.synchronize(engine.device)


def keep_compiled() -> None:
    """Put the kernels that this process compiled on disk, where the next one finds them.

    For the end of a process: quadrants frees what it has put there, and a kernel that is started
    afterwards crashes. Python calls it where it comes to its own end, as a process of
    `multiprocessing` doesn't.
    """
    _quadrants().lang.impl.get_runtime().prog.dump_cache_data_to_disk()


_running: RendererName | None = None


def _start(name: RendererName) -> None:
    global _running
    if _running == name:
        return
    log.info("starting the renderer on %s; the first time on a machine it compiles", name)
    quadrants = _quadrants()
    with contextlib.redirect_stdout(io.StringIO()):
        quadrants.init(
            arch=getattr(quadrants, name), log_level=quadrants.ERROR, enable_fallback=False
        )
    _index_kernels(quadrants.lang.impl.get_runtime(), fingerprint(Path(__file__).parent))
    if _running is None:
        atexit.register(keep_compiled)
    _running = name


def fingerprint(folder: Path) -> str:
    """Twelve hexadecimal digits that follow from the text of all Python files under `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _index_kernels(runtime: Any, sources: str) -> None:
    """Have quadrants index its kernels in a folder of these sources; without one if that can't be.

    A kernel that is in the index is taken from the disk without being read, which saves seconds.
    It is found by the text of its functions alone, while they take numbers from everywhere in
    `sim`: so another text of anything there has another index. The kernels stay in one folder for
    all, where they lie by what they were read to be. Their keeper notes it when it is first asked.
    """
    config = runtime.prog.config()
    remove_dead_lock(Path(config.offline_cache_file_path))
    runtime.prog.dump_cache_data_to_disk()
    index = Path(config.offline_cache_file_path) / f"endoforge-{sources}"
    try:
        make_folder(index)
        runtime.src_ll_cache = os.access(index, os.W_OK)
    except (OSError, UserError):
        runtime.src_ll_cache = False
    config.offline_cache_file_path = str(index)


def remove_dead_lock(cache: Path) -> None:
    """Remove the lock that a process held on quadrants' kernels in `cache` when it was killed.

    While it lies there, quadrants finds no kernel and keeps none, without a word: every process
    would compile for most of a minute.
    """
    lock = cache / "kernel_compilation_manager" / "qdcache.lock"
    try:
        if time.time() - lock.stat().st_mtime > LOCK_HELD_S:
            remove_files(lock.parent, [lock.name])
    except (OSError, UserError):
        return  # as a rule there is none


def _quadrants() -> Any:
    import endoforge.sim.kernels  # noqa: F401  (keeps quadrants quiet)

    return importlib.import_module("quadrants")
