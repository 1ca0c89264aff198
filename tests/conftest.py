"""For all tests."""

import gc
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from torch import nn

from endoforge.backends.compute import Compute, pick_compute
from endoforge.captures.schema import RunManifest
from endoforge.core.errors import UserError
from endoforge.core.machine import cpu_cores
from endoforge.detect.tinydet import TinyDet, TinyDetConfig, build_tinydet
from endoforge.detect.weights import WeightsMetadata, save_weights
from tests.kept_kernels import bring_kernels
from tests.untraced import untraced

LONG_FILES = (
    "test_simulated.py",
    "test_readme.py",
    "test_backend.py",
    "test_processes.py",
    "test_kills.py",
    "test_on_ray.py",
    "test_nodes.py",
)
SLOW_MARKS = ("slow", "browser")


@pytest.hookimpl(optionalhook=True)  # there is no such hook with `-p no:xdist`
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests do little but wait for processes and browsers."""
    return cpu_cores() + 1


def pytest_collection_finish() -> None:
    """What is there by now stays: the garbage collector needn't look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Have files go where `together.py` says, if they are to go as a whole."""
    from tests.together import ByFile

    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes go first, then those with a slow test: none is left alone at the end.

    So long as xdist doesn't put files with many tests first (--no-loadscope-reorder).

    What uses WebGPU isn't traced for coverage: it is tinygrad's Python, which takes twice as long.
    """
    slow = {item.path for item in items for mark in SLOW_MARKS if item.get_closest_marker(mark)}
    items.sort(key=lambda item: (item.path.name not in LONG_FILES, item.path not in slow))
    for item in items:
        if "webgpu" in getattr(item, "fixturenames", ()):
            item.add_marker("no_cover")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Nets this small gain nothing from threads, which wait for each other when cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def _hears_ctrl_c() -> Iterator[None]:
    """Shells have what they start in the background ignore SIGINT; some tests send it."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="session")
def _exporter_untraced() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", untraced(torch.onnx.export))
        yield


@pytest.fixture(autouse=True, scope="session")
def _own_cache_folder(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[None]:
    """Nothing is read from the user's cache, or written to it.

    Where several processes test side by side, they share one, in which the renderer's kernels are
    before anything else. Where one tests alone they are if earlier tests have left them: it may
    need none.
    """
    side_by_side = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if side_by_side else base) / "cache"
    kept_by_pytest = getattr(pytestconfig, "cache", None)  # none with `-p no:cacheprovider`
    kept = kept_by_pytest.mkdir("kernels") if kept_by_pytest else base / "kernels"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                folder.mkdir()
                bring_kernels(kept, folder, compiles=side_by_side)
        yield


@pytest.fixture(autouse=True)
def _own_log_level() -> Iterator[None]:
    """A command's --log-level ends with its test."""
    root = logging.getLogger()
    before = root.level
    yield
    root.setLevel(before)


@pytest.fixture(autouse=True)
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the package's own weights would lie: there are none unless a test puts them."""
    path = tmp_path / "of-the-package" / "demo.safetensors"
    monkeypatch.setattr("endoforge.detect.packaged.location", lambda: path)
    return path


@pytest.fixture(scope="session")
def lively_model() -> TinyDet:
    """A TinyDet of two classes whose norms have seen something, and which finds a lot in noise."""
    return enlivened(build_tinydet(TinyDetConfig(classes=("flat", "stalked")), seed=3))


def output_of(head: nn.Module) -> nn.Conv2d:
    """The last layer of a TinyDet's head."""
    assert isinstance(head, nn.Sequential)
    output = head[-1]
    assert isinstance(output, nn.Conv2d)
    return output


def ours_of(manifest: RunManifest | None) -> dict[str, Any]:
    """What a run's manifest says under `endoforge`."""
    assert manifest is not None
    assert manifest.endoforge is not None
    return manifest.endoforge


def enlivened(model: TinyDet) -> TinyDet:
    """`model` in evaluation mode, with norms that have seen something, and scores that vary."""
    model.eval()
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            assert module.running_mean is not None
            for tensor in (module.weight.data, module.running_var):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            for tensor in (module.bias.data, module.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.2)
    for head in (model.head8, model.head16):
        output = output_of(head)
        output.weight.data.mul_(40)
        assert output.bias is not None
        output.bias.data[:2] = 0
    return model


@pytest.fixture(scope="session")
def lively(lively_model: TinyDet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its checkpoint, for letterboxed inputs of 96 by 64."""
    path = tmp_path_factory.mktemp("lively") / "tinydet.safetensors"
    metadata = WeightsMetadata(
        model=lively_model.config, input_size=(96, 64), resize_mode="letterbox"
    )
    save_weights(path, lively_model.state_dict(), metadata)
    return path


@pytest.fixture(scope="session")
def webgpu() -> Compute:
    """WebGPU on the first adapter there is, mostly a software one."""
    try:
        return pick_compute("webgpu", "auto", None)
    except UserError as error:
        pytest.skip(f"not tested on WebGPU: {error}")
