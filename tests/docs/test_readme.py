"""What the README and the page on data sets print to type works as printed, in that order.

At small sizes: numbers after flags are replaced, and flags added, by `SMALLER` and `ADDED`.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from endoforge import cli

ROOT = Path(__file__).parents[2]
SMALLER = {"--runs": "4", "--max-frames": "8", "--epochs": "2", "--run-range": "1:2"}
ADDED = {
    "datagen": {"--max-frames": "8", "--resolution": "96x64", "--renderer": "cpu"},
    "train": {"--target-size": "96x64", "--device": "cpu", "--val-ratio": "0.5"},
}
NOT_HERE = ("make", "source", "torchrun", "pip")
"""What sets up a machine, or takes several GPUs."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bash") is None, reason="types into a shell"),
]


def blocks(page: Path, language: str) -> list[str]:
    """What stands between fences of a language; "" are those that name none."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in fenced if name == language]


def commands(page: Path) -> list[str]:
    """The command lines, without their comments."""
    lines = [line for block in blocks(page, "") for line in block.splitlines()]
    typed = [line.partition("  #")[0].strip() for line in lines]
    return [line for line in typed if line.split(" ")[0] in ("endoforge", *NOT_HERE)]


def small(line: str) -> str:
    """The same command with less to do."""
    for flag, value in SMALLER.items():
        line = re.sub(rf"{flag} \S+", f"{flag} {value}", line)
    command = line.split(" ")[1]
    for flag, value in ADDED.get(command, {}).items():
        if flag not in line:
            line = line.replace(command, f"{command} {flag} {value}", 1)
    return line


@pytest.fixture
def type_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, str]]:
    """Types a line in an empty folder, and gives the exit code and what stood on stderr.

    What a shell does more to a line than split it at spaces, it does here; else this process is
    the command's, which saves it seconds to start.
    """
    monkeypatch.undo()  # the package's own weights are there, as for users
    monkeypatch.chdir(tmp_path)

    def typed(line: str) -> tuple[int, str]:
        command, *words = shlex.split(line)
        if command == "endoforge" and line == " ".join([command, *words]) and "> " not in line:
            capsys.readouterr()
            return cli.run(words), capsys.readouterr().err
        shell = f'endoforge() {{ "{sys.executable}" -m endoforge "$@"; }}; {line}'
        done = subprocess.run(
            ["bash", "-c", shell], capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        return done.returncode, done.stderr

    return typed


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
