import json

import pytest

from endoforge.backends.group import Group
from endoforge.core.errors import UserError
from endoforge.train.data import load_data


def runs_of(pack):
    return {frame.run for frame in pack.frames}


def test_the_summary_shows_both_sides_and_what_was_dropped(make_root, small_config, caplog):
    root = make_root(3, 5)
    (next(root.glob("run_*")) / "labels" / "frame_00000.json").write_text("{")
    with caplog.at_level("INFO"):
        data = load_data(small_config(input_root=str(root)), Group())
    lines = caplog.text
    assert f"{root}: 3 runs, 14 usable frames" in lines
    assert "dropped 1 x frame: label malformed" in lines
    rows = {line.split()[-3]: line.split()[-2:] for line in lines.splitlines() if line.split()}
    assert rows["frames"] == [str(len(data.train)), str(len(data.val))]
    assert rows["runs"] == ["2", "1"]
    assert int(rows["empty"][0]) + int(rows["empty"][1]) == 3
    assert not runs_of(data.train) & runs_of(data.val)


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
