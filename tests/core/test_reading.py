"""What isn't a regular file, or is too large, is refused at once."""

import os
from pathlib import Path

import pytest

from endoforge.core.reading import first_line, open_regular, read_ahead, read_regular


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(data)
    assert read_regular(tmp_path / "a", 3_000_000) == data
    (tmp_path / "empty").touch()
    assert read_regular(tmp_path / "empty", 1) == b""


def test_a_first_line_is_read_as_far_as_wanted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"head\nbody")
    assert first_line(tmp_path / "a", 100) == b"head"
    assert first_line(tmp_path / "a", 2) == b"he"


def test_a_larger_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(OSError, match="larger than 5 MB"):
        read_regular(tmp_path / "a", 5_000_000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"), open_regular(tmp_path / "pipe"):
        pass


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/tty", "/dev/stdin"])
def test_devices_are_refused(device: str) -> None:
    if not Path(device).exists():
        pytest.skip("no such device here")
    with pytest.raises(OSError, match=r"not a regular file|No such device"):
        read_regular(device, 100)


def test_a_folder_and_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"not a regular file|directory"):
        read_regular(tmp_path, 100)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 100)


def test_reading_ahead_waits_for_nothing_and_minds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"whole")
    names = ["a", "none", "."]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        names.append("pipe")
    paths = [str(tmp_path / name) for name in names]
    read_ahead(paths, 100)
    assert read_regular(tmp_path / "a", 100) == b"whole"
    monkeypatch.delattr(os, "posix_fadvise", raising=False)  # as elsewhere than on Linux
    read_ahead(paths, 100)
