"""Files written whole, and through no link."""

import errno
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from endoforge.core import files
from endoforge.core.errors import UserError
from endoforge.core.files import (
    NewFile,
    append_json_line,
    create_file,
    link_or_copy,
    link_or_copy_over,
    move_file,
    write_at,
    write_atomic,
)


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


def test_no_file_is_written_through_a_link(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_text("kept")
    link.symlink_to(victim)
    for write in (
        lambda: write_atomic(link, b"new"),
        lambda: NewFile(link),
        lambda: append_json_line(link, {}),
        lambda: link_or_copy_over(victim, link),
    ):
        with pytest.raises(UserError, match=r"link: is a link to .*victim, .*remove the link"):
            write()
    with pytest.raises(FileExistsError):
        create_file(link)
    assert victim.read_text() == "kept"
    assert sorted(tmp_path.iterdir()) == [link, victim]


def test_a_new_file_has_its_name_at_the_end_or_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_text("old")
    for _ in range(2):
        new = NewFile(path, ending=".mp4")
        new.write(b"new")
        assert path.read_text() == "old"
        assert new.temporary.name.startswith(".clip.mp4.")
        assert new.temporary.suffix == ".mp4"
        new.discard()
    assert list(tmp_path.iterdir()) == [path]
    new = NewFile(path)
    new.write(b"new")
    new.keep()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_name_in_place_of_another_leaves_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("new")
    other.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            link_or_copy_over(one, other)
    assert other.read_text() == "old"
    link_or_copy_over(one, other)
    assert other.read_text() == "new"
    assert sorted(tmp_path.iterdir()) == [one, other]


def test_a_file_is_moved_over_nothing(tmp_path: Path) -> None:
    one, taken, link = (tmp_path / name for name in ("one", "taken", "link"))
    one.write_text("content")
    taken.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    for other in (taken, link):
        with pytest.raises(FileExistsError, match=other.name):
            move_file(one, other)
    assert taken.read_text() == "mine"
    move_file(one, tmp_path / "other")
    assert (tmp_path / "other").read_text() == "content"
    assert not one.exists()


def test_a_file_is_written_to_where_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"abcdef")
    write_at(path, 1, b"X", memoryview(b"YZ"))
    assert path.read_bytes() == b"aXYZef"
    write_at(path, 8, b"!")
    assert path.read_bytes() == b"aXYZef\0\0!"


def test_nothing_is_made_or_written_to_through_a_link(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_at(tmp_path / "none", 0, b"X")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "victim").write_bytes(b"years of work")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="link"):
        write_at(tmp_path / "link", 0, b"X")
    assert (tmp_path / "victim").read_bytes() == b"years of work"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_write_that_finds_no_room_names_the_file() -> None:
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_at(Path("/dev/full"), 0, b"X")
