"""Memory that processes share."""

import errno
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from endoforge.core.errors import UserError
from endoforge.core.shared_memory import SharedMemory


def double(memory: SharedMemory) -> None:
    memory.bytes[:] *= 2


def test_what_a_process_writes_the_others_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # where the process finds this module
    memory = SharedMemory(3, "for a test")
    assert memory.bytes.tolist() == [0, 0, 0]
    memory.bytes[:] = [1, 2, 3]
    process = multiprocessing.get_context("spawn").Process(target=double, args=(memory,))
    process.start()
    process.join()
    assert memory.bytes.tolist() == [2, 4, 6]


def test_views_outlive_it() -> None:
    view = SharedMemory(2, "for a test").bytes
    view[:] = 7
    assert view.tolist() == [7, 7]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no room can be taken here")
def test_where_there_is_no_room_it_says_so_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a container with a small /dev/shm, where the first write would kill the process."""

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(UserError) as caught:
        SharedMemory(62_000_000, "for a test")
    assert "no room for 62 MB of shared memory for a test (" in str(caught.value)
    assert f"{tmp_path}: No space left on device" in str(caught.value)
    assert "set TMPDIR to a larger one" in str(caught.value)


def test_another_process_finds_it_at_its_address_and_keeps_it() -> None:
    memory = SharedMemory(100, "for a test")
    code = (
        "import sys\n"
        "from endoforge.core.shared_memory import SharedMemory\n"
        f"found = SharedMemory.at({memory.address})\n"
        "found.bytes[3] = 7\n"
        "print(len(found.bytes), flush=True)\n"
        "sys.stdin.readline()\n"
        "print(found.bytes[4])\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdin
    assert other.stdout
    assert other.stdout.readline() == "100\n"
    assert memory.bytes[3] == 7
    memory.bytes[4] = 9
    del memory
    assert other.communicate("\n")[0] == "9\n"


def test_one_that_is_gone_is_told_of() -> None:
    process, _, size = SharedMemory(100, "for a test").address
    with pytest.raises(UserError, match=f"reach the shared memory of process {process}.*one user"):
        SharedMemory.at((process, 2**20, size))
