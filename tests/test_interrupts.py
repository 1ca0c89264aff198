"""Signals while a command starts: each ends it, whatever is imported or compiled at the moment."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ["--resolution", "64x64", "--max-frames", "2", "--renderer", "cpu"]

IN_A_DECORATOR = """
import inspect, json, os, signal, sys
import torch  # the second that it takes is taken once, for all cases

def run(moment, number, argv):
    asked, ask = 0, inspect.getframeinfo

    def interrupted(*args, **others):
        nonlocal asked
        asked += sys._getframe(1).f_code.co_name == "_inside_class"
        if asked == moment:
            print("the signal came", flush=True)
            signal.raise_signal(number)
        return ask(*args, **others)

    inspect.getframeinfo = interrupted
    from endoforge import cli
    cli.main(argv)

for place, case in enumerate(json.loads(sys.argv[1])):
    child = os.fork()
    if child == 0:
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{place}.{name}", os.O_CREAT | os.O_WRONLY), stream)
        run(*case)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
"""Sends a signal from within quadrants' decorator, whose bare `except` would swallow it."""

Case = tuple[int, int, list[str]]
"""At which decorator, which signal, and the command line."""


def interrupted_in_a_decorator(cases: list[Case], folder: Path) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each case, a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_DECORATOR, json.dumps(cases)],
        cwd=folder, capture_output=True, text=True, check=True, timeout=600,
    )  # fmt: skip
    said = [
        ((folder / f"{place}.out").read_text(), (folder / f"{place}.err").read_text())
        for place in range(len(cases))
    ]
    codes = map(int, done.stdout.split())
    return [(code, *texts) for code, texts in zip(codes, said, strict=True)]


CASES: list[Case] = [
    (1, signal.SIGINT, ["datagen", *SMALL]),
    (40, signal.SIGTERM, ["datagen", *SMALL]),
    (20, signal.SIGHUP, ["datagen", *SMALL]),
    (5, signal.SIGINT, ["train", "--simulate", "--steps", "2", "--device", "cpu"]),
    (5, signal.SIGINT, ["demo"]),
    (5, signal.SIGINT, ["bench"]),
    (5, signal.SIGINT, ["devices"]),
]


@pytest.mark.slow
def test_none_is_lost_while_kernels_are_declared(tmp_path: Path) -> None:
    results = interrupted_in_a_decorator(CASES, tmp_path)
    for case, (code, out, err) in zip(CASES, results, strict=True):
        assert "the signal came" in out, case
        assert err.splitlines()[-1].startswith("endoforge: interrupted"), case
        assert code == 130, case


@pytest.mark.slow
def test_nohup_keeps_a_command_alive(tmp_path: Path) -> None:
    """A process that is started to ignore SIGHUP ignores it; above, another is ended by it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # children inherit it
    try:
        case: Case = (20, signal.SIGHUP, ["datagen", "--seed", "1", *SMALL])
        [(code, out, _)] = interrupted_in_a_decorator([case], tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert code == 0
    assert "1 run, 2 frames" in out


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
