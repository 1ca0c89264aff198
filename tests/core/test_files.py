"""Files written whole, and folders of one process."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from endoforge.core import files
from endoforge.core.errors import UserError
from endoforge.core.files import append_json_line, link_or_copy, write_atomic
from endoforge.core.folders import FolderLock, remove_unfinished


class NoSpace:
    """An open file that takes nothing."""

    def close(self) -> None:
        pass

    def write(self, _: bytes) -> None:
        raise OSError(28, os.strerror(28))


def test_a_write_that_fails_names_the_file_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "labels.json"
    path.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *_: NoSpace())
        with pytest.raises(OSError, match=r"labels\.json"):
            write_atomic(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_temporary_files_of_ones_own_are_removed(tmp_path: Path) -> None:
    others = (
        ".hidden",
        "a.tmp",
        "a.png",
        ".a.png.tmp",
        ".c.png.00112233445566ff.tmp.a.png",
        ".notes.12.tmp",
        ".b.json.00112233445566ff.tmp",
    )
    for name in (".a.png.00112233445566ff.tmp", *others):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path, "*.png")
    assert {path.name for path in tmp_path.iterdir()} == set(others)


def test_a_temporary_name_cannot_be_prepared_as_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    monkeypatch.setattr("secrets.token_hex", lambda _: "0" * 16)
    (tmp_path / f".a.{'0' * 16}.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "a", b"new")
    assert victim.read_text() == "kept"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: is a device or a pipe"):
        write_atomic(tmp_path / "pipe", b"")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(os.name != "posix", reason="the system has no such locks")
def test_a_folder_is_locked_until_it_is_released(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(BlockingIOError):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


@pytest.mark.skipif(os.name != "posix", reason="the system has no such locks")
def test_one_may_wait_for_a_folder(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(FolderLock, tmp_path, wait=True)
        assert not waiting.done()
        lock.release()
        second = waiting.result(timeout=60)
    with pytest.raises(BlockingIOError):
        FolderLock(tmp_path)
    second.release()


def test_a_line_that_finds_no_room_is_taken_back_and_the_file_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lines.jsonl"
    append_json_line(path, {"a": 1})

    def half(file: BinaryIO, data: bytes) -> None:
        file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_all", half)
        with pytest.raises(OSError, match="No space left") as caught:
            append_json_line(path, {"a": 2})
    assert caught.value.filename == str(path)
    append_json_line(path, {"a": 3})
    assert path.read_text() == '{"a": 1}\n{"a": 3}\n'


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_never_takes_the_place_of_another_file(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    one, other, taken = (tmp_path / name for name in ("one", "other", "taken"))
    one.write_text("content")
    taken.write_text("mine")
    if not links:
        monkeypatch.setattr("os.link", refuse)
    link_or_copy(one, other)
    assert other.read_text() == "content"
    with pytest.raises(FileExistsError):
        link_or_copy(one, taken)
    assert taken.read_text() == "mine"
