"""An installed wheel, away from the sources: mypy sees the types of the public names."""

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from endoforge.sim.randomization import NAMED, load_randomization, randomization_toml

ROOT = Path(__file__).parents[1]

RIGHT = """
import numpy as np

import endoforge
from endoforge import (
    DatagenConfig, EvalConfig, HeuristicDetector, Simulator, TrainConfig, UserError,
    evaluate_detector, load_detector, record_runs, run_seed, train_detector,
)

frame = np.zeros((96, 160, 3), np.uint8)
reveal_type(load_detector())
reveal_type(load_detector("a.safetensors", device="auto").detect(frame).boxes)
reveal_type(HeuristicDetector().detect(frame))
reveal_type(run_seed(7, 0))
reveal_type([batch.depth for batch in Simulator(7)])
reveal_type(record_runs(DatagenConfig(seed=7)).boxes)
reveal_type(train_detector(TrainConfig(epochs=2)).best_checkpoint)
reveal_type(evaluate_detector(EvalConfig()).metrics.ap50)
reveal_type(endoforge.__version__)
"""
REVEALED = [
    "endoforge.detect.neural.NeuralDetector",
    "numpy.ndarray[",
    "endoforge.detect.detections.Detections",
    "int",
    "list[torch._tensor.Tensor]",
    "int",
    "pathlib.Path",
    "float | None",
    "str",
]
WRONG = {
    'endoforge.load_detector(device="abacus")': "arg-type",
    "endoforge.load_detektor()": "attr-defined",
    'endoforge.TrainConfig(epochs="2")': "arg-type",
    "endoforge.TrainConfig(epoch=2)": "call-arg",
    "endoforge.HeuristicDetector().detect(7)": "arg-type",
    'seed: str = endoforge.run_seed(7, 0)': "assignment",
}  # fmt: skip


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the wheel of these sources, and beside it what the tests' own has."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    [packages] = (folder / "venv").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)  # what `pip install --no-deps` does of pure Python
    # Of the outer environment what the wheel needs; how that installed these sources isn't read.
    needed = [place for place in sys.path if "site-packages" in place]
    (packages / "needed.pth").write_text("\n".join(needed))
    return folder / "venv" / "bin" / "python"


def checked(python: Path, code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    (folder / "user.py").write_text(code)
    words = ["--strict", "--cache-dir", str(python.parents[1] / "cache"), "user.py"]
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--python-executable", str(python), *words],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_mypy_sees_the_types_of_an_installed_wheel(python: Path, tmp_path: Path) -> None:
    seen = checked(python, RIGHT, tmp_path)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    notes = [line for line in seen.stdout.splitlines() if "Revealed type" in line]
    assert len(notes) == len(REVEALED)
    for note, expected in zip(notes, REVEALED, strict=True):
        assert f'is "{expected}' in note.replace("builtins.", "").replace("Union", ""), note


@pytest.mark.slow
def test_the_examples_of_the_page_are_well_typed(python: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    seen = checked(python, code, tmp_path)
    assert seen.returncode == 0, seen.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_it_brings_the_ranges_that_go_by_name(python: Path, tmp_path: Path, name: str) -> None:
    words = ["-m", "endoforge", "datagen", "--randomization", name, "--print-randomization"]
    printed = subprocess.run([str(python), *words], cwd=tmp_path, env={}, capture_output=True)
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.decode() == randomization_toml(load_randomization(name)) + "\n"


@pytest.mark.slow
def test_mypy_reports_a_wrong_use(python: Path, tmp_path: Path) -> None:
    code = "\n".join(["import endoforge", *WRONG])
    seen = checked(python, code, tmp_path)
    errors = [line for line in seen.stdout.splitlines() if ": error:" in line]
    assert len(errors) == len(WRONG), seen.stdout
    for number, (error, kind) in enumerate(zip(errors, WRONG.values(), strict=True), 2):
        assert error.startswith(f"user.py:{number}: ")
        assert error.endswith(f"[{kind}]")
