"""Outputs of a training: tried before it begins, and what happens where one can't be written."""

import errno
import json
import os
from pathlib import Path

import pytest

from endoforge.cli import run
from endoforge.core.errors import UserError, mend_of
from endoforge.train import loop
from endoforge.train.checkpoint import held
from endoforge.train.loop import train
from tests.train.processes import finished, flags, start


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    """Fails if a training gets so far as to load its data."""

    def load(*_):
        raise AssertionError("the data is loaded")

    monkeypatch.setattr(loop, "training_source", load)


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize(
    ("flag", "where", "what"),
    [
        ("ckpt_dir", "file", "is there, but is no folder"),
        ("ckpt_dir", "file/inner", "is no folder"),
        ("tensorboard", "file", "is there, but is no folder"),
        ("metrics_out", "folder", "is a folder"),
        ("metrics_out", "file/metrics.jsonl", "is no folder"),
        ("status_file", "folder", "is a folder"),
        ("status_file", "pipe", "is no plain file"),
        ("split_manifest", "file/split.json", "is no folder"),
        ("ckpt_dir", "captures", "is the folder of --input-root itself"),
        ("ckpt_dir", "captures/run_1", "lies in a capture run of --input-root"),
        ("tensorboard", "captures/run_1/tb", "lies in a capture run of --input-root"),
        ("metrics_out", "captures/run_1/labels/m.jsonl", "lies in a capture run of --input-root"),
        ("status_file", "captures/run_1/run_manifest.json", "lies in a capture run"),
        ("split_manifest", "captures/run_1/split.json", "lies in a capture run"),
        ("status_file", "real/labels/status.json", "lies in a capture run of --real-val-dir"),
        ("metrics_out", "checkpoints/train.json", r"is that of --ckpt-dir \(train\.json\) too"),
        ("status_file", "metrics.jsonl", "is that of --metrics-out too"),
        ("metrics_out", "checkpoints/debug_batch.png", "is that of --debug-batch too"),
        ("status_file", "checkpoints/debug_batch.png", "is that of --debug-batch too"),
        ("metrics_out", "notes.txt", "holds no lines of metrics"),
        ("metrics_out", "coco.json", "holds no lines of metrics"),
        ("status_file", "notes.txt", "is no status file"),
        ("status_file", "coco.json", "is no status file"),
    ],
)
def test_what_cannot_be_an_output_is_named_before_anything_is_loaded(
    flag, where, what, small_config, tmp_path
):
    (tmp_path / "file").touch()
    (tmp_path / "notes.txt").write_text("of mine\nwithout an end")
    (tmp_path / "coco.json").write_text('{"images": []}')
    (tmp_path / "folder").mkdir()
    (tmp_path / "captures" / "run_1").mkdir(parents=True)
    (tmp_path / "real" / "labels").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.rglob("*"))
    given = {
        "input_root": str(tmp_path / "captures"),
        "metrics_out": str(tmp_path / "metrics.jsonl"),
        "debug_batch": "debug_batch" in where,
        flag: str(tmp_path / where),
    }
    if where.startswith("real"):
        given["real_val_dir"] = str(tmp_path / "real")
    words = f"--{flag.replace('_', '-')} {tmp_path / where}"
    with pytest.raises(UserError, match=rf"^{words}: .*{what}"):
        train(small_config(**given))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("nothing_is_loaded")
def test_weights_to_start_from_are_never_written_over(small_config, tmp_path):
    start_from = tmp_path / "checkpoints" / "tinydet.safetensors"
    start_from.parent.mkdir()
    start_from.write_bytes(b"mine")
    for fresh in (False, True):
        with pytest.raises(UserError, match=r"^--demo-checkpoint .*would write over it"):
            train(small_config(demo_checkpoint=str(start_from), fresh=fresh))
    assert start_from.read_bytes() == b"mine"


@pytest.mark.usefixtures("nothing_is_loaded")
def test_a_folder_in_the_place_of_a_file_of_the_training_is_named(small_config, tmp_path):
    for name, flag in (("train.json", "--ckpt-dir"), ("debug_batch.png", "--debug-batch")):
        place = tmp_path / flag / name
        place.mkdir(parents=True)
        with pytest.raises(UserError, match=f"^{flag} {place}: is a folder; name a file"):
            train(small_config(ckpt_dir=str(place.parent), debug_batch=True))


def test_a_refused_training_leaves_the_status_of_the_one_that_runs(small_config, tmp_path):
    status = tmp_path / "status.json"
    status.write_text("of the first")
    config = small_config(status_file=str(status))
    with (
        held(tmp_path / "checkpoints"),
        pytest.raises(UserError, match="another training is running in"),
    ):
        train(config)
    assert status.read_text() == "of the first"


def test_bad_input_leaves_no_folder_for_checkpoints(small_config, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        train(small_config(input_root=str(tmp_path / "nowhere")))
    assert list(tmp_path.iterdir()) == []


def test_lines_of_others_in_a_metrics_file_stay(small_config, tmp_path):
    """Also a last one without an end; one that was cut short by a crash goes."""
    target = tmp_path / "metrics.jsonl"
    target.write_text('{"other": 1}\n{"epoch": 7}')
    train(small_config(metrics_out=str(target), epochs=1))
    assert [json.loads(line).get("epoch") for line in target.read_text().splitlines()] == [
        None, 7, 1
    ]  # fmt: skip
    target.write_text('{"epoch": 1, "se')
    train(small_config(metrics_out=str(target), epochs=2))
    assert [json.loads(line)["epoch"] for line in target.read_text().splitlines()] == [2]


def test_a_status_file_is_written_again(small_config, tmp_path):
    status = tmp_path / "status.json"
    for epochs in (1, 2):
        train(small_config(status_file=str(status), epochs=epochs))
        assert json.loads(status.read_text())["epoch"] == epochs
    status.write_text("")  # as a power cut may leave it
    train(small_config(status_file=str(status), epochs=3))
    assert json.loads(status.read_text())["epoch"] == 3


def test_a_reader_that_leaves_ends_a_training_with_an_error(small_config):
    """As `| head -1` does: the epochs that follow weren't trained."""
    read, write = os.pipe()
    os.close(read)
    try:
        with pytest.raises(UserError, match=r"--metrics-out .*: nobody reads it any more"):
            train(small_config(metrics_out=f"/dev/fd/{write}", epochs=1))
    finally:
        os.close(write)


def test_metrics_go_to_a_pipe(small_config):
    """Reading it back would wait for ever."""
    config = small_config(metrics_out="/dev/stdout", epochs=1)
    code, out, errors = finished(start(config))
    assert code == 0, errors
    assert json.loads(out.splitlines()[0])["epoch"] == 1


def test_an_open_stream_is_never_replaced(small_config, tmp_path):
    """Another training's line stays, and a line cut short too: the file is the shell's."""
    before = '{"training": "x"}\n{"cut'
    target = tmp_path / "out.jsonl"
    target.write_text(before)
    with target.open("a") as file:
        config = small_config(metrics_out=f"/dev/fd/{file.fileno()}", epochs=1)
        train(config)
    assert target.read_text().startswith(before)


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_with_the_file_and_the_mend(
    small_config, monkeypatch, tmp_path, capsys
):
    train(small_config(epochs=1))
    monkeypatch.setattr(os, "fsync", full)
    assert run(flags(small_config(epochs=2))) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"endoforge: error: {tmp_path / 'checkpoints'}/tinydet")
    assert line.endswith(".safetensors: no space left; free some, then run the same command again")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_under_the_metrics_is_named_whatever_the_status_file_says(
    small_config, recorder, monkeypatch, tmp_path, caplog
):
    status = tmp_path / "status.json"

    def fill(report):
        if report.step == 5:
            monkeypatch.setattr("endoforge.train.sinks.write_json_atomic", full)

    recorder.after_step = fill
    config = small_config(epochs=1, metrics_out="/dev/full", status_file=str(status))
    with pytest.raises(OSError, match="No space left") as caught:
        train(config)
    assert mend_of(caught.value).startswith("/dev/full: no space left; free some")
    assert "can't write how it ended" in caplog.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_tensorboard_names_its_folder_on_a_full_disk(small_config, monkeypatch, tmp_path):
    from tensorboard.summary.writer import record_writer

    monkeypatch.setattr(record_writer.RecordWriter, "flush", full)
    folder = tmp_path / "tb"
    with pytest.raises(OSError, match="No space left") as caught:
        train(small_config(epochs=1, tensorboard=str(folder)))
    assert mend_of(caught.value).startswith(f"{folder}: no space left; free some")


def test_the_flags_of_a_split_beside_real_validation_are_told_and_ignored(
    small_config, make_root, tmp_path, caplog
):
    real = make_root(1, 4, name="real", seed=5)
    manifest = tmp_path / "split.json"
    train(
        small_config(
            real_val_dir=str(real), stratify_split=True, split_manifest=str(manifest), epochs=1
        )
    )
    assert "--stratify-split is ignored: with --real-val-dir nothing is split" in caplog.text
    assert "--split-manifest is ignored" in caplog.text
    assert not manifest.exists()


def test_weights_of_another_are_kept_and_it_says_where(small_config, tmp_path, caplog):
    theirs = tmp_path / "checkpoints" / "tinydet.safetensors"
    theirs.parent.mkdir()
    theirs.write_bytes(b"trained for weeks")
    train(small_config(epochs=1))
    assert theirs.with_name("tinydet.kept-1.safetensors").read_bytes() == b"trained for weeks"
    assert "kept as tinydet.kept-1.safetensors" in caplog.text
    train(small_config(epochs=2))
    assert not theirs.with_name("tinydet.kept-2.safetensors").exists()
