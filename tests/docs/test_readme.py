"""What the README and the page on data sets print to type works as printed, in that order.

At small sizes, as `pages.small` makes them.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .pages import ROOT, blocks, commands, small

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bash") is None, reason="types into a shell"),
]


def test_the_readmes_commands_work_in_order(
    tmp_path: Path, type_in: Callable[[str], tuple[int, str]]
) -> None:
    lines = [line for line in commands(ROOT / "README.md") if line.startswith("endoforge")]
    assert len(lines) >= 9
    for line in lines:
        code, said = type_in(small(line))
        assert code == 0, f"{line}\n{said}"
        assert "warning" not in said, f"{line}\n{said}"
    assert (tmp_path / "report/report.html").exists()
    assert (tmp_path / "long/tinydet_best.safetensors").exists()
    assert len(list((tmp_path / "few").glob("run_*"))) == 4


def test_the_readmes_torchrun_is_no_training_of_another_line() -> None:
    """It isn't run here; each training has a folder of its own."""
    lines = [line for line in commands(ROOT / "README.md") if " train " in line]
    folders = [re.findall(r"--ckpt-dir (\S+)", line) for line in lines]
    assert len(lines) == 3
    assert len({str(folder) for folder in folders}) == 3


def test_the_readmes_python_works(tmp_path: Path) -> None:
    [code] = blocks(ROOT / "README.md", "python")
    frame = "import numpy as np\nframe = np.full((360, 640, 3), 90, np.uint8)\n"
    done = subprocess.run(
        [sys.executable, "-c", frame + code], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_commands_for_data_sets_work_in_order(
    tmp_path: Path, type_in: Callable[[str], tuple[int, str]]
) -> None:
    lines = commands(ROOT / "docs/datasets.md")
    assert len(lines) >= 5
    for line in lines:
        [*_, last] = sorted(tmp_path.glob("assets/datasets/captures/run_*")) or [tmp_path]
        again = "--max-frames" if "--from-manifest" in line else "--nothing"
        typed = re.sub(rf" {again} \S+", "", small(line))
        typed = typed.replace(" --resolution 96x64", "") if again == "--max-frames" else typed
        typed = re.sub(r"run_\d+/run_manifest.json", f"{last}/run_manifest.json", typed)
        code, said = type_in(typed)
        assert code == 0, f"{typed}\n{said}"
    assert len(list((tmp_path / "again").glob("run_*"))) == 1
