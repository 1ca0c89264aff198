"""A forked process says at once what it can't do: it would wait for threads that aren't there."""

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGED = """
import os, sys
import numpy as np
import torch
import endoforge

torch.set_num_threads(2)
frame = np.full((360, 640, 3), 90, np.uint8)
detector = endoforge.load_detector()
{before}
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
try:
    {after}
    print("went on")
except endoforge.core.errors.UserError as error:
    print(error)
os._exit(0)
"""

SIMULATED = """
import os, sys
import endoforge.core.errors
from endoforge.sim.simulator import Simulator

def make(seed):
    return Simulator(seed, size=(96, 64), max_frames=2, renderer="cpu")

simulator = make(7)
{before}
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
try:
    {after}
    print("went on")
except endoforge.core.errors.UserError as error:
    print(error)
os._exit(0)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="forks by default on Linux alone"),
]


def said(code: str, folder: Path) -> str:
    """What the child says; fails if it hangs."""
    argv = [sys.executable, "-c", code]
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("pass", "detector.detect(frame)", "forked from one that used torch"),
        ("detector.detect(frame)", "detector.detect(frame)", "forked from one that used torch"),
        ("pass", "endoforge.load_detector()", "forked from one that used torch"),
        ("pass", "torch.set_num_threads(1); detector.detect(frame)", "went on"),
    ],
)
def test_a_detector_in_a_fork(before: str, after: str, words: str, tmp_path: Path) -> None:
    line = said(PACKAGED.format(before=before, after=after), tmp_path)
    assert words in line
    assert words == "went on" or ('"spawn"' in line and "set_num_threads(1)" in line)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pass", "list(simulator)"),
        ("list(simulator)", "list(simulator)"),
        ("pass", "make(8)"),
    ],
)
def test_a_simulator_in_a_fork(before: str, after: str, tmp_path: Path) -> None:
    line = said(SIMULATED.format(before=before, after=after), tmp_path)
    assert "forked from one that used the renderer" in line
    assert '"spawn"' in line


def test_what_was_forked_before_anything_was_used_works(tmp_path: Path) -> None:
    code = PACKAGED.replace("detector = endoforge.load_detector()\n", "")
    after = "endoforge.load_detector().detect(frame)"
    assert said(code.format(before="pass", after=after), tmp_path) == "went on"
