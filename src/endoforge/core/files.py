"""Files that are either the old ones or the new ones, never half of each: the one way to write.

Temporary files are made anew under names that can't be guessed, and nothing is written through a
link: in a folder that somebody else has filled, it could lead to any file of the user's.
"""

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from endoforge.core.errors import UserError
from endoforge.core.folders import is_link, link_fault, make_folder_of, sync_folder
from endoforge.core.temporary import temporary_beside
from endoforge.core.text import printable

_STREAMS = tuple(map(Path, ("/dev/stdout", "/dev/stderr", "/dev/fd", "/proc")))


class NewFile:
    """A file that grows under a temporary name beside `path`, until `keep` gives it that name.

    Either `keep` or `discard` must end it.
    """

    def __init__(self, path: Path, *, ending: str = "") -> None:
        """`ending` is what a library wants the temporary name to end in, such as `.mp4`.

        Raises UserError if `path` is a link, a device, a pipe or a folder, none of which may be
        replaced, and OSError, which names `path`, if there can be no file.
        """
        _refuse_special(path)
        self.path = path
        self.temporary = temporary_beside(path, ending)
        with naming(path, self.temporary):
            # Without a buffer, so that closing doesn't try again what couldn't be written.
            self.file = create_file(self.temporary, buffering=0)

    def write(self, data: bytes) -> None:
        """Write all of `data` where the file stands; raises OSError, which names `path`."""
        with naming(self.path):
            write_all(self.file, data)

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        with naming(self.path):
            os.fsync(self.file.fileno())

    def keep(self) -> None:
        """Give it its name, in place of what had it; raises OSError, which names `path`."""
        with naming(self.path, self.temporary):
            self.file.close()
            self.temporary.replace(self.path)

    def discard(self) -> None:
        """Remove the unfinished file."""
        self.file.close()
        self.temporary.unlink(missing_ok=True)


def create_file(path: Path, *, buffering: int = -1) -> BinaryIO:
    """Make a new file, open for writing and reading; what is there already is never opened.

    For folders that this process has made and that have no name yet, and for names that nobody
    else uses. Raises FileExistsError if there is anything of that name, be it a link to nowhere.
    """
    file: BinaryIO = path.open("xb+", buffering)
    return file


def write_atomic(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Write `data` to a `NewFile`, and give it the name `path`.

    With `sync`, the bytes and the rename are on disk on return, so that they outlive a power cut;
    without it, they outlive the death of the process. Raises UserError if `path` is a link, a
    device, a pipe or a folder.
    """
    new = NewFile(path)
    try:
        new.write(data)
        if sync:
            new.sync()
        new.keep()
    except BaseException:
        new.discard()
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
    if stat.S_ISLNK(mode):
        where = printable(str(path))
        raise UserError(f"{where}: {link_fault(path)}; remove the link, or name another file")
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise UserError(f"{path}: is {what}; name a file")


def write_at(path: Path, offset: int, *parts: bytes | memoryview) -> None:
    """Write some bytes, one part after the other, over what a file has from `offset` on.

    Between its end and `offset` the file then has zeros. Raises FileNotFoundError if it isn't
    there, and another OSError, which names `path`, for a link or if there is no room.
    """
    flags = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    with naming(path), os.fdopen(descriptor, "wb", 0) as file:
        file.seek(offset)
        for part in parts:
            write_all(file, part)


def write_json_atomic(path: Path, value: Any, *, sync: bool = False) -> None:
    """`value` as readable JSON; NaN and infinity are refused, since they aren't JSON."""
    text = json.dumps(value, indent=2, allow_nan=False)
    write_atomic(path, (text + "\n").encode(), sync=sync)


def append_json_line(path: Path, value: Any) -> None:
    """Append `value` to a JSON Lines file in one write, making its folder if need be.

    It begins a line of its own whatever the file ends with. A line that finds no room for all of it
    is taken back; the OSError names the file. Raises UserError for a link to a file, unless it is
    one of the system's to an open stream.
    """
    make_folder_of(path)
    if is_link(path) and not is_stream(path):
        _refuse_special(path)
    line = json.dumps(value, allow_nan=False) + "\n"
    with naming(path), path.open("ab", buffering=0) as file:
        is_plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        before = file.seek(0, os.SEEK_END) if is_plain else 0
        if before and not _ends_with_a_line(path):
            line = "\n" + line
        try:
            write_all(file, line.encode())
        except OSError:
            if is_plain:
                file.truncate(before)
            raise


def _ends_with_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def is_stream(path: Path) -> bool:
    """Whether `path` leads to an open stream, a device or a pipe, such as /dev/stdout.

    What is behind it, be it a file, belongs to who opened it.
    """
    absolute = path.absolute()
    if any(absolute.is_relative_to(folder) for folder in _STREAMS):
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


def write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    """To a file without a buffer, which may take a part at a time."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def move_file(source: Path, other: Path) -> None:
    """Rename a file; raises FileExistsError if there is anything of the name `other`."""
    if os.path.lexists(other):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(other))
    source.rename(other)


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
    file = create_file(other)
    try:
        with file, source.open("rb") as original:
            shutil.copyfileobj(original, file)
    except BaseException:
        other.unlink(missing_ok=True)
        raise


def link_or_copy_over(source: Path, other: Path) -> None:
    """As `link_or_copy`, but in place of what has the name `other`, in one step."""
    _refuse_special(other)
    spare = temporary_beside(other)
    try:
        link_or_copy(source, spare)
        spare.replace(other)
    except BaseException:
        spare.unlink(missing_ok=True)
        raise
