"""A forked process says at once what it can't do: it would wait for threads that aren't there."""

import subprocess
import sys
from pathlib import Path

import pytest

FORKED = """
import os, sys

def forked(after):
    print("---", flush=True)
    if os.fork():
        code = os.waitstatus_to_exitcode(os.wait()[1])
        return code and sys.exit(code)
    try:
        exec(after)
        print("went on", flush=True)
    except endoforge.core.errors.UserError as error:
        print(error, flush=True)
    os._exit(0)
"""
"""Defines what tells how a forked process fares that does `after`."""

PACKAGED = """
import numpy as np
import torch
import endoforge

torch.set_num_threads(2)
frame = np.full((360, 640, 3), 90, np.uint8)
"""

SIMULATED = """
import endoforge.core.errors
from endoforge.sim.simulator import Simulator

def make(seed):
    return Simulator(seed, size=(96, 64), max_frames=2, renderer="cpu")

simulator = make(7)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="forks by default on Linux alone"),
]


def said(code: str, folder: Path) -> list[str]:
    """What each child says; fails if one hangs."""
    argv = [sys.executable, "-c", FORKED + code]
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return [text.strip() for text in done.stdout.split("---\n")[1:]]


def test_a_detector_in_a_fork(tmp_path: Path) -> None:
    code = """
forked("endoforge.load_detector().detect(frame)")
detector = endoforge.load_detector()
forked("detector.detect(frame)")
forked("endoforge.load_detector()")
forked("torch.set_num_threads(1); detector.detect(frame)")
detector.detect(frame)
forked("detector.detect(frame)")
"""
    before_any, *others = said(PACKAGED + code, tmp_path)
    detect, load, on_one_thread, after_detecting = others
    assert before_any == "went on", "what was forked before anything was used works"
    assert "went on" in on_one_thread
    for line in (detect, load, after_detecting):
        assert "forked from one that used torch" in line
        assert '"spawn"' in line
        assert "set_num_threads(1)" in line


def test_a_simulator_in_a_fork(tmp_path: Path) -> None:
    code = """
forked("list(simulator)")
forked("make(8)")
list(simulator)
forked("list(simulator)")
"""
    lines = said(SIMULATED + code, tmp_path)
    assert len(lines) == 3
    for line in lines:
        assert "forked from one that used the renderer" in line
        assert '"spawn"' in line
