"""Runs that show the same stay on one side of a split, and what both sides have is counted."""

import json
import logging
import shutil

import numpy as np
import pytest

from endoforge.captures.index import index_root
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel, PolypLabel, image_name
from endoforge.core.errors import UserError
from endoforge.data import twins
from endoforge.data.split import load_split, save_split, split_by_run
from endoforge.data.twins import (
    Digests,
    Twins,
    group_lines,
    seeds_of_both,
    shared_pictures,
    twin_runs,
)

BOX = (0.0, 0.0, 0.5, 0.5)
RANGES = {"polyps": [12, 20]}


@pytest.fixture
def captures(tmp_path):
    return tmp_path / "captures"


def record(root, seed, *, frames=8, size=(16, 32), pictures=None, ranges=RANGES, black=0):
    """A run of noise that follows from `pictures`; the first `black` frames are black."""
    extra = {"randomization": ranges} if ranges is not None else {"import": {}}
    recorder = RunRecorder.create(root, seed=seed, max_frames=None, extra=extra)
    rng = np.random.default_rng(seed if pictures is None else pictures)
    for number in range(frames):
        label = FrameLabel(
            frame_id=number,
            sim_time=number,
            unix_time=recorder.run_dir.stat().st_mtime,
            image=image_name(number),
            image_present=True,
            camera_active=True,
            polyp_seed=0,
            polyp_labels=[PolypLabel(center_world=(0, 0, 0), bbox_norm=BOX)],
        )
        noise = rng.integers(0, 255, (*size, 3), np.uint8)
        recorder.write(noise * (number >= black), label)
    recorder.finish()
    return recorder.run_dir.name


def groups(root):
    index = index_root(root)
    return [(group.runs, group.why) for group in twin_runs(index.frames, index.runs, Digests())]


def sides(root, **options):
    split = split_by_run(index_root(root), 0.5, seed=options.pop("seed", 0), **options)
    return {frame.run for frame in split.train}, {frame.run for frame in split.val}


def test_runs_of_their_own_are_no_twins(captures):
    for seed in range(4):
        record(captures, seed)
    assert groups(captures) == []


def test_two_recordings_of_one_seed_show_the_same_colon_at_any_size(captures):
    names = [record(captures, 7), record(captures, 7, frames=3, size=(32, 64), pictures=1)]
    record(captures, 8)
    assert groups(captures) == [(tuple(names), "the same seed and ranges")]


def test_other_ranges_are_another_colon(captures):
    record(captures, 7)
    record(captures, 7, ranges={"polyps": [1, 2]}, pictures=1)
    assert groups(captures) == []


def test_imports_have_no_seed_but_their_pictures_tell(captures):
    """Their labels differ, by the time at least."""
    record(captures, 0, pictures=1, ranges=None)
    names = [record(captures, 0, pictures=2, ranges=None) for _ in range(2)]
    assert groups(captures) == [(tuple(names), "the same pictures")]


def test_copies_and_links_are_twins(captures, tmp_path):
    one, other = record(captures, 1), record(captures, 2)
    shutil.copytree(captures / one, captures / "run_copy")
    shutil.move(captures / other, tmp_path / other)
    for name in ("run_link", "run_link_too"):
        (captures / name).symlink_to(tmp_path / other)
    assert [runs for runs, _ in groups(captures)] == [
        (one, "run_copy"),
        ("run_link", "run_link_too"),
    ]


def test_part_of_a_run_is_its_twin(captures):
    whole = record(captures, 3, frames=40, ranges=None)
    part = record(captures, 3, frames=2, ranges=None)
    record(captures, 4, ranges=None)
    assert groups(captures) == [((whole, part), "the same pictures")]


def test_a_few_black_pictures_make_no_twins(captures):
    for pictures in range(3):
        record(captures, 0, pictures=pictures, frames=60, black=1, ranges=None)
    assert groups(captures) == []


def test_other_simulators_runs_are_known_by_their_seeds_unless_all_have_one(captures):
    names = [record(captures, 5, pictures=n) for n in range(3)]
    for name, seed in zip(names, (5, 5, 6), strict=True):
        path = captures / name / "run_manifest.json"
        manifest = json.loads(path.read_text())
        del manifest["endoforge"]
        path.write_text(json.dumps(manifest | {"seed": seed}))
    assert groups(captures) == [(tuple(names[:2]), "the same seed")]
    path.write_text(json.dumps(manifest | {"seed": 5}))
    assert groups(captures) == []


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_twins_stay_on_one_side_and_a_line_says_so(captures, caplog, stratify, seed):
    twins = {record(captures, 1, frames=4) for _ in range(2)}
    for other in (2, 3):
        record(captures, other, frames=4)
    with caplog.at_level(logging.WARNING):
        train, val = sides(captures, stratify=stratify, seed=seed)
    assert twins <= train or twins <= val
    assert train
    assert val
    assert train.isdisjoint(val)
    [line] = [record.getMessage() for record in caplog.records]
    assert line == (
        "runs that show the same stay on one side: "
        f"{', '.join(sorted(twins))}: the same seed and ranges and the same pictures"
    )


def test_where_all_show_the_same_they_are_split_by_number(captures, tmp_path, caplog):
    record(captures, 1, frames=40)
    record(captures, 1, frames=40)
    index = index_root(captures)
    split = split_by_run(index, 0.2, seed=0)
    assert shared_pictures(split.train, split.val, Digests()) == []
    last_train = max(frame.frame_id for frame in split.train)
    first_val = min(frame.frame_id for frame in split.val)
    assert last_train < first_val - 1
    assert (len(split.train), len(split.val), split.left_out) == (60, 16, 4)
    assert "only one run" in caplog.text
    save_split(tmp_path / "split.json", split, seed=0)
    assert load_split(tmp_path / "split.json", index) == split


def test_one_moment_alone_cannot_be_split(captures):
    for _ in range(2):
        record(captures, 1, frames=1)
    with pytest.raises(UserError, match="2 usable frames of the same moment"):
        split_by_run(index_root(captures), 0.5, seed=0)


def test_pictures_on_both_sides_are_counted(captures, caplog):
    """One black picture each, below the share that makes twins."""
    for pictures in range(2):
        record(captures, 0, pictures=pictures, frames=60, black=1, ranges=None)
    with caplog.at_level(logging.WARNING):
        split_by_run(index_root(captures), 0.5, seed=0)
    assert "the split: among the training pictures too: 1 of 60 validation pictures" in caplog.text


def test_a_manifest_that_parts_twins_is_warned_of(captures, tmp_path, caplog):
    for _ in range(2):
        record(captures, 1, frames=4)
    record(captures, 2, frames=4)
    index = index_root(captures)
    split = split_by_run(index, 0.4, seed=0)
    first, *others = (list(frames) for frames in _by_run(index.frames))
    parted = type(split)(first, [frame for frames in others for frame in frames])
    save_split(tmp_path / "split.json", parted, seed=0)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        load_split(tmp_path / "split.json", index)
    lines = [record.getMessage() for record in caplog.records]
    assert "split.json has runs that show the same on both sides: run_" in lines[0]
    assert "among the training pictures too: 4 of 8 validation pictures" in lines[1]


def _by_run(frames):
    names = dict.fromkeys(frame.run for frame in frames)
    return [[frame for frame in frames if frame.run == name] for name in names]


def test_a_changed_pixel_makes_another_picture(captures):
    """Of files that are equally long."""
    one, other = record(captures, 1), record(captures, 1)
    path = captures / other / "images/frame_00003.png"
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    frames = index_root(captures).frames
    first, second = _by_run(frames)
    assert shared_pictures(first, second, Digests()) == [
        f"{other}/labels/frame_{number:05d}.json" for number in range(8) if number != 3
    ]
    assert one != other


def test_one_seed_on_both_of_two_sides_is_found(captures, tmp_path):
    one, real = record(captures, 1), record(tmp_path / "real", 1, size=(8, 8))
    record(captures, 2)
    record(tmp_path / "real", 3)
    sides = [index_root(root).runs for root in (captures, tmp_path / "real")]
    [group] = seeds_of_both(*sides)
    assert group.runs == (str(captures / one), str(tmp_path / "real" / real))
    assert seeds_of_both(sides[0], sides[0][1:2]) != []
    assert seeds_of_both(sides[0], sides[1][1:2]) == []


def renumbered(run, first, other):
    """The frames of `run` from `first` on as another run, numbered from 0."""
    for name in ("labels", "images"):
        (other / name).mkdir(parents=True)
    for label in sorted((run / "labels").iterdir())[first:]:
        content = json.loads(label.read_bytes())
        picture = run / content["image"]
        content["frame_id"] -= first
        content["image"] = image_name(content["frame_id"])
        shutil.copy(picture, other / content["image"])
        (other / f"labels/frame_{content['frame_id']:05d}.json").write_text(json.dumps(content))


def test_twins_of_other_numbers_have_no_picture_on_both_sides(captures, caplog):
    """As two imports of a folder of which the first pictures have gone since."""
    run = captures / record(captures, 1, frames=12)
    renumbered(run, 6, captures / "run_2")
    split = split_by_run(index_root(captures), 0.3, seed=0)
    assert {frame.frame_id for frame in split.val} >= {9, 10, 11}
    assert shared_pictures(split.train, split.val, Digests()) == []
    assert len(split.train) + len(split.val) + split.left_out == 18
    assert "of them as they show what is validated on" in caplog.text


def test_a_picture_that_a_lone_run_shows_again_is_on_one_side(captures):
    run = captures / record(captures, 1, frames=20)
    shutil.copy(run / image_name(0), run / image_name(19))
    split = split_by_run(index_root(captures), 0.2, seed=0)
    assert [frame.frame_id for frame in split.train] == list(range(1, 15))


def test_a_lone_run_of_one_picture_is_a_user_error(captures):
    record(captures, 1, frames=8, black=8)
    with pytest.raises(UserError, match="nothing is left to train on; record more runs"):
        split_by_run(index_root(captures), 0.2, seed=0)


def test_of_many_groups_the_first_are_told_and_the_others_counted():
    groups = [Twins((f"run_{n}", f"run_{n}_copy"), "the same pictures") for n in range(30)]
    lines = group_lines(groups)
    assert lines[0] == "run_0, run_0_copy: the same pictures"
    assert len(lines) == 6
    assert lines[-1] == "and 25 more groups of runs"
    assert len(group_lines(groups[:5])) == 5


def test_each_picture_is_read_once(captures, monkeypatch):
    read, digest = [], twins._digest

    def spy(path):
        read.append(path)
        return digest(path)

    monkeypatch.setattr(twins, "_digest", spy)
    for seed in (1, 1, 2):
        record(captures, seed)
    split_by_run(index_root(captures), 0.5, seed=0)
    assert len(read) == len(set(read)) == 24  # noise isn't compressed: all files are equally long
