"""The examples of docs/inference.md run, and find what the detector finds."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import endoforge
from endoforge.export.config import ExportConfig
from endoforge.export.exporting import run_export

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "inference.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, lively):
    """A frame, and a checkpoint where the page has it."""
    frame = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "frame.png"), frame[..., ::-1])
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(lively, tmp_path / "checkpoints" / "tinydet_best.safetensors")
    return tmp_path


def found_in(folder):
    picture = cv2.imread(str(folder / "frame.png"))
    assert picture is not None
    frame = np.asarray(picture, np.uint8)[..., ::-1]
    return endoforge.load_detector(folder / "checkpoints/tinydet_best.safetensors").detect(frame)


def output_of(words, folder):
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_detector_is_used_from_python_as_the_page_says(folder):
    lines = output_of(["-c", BLOCKS[0]], folder).splitlines()
    found = found_in(folder)
    assert len(lines) == len(found) > 3
    assert lines[0].startswith(("flat", "stalked"))
    assert lines[0].split(" at ")[1].split() == [f"{edge:.3f}" for edge in found.boxes[0]]


def test_the_heuristic_detector_is_used_as_the_page_says(folder):
    code = "import cv2\nframe = cv2.imread('frame.png')\n" + BLOCKS[2] + "\nprint(len(found.boxes))"
    assert output_of(["-c", code], folder).strip().isdecimal()


@pytest.mark.slow
def test_the_onnx_file_is_run_in_eleven_lines_and_finds_the_same(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("endoforge.export.exporting.SIMULATED_SIZE", (96, 64))
    named = "checkpoints/tinydet_best.safetensors"  # as the page has it
    exported = run_export(ExportConfig(checkpoint=named)).path
    example = DOCS / "examples" / "run_onnx.py"
    code = example.read_text(encoding="utf-8").split('"""')[2].strip()
    assert code == BLOCKS[1].strip()
    assert len([line for line in code.splitlines() if line and "import " not in line]) <= 11
    printed = output_of([str(example), str(exported), "frame.png"], folder)
    boxes = np.array(re.findall(r"-?[\d.]+(?:e[-+]?\d+)?", printed), float).reshape(-1, 4)
    assert boxes.min() == 0  # some reach out of the frame, and are clipped as the detector's are
    assert boxes.max() <= 1
    expected = found_in(folder).boxes
    assert len(boxes) == len(expected)
    assert np.abs(boxes[:, None] - expected).max(axis=-1).min(axis=0).max() < 1e-3
