import hashlib
import json

import numpy as np
import pytest

from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.data.loader import Loader
from endoforge.data.pack import pack_frames
from endoforge.detect.detections import Detections
from endoforge.detect.heuristic import HeuristicDetector
from endoforge.evaluate.config import EvalConfig
from endoforge.evaluate.validate import validate
from endoforge.report.eval_command import run_eval

NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


def test_eval_measures_every_frame_of_a_root(root, checkpoint, tmp_path):
    metrics_out = tmp_path / "logs" / "metrics.jsonl"
    config = EvalConfig(
        checkpoint=str(checkpoint), input_root=str(root), metrics_out=str(metrics_out), batch_size=2
    )
    result = run_eval(config)
    assert len(result.frames) == len(result.detections) == len(result.truths) == 5
    assert result.images.shape == (5, 64, 64, 3)
    # Letterboxed: the picture fills the middle half of the input's height.
    assert result.truths[1].boxes == pytest.approx(np.array([[0.25, 0.375, 0.5, 0.625]]))
    assert len(result.truths[0]) == 0
    assert (result.metrics.images, result.metrics.num_truths) == (5, 2)

    run_eval(config)
    first, second = (json.loads(line) for line in metrics_out.read_text().splitlines())
    assert first.pop("seconds") >= 0
    assert second.pop("seconds") >= 0
    assert first == second
    assert first["weights_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert [entry["iou"] for entry in first["val_metrics"]] == [0.5, 0.75]
    assert first["val_metrics"][0]["batches"] == 3
    assert [point["obj_thresh"] for point in first["pr_curve"]][::18] == [0.05, 0.95]
    assert set(first["pr_curve"][0]) == {"obj_thresh", "precision", "recall"}


def test_eval_of_the_heuristic_detector_needs_no_checkpoint(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no checkpoints/ here
    config = EvalConfig(detector="heuristic", input_root=str(root), metrics_out="metrics.jsonl")
    result = run_eval(config)
    assert (result.metrics.images, result.metrics.num_truths) == (5, 2)
    assert result.images.shape == (5, 360, 640, 3)
    found = [HeuristicDetector(objectness=0.01).detect(image) for image in np.array(result.images)]
    for one, other in zip(result.detections, found, strict=True):
        assert np.array_equal(one.boxes, other.boxes)
        assert np.array_equal(one.scores, other.scores)
    record = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert (record["detector"], record["checkpoint"]) == ("heuristic", None)
    assert record["weights_sha256"] is None


def test_eval_with_no_weights_at_hand_measures_the_packaged_ones_and_says_so(
    root, checkpoint, packaged, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    packaged.parent.mkdir()
    checkpoint.rename(packaged)
    with caplog.at_level("INFO"):
        result = run_eval(EvalConfig(input_root=str(root)))
    assert result.subject.name == "demo.safetensors"
    assert (
        "no checkpoints/tinydet.safetensors: measuring the weights that come with EndoForge, "
        f"{packaged}" in caplog.text
    )
    assert ("checkpoint", f"the weights that come with EndoForge, {packaged}") in (
        result.subject.facts
    )


def test_eval_says_which_weights_it_measures(root, checkpoint, packaged, caplog):
    packaged.parent.mkdir()
    packaged.write_bytes(checkpoint.read_bytes())
    with caplog.at_level("INFO"):
        run_eval(EvalConfig(input_root=str(root), checkpoint=str(checkpoint)))
        run_eval(EvalConfig(input_root=str(root), checkpoint="packaged"))
    assert f"measuring {checkpoint}" in caplog.messages
    assert f"measuring the weights that come with EndoForge, {packaged}" in caplog.messages


def test_eval_does_not_pass_over_a_record_of_the_older_tool(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = tmp_path / "checkpoints" / "tinydet.bin"
    record.parent.mkdir()
    record.write_bytes(b"burn")
    message = r"checkpoints/tinydet\.bin: \.bin records .*\.safetensors files.*or packaged"
    with pytest.raises(UserError, match=message):
        run_eval(EvalConfig(input_root=str(root)))
    with pytest.raises(UserError, match=message):
        run_eval(EvalConfig(input_root=str(root), checkpoint="checkpoints/tinydet.bin"))


def test_frames_without_a_true_box_are_told(root, checkpoint, caplog):
    for label in root.rglob("frame_*.json"):
        label.write_text(json.dumps(json.loads(label.read_text()) | {"polyp_labels": []}))
    result = run_eval(EvalConfig(checkpoint=str(checkpoint), input_root=str(root)))
    assert result.metrics.ap is None
    assert "no true box in 5 frames (field label of their labels)" in caplog.text


def test_eval_names_a_missing_checkpoint_and_a_root_without_runs(root, checkpoint, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        run_eval(EvalConfig(checkpoint="nowhere.safetensors", input_root=str(root)))
    with pytest.raises(UserError, match="no capture runs"):
        run_eval(EvalConfig(checkpoint=str(checkpoint), input_root=str(tmp_path)))


def test_labels_of_no_use_are_told_of(root, checkpoint):
    for label in root.glob("run_*/labels/*.json"):
        label.write_text(label.read_text().replace('"sim_time": ', '"sim_time": "soon", "was": '))
    with pytest.raises(UserError, match=r"no frame can be measured: \d+ x frame: label malformed"):
        run_eval(EvalConfig(checkpoint=str(checkpoint), input_root=str(root)))


@pytest.fixture
def loader(root):
    pack = pack_frames(
        index_root(root).frames,
        class_names=("polyp",),
        size=(64, 32),
        resize_mode="force",
        max_boxes=8,
        strict=False,
        label="test",
    )
    return Loader(pack, 2, seed=None)


def test_validation_flips_pictures_and_boxes_alike(loader):
    seen = []

    def predict(images):
        seen.append(images)
        box = np.array([[0.5, 0.25, 0.75, 0.75]], np.float32)  # where the flipped boxes are
        return [Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64)) for _ in images]

    result = validate(predict, loader, obj_thresh=0.3, iou_threshs=[0.5], flip_probability=1.0)
    assert result.metrics.at_iou[0].recall == 1
    assert result.metrics.mean_iou == pytest.approx(1)
    assert np.array_equal(np.concatenate(seen)[:, :, ::-1], loader.pack.images)
    assert np.array_equal(np.concatenate(seen), [result.picture(place) for place in range(5)])
    assert validate(predict, loader, obj_thresh=0.3, iou_threshs=[0.5]).metrics.mean_iou == 0


def test_a_validation_gives_its_pictures_as_the_detector_saw_them(loader):
    seen = []

    def predict(images):
        seen.append(images)
        return [NOTHING] * len(images)

    result = validate(
        predict, loader, obj_thresh=0.3, iou_threshs=[0.5], flip_probability=0.5, seed=3
    )
    assert 0 < result.mirrored.sum() < 5
    assert np.array_equal(np.concatenate(seen), [result.picture(place) for place in range(5)])
    assert np.array_equal(result.images[:], loader.pack.images[:])
    result.picture(0)[:] = 0
    assert result.images[0].any(), "drawing on a picture must not change the pack"


def test_validation_keeps_the_last_partial_batch_and_says_how_far_it_is(loader):
    done: list[int] = []
    result = validate(
        lambda images: [NOTHING] * len(images),
        loader,
        obj_thresh=0.3,
        iou_threshs=[0.5],
        on_batch=done.append,
    )
    assert done == [2, 2, 1]
    assert (result.batches, result.metrics.images) == (3, 5)
