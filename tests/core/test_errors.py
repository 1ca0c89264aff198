"""What the system refuses, as people are told it."""

import errno

import pytest

from endoforge.core.errors import mend_of


@pytest.mark.parametrize(
    ("code", "file", "message"),
    [
        (errno.ENOSPC, "a/b", "a/b: no space left; free some, then run the same command again"),
        (errno.EDQUOT, "a/b", "a/b: no space left; free some, then run the same command again"),
        (errno.EROFS, "a/b", "a/b: lies on a disk that can only be read; name another place"),
        (
            errno.EACCES,
            "a/b",
            "a/b: this user isn't allowed to; change its permissions, or name another place",
        ),
        (errno.EMFILE, None, "too many open files; allow more (ulimit -n)"),
        (errno.EAGAIN, None, "come again"),
        (errno.EIO, "a/b", "a/b: come again"),
    ],
)
def test_the_file_and_the_mend_are_named(code: int, file: str | None, message: str) -> None:
    assert mend_of(OSError(code, "come again", file)) == message
