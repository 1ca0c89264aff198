import json

import pytest

from endoforge.backends.group import Group
from endoforge.core.errors import UserError
from endoforge.train.data import load_data


def runs_of(pack):
    return {frame.run for frame in pack.frames}


def table_in(text):
    """The cells of the summary's rows by their names."""
    lines = [record.split("  ") for record in text.splitlines()]
    parts = [[part.strip() for part in line if part.strip()] for line in lines]
    return {row[0].split("] ")[-1]: row[1:] for row in parts if len(row) > 2}


def test_the_summary_shows_both_sides_and_what_was_dropped(make_root, small_config, caplog):
    root = make_root(3, 5)
    first, second, third = sorted(root.glob("run_*"))
    (first / "labels" / "frame_00000.json").write_text("{")
    for picture in (first / "images" / "frame_00001.png", second / "images" / "frame_00002.png"):
        picture.write_text("no picture")
    for label in third.glob("labels/*.json"):
        label.write_text("{")
    manifest = root / "split.json"
    config = small_config(input_root=str(root), split_manifest=str(manifest), val_ratio=0.5)
    with caplog.at_level("INFO"):
        data = load_data(config, Group())
    assert f"{root}: 3 runs, 9 usable frames" in caplog.text
    assert "dropped 6 x frame: label malformed, such as run_" in caplog.text
    assert "dropped from training: 1 x frame: image unreadable, such as run_" in caplog.text
    assert not runs_of(data.train) & runs_of(data.val)
    messages = "\n".join(record.message for record in caplog.records)
    sides = 1 if runs_of(data.train) == {second.name} else -1
    assert table_in(messages) == {
        "training": ["validation", "neither"],
        "runs": ["1", "1"],
        "frames": ["4", "3"][::sides],
        "with boxes": ["3 (75.0 %)", "2 (66.7 %)"][::sides],
        "one box": ["3 (75.0 %)", "2 (66.7 %)"][::sides],
        "more boxes": ["0 ( 0.0 %)", "0 ( 0.0 %)"],
        "empty": ["1 (25.0 %)", "1 (33.3 %)"][::sides],
        "boxes": ["3", "2"][::sides],
        "dropped frame: image unreadable": ["1", "1", "0"],
        "dropped frame: label malformed": [*["0", "1"][::sides], "5"],
    }


def test_nothing_dropped_is_said_too(small_config, caplog):
    with caplog.at_level("INFO"):
        load_data(small_config(), Group())
    messages = "\n".join(record.message for record in caplog.records)
    assert table_in(messages)["dropped"] == ["0", "0"]


def test_what_real_runs_lost_counts_on_the_side_of_validation(
    make_root, small_config, small_root, caplog
):
    real = make_root(1, 4, name="real", seed=3)
    next(real.rglob("frame_00001.json")).write_text("{")
    with caplog.at_level("INFO"):
        load_data(small_config(real_val_dir=str(real)), Group())
    messages = "\n".join(record.message for record in caplog.records)
    assert table_in(messages)["dropped frame: label malformed"] == ["0", "1"]
    assert f"{small_root}: 3 runs" in messages
    assert f"{real}: 1 runs" in messages


def test_a_split_manifest_is_written_then_kept(small_config, tmp_path):
    path = tmp_path / "split.json"
    first = load_data(small_config(split_manifest=str(path)), Group())
    assert set(json.loads(path.read_text())) == {"train", "val", "seed", "fingerprint"}
    again = load_data(small_config(split_manifest=str(path), seed=1, val_ratio=0.7), Group())
    assert [frame.key for frame in again.train.frames] == [
        frame.key for frame in first.train.frames
    ]
    assert again.val_fingerprint == first.val_fingerprint != first.train_fingerprint


def test_real_runs_validate_and_all_others_train(small_config, small_root, make_root):
    real = make_root(1, 4, name="real", seed=3)
    data = load_data(small_config(real_val_dir=str(real)), Group())
    assert (len(data.train), len(data.val)) == (15, 4)
    with pytest.raises(UserError, match="is in --input-root too"):
        load_data(small_config(real_val_dir=str(small_root)), Group())


def test_a_root_without_usable_frames_is_named(make_root, small_config):
    root = make_root(1, 2)
    for label in root.rglob("*.json"):
        label.write_text("{")
    with pytest.raises(UserError, match=str(root)):
        load_data(small_config(input_root=str(root)), Group())
    real = make_root(1, 4, name="real", seed=3)
    with pytest.raises(UserError, match="no usable frame in"):
        load_data(small_config(input_root=str(root), real_val_dir=str(real)), Group())


def test_strict_stops_at_the_first_bad_label(make_root, small_config):
    root = make_root(2, 3)
    (next(root.glob("run_*")) / "labels" / "frame_00001.json").write_text("{")
    with pytest.raises(UserError, match=r"frame_00001\.json"):
        load_data(small_config(input_root=str(root), strict=True), Group())


def test_processes_that_see_different_data_are_an_error(small_config):
    class OneOfTwo(Group):
        def gather(self, value):
            return [value, ("other", "data")]

    with pytest.raises(UserError, match="see different data: give all machines the same"):
        load_data(small_config(), OneOfTwo())
