"""Classes, end to end: their names decide, whatever order or folder they come in."""

import json
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from endoforge.backends.group import Group
from endoforge.captures.index import index_root
from endoforge.core.errors import UserError
from endoforge.detect.neural import NeuralDetector
from endoforge.detect.weights import load_weights
from endoforge.evaluate.config import EvalConfig
from endoforge.report.eval_command import run_eval
from endoforge.train.loop import train
from endoforge.train.recorded import load_recorded

CPU = torch.device("cpu")

WIDTH, HEIGHT = 64, 32
COLORS = {"Is": (230, 40, 40), "Ip": (40, 60, 230), "IIa": (40, 230, 60)}


def paint(run, number, kinds, rng, field="paris"):
    """A frame with a blob of its colour for each of `kinds`, of which `field` of the label tells.

    None is a polyp without that field.
    """
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    polyps = []
    for place, kind in enumerate(kinds):
        left, top = 4 + 32 * place + int(rng.integers(0, 10)), int(rng.integers(2, 14))
        box = [left, top, left + 16, top + 16]
        cv2.rectangle(image, (left, top), (left + 15, top + 15), COLORS.get(kind, (9, 9, 9)), -1)
        label: dict[str, Any] = {"center_world": [0, 0, 0], "bbox_px": box, "bbox_norm": None}
        polyps.append(label if kind is None else label | {field: kind})
    name = f"frame_{number:05d}"
    cv2.imwrite(str(run / "images" / f"{name}.png"), image[..., ::-1])
    label = {
        "frame_id": number,
        "sim_time": 0,
        "unix_time": 0,
        "image": f"images/{name}.png",
        "image_present": True,
        "camera_active": True,
        "polyp_seed": 0,
        "polyp_labels": polyps,
    }
    (run / "labels" / f"{name}.json").write_text(json.dumps(label))


@pytest.fixture
def make(tmp_path):
    """Makes a root of runs, each a list of frames, each a list of its polyps' kinds."""

    def made(name, *runs, field="paris"):
        rng = np.random.default_rng(len(name))
        for place, frames in enumerate(runs):
            run = tmp_path / name / f"run_{place}"
            (run / "images").mkdir(parents=True)
            (run / "labels").mkdir()
            for number, kinds in enumerate(frames):
                paint(run, number, kinds, rng, field)
        return str(tmp_path / name)

    return made


FRAMES = [["Is"], ["Ip"], [], ["Ip", "Is"], ["Is"], ["Ip"]]


def evaluated(checkpoint, root, tmp_path, **others):
    return run_eval(
        EvalConfig(
            checkpoint=str(checkpoint),
            input_root=root,
            metrics_out=str(tmp_path / "eval.jsonl"),
            device="cpu",
            **others,
        )
    )


def test_paris_kinds_are_learned_told_apart_and_measured(make, small_config, tmp_path):
    root, unseen = make("seen", FRAMES, FRAMES[::-1]), make("unseen", [["Ip", "Is"], ["Is"]])
    config = small_config(
        input_root=root, label="paris", val_ratio=0.5, epochs=60, batch_size=4, lr_start=4e-3,
        log_every=0,
    )  # fmt: skip
    result = train(config)
    metadata = load_weights(result.checkpoint)[1]
    assert metadata.model.classes == ("Ip", "Is")
    assert metadata.label_field == "paris"
    detector = NeuralDetector(result.checkpoint)
    assert detector.classes == ("Ip", "Is")

    evaluation = evaluated(result.checkpoint, unseen, tmp_path, report=str(tmp_path / "report"))
    by_name = {one.name: one for one in evaluation.metrics.by_class}
    assert {name: one.num_truths for name, one in by_name.items()} == {"Ip": 1, "Is": 2}
    assert by_name["Ip"].ap50 > 0.9
    assert by_name["Is"].ap50 > 0.9
    assert evaluation.metrics.ap50 == (by_name["Ip"].ap50 + by_name["Is"].ap50) / 2
    record = json.loads((tmp_path / "eval.jsonl").read_text())
    assert [one["name"] for one in record["classes"]] == ["Ip", "Is"]
    assert record["classes"][1]["ap50"] == by_name["Is"].ap50
    assert [line.split(":")[0] for line in evaluation.lines()[1:3]] == ["  Ip", "  Is"]
    assert "By class" in (tmp_path / "report" / "report.html").read_text()

    picture = cv2.imread(f"{unseen}/run_0/images/frame_00001.png")
    assert picture is not None
    red = np.asarray(picture[..., ::-1], np.uint8)
    found = detector.detect(red)
    assert [detector.classes[number] for number in found.classes[:1]] == ["Is"]


def test_the_same_runs_are_of_polyps_without_asking_for_their_kinds(make, small_config):
    result = train(small_config(input_root=make("one", FRAMES, FRAMES), val_ratio=0.5, epochs=1))
    metadata = load_weights(result.checkpoint)[1]
    assert metadata.model.classes == ("polyp",)
    assert metadata.label_field == "label"
    assert result.metrics is not None
    assert len(result.metrics.by_class) == 1
    assert "classes" not in result.metrics.to_record(batches=1)


def test_classes_are_sorted_by_name_whatever_comes_first(make, small_config):
    for name, frames in (("one", [["Is"], ["Ip"]]), ("other", [["Ip"], ["Is"]])):
        root = make(name, frames, frames)
        data = load_recorded(
            small_config(input_root=root, label="paris", val_ratio=0.5), CPU, Group()
        )
        assert data.train.class_names == data.val.class_names == ("Ip", "Is")
        for pack in (data.train, data.val):
            names = [[pack.class_names[number] for number in own] for own in pack.classes]
            assert names == frames


def test_a_class_that_only_validation_has_counts_as_missed(make, small_config, tmp_path, caplog):
    seen = make("seen", [["Is"], ["Is"]])
    real = make("real", [["IIa", "Is"], ["IIa"]])
    result = train(small_config(input_root=seen, real_val_dir=real, label="paris", epochs=1))
    warning = (
        "boxes of classes that the detector doesn't learn count as missed: 2 of IIa (it learns Is)"
    )
    assert f"validation: {warning}" in caplog.text
    assert result.metrics is not None
    by_name = {one.name: one for one in result.metrics.by_class}
    assert list(by_name) == ["Is", "IIa"]  # the detector's keep their places
    assert (by_name["IIa"].ap, by_name["IIa"].num_truths) == (0, 2)
    caplog.clear()
    assert evaluated(result.checkpoint, real, tmp_path).metrics.num_truths == 3
    assert warning in caplog.text


def test_a_frame_with_a_polyp_that_has_no_kind_is_left_out_and_counted(
    make, small_config, tmp_path, caplog
):
    root = make("seen", [["Is"], ["Is", None], [None]], [["Is"], []])
    config = small_config(input_root=root, label="paris", val_ratio=0.4, epochs=1)
    result = train(config)
    assert "dropped 2 x frame: a polyp without paris, such as run_0/labels/frame_00001" in (
        caplog.text
    )
    evaluation = evaluated(result.checkpoint, root, tmp_path)
    assert len(evaluation.frames) == 3
    assert any("2 x frame: a polyp without paris" in line for line in evaluation.left_out)
    with pytest.raises(UserError, match=r"frame_00001\.json: frame: a polyp without paris"):
        train(small_config(input_root=root, label="paris", strict=True))


def test_another_field_is_another_training(make, small_config):
    root = make("one", [["Is"], ["Is"]], [["Is"]])
    train(small_config(input_root=root, epochs=1))
    with pytest.raises(UserError, match="--label was label, now paris"):
        train(small_config(input_root=root, epochs=2, label="paris"))


def test_the_table_counts_the_boxes_of_each_class(make, small_config, caplog):
    root = make("one", [["Is"], ["Ip", "Is"]], [["Ip"]])
    with caplog.at_level("INFO"):
        load_recorded(small_config(input_root=root, label="paris", val_ratio=0.3), CPU, Group())
    rows = [record.getMessage().split() for record in caplog.records]
    assert ["Ip", "1", "1"] in rows
    assert ["Is", "2", "0"] in rows


def head_of(path):
    """Each class's weights by name, and those of the edges."""
    model, metadata = load_weights(path)
    state = model.state_dict()
    rows = [
        (weight, bias)
        for weight, bias in zip(
            *(state[f"head8.1.{part}"].tolist() for part in ("weight", "bias")), strict=True
        )
    ]
    return dict(
        zip([*metadata.model.classes, "left", "top", "right", "bottom"], rows, strict=False)
    )


def test_weights_to_start_from_keep_their_classes_by_name(make, small_config, tmp_path, caplog):
    frozen = {"epochs": 1, "lr_start": 1e-12, "lr_end": 1e-12, "label": "paris"}
    first = make("first", [["Ip"], ["Is"]], [["Is", "Ip"]])
    start = train(small_config(input_root=first, seed=9, **frozen, val_ratio=0.3)).checkpoint
    second = make("second", [["Is"], ["other"]], [["other", "Is"]])
    with caplog.at_level("INFO"):
        result = train(
            small_config(
                input_root=second,
                ckpt_dir=str(tmp_path / "second_ckpt"),
                demo_checkpoint=str(start),
                val_ratio=0.3,
                **frozen,
            )
        )
    assert "classes kept by name: Is; that begin anew: other; left behind: Ip" in caplog.text
    before, after = head_of(start), head_of(result.checkpoint)
    assert list(before)[:2] == ["Ip", "Is"]
    assert list(after)[:2] == ["Is", "other"]
    for name in ("Is", "left", "bottom"):
        assert np.allclose(np.ravel(after[name][0]), np.ravel(before[name][0]), atol=1e-6)
    for name in ("Ip", "Is"):
        assert not np.allclose(np.ravel(after["other"][0]), np.ravel(before[name][0]), atol=1e-3)


def test_the_first_batch_is_drawn_with_names(make, small_config, tmp_path):
    root = make("one", [["Is", "Ip"]] * 2, [["Ip"]])
    train(small_config(input_root=root, label="paris", debug_batch=True, epochs=1, val_ratio=0.3))
    assert (tmp_path / "checkpoints" / "debug_batch.png").exists()


def test_labels_name_any_class(make, small_config):
    root = make("one", [["polyp", "blood"], [None]], [["blood"]], field="label")
    data = load_recorded(small_config(input_root=root, val_ratio=0.3), CPU, Group())
    assert data.train.class_names == ("blood", "polyp")
    classes = [own.tolist() for own in data.train.classes]
    assert classes == [[1, 0], [1]]  # a label without a class is of a polyp
    assert index_root(data.train.frames[0].run_path).frames[0].classes == ("polyp", "blood")
