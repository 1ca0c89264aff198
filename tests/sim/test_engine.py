"""Kernels on disk: one that is there is taken without being read, unless anything has changed."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from endoforge.sim import engine, kernels

ROOT = Path(__file__).parents[2]

TAKEN = """
import sys
from endoforge import cli
from tests.sim.test_engine import declared

assert cli.run(sys.argv[1:]) == 0
used = [kernel._primal for kernel in declared() if kernel._primal.compiled_kernel_data_by_key]
print(len(used), sum(kernel.src_ll_cache_observations.cache_loaded for kernel in used))
"""


def declared() -> list[Any]:
    """All kernels of `sim.kernels`, each once."""
    found = [
        value
        for module in vars(kernels).values()
        if isinstance(module, ModuleType)
        for value in vars(module).values()
        if getattr(value, "_is_wrapped_kernel", False)
    ]
    return list({id(kernel): kernel for kernel in found}.values())


def used_and_taken(folder, **changed):
    """How many kernels a process uses that renders a frame, and how many of them it takes as they
    lie on the disk: of the second process, if the first finds none there."""
    words = ["datagen", "--seed", "3", "--runs", "1", "--max-frames", "1", "--resolution", "64x64"]
    words += ["--renderer", "cpu", "--output-root", str(folder)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])} | changed
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", TAKEN, *words],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "PURE" not in done.stderr
        used, taken = map(int, done.stdout.splitlines()[-1].split())
        if used == taken:  # as of a second one: kernels were there
            break
    return used, taken


def test_the_second_process_reads_no_kernel(tmp_path):
    assert used_and_taken(tmp_path) == (10, 10)  # of 13: three it has no need of


def test_what_a_process_left_locked_that_was_killed_is_taken_by_later_ones(tmp_path):
    kept = Path(os.environ["XDG_CACHE_HOME"]) / "quadrants"
    if kept.exists():
        shutil.copytree(kept, tmp_path / "quadrants")
    lock = tmp_path / "quadrants/qdcache/kernel_compilation_manager/qdcache.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    os.utime(lock, (time.time() - 11, time.time() - 11))
    assert used_and_taken(tmp_path / "runs", XDG_CACHE_HOME=str(tmp_path)) == (10, 10)
    assert not lock.exists()


def test_a_lock_that_a_process_holds_now_stays(tmp_path):
    lock = tmp_path / "kernel_compilation_manager/qdcache.lock"
    lock.parent.mkdir()
    lock.touch()
    engine.remove_dead_lock(tmp_path)
    assert lock.exists()
    engine.remove_dead_lock(tmp_path / "no cache")


def test_each_kernel_may_be_taken_without_being_read():
    assert len(declared()) == 13
    assert [kernel.__name__ for kernel in declared() if not kernel.is_pure] == []


def test_the_fingerprint_follows_every_text(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("a.py", "inner/b.py"):
        (tmp_path / name).write_text("N = 1\n")
    first = engine.fingerprint(tmp_path)
    assert engine.fingerprint(tmp_path) == first
    (tmp_path / "c.txt").write_text("not code")
    assert engine.fingerprint(tmp_path) == first
    (tmp_path / "inner/b.py").write_text("N = 2\n")
    assert engine.fingerprint(tmp_path) != first


@pytest.mark.parametrize("there", [True, False])
def test_without_a_folder_there_is_no_index(tmp_path, there):
    cache = tmp_path / "cache"
    if not there:
        cache.write_text("a file where the folder should be")
    config = SimpleNamespace(offline_cache_file_path=str(cache))
    prog = SimpleNamespace(dump_cache_data_to_disk=lambda: None, config=lambda: config)
    runtime = SimpleNamespace(prog=prog, src_ll_cache=True)
    engine._index_kernels(runtime, "abc")
    assert runtime.src_ll_cache == there
    assert config.offline_cache_file_path == str(cache / "endoforge-abc")
