"""Which files are put."""

import os
import shutil

import pytest

from endoforge.roots.putting import files_of


def test_a_folder_that_goes_while_it_is_looked_at_is_left_out(tmp_path, monkeypatch):
    """As a snapshot that has been put goes, while the next save is looked at."""
    for name in ("a/kept.txt", "gone/1/file.txt", "kept.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    scan = os.scandir

    def scan_later(path):
        if str(path).endswith(f"{os.sep}1"):
            shutil.rmtree(tmp_path / "gone")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_later)
    assert files_of(tmp_path) == ["a/kept.txt", "kept.txt"]
    assert not (tmp_path / "gone").exists()


def test_a_folder_that_cant_be_looked_at_is_an_error(tmp_path, monkeypatch):
    def refused(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(PermissionError):
        files_of(tmp_path)
