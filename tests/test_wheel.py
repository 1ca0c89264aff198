"""What is released: a wheel that works away from the sources, typed, and an archive of sources."""

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from endoforge import __version__
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


QUICK = ["tests/evaluate/test_metrics.py", "tests/test_public.py::test_the_three_lists_are_one"]
"""Tests that an archive of sources can run with no checkout around it."""
IN_PYTHON = """
import numpy as np

import endoforge
from endoforge import cli

print(endoforge.__file__)
frame = np.full((96, 160, 3), 90, np.uint8)
print(type(endoforge.load_detector().detect(frame)).__name__)
assert cli.run(["detect", "picture.png", "--device", "cpu"]) == 0
assert cli.run(["card", "packaged"]) == 0
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the archive of these sources."""
    folder = tmp_path_factory.mktemp("released")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def python(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the wheel of these sources, and beside it what the tests' own has."""
    folder = tmp_path_factory.mktemp("wheel")
    [wheel] = released.glob("*.whl")
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


def outside(python: Path, folder: Path, *words: str) -> str:
    """What the installed package prints, with nothing of the checkout within reach."""
    kept = {name: os.environ[name] for name in ("XDG_CACHE_HOME",) if name in os.environ}
    done = subprocess.run(
        [str(python), *words], cwd=folder, env=kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_it_brings_a_command_and_says_its_version(python: Path, tmp_path: Path) -> None:
    assert outside(python, tmp_path, "-m", "endoforge", "--version") == f"endoforge {__version__}\n"
    code = (
        "from importlib.metadata import entry_points, version\n"
        "[command] = entry_points(group='console_scripts', name='endoforge')\n"
        "print(version('endoforge'), command.load().__module__)"
    )
    assert outside(python, tmp_path, "-c", code) == f"{__version__} endoforge.cli\n"


@pytest.mark.slow
def test_it_has_every_file_of_the_sources(released: Path) -> None:
    [wheel] = released.glob("*.whl")
    in_wheel = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    source = ROOT / "src"
    files = [path for path in source.rglob("*") if path.is_file()]
    assert in_wheel == {
        str(path.relative_to(source)) for path in files if "__pycache__" not in path.parts
    }


@pytest.mark.slow
def test_it_detects_with_its_own_weights(python: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "picture.png"), np.full((64, 96, 3), 90, np.uint8))
    printed = outside(python, tmp_path, "-c", IN_PYTHON).splitlines()
    assert str(python.parents[1]) in printed[0]
    assert printed[1] == "Detections"
    assert "# Model card: the weights that come with EndoForge" in printed
    [line] = (tmp_path / "detections" / "detections.jsonl").read_text().splitlines()
    assert "picture.png" in line


@pytest.mark.slow
def test_what_an_index_shows_is_in_order(released: Path) -> None:
    files = [str(path) for path in sorted(released.iterdir())]
    assert len(files) == 2
    check = [sys.executable, "-m", "twine", "check", "--strict", *files]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_archive_builds_the_same_wheel_and_runs_its_tests(
    released: Path, tmp_path: Path
) -> None:
    [archive] = released.glob("*.tar.gz")
    with tarfile.open(archive) as sources:
        sources.extractall(tmp_path, filter="data")
    [unpacked] = tmp_path.iterdir()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=unpacked, check=True, capture_output=True)
    [wheel], [again] = released.glob("*.whl"), tmp_path.glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()
    # By itself: side by side with others it would compile the renderer's kernels first.
    alone = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *QUICK],
        cwd=unpacked,
        env=alone | {"PYTHONPATH": str(unpacked / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
