"""The exceptions that users see."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM)


class UserError(Exception):
    """Bad input or usage: one line that says what is wrong and what to do; exit code 2."""


class Resumable(KeyboardInterrupt):
    """The user stopped work, its state is saved, and the same command goes on with it."""


def is_full(error: BaseException | None) -> bool:
    """Whether an error says that the disk, or the user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in FULL


def mend_of(error: OSError) -> str:
    """What the system refused, for people: the file, what is wrong, and the mend if it is known."""
    where = f"{error.filename}: " if error.filename else ""
    if is_full(error):
        return f"{where}no space left; free some, then run the same command again"
    if error.errno == errno.EROFS:
        return f"{where}lies on a disk that can only be read; name another place"
    if error.errno in FORBIDDEN:
        return f"{where}this user isn't allowed to; change its permissions, or name another place"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{where}too many open files; allow more (ulimit -n)"
    return f"{where}{error.strerror or error}"
