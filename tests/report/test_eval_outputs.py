"""What `eval` may write to, and that its scores are never lost for want of a file."""

import errno
import os
from pathlib import Path

import pytest

from endoforge.cli import run
from endoforge.core.errors import UserError
from endoforge.evaluate.config import EvalConfig
from endoforge.report import eval_command
from endoforge.report.eval_command import run_eval


@pytest.fixture
def config(root, checkpoint):
    def make(**others):
        return EvalConfig(**({"checkpoint": str(checkpoint), "input_root": str(root)} | others))

    return make


@pytest.mark.parametrize(
    ("flag", "where", "what"),
    [
        ("report", "file", "is there, but is no folder"),
        ("report", "report", "is a folder; name a file in it"),
        ("report", "captures", "is the folder of --input-root itself"),
        ("report", "captures/RUN", "lies in a capture run of --input-root"),
        ("metrics_out", "folder", "is a folder"),
        ("metrics_out", "file/metrics.jsonl", "is no folder"),
        ("metrics_out", "captures/RUN/labels/frame_00000.json", "lies in a capture run"),
        ("metrics_out", "tinydet.safetensors", "is that of --checkpoint too"),
        ("metrics_out", "notes.txt", "holds no lines of metrics"),
    ],
)
def test_what_cannot_be_an_output_is_named_before_anything_is_measured(
    flag, where, what, config, root, tmp_path, monkeypatch
):
    monkeypatch.setattr(eval_command, "subject_of", None)
    (tmp_path / "file").touch()
    (tmp_path / "notes.txt").write_text("of mine\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "report" / "report.html").mkdir(parents=True)
    [run] = root.iterdir()
    place = tmp_path / where.replace("RUN", run.name)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=rf"^--{flag.replace('_', '-')} {place}.*: .*{what}"):
        run_eval(config(**{flag: str(place)}))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_scores_are_printed_before_the_error_of_a_full_disk(config, capsys):
    words = config(metrics_out="/dev/full")
    given = ["--checkpoint", words.checkpoint, "--input-root", words.input_root]
    assert run(["eval", *given, "--metrics-out", "/dev/full"]) == 2
    told = capsys.readouterr()
    assert "(2 boxes in 5 frames)" in told.out
    assert told.err.splitlines()[-1] == (
        "endoforge: error: /dev/full: no space left; free some, then run the same command again"
    )


def test_scores_are_printed_before_the_error_of_a_report(config, capsys, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "page")

    monkeypatch.setattr("endoforge.report.eval_page.write_report", full)
    with pytest.raises(OSError, match="No space left"):
        run_eval(config(report=str(tmp_path / "report")))
    assert "(2 boxes in 5 frames)" in capsys.readouterr().out


def test_scores_that_will_be_printed_are_not_printed_twice(config, capsys, tmp_path):
    run_eval(config(metrics_out=str(tmp_path / "metrics.jsonl")))
    assert capsys.readouterr().out == ""


def test_a_split_that_cannot_be_read_is_told_before_frames_are_read(config, tmp_path, monkeypatch):
    monkeypatch.setattr(eval_command, "index_root", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(UserError, match=r"can't read the split manifest .*nowhere\.json"):
        run_eval(config(split_manifest=str(tmp_path / "nowhere.json")))
