"""Two processes that train at the same time, each a load for the other, end with the same bytes.

On the fastest device of the machine: a GPU's processes compile the step each for itself.
"""

from pathlib import Path

import pytest

from tests.train.processes import finished, start

pytestmark = pytest.mark.slow

FILES = ["tinydet.safetensors", "tinydet_best.safetensors"]


def test_a_seed_decides_the_weights_whatever_else_the_machine_does(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = []
    for name in ("one", "other"):
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / f"compiled-{name}"))
        folder = str(tmp_path / name)
        processes.append(start(small_config(ckpt_dir=folder, device="auto", seed=3, epochs=6)))
    for process in processes:
        code, _, errors = finished(process)
        assert code == 0, errors
    for file in FILES:
        one, other = ((tmp_path / name / file).read_bytes() for name in ("one", "other"))
        assert one == other, file
