"""Files that are either the old ones or the new ones, never half of each."""

import json
import os
from pathlib import Path
from typing import Any


def write_atomic(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Write `data` to a temporary name beside `path`, then rename it into place.

    With `sync`, the bytes and the rename are on disk on return, so that they outlive a power cut;
    without it, they outlive the death of the process.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a failed write doesn't say of what
        raise
    if sync:
        sync_folder(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files that a killed `write_atomic` left in `folder`."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_json_atomic(path: Path, value: Any, *, sync: bool = False) -> None:
    """`value` as readable JSON; NaN and infinity are refused, since they aren't JSON."""
    text = json.dumps(value, indent=2, allow_nan=False)
    write_atomic(path, (text + "\n").encode(), sync=sync)


def append_json_line(path: Path, value: Any) -> None:
    """Append `value` to a JSON Lines file in one write, making its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(value, allow_nan=False) + "\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(line)


def sync_folder(folder: Path) -> None:
    """Put a folder's entries (renames, new names) on disk; where the system can't, do nothing."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FolderLock:
    """Marks a folder as one process's own; the system takes the mark away when the process ends.

    Where the system has no such marks (Windows, some network file systems), every process gets it.
    """

    def __init__(self, folder: Path, *, wait: bool = False) -> None:
        """With `wait`, returns once no other process, and no other lock of this one, holds it.

        Without, raises BlockingIOError if one does.
        """
        self._descriptor: int | None = None
        if os.name != "posix":
            return
        import fcntl

        self._descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            self.release()
            if isinstance(error, BlockingIOError):
                raise
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the folder back; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
