"""Trainings on shards as `convert` writes them, against those on the runs that they were of."""

import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from endoforge.backends.group import Group
from endoforge.cli import run
from endoforge.core.errors import UserError
from endoforge.data import shard_cache
from endoforge.data.shard_index import ShardIndex, index_shard
from endoforge.data.stream import StreamLoader
from endoforge.formats import webdataset
from endoforge.formats.config import ConvertConfig
from endoforge.formats.converting import run_convert
from endoforge.train import streamed, survey
from endoforge.train.config import TrainConfig
from endoforge.train.loop import train
from endoforge.train.recorded import load_recorded
from endoforge.train.sources import training_source
from endoforge.train.streamed import StreamedSource
from tests.data.shard_files import frames_of, pair, write_shard
from tests.train.processes import finished, start
from tests.train.test_loop import assert_same_training, at, interrupt
from tests.train.test_processes import assert_same_but_for_rounding

CPU = torch.device("cpu")


def convert(runs: Path, out: Path, **settings: Any) -> Path:
    run_convert(ConvertConfig(format="webdataset", paths=(str(runs), str(out)), **settings))
    return out


@pytest.fixture(scope="session")
def shards(small_root, tmp_path_factory) -> Path:
    """The 15 frames of `small_root`, in shards of four; don't change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webdataset, "SHARD_FRAMES", 4)
        return convert(small_root, tmp_path_factory.mktemp("converted") / "shards")


@pytest.fixture
def config(shards, small_config, monkeypatch):
    """Configurations of trainings on shards, whose windows hold two shards."""
    monkeypatch.setattr(streamed, "WINDOW_FRAMES", 8)
    monkeypatch.setattr(shard_cache, "SETTLED_S", 0.0)  # so that what is decoded is kept at once

    def make(**others: Any) -> TrainConfig:
        made: TrainConfig = small_config(**({"input_root": str(shards)} | others))
        return made

    return make


@pytest.fixture
def load(config):
    """Loads the source of a training; closes its batches in the end."""

    def make(**others):
        return training_source(config(**others), CPU, Group())

    return make


def test_shards_give_the_inputs_of_their_runs(load, small_config):
    ours, theirs = load(), load_recorded(small_config(), CPU, Group())
    assert isinstance(ours, StreamedSource)
    assert len(ours.train) == len(theirs.train) == 10
    assert len(ours.val) == len(theirs.val) == 5
    assert ours.class_names == theirs.class_names
    assert np.array_equal(ours.val.images[:], theirs.val.images[:])
    for one, other in zip(ours.val.boxes, theirs.val.boxes, strict=True):
        assert np.array_equal(one, other)

    def inputs(source):
        batches = source.batches()
        try:
            every = list(batches.batches(0))
        finally:
            batches.close()
        rows = [
            (batch.images[k].numpy().tobytes(), batch.boxes[k].numpy().tobytes())
            for batch in every
            for k in range(len(batch.images))
        ]
        return sorted(rows)

    assert inputs(ours) == inputs(theirs)


def test_the_summary_is_that_of_the_runs(load, small_config, caplog):
    caplog.set_level("INFO")
    load()
    ours = [record.getMessage() for record in caplog.records]
    caplog.clear()
    load_recorded(small_config(), CPU, Group())
    theirs = [record.getMessage() for record in caplog.records]
    head = next(line for line in theirs if line.split() == ["training", "validation"])
    table = theirs[theirs.index(head) :]
    assert ours[-len(table) :] == table
    assert ours[0].endswith("shards: 4 shards of 3 runs, 15 usable frames, read as a stream")


@pytest.mark.parametrize("place", [(1, 1), (1, 4), (2, 5)])
def test_stopped_and_resumed_it_ends_as_if_never_stopped(
    place: tuple[int, int], config, recorder, tmp_path
):
    train(config(ckpt_dir=str(tmp_path / "whole")))
    recorder.after_step = at(*place, interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(config())
    recorder.after_step = lambda _: None
    train(config())
    assert_same_training(tmp_path / "checkpoints", tmp_path / "whole")


def test_a_training_doesnt_go_on_with_other_shards(config, make_root, tmp_path):
    train(config(epochs=1))
    other = convert(make_root(3, 5, seed=1), tmp_path / "other")
    with pytest.raises(UserError, match="holds another training: --input-root was"):
        train(config(input_root=str(other)))


@pytest.mark.slow
def test_two_processes_do_what_one_does(small_config, shards, comparable, tmp_path):  # noqa: ARG001
    def settings(name):
        metrics = str(tmp_path / f"{name}.jsonl")
        folder = {"ckpt_dir": str(tmp_path / name), "metrics_out": metrics}
        return small_config(input_root=str(shards), batch_size=5, **folder)

    code, _, errors = finished(start(settings("two"), processes=2))
    assert code == 0, errors
    train(settings("one"))
    assert_same_but_for_rounding(tmp_path / "two", tmp_path / "one")
    one, two = (
        [json.loads(line)["loss"] for line in (tmp_path / f"{n}.jsonl").read_text().splitlines()]
        for n in ("one", "two")
    )
    assert len(one) == 2
    assert two == pytest.approx(one, rel=1e-4)


def test_whole_runs_are_held_out_though_a_shard_has_frames_of_several(load):
    source = load(val_ratio=0.33)
    (held_out,) = source.validation.runs
    assert held_out not in source.train.runs
    assert len(source.train.runs) == 2
    assert len(load(val_ratio=0.33, seed=1).val) == 5
    chosen = {next(iter(load(seed=seed).validation.runs)) for seed in range(8)}
    assert len(chosen) > 1
    assert load().validation.runs == {held_out}


def test_stratified_runs_are_held_out(load, tmp_path):
    empty: dict[str, bytes] = {}
    for number in range(4):
        empty |= pair(f"run_2/e{number}", 1) | pair(f"run_3/e{number}", 1)
    members = {**frames_of("run_0", range(4)), **frames_of("run_1", range(4)), **empty}
    write_shard(tmp_path / "shards/a.tar", members)
    source = load(input_root=str(tmp_path / "shards"), val_ratio=0.5, stratify_split=True)
    assert source.validation.counts.with_one == 4
    assert source.validation.counts.frames == 8


def test_shards_named_by_their_side_are_split_so(load, make_root, tmp_path):
    root = make_root(3, 5)
    names = sorted(path.name for path in root.iterdir())
    keys = {name: [f"{name}/labels/frame_{n:05d}.json" for n in range(5)] for name in names}
    split = tmp_path / "split.json"
    sides = {"train": keys[names[1]] + keys[names[2]], "val": keys[names[0]]}
    split.write_text(json.dumps(sides | {"seed": 0, "fingerprint": ""}))
    out = convert(root, tmp_path / "sides", split_manifest=str(split))
    for seed in range(3):
        source = load(input_root=str(out), seed=seed)
        assert source.validation.runs == {names[0]}
        assert source.train.shards == ["train-000000.tar"]
        assert (len(source.train), len(source.val)) == (10, 5)


def test_frames_of_no_run_are_split_by_shard(load, tmp_path):
    for number in range(4):
        members: dict[str, bytes] = {}
        for k in range(3):
            members |= pair(f"{number}{k}", 10 * number + k)
        write_shard(tmp_path / f"shards/{number}.tar", members)
    source = load(input_root=str(tmp_path / "shards"), val_ratio=0.25, target_size="16x8")
    (held_out,) = source.validation.runs
    number = int(held_out.removesuffix(".tar"))
    greys = sorted(source.val.images[:][:, 0, 0, 0].tolist())
    assert greys == [10 * number + k for k in range(3)]
    assert len(source.train) == 9


def test_no_more_is_held_out_than_memory_should_hold(load, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(survey, "MOST_VALIDATION_FRAMES", 3)
    monkeypatch.setattr(streamed, "MOST_VALIDATION_FRAMES", 3)
    caplog.set_level("INFO")
    members: dict[str, bytes] = {}
    for number in range(10):
        members |= frames_of(f"run_{number}", range(3))
    write_shard(tmp_path / "shards/a.tar", members)
    source = load(input_root=str(tmp_path / "shards"), val_ratio=0.5)
    assert (len(source.train), len(source.val)) == (27, 3)
    assert "holding out about 3 frames, not --val-ratio 0.5 of 30" in caplog.text
    members = {**frames_of("run_0", range(7)), **frames_of("run_1", range(40, 48))}
    write_shard(tmp_path / "shards/a.tar", members)
    source = load(input_root=str(tmp_path / "shards"), target_size="16x8")
    assert source.val.images[:][:, 0, 0, 0].tolist() == [0, 3, 6]
    assert source.validation.left_out == 4
    assert "left out by the split: 4 frames" in caplog.text


def test_runs_to_validate_on_may_be_real_ones(load, make_root, small_root):
    real = make_root(1, 5, name="real", seed=1)
    source = load(real_val_dir=str(real))
    assert (len(source.train), len(source.val)) == (15, 5)
    with pytest.raises(UserError, match="is in the shards of --input-root too"):
        load(real_val_dir=str(small_root))


def test_what_is_left_out_is_told_by_side(load, tmp_path, caplog):
    caplog.set_level("INFO")
    folder = tmp_path / "shards"
    spoilt = {"run_1/frame_00001.png": b"?", "run_1/frame_00002.json": b"?"}
    write_shard(folder / "train-0.tar", {**frames_of("run_0", range(5)), "run_0/x.png": b"?"})
    write_shard(folder / "val-0.tar", {**frames_of("run_1", range(5)), **spoilt})
    (folder / "train-1.tar").write_bytes(b"?")
    source = load(input_root=str(folder))
    assert (len(source.train), len(source.val)) == (5, 3)
    lines = [" ".join(record.getMessage().split()) for record in caplog.records]
    assert "dropped 1 2" in lines
    assert "no label 1 0" in lines
    assert "label isn't of a capture run 0 1" in lines
    assert "image unreadable 0 1" in lines
    assert "shard: damaged (its whole frames are used), such as train-1.tar (trunc" in caplog.text
    assert "such as run_1/frame_00001.png in val-0.tar" in caplog.text
    with pytest.raises(UserError, match="leave out --strict"):
        load(input_root=str(folder), strict=True)


def test_boxes_over_the_limit_are_counted(load, tmp_path, caplog):
    caplog.set_level("INFO")
    boxes = [[0, 0, k / 10, 1] for k in range(1, 5)]
    members = {**pair("run_0/a", 1, boxes), **pair("run_0/b", 2, boxes[:1])}
    write_shard(tmp_path / "shards/a.tar", {**members, **frames_of("run_1", [1, 2])})
    source = load(input_root=str(tmp_path / "shards"), max_boxes=2, val_ratio=0.5)
    lines = [" ".join(record.getMessage().split()) for record in caplog.records]
    assert "boxes dropped 2 0" in lines or "boxes dropped 0 2" in lines
    batches = source.batches()
    assert batches.most_boxes in (1, 2)
    batches.close()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, r"no usable frame in the 1 shard of .* \(its shards are empty\)"),
        ({"run_0/a.png": b"?"}, r"no usable frame .* \(1 x frame: no label, such as run_0/a.png"),
        (frames_of("run_0", range(3)), "3 frames of one run, run_0, and neighbouring"),
    ],
)
def test_shards_of_no_use_are_refused_in_a_line(members, words, load, tmp_path):
    write_shard(tmp_path / "shards/a.tar", members)
    with pytest.raises(UserError, match=words):
        load(input_root=str(tmp_path / "shards"))


def test_a_side_without_a_usable_frame_is_refused(load, tmp_path):
    write_shard(tmp_path / "shards/train-0.tar", frames_of("run_0", range(3)))
    write_shard(tmp_path / "shards/val-0.tar", {"run_1/a.png": b"?"})
    with pytest.raises(UserError, match=r"no usable frame in val-\*.tar of "):
        load(input_root=str(tmp_path / "shards"))


def test_a_frame_that_is_there_twice_is_refused(load, tmp_path):
    write_shard(tmp_path / "shards/a.tar", frames_of("run_0", range(3)))
    write_shard(tmp_path / "shards/b.tar", pair("run_0/frame_00001", 7))
    with pytest.raises(UserError, match=r"there twice: 1 frame, .* a.tar and b.tar; remove"):
        load(input_root=str(tmp_path / "shards"))


def test_a_manifest_of_a_split_is_refused(load, tmp_path):
    with pytest.raises(UserError, match="give it to `endoforge convert`"):
        load(split_manifest=str(tmp_path / "split.json"))


def test_of_runs_and_shards_the_runs_are_used(load, make_root, caplog):
    root = make_root(3, 5)
    write_shard(root / "all-000000.tar", frames_of("run_0", range(3)))
    source = load(input_root=str(root))
    assert not isinstance(source, StreamedSource)
    assert "holds runs, which are used, and 1 shard, not used" in caplog.text


@pytest.mark.parametrize("flag", ["--input-root", "--real-val-dir"])
def test_where_runs_are_needed_the_way_back_is_named(flag, shards, small_root, tmp_path, capsys):
    if flag == "--input-root":
        words = ["eval", "--detector", "heuristic", flag, str(shards)]
    else:
        words = ["train", "--ckpt-dir", str(tmp_path), "--input-root", str(small_root)]
        words += [flag, str(shards)]
    assert run(words) == 2
    assert f"`endoforge import --format webdataset --images {shards}`" in capsys.readouterr().err


def test_a_polyp_is_what_there_is_to_find_where_no_frame_has_a_box(load, tmp_path, caplog):
    members: dict[str, bytes] = {}
    for number in range(4):
        members |= pair(f"run_{number}/a", number)
    write_shard(tmp_path / "shards/a.tar", members)
    source = load(input_root=str(tmp_path / "shards"), val_ratio=0.25)
    assert source.class_names == ("polyp",)
    assert "no box in the 3 training frames" in caplog.text
    assert "no box in the 1 validation frame " in caplog.text


def test_what_a_frame_costs_in_memory(config, tmp_path, monkeypatch):
    """Less than 16 bytes, whatever is known of it: what is held are counts of shards and runs."""
    for module in (survey, streamed):
        monkeypatch.setattr(module, "MOST_VALIDATION_FRAMES", 40)
    members = {name.removeprefix("x/"): data for name, data in frames_of("x", [7] * 250).items()}

    def read(folder: Path) -> tuple[StreamedSource, StreamLoader]:
        settings = config(input_root=str(folder), target_size="16x8", batch_size=64)
        source = training_source(settings, CPU, Group())
        assert isinstance(source, StreamedSource)
        batches = source.batches()
        assert sum(batch.num_all for batch in batches.batches(0)) == len(source.train)
        batches.close()
        return source, batches

    held: list[tuple[int, int]] = []
    for count in (2, 10):
        folder = tmp_path / str(count)
        for number in range(count):
            named = {f"run_{number % 2}/{number}_{name}": data for name, data in members.items()}
            write_shard(folder / f"{number:02d}.tar", named)
        read(folder)  # so that the cache knows the shards, and all modules are there
        gc.collect()
        tracemalloc.start()
        try:
            alive = read(folder)
            gc.collect()
            held.append((len(alive[0].train), tracemalloc.get_traced_memory()[0]))
        finally:
            tracemalloc.stop()
        del alive
    (few, few_bytes), (many, many_bytes) = held
    assert (few, many) == (250, 1250)
    assert many_bytes - few_bytes < 16 * (many - few)


def test_a_survey_that_was_interrupted_goes_on(load, shards, monkeypatch):
    monkeypatch.setattr(shard_cache, "FORMAT", -1)  # so that no other test has put them there
    seen: list[str] = []

    def interrupted_at(number: int) -> None:
        def read(path: Path, *args: Any, **settings: Any) -> ShardIndex:
            if len(seen) == number:
                raise KeyboardInterrupt
            seen.append(path.name)
            return index_shard(path, *args, **settings)

        monkeypatch.setattr(shard_cache, "index_shard", read)

    interrupted_at(2)
    with pytest.raises(KeyboardInterrupt):
        load()
    interrupted_at(-1)
    load()
    assert seen == sorted(path.name for path in shards.iterdir())
