import json
import os
import re

import pytest

from endoforge.core.errors import UserError
from endoforge.train.loop import train

STATUS_FIELDS = {
    "status", "epoch", "epochs", "step", "steps_per_epoch", "lr", "loss", "mean_iou",
    "images_per_s", "eta_s", "seed", "device", "pid", "updated_unix",
}  # fmt: skip


def read_status(path):
    return json.loads(path.read_text())


def test_the_metrics_file_has_an_object_an_epoch(small_config, tmp_path):
    path = tmp_path / "logs" / "metrics.jsonl"
    result = train(small_config(metrics_out=str(path), val_iou_sweep="0.3,0.5", val_iou_thresh=0.4))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    for record in records:
        assert {"seed", "obj_thresh", "ap", "ap50", "ap75", "images", "seconds"} <= record.keys()
        assert [entry["iou"] for entry in record["val_metrics"]] == [0.4, 0.3, 0.5]
        assert set(record["val_metrics"][0]) == {
            "iou", "mean_iou", "precision", "recall", "map", "tp", "fp", "fn", "batches",
        }  # fmt: skip
    assert (records[1]["seed"], records[1]["obj_thresh"]) == (42, 0.3)
    assert result.metrics is not None
    assert records[1]["val_metrics"][0]["mean_iou"] == result.metrics.mean_iou


def test_the_status_file_follows_the_training(small_config, recorder, tmp_path):
    path = tmp_path / "logs" / "status.json"
    during = []
    recorder.after_epoch = lambda _: during.append(read_status(path))
    train(small_config(status_file=str(path)))
    assert [set(status) for status in during] == [STATUS_FIELDS] * 2
    assert [(status["status"], status["epoch"], status["step"]) for status in during] == [
        ("running", 1, 5),
        ("running", 2, 5),
    ]
    last = read_status(path)
    assert (last["status"], last["epochs"], last["steps_per_epoch"]) == ("done", 2, 5)
    assert last["lr"] == pytest.approx(1e-4)
    assert (last["seed"], last["pid"], last["eta_s"]) == (42, os.getpid(), 0)
    assert last["device"].startswith("cpu")
    assert last["loss"] == float(recorder.steps[-1].result.loss)


def test_the_status_file_says_what_failed(small_config, tmp_path):
    path = tmp_path / "status.json"
    with pytest.raises(UserError):
        train(small_config(status_file=str(path), input_root=str(tmp_path / "nowhere")))
    status = read_status(path)
    assert status["status"] == "failed"
    assert "nowhere" in status["error"]


def test_lines_of_the_log_come_as_often_as_asked(small_config, caplog, tmp_path):
    def step_lines(log_every):
        caplog.clear()
        with caplog.at_level("INFO"):
            folder = str(tmp_path / f"every-{log_every}")
            train(small_config(epochs=1, log_every=log_every, ckpt_dir=folder))
        return [record.message for record in caplog.records if "step" in record.message][1:]

    assert len(step_lines(1)) == 5
    assert [line.split(":")[0] for line in step_lines(2)] == [
        "epoch 1/1 step 2/5",
        "epoch 1/1 step 4/5",
    ]
    assert step_lines(0) == []


def test_on_a_terminal_a_bar_stands_for_the_lines(small_config, monkeypatch, capsys, caplog):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with caplog.at_level("INFO"):
        train(small_config(epochs=1))
    assert not any("step 1/5" in record.message for record in caplog.records)
    assert any("epoch 1: loss" in record.message for record in caplog.records)
    assert "epoch 1/1" in capsys.readouterr().err


def test_on_a_dumb_terminal_there_are_lines(small_config, monkeypatch, caplog):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with caplog.at_level("INFO"):
        train(small_config(epochs=1))
    assert any("epoch 1/1 step 1/5" in record.message for record in caplog.records)


def test_in_a_narrow_window_the_epoch_and_the_time_left_stay(small_config, monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    train(small_config(epochs=1))
    shown = re.sub(r"\x1b\[[0-9;?]*\w", "", capsys.readouterr().err)  # without its colours
    assert re.search(r"epoch 1/1 +\d/5 +0:00:\d\d", shown)
