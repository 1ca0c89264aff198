"""Files that are either the old ones or the new ones, never half of each."""

import fnmatch
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from endoforge.core.errors import UserError

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp")


def write_atomic(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Write `data` to a temporary name beside `path`, then rename it into place.

    The temporary file is made anew under a name that can't be guessed, and no link is followed; a
    link at `path` itself is replaced. With `sync`, the bytes and the rename are on disk on return,
    so that they outlive a power cut; without it, they outlive the death of the process. Raises
    UserError if `path` is a device, a pipe or a folder, which a rename would replace or refuse.
    """
    _refuse_special(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with naming(path, temporary):
            with temporary.open("xb") as file:
                file.write(data)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Have errors of the system name `path`, if they name nothing or its `temporary` name.

    A write that fails doesn't say of what.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None or error.filename == str(temporary):
            error.filename = str(path)
        raise


def _refuse_special(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # nothing there, or nothing that can be written: the write says so
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        what = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise UserError(f"{path}: is {what}; name a file")


def remove_unfinished(folder: Path, names: str) -> None:
    """Remove the temporary files that a killed `write_atomic` left of files named `names`.

    `names` is a pattern such as `frame_*`; files of other names, and of other programs, stay.
    """
    for path in folder.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        if match is not None and fnmatch.fnmatchcase(match[1], names):
            path.unlink(missing_ok=True)


def write_json_atomic(path: Path, value: Any, *, sync: bool = False) -> None:
    """`value` as readable JSON; NaN and infinity are refused, since they aren't JSON."""
    text = json.dumps(value, indent=2, allow_nan=False)
    write_atomic(path, (text + "\n").encode(), sync=sync)


def append_json_line(path: Path, value: Any) -> None:
    """Append `value` to a JSON Lines file in one write, making its folder if need be.

    A line that finds no room for all of it is taken back; the OSError names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(value, allow_nan=False) + "\n"
    with naming(path), path.open("ab", buffering=0) as file:
        is_plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        before = file.seek(0, os.SEEK_END) if is_plain else 0
        try:
            _write_all(file, line.encode())
        except OSError:
            if is_plain:
                file.truncate(before)
            raise


def _write_all(file: BinaryIO, data: bytes) -> None:
    """To a file without a buffer, which may take a part at a time."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def link_or_copy(source: Path, other: Path) -> None:
    """Give the file `source` a second name; where there are no hard links, copy it.

    Raises FileExistsError, and changes nothing, if there is something of that name.
    """
    try:
        os.link(source, other)
        return
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        pass
    file = other.open("xb")
    try:
        with file, source.open("rb") as original:
            shutil.copyfileobj(original, file)
    except BaseException:
        other.unlink(missing_ok=True)
        raise


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
