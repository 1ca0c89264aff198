"""Files that somebody else may have made, read without being held up or filled up by them."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

MEGABYTE = 10**6
MOST_LABEL_BYTES = 64 * MEGABYTE
"""Of files of text and numbers: labels, manifests, lists of names. A COCO file may be larger."""
MOST_PICTURE_BYTES = 1000 * MEGABYTE


@contextmanager
def open_regular(path: str | Path) -> Iterator[FileIO]:
    """A regular file, opened for reading.

    Raises OSError for anything else: a pipe would wait for a writer for ever, a device has no end.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    with FileIO(os.open(path, flags | getattr(os, "O_CLOEXEC", 0)), closefd=True) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        yield file


def read_regular(path: str | Path, most_bytes: int) -> bytes:
    """All of a regular file; raises OSError for anything else, and for a larger one."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most_bytes:
            limit = f"larger than {most_bytes // MEGABYTE} MB"
            raise OSError(errno.EFBIG, limit, str(path))
        data = file.read(most_bytes + 1)
    return data or b""
