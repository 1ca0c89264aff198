"""What a GPU's step is compiled with; that it is the same is tested where there is a GPU."""

import shutil
from pathlib import Path
from threading import Thread

import pytest
import torch

from endoforge.backends.cuda_graph import compile_for_training


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for CPUs by a C++ compiler")
def test_both_passes_are_compiled_so_that_timing_decides_no_bits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The backward pass is compiled later, and on a GPU by another thread."""
    from torch._inductor import config, graph

    seen = []
    run = graph.GraphLowering.run

    def noted(self: graph.GraphLowering, *args: object) -> object:
        seen.append((bool(self.is_backward), config.deterministic))
        return run(self, *args)

    monkeypatch.setattr(graph.GraphLowering, "run", noted)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # where nothing is compiled yet
    compiled = compile_for_training(lambda x: [(x.sin() * x).sum()])
    x = torch.linspace(0, 1, 10, requires_grad=True)
    [total] = compiled(x)
    backward = Thread(target=total.backward)
    backward.start()
    backward.join()
    assert seen == [(False, True), (True, True)]
    assert x.grad is not None
