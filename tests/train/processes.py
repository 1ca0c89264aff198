"""Trainings as processes of their own, to be stopped and killed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from endoforge.train.config import TrainConfig

LONGEST_S = 600  # only what hangs takes so long, on the busiest machine too
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


def make_comparable(set_to: Callable[[Any, str, object], None]) -> None:
    """Have trainings compute so that those of one and of several processes can be compared.

    In float32, for processes that share a batch out round so differently in bfloat16, which some
    CPUs have, that no comparison could find a mistake. And in groups of two rows, so that small
    batches have several. `set_to` is `setattr`, or one that takes it back.
    """
    from endoforge.backends import ghost_norm, torch_backend

    set_to(torch_backend, "has_bfloat16", lambda _device: False)
    set_to(ghost_norm, "GHOST_ROWS", 2)


def flags(config: TrainConfig) -> list[str]:
    """The command line that gives `config`."""
    plain = TrainConfig()
    words = ["train"]
    for field in fields(config):
        value = getattr(config, field.name)
        if value != getattr(plain, field.name):
            words.append(f"--{field.name.replace('_', '-')}")
            words += [] if value is True else [str(value)]
    return words


def start(config: TrainConfig, *, processes: int | None = None) -> subprocess.Popen[str]:
    """The training as a user starts it; with `processes`, comparable: 0 alone, others by torchrun.

    A comparable one takes few runs where the environment says so.
    """
    command = [sys.executable, "-m", "endoforge"]
    if processes is not None:
        torchrun = [*TORCHRUN, str(processes)] if processes else [sys.executable]
        command = [*torchrun, str(Path(__file__).parent / "comparable.py")]
    return subprocess.Popen(
        [*command, *flags(config)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; fails if it hangs."""
    out, err = process.communicate(timeout=LONGEST_S)
    return process.returncode, out, err


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait while `process` runs until `condition` holds."""
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def epochs_in(path: Path) -> list[int]:
    """The epochs of a metrics file, line by line."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line)["epoch"] for line in lines if line.endswith("\n")]
