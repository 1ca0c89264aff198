import json
import math
import re
import shutil
import time

import numpy as np
import pytest
import torch

from endoforge.backends.group import Group
from endoforge.core.errors import UserError
from endoforge.data import decode_pictures, frame_cache
from endoforge.train import recorded
from endoforge.train.recorded import load_recorded
from endoforge.train.sources import training_source

CPU = torch.device("cpu")


def runs_of(pack):
    return {frame.run for frame in pack.frames}


def label_of(run, number):
    return run / f"labels/frame_{number:05d}.json"


def spoil_labels(run, numbers):
    for number in numbers:
        label_of(run, number).write_text("{")


def spoil_image(run, number):
    (run / f"images/frame_{number:05d}.png").write_bytes(b"not a picture")


def add_boxes(run, number, boxes):
    label = json.loads(label_of(run, number).read_text())
    label["polyp_labels"] += [{"center_world": [0, 0, 0], "bbox_norm": box} for box in boxes]
    label_of(run, number).write_text(json.dumps(label))


def with_split(root, path, val_run):
    """A manifest that validates on this run and trains on those that have a good label."""
    sides: dict[str, list[str]] = {"train": [], "val": []}
    for label in sorted(root.rglob("frame_*.json")):
        if label.read_text() != "{" and "Infinity" not in label.read_text():
            side = "val" if label.parents[1] == val_run else "train"
            sides[side].append(label.relative_to(root).as_posix())
    path.write_text(json.dumps(sides | {"seed": 0, "fingerprint": ""}))
    return {"split_manifest": str(path)}


def summary(caplog, config):
    """The table that a training logs: the names of its columns, and the cells of each row."""
    caplog.clear()
    with caplog.at_level("INFO"):
        load_recorded(config, CPU, Group())
    lines = [record.getMessage() for record in caplog.records]
    (head,) = (k for k, line in enumerate(lines) if line.split()[:1] == ["training"])
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines[head + 1 :]]
    return lines[head].split(), {name: cells for name, *cells in rows}


def test_the_summary_shows_both_sides_and_what_was_dropped(
    make_root, small_config, tmp_path, caplog
):
    root = make_root(4, 5)
    first, second, val, bad = sorted(root.iterdir())
    spoil_labels(first, [0])
    spoil_labels(val, [1, 2])
    spoil_labels(bad, range(5))
    spoil_image(second, 1)
    spoil_image(val, 3)
    add_boxes(second, 0, [[0, 0, 0.5, 0.5]])
    add_boxes(first, 1, [[0, 0, math.inf, 0.5]])
    split = with_split(root, tmp_path / "split.json", val)
    columns, rows = summary(caplog, small_config(input_root=str(root), **split))
    assert columns == ["training", "validation", "neither"]
    assert rows == {
        "runs": ["2", "1"],
        "frames": ["7", "2"],
        "with boxes": ["5 (71.4 %)", "1 (50.0 %)"],
        "one box": ["4 (57.1 %)", "1 (50.0 %)"],
        "more boxes": ["1 (14.3 %)", "0 (0.0 %)"],
        "empty (no box)": ["2 (28.6 %)", "1 (50.0 %)"],
        "boxes": ["6", "1"],
        "dropped": ["3", "3", "5"],
        "label malformed": ["1", "2", "5"],
        "image unreadable": ["1", "1"],
        "a box with NaN or infinite corners": ["1", "0"],
        "boxes dropped": ["0", "0"],
    }
    assert f"{root}: 4 runs, 11 usable frames" in caplog.text
    assert f"dropped 8 x frame: label malformed, such as {first.name}/" in caplog.text
    assert f"dropped 1 x frame: image unreadable, such as {second.name}/" in caplog.text


def test_another_training_on_the_same_frames_decodes_none(
    make_root, small_config, monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(frame_cache, "SETTLED_S", 0.02)
    root = str(make_root(4, 5))
    time.sleep(0.04)
    first = load_recorded(small_config(input_root=root), CPU, Group())

    def fail(path):
        raise AssertionError(f"{path} is decoded again")

    monkeypatch.setattr(decode_pictures, "read_picture", fail)
    again = load_recorded(small_config(input_root=root), CPU, Group())
    assert np.array_equal(again.train.images[:], first.train.images[:])
    assert np.array_equal(again.val.images[:], first.val.images[:])
    other = load_recorded(
        small_config(input_root=root, seed=1, val_ratio=0.5, max_boxes=1), CPU, Group()
    )
    assert runs_of(other.train) != runs_of(first.train)
    pictures = {
        frame.key: picture
        for pack in (first.train, first.val)
        for frame, picture in zip(pack.frames, pack.images[:], strict=True)
    }
    for pack in (other.train, other.val):
        for frame, picture in zip(pack.frames, pack.images[:], strict=True):
            assert np.array_equal(picture, pictures[frame.key])


def test_no_run_is_on_both_sides_of_the_summary(make_root, small_config):
    data = load_recorded(small_config(input_root=str(make_root(3, 5))), CPU, Group())
    assert data.train.frames
    assert data.val.frames
    assert not runs_of(data.train) & runs_of(data.val)


def test_a_summary_without_a_fault_has_two_columns(small_config, caplog):
    columns, rows = summary(caplog, small_config())
    assert columns == ["training", "validation"]
    assert rows["dropped"] == rows["boxes dropped"] == ["0", "0"]
    assert list(rows)[-2:] == ["dropped", "boxes dropped"]


def test_what_a_lone_run_drops_is_of_neither_side(make_root, small_config, caplog):
    root = make_root(1, 12)
    (run,) = root.iterdir()
    spoil_labels(run, [3])
    spoil_image(run, 0)
    _, rows = summary(caplog, small_config(input_root=str(root)))
    assert rows["label malformed"] == ["0", "0", "1"]
    assert rows["image unreadable"] == ["1", "0"]


def test_what_the_real_runs_drop_is_of_validation(make_root, small_config, caplog):
    root, real = make_root(2, 5), make_root(2, 5, name="real")  # runs of the same names
    first, second = sorted(real.iterdir())
    spoil_labels(first, range(5))
    spoil_labels(second, [0])
    spoil_labels(next(root.iterdir()), [1])
    config = small_config(input_root=str(root), real_val_dir=str(real))
    columns, rows = summary(caplog, config)
    assert columns == ["training", "validation"]
    assert rows["frames"] == ["9", "4"]
    assert rows["label malformed"] == ["1", "6"]


def test_a_split_manifest_is_written_then_kept(small_config, tmp_path):
    path = tmp_path / "split.json"
    first = load_recorded(small_config(split_manifest=str(path)), CPU, Group())
    assert set(json.loads(path.read_text())) == {"train", "val", "seed", "fingerprint"}
    again = load_recorded(
        small_config(split_manifest=str(path), seed=1, val_ratio=0.7), CPU, Group()
    )
    assert [frame.key for frame in again.train.frames] == [
        frame.key for frame in first.train.frames
    ]
    assert again.val_fingerprint == first.val_fingerprint != first.train_fingerprint


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"real_val_dir": "nowhere"}, "no folder .*nowhere"),
        ({"split_manifest": "spoilt.json"}, "can't read the split manifest spoilt.json"),
    ],
)
def test_what_is_wrong_is_told_before_frames_are_read(
    small_config, tmp_path, monkeypatch, changed, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spoilt.json").write_text("{")
    monkeypatch.setattr(recorded, "index_root", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(UserError, match=said):
        training_source(small_config(**changed), CPU, Group())


def test_real_runs_validate_and_all_others_train(small_config, small_root, make_root):
    real = make_root(1, 4, name="real", seed=3)
    data = load_recorded(small_config(real_val_dir=str(real)), CPU, Group())
    assert (len(data.train), len(data.val)) == (15, 4)
    with pytest.raises(UserError, match="is in --input-root too"):
        load_recorded(small_config(real_val_dir=str(small_root)), CPU, Group())


def test_what_the_real_runs_have_in_common_with_the_others_is_counted(
    make_root, small_config, caplog
):
    """A copy of a run, under another name; frames of a link are refused, above."""
    root, real = make_root(2, 5), make_root(1, 4, name="real", seed=3)
    shutil.copytree(next(root.iterdir()), real / "run_copy")
    with caplog.at_level("WARNING"):
        load_recorded(small_config(input_root=str(root), real_val_dir=str(real)), CPU, Group())
    assert (
        "--real-val-dir: among the training pictures too: 5 of 9 validation pictures" in caplog.text
    )


def test_labels_to_look_at_are_told_but_not_as_dropped(make_root, small_config, caplog):
    root = make_root(2, 5)
    path = label_of(next(root.iterdir()), 0)
    label = json.loads(path.read_text())
    label["polyp_labels"][0] |= {"bbox_px": [1, 2, 30, 40]}
    path.write_text(json.dumps(label))
    _, rows = summary(caplog, small_config(input_root=str(root)))
    assert "WARNING" in [record.levelname for record in caplog.records]
    assert any(
        record.getMessage().startswith("1 x label: bbox_px and bbox_norm disagree")
        for record in caplog.records
    )
    assert rows["dropped"] == ["0", "0"]


def test_a_root_without_usable_frames_is_named(make_root, small_config):
    root = make_root(1, 2)
    for label in root.rglob("*.json"):
        label.write_text("{")
    with pytest.raises(UserError, match=str(root)):
        load_recorded(small_config(input_root=str(root)), CPU, Group())
    real = make_root(1, 4, name="real", seed=3)
    with pytest.raises(UserError, match="no usable frame in"):
        load_recorded(small_config(input_root=str(root), real_val_dir=str(real)), CPU, Group())


def test_strict_stops_at_the_first_bad_label(make_root, small_config):
    root = make_root(2, 3)
    (next(root.glob("run_*")) / "labels" / "frame_00001.json").write_text("{")
    with pytest.raises(UserError, match=r"frame_00001\.json"):
        load_recorded(small_config(input_root=str(root), strict=True), CPU, Group())


def test_processes_that_see_different_data_are_an_error(small_config):
    class OneOfTwo(Group):
        def gather(self, value):
            return [value, ("other", "data")]

    with pytest.raises(UserError, match="see different data: give all machines the same"):
        load_recorded(small_config(), CPU, OneOfTwo())
