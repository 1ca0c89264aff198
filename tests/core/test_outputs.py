"""Outputs are tried before work begins."""

import os
from pathlib import Path

import pytest

from endoforge.core.errors import UserError
from endoforge.core.outputs import (
    check_output_file,
    check_output_folder,
    refuse_same,
    refuse_within,
)


def test_what_can_be_written_is_and_nothing_is_left(tmp_path: Path) -> None:
    check_output_folder("--out", tmp_path / "new" / "folder")
    check_output_file("--status-file", tmp_path / "new" / "status.json")
    check_output_file("--metrics-out", "/dev/null", appended=True)
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_folder_and_a_folder_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^--out .*file: is there, but is no folder"):
        check_output_folder("--out", tmp_path / "file")
    with pytest.raises(UserError, match=r"^--out .*file is no folder"):
        check_output_folder("--out", tmp_path / "file" / "inner")
    with pytest.raises(UserError, match=r"^--metrics-out .*: is a folder"):
        check_output_file("--metrics-out", tmp_path)
    with pytest.raises(UserError, match=r"^--metrics-out .*file is no folder"):
        check_output_file("--metrics-out", tmp_path / "file" / "inner")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
def test_a_pipe_is_appended_to_but_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    check_output_file("--metrics-out", tmp_path / "pipe", appended=True)
    with pytest.raises(UserError, match="is no plain file"):
        check_output_file("--status-file", tmp_path / "pipe")


def test_a_link_to_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"^--metrics-out .*: is a link to .*/nowhere, which"):
        check_output_file("--metrics-out", tmp_path / "link", appended=True)
    with pytest.raises(UserError, match="is no folder"):
        check_output_folder("--out", tmp_path / "link" / "inner")


def test_an_output_may_lie_behind_a_link_but_be_none(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.json").write_text("{}")
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "file").symlink_to(tmp_path / "real/a.json")
    check_output_folder("--out", tmp_path / "folder/out")
    check_output_file("--status-file", tmp_path / "folder/a.json")
    with pytest.raises(UserError, match=r"^--out .*folder: is a link to .*/real, .*give that path"):
        check_output_folder("--out", tmp_path / "folder")
    for appended in (False, True):
        with pytest.raises(UserError, match=r"^--file .*file: is a link to .*/real/a.json, which"):
            check_output_file("--file", tmp_path / "file", appended=appended)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no such name for an open stream")
def test_a_stream_is_appended_to_also_by_a_link(tmp_path: Path) -> None:
    check_output_file("--metrics-out", "/dev/stdout", appended=True)
    (tmp_path / "null").symlink_to("/dev/null")
    check_output_file("--metrics-out", tmp_path / "null", appended=True)
    with pytest.raises(UserError, match="is a link to /dev/null"):
        check_output_file("--status-file", tmp_path / "null")


def test_a_folder_that_takes_nothing_is_named() -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("no folder here that nobody can write to")
    with pytest.raises(UserError, match=r"^--out /proc/self/x: can't write in /proc/self"):
        check_output_folder("--out", "/proc/self/x")


def test_two_flags_may_not_name_one_place(tmp_path: Path) -> None:
    refuse_same({"--a": tmp_path / "a", "--b": None, "--c": tmp_path / "c"})
    with pytest.raises(UserError, match=r"^--c .*: is that of --a too"):
        refuse_same({"--a": tmp_path / "a", "--c": tmp_path / "." / "a"})


def test_an_output_within_the_input_is_refused(tmp_path: Path) -> None:
    refuse_within("--out", tmp_path / "run_12", "the run", tmp_path / "run_1")
    with pytest.raises(UserError, match=r"^--out .*: lies in the run .*run_1;"):
        refuse_within("--out", tmp_path / "run_1" / "images", "the run", tmp_path / "run_1")
