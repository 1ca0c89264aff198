"""What a process may use of the machine."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from endoforge.core.machine import free_bytes


@pytest.mark.parametrize("place", [".", "file", "none", "none/below", "file/below"])
def test_room_is_asked_for_where_something_is_to_be(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    asked: list[Path] = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=7)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert free_bytes(tmp_path / place) == 7
    assert asked == [tmp_path / "file" if place.startswith("file") else tmp_path]
