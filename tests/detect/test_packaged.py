"""The weights that come with the package: found, missed, named, and what they say of themselves."""

import importlib.util
import shutil
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import safetensors.numpy

import endoforge
from endoforge.backends.flags import CheckpointFlag
from endoforge.core.errors import UserError
from endoforge.detect import packaged as module
from endoforge.detect.packaged import (
    DEFAULT_CHECKPOINT,
    Provenance,
    chosen_weights,
    packaged_weights,
    provenance_of,
    weights_file,
)
from endoforge.detect.weights import load_weights
from endoforge.evaluate.config import EvalConfig
from endoforge.export.config import ExportConfig
from endoforge.inference.config import DetectConfig
from endoforge.view.config import SimViewConfig

TOOL = Path(__file__).parents[2] / "tools" / "make_demo_checkpoint.py"
MADE = [
    "--command",
    "endoforge train --simulate --steps 9",
    "--seed",
    "4",
    "--commit",
    "c0ffee" * 7,
]


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("make_demo_checkpoint", TOOL)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def put(weights, place):
    place.parent.mkdir()
    shutil.copy(weights, place)


def test_it_lies_within_the_package(monkeypatch):
    monkeypatch.undo()
    folder = Path(endoforge.__file__).parent
    assert module.location() == folder / "assets" / "demo.safetensors"


def test_without_it_the_usual_file_is_the_one_that_is_missed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert packaged_weights() is None
    assert chosen_weights(None) == Path(DEFAULT_CHECKPOINT)
    with pytest.raises(UserError, match=r"tinydet\.safetensors: no such checkpoint"):
        endoforge.load_detector()
    with pytest.raises(UserError, match=r"packaged: .*no weights of its own.*endoforge train"):
        weights_file("packaged")


def test_what_is_named_comes_first_then_the_usual_then_the_packaged(
    packaged, lively, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    put(lively, packaged)
    usual = Path(DEFAULT_CHECKPOINT)
    assert chosen_weights("named.safetensors") == Path("named.safetensors")
    assert chosen_weights("packaged") == packaged
    assert chosen_weights(None) == packaged
    put(lively, usual)
    assert chosen_weights(None) == usual


def test_every_command_and_python_follow_that_rule(packaged, lively, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(lively, packaged)
    assert endoforge.load_detector().path == packaged
    assert EvalConfig().weights == str(packaged)
    assert (SimViewConfig().first_weights, SimViewConfig().stand_in) == (
        DEFAULT_CHECKPOINT,
        packaged,
    )
    assert ExportConfig().output_path == Path("packaged.onnx")
    put(lively, Path(DEFAULT_CHECKPOINT))
    assert endoforge.load_detector().path == Path(DEFAULT_CHECKPOINT)
    assert EvalConfig().weights == SimViewConfig().first_weights == DEFAULT_CHECKPOINT
    assert ExportConfig().output_path == Path(DEFAULT_CHECKPOINT).with_suffix(".onnx")
    for config in (DetectConfig, EvalConfig, ExportConfig, SimViewConfig):
        hint = get_type_hints(config, include_extras=True)["checkpoint"]
        assert hint == CheckpointFlag, f"{config.__name__} says it otherwise"


def test_a_file_of_that_name_can_still_be_named():
    assert weights_file("./packaged") == Path("packaged")
    assert weights_file("packaged.safetensors") == Path("packaged.safetensors")


def test_load_detector_takes_it_by_default(packaged, lively):
    put(lively, packaged)
    frame = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    by_default, by_name = endoforge.load_detector(), endoforge.load_detector(lively)
    found, named = by_default.detect(frame), by_name.detect(frame)
    assert len(found) > 3
    assert np.array_equal(found.boxes, named.boxes)


def test_the_tool_writes_what_made_them_and_every_loader_takes_the_file(
    tool, packaged, lively, capsys
):
    tool.main([str(lively), *MADE, "--note", "noise"])
    assert provenance_of(packaged) == Provenance(
        command="endoforge train --simulate --steps 9", seed=4, commit="c0ffee" * 7, note="noise"
    )
    model, metadata = load_weights(packaged)
    original, before = load_weights(lively)
    assert metadata == before
    assert all(
        (a == b).all() for a, b in zip(model.parameters(), original.parameters(), strict=True)
    )
    assert "raw output within 0 of" in capsys.readouterr().out
    assert provenance_of(lively) is None


def test_what_is_too_large_is_halved_and_what_then_is_too_large_refused(
    tool, packaged, lively, monkeypatch, capsys
):
    size = lively.stat().st_size
    monkeypatch.setattr(tool, "MOST_BYTES", size - 1)
    tool.main([str(lively), *MADE])
    assert packaged.stat().st_size < 0.6 * size
    model, _ = load_weights(packaged)
    assert next(model.parameters()).dtype.is_floating_point
    assert str(next(model.parameters()).dtype) == "torch.float32"
    change = float(capsys.readouterr().out.split("raw output within ")[1].split(" of ")[0])
    assert 0 < change < 0.1
    monkeypatch.setattr(tool, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match=r"more than 1,000"):
        tool.main([str(lively), *MADE])


def test_a_foreign_provenance_is_none(tmp_path):
    path = tmp_path / "other.safetensors"
    for text in ("{", "[]", '{"by": "me"}'):
        safetensors.numpy.save_file({"a": np.zeros(1)}, path, {"provenance": text})
        assert provenance_of(path) is None
