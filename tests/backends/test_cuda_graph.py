"""What a GPU's step is compiled with; that it is the same is tested where there is a GPU."""

import os
import shutil
import subprocess
import sys

import pytest

COMPILES = """
from threading import Thread
import torch
from torch._inductor import config, graph
from endoforge.backends.cuda_graph import compile_for_training

run = graph.GraphLowering.run

def noted(self, *args):
    print("backward" if self.is_backward else "forward", config.deterministic)
    return run(self, *args)

graph.GraphLowering.run = noted
compiled = compile_for_training(lambda x: (x.sin() * x).sum())
total = compiled(torch.linspace(0, 1, 10, requires_grad=True))
backward = Thread(target=total.backward)  # as a GPU's is
backward.start()
backward.join()
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for CPUs by a C++ compiler")
def test_both_passes_are_compiled_so_that_timing_decides_no_bits(tmp_path):
    """In a process of its own, with an empty cache, where nothing else has been imported."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILES],
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["forward True", "backward True"], done.stderr
