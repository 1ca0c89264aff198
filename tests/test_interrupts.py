"""Signals while a command starts: each ends it, whatever is imported or compiled at the moment."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ["--resolution", "64x64", "--max-frames", "2", "--renderer", "cpu"]

IN_A_DECORATOR = """
import inspect, signal, sys

moment, number, asked = int(sys.argv[1]), int(sys.argv[2]), 0
ask = inspect.getframeinfo

def interrupted(*args, **others):
    global asked
    asked += sys._getframe(1).f_code.co_name == "_inside_class"
    if asked == moment:
        print("the signal came", flush=True)
        signal.raise_signal(number)
    return ask(*args, **others)

inspect.getframeinfo = interrupted
from endoforge import cli
cli.main(sys.argv[3:])
"""
"""Sends a signal from within quadrants' decorator, whose bare `except` would swallow it."""


def interrupted_in_a_decorator(
    moment: int, number: int, argv: list[str], folder: Path
) -> "subprocess.CompletedProcess[str]":
    words = [str(moment), str(int(number)), *argv]
    return subprocess.run(
        [sys.executable, "-c", IN_A_DECORATOR, *words],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "number", "argv"),
    [
        (1, signal.SIGINT, ["datagen", *SMALL]),
        (40, signal.SIGTERM, ["datagen", *SMALL]),
        (20, signal.SIGHUP, ["datagen", *SMALL]),
        (5, signal.SIGINT, ["train", "--simulate", "--steps", "2", "--device", "cpu"]),
        (5, signal.SIGINT, ["demo"]),
        (5, signal.SIGINT, ["bench"]),
        (5, signal.SIGINT, ["devices"]),
    ],
)
def test_none_is_lost_while_kernels_are_declared(
    moment: int, number: int, argv: list[str], tmp_path: Path
) -> None:
    done = interrupted_in_a_decorator(moment, number, argv, tmp_path)
    assert "the signal came" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("endoforge: interrupted")
    assert done.returncode == 130


@pytest.mark.slow
def test_nohup_keeps_a_command_alive(tmp_path: Path) -> None:
    """A process that is started to ignore SIGHUP ignores it."""
    done = interrupted_in_a_decorator(
        20, signal.SIGHUP, ["datagen", "--seed", "1", *SMALL], tmp_path
    )
    assert done.returncode == 130
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # children inherit it
    try:
        done = interrupted_in_a_decorator(
            20, signal.SIGHUP, ["datagen", "--seed", "1", *SMALL], tmp_path
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    assert done.returncode == 0
    assert "1 runs, 2 frames" in done.stdout


AT_AN_IMPORT = """
import signal, sys
from endoforge import cli

moment, imports = int(sys.argv[1]), 0

def interrupted(event, _):
    global imports
    imports += event == "import"
    if event == "import" and imports == moment:
        print("the signal came", flush=True)
        signal.raise_signal(signal.SIGINT)

sys.addaudithook(interrupted)
cli.main(sys.argv[2:])
"""
"""Sends a signal as the so manieth module is imported, among some 1,500."""


@pytest.mark.slow
@pytest.mark.parametrize("moment", [1, 200, 500, 900, 1200])
def test_none_is_lost_while_modules_are_imported(moment: int, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", AT_AN_IMPORT, str(moment), "datagen", "--runs", "9", *SMALL]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "the signal came" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("endoforge: interrupted")
    assert done.returncode == 130
