"""Three hundred epochs hold no more memory than a hundred."""

import ctypes
import gc
import resource
from pathlib import Path

import pytest

from endoforge.train.loop import train

MOST_GROWTH_MB = 2.5


def resident_mb() -> float:
    """What is in use: the allocator first gives back the pages that it only keeps."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


@pytest.mark.slow
@pytest.mark.no_cover  # what is traced is kept, and grows too
def test_three_hundred_epochs_hold_no_more_memory_than_a_hundred(small_config, recorder, tmp_path):
    seen = {}

    def look(report):
        recorder.steps.clear()
        recorder.epochs.clear()
        if report.epoch in (100, 300):
            seen[report.epoch] = resident_mb(), len(gc.get_objects())

    recorder.after_epoch = look
    train(
        small_config(
            epochs=300,
            batch_size=10,
            ckpt_every_epochs=50,
            log_every=0,
            metrics_out=str(tmp_path / "metrics.jsonl"),
            status_file=str(tmp_path / "status.json"),
        )
    )
    assert seen[300][0] - seen[100][0] < MOST_GROWTH_MB
    assert seen[300][1] - seen[100][1] < 500
