"""A file whose convolutions compute in 8 bits finds what the original finds, or isn't written."""

import numpy as np
import onnx
import onnxruntime
import pytest

from endoforge.cli import run
from endoforge.core.errors import UserError
from endoforge.detect.neural import NeuralDetector
from endoforge.export import exporting
from endoforge.export import quantise as quantise_module
from endoforge.export.config import ExportConfig
from endoforge.export.graph import build_graph
from endoforge.export.quantise import compare_quantised, quantise

CLASSES = ("flat", "stalked")
pytestmark = pytest.mark.slow


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 96, 3), np.uint8)


@pytest.fixture(scope="module")
def exported(lively):
    return build_graph(NeuralDetector(lively), nms_inside=True)


@pytest.fixture(scope="module")
def quantised(exported):
    return quantise(exported, noise(4))


def with_scores_turned(model):
    """`model` whose likely cells are unlikely, and the other way round."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for one in copy.graph.initializer:
        if one.name.endswith(("head8.1.weight", "head16.1.weight")):
            weights = onnx.numpy_helper.to_array(one).copy()
            weights[:2] *= -1
            one.CopyFrom(onnx.numpy_helper.from_array(weights, one.name))
    return copy


def test_all_but_the_last_layers_compute_in_8_bits_and_the_file_says_so(exported, quantised):
    kinds = [node.op_type for node in quantised.graph.node]
    assert kinds.count("QLinearConv") == 15
    assert kinds.count("Conv") == 2
    facts = {one.key: one.value for one in quantised.metadata_props}
    assert facts.pop("precision") == "int8"
    before = {one.key: one.value for one in exported.metadata_props}
    assert before.pop("precision") == "float32"
    assert facts == before
    assert quantised.producer_name == exported.producer_name == "endoforge"
    assert len(quantised.SerializeToString()) < len(exported.SerializeToString()) / 2


def test_the_graph_that_was_given_stays_as_it_was(exported, quantised):
    assert quantised is not exported
    assert not any(node.op_type == "QLinearConv" for node in exported.graph.node)
    assert all(one.data_location == onnx.TensorProto.DEFAULT for one in exported.graph.initializer)


def test_it_finds_what_the_original_finds_in_pictures_it_was_not_calibrated_on(exported, quantised):
    agreement = compare_quantised(quantised, exported, noise(3, seed=1), CLASSES)
    assert agreement.pictures == 3
    assert agreement.detections > 10
    assert 0.8 <= agreement.ap50 < 1
    assert agreement.ap < agreement.ap50
    [line] = agreement.lines()
    assert f"of the {agreement.detections} detections" in line
    same = compare_quantised(exported, exported, noise(3, seed=1), CLASSES)
    assert (same.ap50, same.ap) == (1, 1)


def test_one_that_finds_other_things_is_refused(exported, quantised):
    with pytest.raises(UserError, match=r"finds other things.*--calibration-root.*no file"):
        compare_quantised(with_scores_turned(quantised), exported, noise(2), CLASSES)


def test_frames_in_which_nothing_is_found_compare_nothing(exported, quantised, monkeypatch):
    monkeypatch.setattr(quantise_module, "OBJECTNESS", 1.1)
    with pytest.raises(UserError, match=r"finds nothing.*--input-root"):
        compare_quantised(quantised, exported, noise(2), CLASSES)


def test_the_command_calibrates_and_says_on_what(exported, lively, tmp_path, monkeypatch, capsys):
    copy = onnx.ModelProto()
    copy.CopyFrom(exported)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("endoforge.export.graph.build_graph", lambda *_, **__: copy)
    monkeypatch.setattr(
        exporting, "_simulated", lambda seeds, count, _: ([*noise(count, seeds[0])], f"{seeds}")
    )
    argv = ["export", "--checkpoint", str(lively), "--output", "a.onnx", "--precision", "int8"]
    assert run(argv) == 0
    out = capsys.readouterr().out
    assert "checked on (0,)" in out
    assert "calibrated on (11, 12, 13)" in out
    assert "in 8 bits" in out
    facts = onnxruntime.InferenceSession("a.onnx").get_modelmeta().custom_metadata_map
    assert facts["precision"] == "int8"
    assert [one.name for one in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"precision": "int4"}, "--precision"),
        ({"precision": "int8", "format": "web"}, "--format onnx"),
        ({"calibration_root": "captures"}, "--calibration-root is for --precision int8"),
    ],
)
def test_flags_that_do_not_go_together_are_named(flags, words):
    with pytest.raises(UserError, match=words):
        ExportConfig(**flags)


def test_frames_to_calibrate_on_are_looked_for_before_anything_is_exported(
    lively, tmp_path, monkeypatch
):
    frames = ([*noise(2)], "noise")
    monkeypatch.setattr(exporting, "_frames", lambda _config: frames)
    monkeypatch.setattr(
        "endoforge.export.graph.build_graph", lambda *_args, **_more: pytest.fail("exported")
    )
    with pytest.raises(UserError, match="nowhere"):
        exporting.run_export(
            ExportConfig(
                checkpoint=str(lively),
                output=str(tmp_path / "a.onnx"),
                precision="int8",
                calibration_root=str(tmp_path / "nowhere"),
            )
        )
