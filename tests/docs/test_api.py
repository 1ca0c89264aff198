"""docs/api.md lists every public name, and its examples run as printed, one after the other."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import endoforge

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_every_name_is_listed_and_used_in_an_example():
    table = "".join(row for row in PAGE.splitlines() if row.startswith("| `"))
    assert set(endoforge.__all__) <= set(re.findall(r"\w+", table))
    code = "\n".join(BLOCKS)
    unused = {name for name in endoforge.__all__ if not re.search(rf"\b{name}\b", code)}
    assert unused == {"NeuralDetector", "__version__"}  # what `load_detector` gives, and a text


@pytest.mark.slow
def test_the_examples_run_as_printed(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(BLOCKS)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert printed[0].startswith("torch.Size([4, 96, 160, 3])")
    assert printed[1].startswith("72 frames, ")
    assert printed[2].startswith("largest polyp ")
    assert printed[3] == "2 losses"
    assert printed[4].startswith("AP50 ")
    # Each comment behind a `print` is what it prints.
    [(comment, line)] = re.findall(r"print\(error\)  # (.*)|^(--.*)$", "\n".join(BLOCKS), re.M)
    assert (comment, line) == (printed[5], "")
    assert printed[-1].endswith("found without weights")
