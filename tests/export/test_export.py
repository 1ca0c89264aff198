"""The exported file does what the detector does, or it isn't written."""

import importlib.util
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, image_name
from endoforge.cli import run
from endoforge.core.errors import UserError
from endoforge.detect.boxes import make_cells
from endoforge.detect.decode import MAX_DETECTIONS, MIN_SCORE, NMS_IOU, decode_batch, detections_of
from endoforge.detect.detections import Detections
from endoforge.detect.weights import load_weights
from endoforge.export import exporting
from endoforge.export.check import compare
from endoforge.export.config import ExportConfig
from endoforge.export.graph import append_nms
from tests.conftest import output_of
from tests.export.conftest import copy_of

SIZES = [(1, 64, 96), (3, 40, 72), (2, 200, 104), (5, 8, 8), (1, 192, 320)]
"""(pictures, height, width): few cells and more than 400, square and not, odd grids."""


def session(graph):
    return onnxruntime.InferenceSession(graph.SerializeToString())


def noise(num, height, width, seed=0):
    return np.random.default_rng(seed).random((num, 3, height, width), np.float32)


def expected_of(model, images):
    """What the original finds in each picture, boxes in pixels."""
    with torch.inference_mode():
        raw = model(torch.from_numpy(images))
    size = np.array([images.shape[3], images.shape[2]] * 2)
    cells = make_cells(images.shape[2:], model.config.strides, raw.device)
    return [
        Detections(one.boxes * size, one.scores, one.classes) for one in decode_batch(raw, cells)
    ]


def assert_same(found, expected):
    assert found.scores == pytest.approx(expected.scores, abs=1e-5)
    # Equal scores may come in any order.
    rows, expected_rows = (
        np.column_stack([1000 * one.classes, one.boxes]) for one in (found, expected)
    )
    apart = np.abs(rows[:, None] - expected_rows[None]).max(axis=-1)
    assert apart.min(axis=0).max(initial=0) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("shape", SIZES)
def test_with_nms_inside_it_gives_the_final_detections_of_any_batch(graphs, lively_model, shape):
    images = noise(*shape)
    *arrays, pictures = session(graphs[True]).run(None, {"images": images})
    order = np.argsort(-arrays[1], kind="stable")
    expected = expected_of(lively_model, images)
    assert all(len(one) for one in expected)
    for place, one in enumerate(expected):
        own = order[pictures[order] == place]
        assert len(own) <= 2 * MAX_DETECTIONS  # so many of each class
        own = own[:MAX_DETECTIONS]
        assert len(own) == len(one)
        assert_same(Detections(*(array[own] for array in arrays)), one)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SIZES)
def test_with_nms_outside_it_gives_the_best_cells_of_each_picture(graphs, lively_model, shape):
    images = noise(*shape)
    boxes, scores, classes = session(graphs[False]).run(None, {"images": images})
    at8, at16 = (-(-shape[1] // s) * -(-shape[2] // s) for s in (8, 16))
    cells = min(400, at8 + at16)
    assert boxes.shape == (shape[0], cells, 4)
    assert scores.shape == classes.shape == (shape[0], cells)
    assert (np.diff(scores) <= 0).all()
    expected = expected_of(lively_model, images)
    for *arrays, one in zip(boxes, scores, classes, expected, strict=True):
        assert_same(detections_of(Detections(*arrays), MIN_SCORE, NMS_IOU, MAX_DETECTIONS), one)


@pytest.mark.slow
def test_the_file_says_how_it_is_fed(graphs):
    for inside, graph in graphs.items():
        loaded = session(graph)
        [image] = loaded.get_inputs()
        assert (image.name, image.type, image.shape[1]) == ("images", "tensor(float)", 3)
        facts = loaded.get_modelmeta().custom_metadata_map
        assert json.loads(facts["names"]) == ["flat", "stalked"]
        assert facts["input_size"] == "96x64"
        assert facts["resize_mode"] == "letterbox"
        assert facts["nms"] == ("inside" if inside else "outside")
        assert "RGB in 0..1" in facts["input"]
        assert "multiples of 8" in facts["input"]


def test_two_classes_do_not_suppress_each_other():
    """The tail alone, fed with one box twice as either class: both stay, a third copy goes."""
    info = onnx.helper.make_tensor_value_info
    shapes = {"boxes": (1, 3, 4), "scores": (1, 3), "classes": (1, 3)}
    kinds = {"boxes": 1, "scores": 1, "classes": 7}
    node = [onnx.helper.make_node("Identity", [f"in_{name}"], [name]) for name in shapes]
    inputs = [info(f"in_{name}", kinds[name], shape) for name, shape in shapes.items()]
    outputs = [info(name, kinds[name], shape) for name, shape in shapes.items()]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(node, "tail", inputs, outputs),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=10,
    )
    append_nms(model, 2)
    boxes = np.array([[[0, 0, 8, 8]] * 3], np.float32)
    feed = {"in_boxes": boxes, "in_scores": np.array([[0.9, 0.8, 0.7]], np.float32)}
    feed["in_classes"] = np.array([[1, 0, 1]])
    found = session(model).run(["scores", "classes", "pictures"], feed)
    assert sorted(zip(*(one.tolist() for one in found), strict=True)) == [
        (pytest.approx(0.8), 0, 0),
        (pytest.approx(0.9), 1, 0),
    ]


def frames(root):
    """A run of three frames of noise."""
    recorder = RunRecorder.create(root, seed=0, max_frames=None, extra={})
    for number in range(3):
        label = FrameLabel(
            frame_id=number,
            sim_time=0,
            unix_time=0,
            image=image_name(number),
            image_present=True,
            camera_active=True,
            polyp_seed=0,
            polyp_labels=[],
        )
        picture = np.random.default_rng(number).integers(0, 256, (60, 100, 3), np.uint8)
        recorder.write(picture, label)
    recorder.finish()
    return root


@pytest.fixture
def ready(graphs, monkeypatch):
    """Exports at once: the graphs are those that were made before."""
    monkeypatch.setattr(
        "endoforge.export.graph.build_graph", lambda _, *, nms_inside: graphs[nms_inside]
    )


@pytest.mark.slow
@pytest.mark.usefixtures("ready")
def test_export_writes_what_it_has_checked_on_real_frames(lively, tmp_path, capsys):
    root, output = frames(tmp_path / "captures"), tmp_path / "new" / "a.onnx"
    argv = ["export", "--checkpoint", lively, "--output", output, "--input-root", root]
    assert run([str(word) for word in argv]) == 0
    out = capsys.readouterr().out
    assert f"3 of the 3 frames in {root}" in out
    for what in ("raw output", "boxes, in pixels", "scores"):
        [line] = [line for line in out.splitlines() if line.startswith(f"  {what}")]
        assert 0 < float(line.split()[-1]) < 1e-3
    assert str(output) in out
    onnxruntime.InferenceSession(output)


@pytest.mark.slow
@pytest.mark.usefixtures("ready")
def test_without_captures_frames_are_simulated_and_the_output_says_so(
    lively, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(exporting, "SIMULATED_SIZE", (96, 64))
    assert run(["export", "--checkpoint", str(lively), "--nms", "outside", "--output", "b"]) == 0
    assert "8 frames simulated on the spot" in capsys.readouterr().out
    frames(tmp_path / "assets" / "datasets" / "captures_filtered")
    assert run(["export", "--checkpoint", str(lively), "--output", "c"]) == 0
    assert "3 of the 3 frames in assets" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("ready")
def test_a_page_is_written_once_its_detector_was_checked(lively, tmp_path, capsys):
    root, output = frames(tmp_path / "captures"), tmp_path / "a.html"
    argv = ["export", "--checkpoint", lively, "--output", output, "--input-root", root]
    assert run([str(word) for word in (*argv, "--format", "web")]) == 0
    out = capsys.readouterr().out
    assert f"3 of the 3 frames in {root}" in out
    assert f"wrote {output} (" in out
    assert "a page to open in a browser" in out
    assert output.read_bytes().startswith(b"<!doctype html>")


@pytest.mark.slow
def test_a_file_that_differs_is_not_written(graphs, lively, tmp_path, monkeypatch, capsys):
    differing = onnx.ModelProto()
    differing.CopyFrom(graphs[True])
    kernel = next(one for one in differing.graph.initializer if len(one.dims) == 4)
    weights = onnx.numpy_helper.to_array(kernel) * 1.02
    kernel.CopyFrom(onnx.numpy_helper.from_array(weights.astype(np.float32), kernel.name))
    monkeypatch.setattr("endoforge.export.graph.build_graph", lambda *_, **__: differing)
    output = tmp_path / "a.onnx"
    argv = ["export", "--checkpoint", lively, "--output", output]
    root = frames(tmp_path / "captures")
    assert run([str(word) for word in (*argv, "--input-root", root)]) == 2
    captured = capsys.readouterr()
    assert "no file was written" in captured.err.splitlines()[-1]
    assert not output.exists()


@pytest.mark.slow
def test_the_comparison_says_what_differs_and_by_how_much(graphs, lively):
    original, _ = load_weights(lively)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)
    agreement = compare(graphs[False], original, pictures, nms_inside=False)
    assert agreement.detections > 20
    bias = output_of(original.head16).bias
    assert bias is not None
    bias.data[2] += 0.002  # the first distance of the left edge weighs more
    with pytest.raises(UserError, match=r"raw output by 2\.0e-03"):
        compare(graphs[False], original, pictures, nms_inside=False)


def undecided(lively):
    """A detector whose scores are all but equal, as after a few steps of training."""
    model, _ = load_weights(lively)
    for head in (model.head8, model.head16):
        output_of(head).weight.data[:2].mul_(1e-4)
    return model


def with_heads_of(model, exported):
    """A copy of what was exported, with the weights that `model`'s last layers have."""
    copy = copy_of(exported)
    arrays = {one.name: one for one in copy.graph.initializer}
    for name in ("head8.1.weight", "head16.1.weight"):
        weights = model.state_dict()[name].numpy()
        arrays[f"model.{name}"].CopyFrom(onnx.numpy_helper.from_array(weights, f"model.{name}"))
    return copy


@pytest.mark.slow
def test_ties_that_rounding_decides_are_no_difference(graphs, lively):
    """Which of two equal boxes stays is anybody's guess: here it moved boxes by 16 pixels."""
    original = undecided(lively)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 64, 96, 3), np.uint8)
    built = {inside: with_heads_of(original, one) for inside, one in graphs.items()}
    for inside, graph in built.items():
        agreement = compare(graph, original, pictures, nms_inside=inside)
        assert agreement.detections > 100
        assert agreement.largest["boxes, in pixels"] < 1e-3
        assert agreement.largest["scores"] < 1e-6
    loose = spoilt(built[True], "nms_iou", 0.8)
    with pytest.raises(UserError, match="suppression keeps two of a class that overlap"):
        compare(loose, original, pictures, nms_inside=True)
    original.head8[-1].bias.data[:2] += 0.01
    with pytest.raises(UserError, match=r"raw output by 1\.0e-02"):
        compare(built[False], original, pictures, nms_inside=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("constant", "value", "words"),
    [
        ("nms_iou", 0.7, "keeps two of a class that overlap by more than 0.5"),
        ("nms_iou", 0.3, "drops what no better one overlaps"),
        ("nms_score", 0.4, "drops what no better one overlaps"),
        ("nms_score", 0.0, "keeps scores below 0.01"),
        ("nms_max_kept", 3, "drops what no better one overlaps"),
        ("nms_never", 0.5, "gives what no cell says, or one twice"),
    ],
)
def test_another_suppression_is_refused(graphs, lively, constant, value, words):
    original, _ = load_weights(lively)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    with pytest.raises(UserError, match=f"suppression {words}; no file was written"):
        compare(spoilt(graphs[True], constant, value), original, pictures, nms_inside=True)


def spoilt(graph, constant, value):
    """A copy of `graph` with another value of a constant."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    [old] = [one for one in copy.graph.initializer if one.name == constant]
    array = np.full_like(onnx.numpy_helper.to_array(old), value)
    old.CopyFrom(onnx.numpy_helper.from_array(array, constant))
    return copy


@pytest.mark.slow
def test_cells_decoded_otherwise_are_refused(graphs, lively):
    """The network agrees, what is made of its output doesn't."""
    original, _ = load_weights(lively)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    for output, words in (("boxes", "boxes, in pixels by"), ("scores", "scores by")):
        graph = onnx.ModelProto()
        graph.CopyFrom(graphs[False])
        [node] = [node for node in graph.graph.node if output in node.output]
        node.output[[*node.output].index(output)] = "as_it_was"
        factor = onnx.numpy_helper.from_array(np.array(1.01, np.float32), "factor")
        graph.graph.initializer.append(factor)
        graph.graph.node.append(onnx.helper.make_node("Mul", ["as_it_was", "factor"], [output]))
        with pytest.raises(UserError, match=f"differs from the original: {words}"):
            compare(graph, original, pictures, nms_inside=False)


def test_an_onnx_file_is_no_checkpoint_and_that_is_said(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"exported before")
    with pytest.raises(UserError, match=r"a\.onnx: not ") as refused:
        exporting.run_export(ExportConfig(checkpoint=str(tmp_path / "a.onnx")))
    assert "--output" not in str(refused.value)


def test_the_output_is_tried_before_frames_are_looked_for(lively, tmp_path):
    (tmp_path / "file").touch()
    for output, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "file/a.onnx", "file is no folder"),
        (lively, "is that of --checkpoint too"),
    ):
        config = ExportConfig(checkpoint=str(lively), output=str(output), input_root="nowhere")
        with pytest.raises(UserError, match=rf"^--output .*{words}"):
            exporting.run_export(config)


@pytest.mark.slow
@pytest.mark.usefixtures("ready")
def test_a_full_disk_is_named_with_the_mend(lively, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "write_atomic", full)
    root = frames(tmp_path / "captures")
    output = tmp_path / "a.onnx"
    config = ExportConfig(checkpoint=str(lively), output=str(output), input_root=str(root))
    with pytest.raises(UserError, match=r"^--output .*a\.onnx: .*No space left.*make room"):
        exporting.run_export(config)


def test_missing_packages_are_named_with_the_mend(lively, monkeypatch, capsys):
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name.startswith("onnx") else there(name)
    )
    assert run(["export", "--checkpoint", str(lively)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "export needs what isn't installed (onnx, onnxscript, onnxruntime): pip install "
        '"endoforge[export]"'
    )


def test_the_file_lies_beside_the_checkpoint_unless_told_otherwise():
    assert str(ExportConfig(checkpoint="a/b.safetensors").output_path) == "a/b.onnx"
    assert str(ExportConfig(output="c.onnx").output_path) == "c.onnx"
    with pytest.raises(UserError, match="--nms"):
        ExportConfig(nms="above")  # type: ignore[arg-type]


def test_frames_that_cannot_be_used_are_named(lively, tmp_path):
    (tmp_path / "run_1" / "labels").mkdir(parents=True)
    with pytest.raises(UserError, match="no usable frame"):
        exporting.run_export(ExportConfig(checkpoint=str(lively), input_root=str(tmp_path)))
    root = frames(tmp_path / "captures")
    next(root.glob("run_*/images/*00001.png")).write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"frame_00001\.png"):
        exporting.run_export(ExportConfig(checkpoint=str(lively), input_root=str(root)))
