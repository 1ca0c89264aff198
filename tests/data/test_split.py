import itertools
import json
import logging
import os

import numpy as np
import pytest

from endoforge.captures.index import CaptureIndex, index_root
from endoforge.captures.run_frames import FrameRecord
from endoforge.core.errors import UserError
from endoforge.data.split import fingerprint, load_split, save_split, split_by_run


def keys(frames):
    return [frame.key for frame in frames]


def runs(frames):
    return {frame.run for frame in frames}


def bare_index(tmp_path, sizes):
    """An index of runs with these numbers of frames, of which nothing is on disk."""
    frames = [
        FrameRecord(
            run=f"run_{run}",
            run_path=tmp_path / f"run_{run}",
            frame_id=number,
            label=f"labels/{number}.json",
            image=f"images/{number}.png",
            digest=b"",
            image_bytes=0,
            classes=(),
            boxes=np.zeros((0, 4), np.float32),
            polyp_ids=(),
            kinds=(),
            diameters_mm=(),
            seconds=float(number),
        )
        for run, size in enumerate(sizes)
        for number in range(size)
    ]
    return CaptureIndex(tmp_path, frames=frames)


@pytest.mark.parametrize("sizes", [[5, 5], [90, 5, 5], [1, 2, 4, 8, 16], [7, 7, 7, 7], [3, 50, 1]])
@pytest.mark.parametrize("ratio", [0.01, 0.2, 0.5, 0.99])
def test_whole_runs_come_as_near_the_ratio_as_any_choice_of_runs(tmp_path, sizes, ratio):
    split = split_by_run(bare_index(tmp_path, sizes), ratio, seed=3)
    target = ratio * sum(sizes)
    choices = itertools.chain.from_iterable(
        itertools.combinations(sizes, count) for count in range(1, len(sizes))
    )
    nearest = min(abs(sum(choice) - target) for choice in choices)
    assert abs(len(split.val) - target) == nearest
    assert runs(split.train).isdisjoint(runs(split.val))
    assert len(split.train) + len(split.val) == sum(sizes)
    assert split.train
    assert split.val


def test_the_seed_picks_the_runs(tmp_path):
    index = bare_index(tmp_path, [10] * 8)
    picked = [frozenset(runs(split_by_run(index, 0.25, seed).val)) for seed in range(20)]
    assert all(len(val) == 2 for val in picked)
    assert len(set(picked)) > 5
    assert frozenset(runs(split_by_run(index, 0.25, 7).val)) == picked[7]


def test_a_lone_run_is_split_by_time_with_a_gap_and_a_warning(tmp_path, caplog):
    split = split_by_run(bare_index(tmp_path, [100]), 0.2, seed=0)
    assert [frame.frame_id for frame in split.train] == list(range(75))
    assert [frame.frame_id for frame in split.val] == list(range(80, 100))
    assert split.left_out == 5
    assert "only one run (run_0)" in caplog.text


@pytest.mark.parametrize(("count", "parts"), [(2, (1, 0, 1)), (3, (1, 1, 1)), (5, (3, 1, 1))])
def test_a_short_lone_run_still_gives_both_sides(tmp_path, count, parts):
    split = split_by_run(bare_index(tmp_path, [count]), 0.2, seed=0)
    assert (len(split.train), split.left_out, len(split.val)) == parts


@pytest.mark.parametrize("sizes", [[], [1]])
def test_too_few_frames_are_a_user_error(tmp_path, sizes):
    with pytest.raises(UserError, match="at least 2 are needed"):
        split_by_run(bare_index(tmp_path, sizes), 0.2, seed=0)


def test_no_usable_frame_says_what_was_dropped(record):
    run = record([[]] * 2)
    for image in run.glob("images/*"):
        image.unlink()
    with pytest.raises(UserError, match="2 x frame: image missing"):
        split_by_run(index_root(run.parent), 0.2, seed=0)


def test_a_saved_split_is_loaded_as_it_was(tmp_path, index_of):
    index = index_of([3, 2, 4])
    split = split_by_run(index, 0.3, seed=5)
    path = tmp_path / "splits" / "split.json"
    save_split(path, split, seed=5)
    saved = json.loads(path.read_text())
    loaded = load_split(path, index)
    assert sorted(saved) == ["fingerprint", "seed", "train", "val"]
    assert saved["val"] == keys(split.val)
    assert saved["train"][0] == f"{split.train[0].run}/labels/frame_00000.json"
    assert (keys(loaded.train), keys(loaded.val)) == (keys(split.train), keys(split.val))
    assert loaded.left_out == 0


def test_a_listed_label_that_is_missing_is_named(tmp_path, index_of):
    index = index_of([2, 2])
    split = split_by_run(index, 0.5, seed=0)
    save_split(tmp_path / "split.json", split, seed=0)
    lost = split.val[1]
    lost.label_path.unlink()
    with pytest.raises(UserError, match=lost.key):
        load_split(tmp_path / "split.json", index_root(index.root))


def test_new_frames_are_left_out_and_changed_labels_warned_of(tmp_path, index_of, caplog):
    index = index_of([2, 2])
    split = split_by_run(index, 0.5, seed=0)
    save_split(tmp_path / "split.json", split, seed=0)
    label = split.train[0].label_path
    label.write_text(label.read_text().replace("0.5", "0.25"))
    with caplog.at_level(logging.WARNING):
        loaded = load_split(tmp_path / "split.json", index_of([3]))
    assert loaded.left_out == 3
    assert "frames have changed" in caplog.text
    assert "left out: 3 frames that " in caplog.text


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ("{", "can't read the split manifest"),
        ({"train": []}, "can't read the split manifest"),
        ({"train": ["a"], "val": [], "seed": 0, "fingerprint": ""}, "no frame for one side"),
    ],
)
def test_a_malformed_manifest_is_a_user_error(tmp_path, manifest, reason):
    path = tmp_path / "split.json"
    path.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    with pytest.raises(UserError, match=reason):
        load_split(path, bare_index(tmp_path, [2]))


@pytest.mark.skipif(os.name != "posix", reason="no such devices")
@pytest.mark.parametrize("place", ["/dev/zero", "pipe"])
def test_a_manifest_is_a_regular_file(tmp_path, place):
    """A device has no end, and a pipe waits for a writer."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=r"can't read the split manifest .*: .*not a regular file"):
        load_split(tmp_path / place, bare_index(tmp_path, [2]))


def test_a_frame_on_both_sides_is_a_user_error(tmp_path, index_of):
    index = index_of([1, 1])
    key = index.frames[0].key
    manifest = {"train": [key], "val": [key], "seed": 0, "fingerprint": ""}
    (tmp_path / "split.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=f"lists {key} more than once"):
        load_split(tmp_path / "split.json", index)


def test_the_fingerprint_is_of_the_labels_and_image_sizes_whatever_their_order(index_of):
    index = index_of([2, 1])
    label, image = index.frames[0].label_path, index.frames[0].image_path
    before = fingerprint(index.frames)

    def now():
        return fingerprint(index_root(index.root).frames)

    assert fingerprint(reversed(index.frames)) == before
    assert fingerprint(index.frames[1:]) != before
    label.touch()
    image.touch()
    assert now() == before
    image.write_bytes(image.read_bytes() + b" ")
    assert now() != before
    image.write_bytes(image.read_bytes()[:-1])
    assert now() == before
    label.write_text(label.read_text().replace("0.5", "0.6"))
    assert now() != before
