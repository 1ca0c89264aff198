"""Folders made, cleared and held; what links lead to stays."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from endoforge.core import folders
from endoforge.core.errors import UserError
from endoforge.core.folders import (
    FolderLock,
    make_folder,
    new_folder,
    refuse_link,
    remove_files,
    remove_if_empty,
    remove_tree,
    remove_unfinished,
)

HEX = "0123456789abcdef"


@pytest.fixture(params=[True, False], ids=["by descriptor", "by name"])
def _by_either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not folders._BY_DESCRIPTOR:
        pytest.skip("not on this system")
    monkeypatch.setattr(folders, "_BY_DESCRIPTOR", request.param)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_folders_are_made_behind_links_but_not_through_them(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    out = tmp_path / "data/out"
    make_folder(out / "a/b", within=out)
    make_folder(out / "a/b", within=out)
    assert (tmp_path / "disk/out/a/b").is_dir()
    (out / "link").symlink_to(tmp_path / "disk")
    for folder, within in ((out / "link/x/y", out), (out / "link", out), (out / "link", None)):
        with pytest.raises(UserError, match=r"out/link: is a link to .*disk, .*remove the link"):
            make_folder(folder, within=within)
    assert names_in(tmp_path / "disk") == ["out"]
    (out / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_folder(out / "file/x", within=out)


def test_a_way_that_leads_out_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leads out of"):
        refuse_link(tmp_path / "a/../../b", within=tmp_path / "a")


@pytest.mark.usefixtures("_by_either")
@pytest.mark.parametrize("where", ["a", "a/b"])
@pytest.mark.parametrize(
    "remove",
    [
        lambda folder, within: remove_files(folder, ["one"], within=within),
        lambda folder, within: remove_unfinished(folder, "*", within=within),
        lambda folder, within: remove_if_empty(folder / "empty", within=within),
        lambda folder, within: remove_tree(folder, within=within),
    ],
)
def test_nothing_is_removed_through_a_link(
    where: str, remove: Callable[[Path, Path], object], tmp_path: Path
) -> None:
    top, folder = tmp_path / "top", tmp_path / "top/a/b"
    (folder / "empty").mkdir(parents=True)
    for name in ("one", f".x.{HEX}.tmp"):
        (folder / name).touch()
    (top / where).rename(tmp_path / "victim")
    (top / where).symlink_to(tmp_path / "victim")
    before = sorted(tmp_path.rglob("*")), sorted((tmp_path / "victim").rglob("*"))
    with pytest.raises(UserError, match=rf"top/{where}: is a link to"):
        remove(folder, top)
    assert (sorted(tmp_path.rglob("*")), sorted((tmp_path / "victim").rglob("*"))) == before


@pytest.mark.usefixtures("_by_either")
def test_of_the_files_named_those_that_are_there_go_and_links_themselves(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "victim").touch()
    for name in ("a", "b", "c"):
        (folder / name).touch()
    (folder / "link").symlink_to(tmp_path / "victim")
    assert remove_files(folder, ["c", "gone", "link", "a"]) == ["c", "link", "a"]
    assert names_in(folder) == ["b"]
    assert (tmp_path / "victim").exists()
    assert remove_files(tmp_path / "nowhere", ["a"]) == []


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
    (tmp_path / ".a.png.00112233445566ff.tmp.mp4").touch()
    (tmp_path / ".d.png.00112233445566ff.tmp").mkdir()
    remove_unfinished(tmp_path, "*.png")
    assert {path.name for path in tmp_path.iterdir()} == {*others, ".d.png.00112233445566ff.tmp"}


def test_a_new_folder_has_its_name_at_the_end_or_is_gone(tmp_path: Path) -> None:
    out = tmp_path / "a/out"
    with pytest.raises(FileNotFoundError), new_folder(out) as partial:
        (partial / "inner" / "deep").mkdir()
    assert names_in(tmp_path) == []
    out.mkdir(parents=True)
    with new_folder(out) as partial:
        (partial / "inner").mkdir()
        assert names_in(out) == []
    assert names_in(out) == ["inner"]
    assert names_in(tmp_path / "a") == ["out"]


def test_what_a_kill_left_of_a_new_folder_goes_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/thesis.txt").touch()
    (tmp_path / f".out.{HEX}.tmp").mkdir()
    (tmp_path / f".out.{HEX}.tmp/inner").symlink_to(tmp_path / "victim")
    (tmp_path / f".out.{HEX[::-1]}.tmp").symlink_to(tmp_path / "victim")
    (tmp_path / f".other.{HEX}.tmp").mkdir()
    with new_folder(tmp_path / "out"):
        pass
    left = [f".other.{HEX}.tmp", f".out.{HEX[::-1]}.tmp", "out", "victim"]
    assert names_in(tmp_path) == left
    assert names_in(tmp_path / "victim") == ["thesis.txt"]


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
        second = waiting.result(timeout=600)
    with pytest.raises(BlockingIOError):
        FolderLock(tmp_path)
    second.release()


@pytest.mark.skipif(os.name != "posix", reason="the system has no such locks")
def test_a_link_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match="link"):
        FolderLock(tmp_path / "link")
