"""Files that somebody else may have made, read without being held up or filled up by them."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

MEGABYTE = 10**6
MOST_NAMES_BYTES = 1 * MEGABYTE
"""Of files that name classes, and of ranges: thousands of lines, and a parser written in Python."""
MOST_LABEL_BYTES = 16 * MEGABYTE
"""Of what is known of one picture, of one run or of one training, as text and numbers."""
MOST_XML_BYTES = 100 * MEGABYTE
"""Of XML that tells of all frames of a video: a parsed tree takes ten times as much memory."""
MOST_LIST_BYTES = 1000 * MEGABYTE
"""Of files that tell of all pictures of a data set."""
MOST_PICTURE_BYTES = 1000 * MEGABYTE


@contextmanager
def open_regular(path: str | Path) -> Iterator[FileIO]:
    """Open a regular file for reading.

    Raises OSError for anything else: a pipe would wait for a writer for ever, a device has no end.
    """
    file, _ = _opened(path)
    with file:
        yield file


def read_regular(path: str | Path, most_bytes: int) -> bytes:
    """All of a regular file; raises OSError for anything else, and for a larger one."""
    file, size = _opened(path)
    with file:
        if size > most_bytes:
            limit = f"larger than {most_bytes // MEGABYTE} MB"
            raise OSError(errno.EFBIG, limit, str(path))
        return file.read(size) or b""


def read_ahead(paths: Iterable[str], most_bytes: int) -> None:
    """Have the system fetch regular files, of up to `most_bytes`, before they are read.

    It doesn't wait for them. Where the system can't, and for a file that can't be opened, nothing
    is done: who reads it later finds out.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    for path in paths:
        with suppress(OSError):
            file, _ = _opened(path)
            with file:
                os.posix_fadvise(file.fileno(), 0, most_bytes, os.POSIX_FADV_WILLNEED)


def first_line(path: str | Path, most_bytes: int) -> bytes:
    """The first line of a regular file, or what of it are its first `most_bytes`; as above."""
    with open_regular(path) as file:
        return (file.read(most_bytes) or b"").partition(b"\n")[0]


def _opened(path: str | Path) -> tuple[FileIO, int]:
    """The file and its size in bytes."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return FileIO(descriptor), status.st_size
