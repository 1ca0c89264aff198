"""Text files that grow by entries, and are whole whatever ends them."""

from pathlib import Path

from endoforge.core.errors import UserError
from endoforge.core.files import NewFile, write_all
from endoforge.core.folders import remove_unfinished


def cant_write(path: Path, error: OSError) -> UserError:
    """Make the error that says why a result couldn't be written, and what mends it."""
    reason = error.strerror or str(error)
    return UserError(f"{path}: can't be written ({reason}); make room, or name another --output")


class Growing:
    """A text file of a head, entries with something between them, and a tail.

    It is a `NewFile` until `keep`. It is whole after every `add`, and after one that
    failed, as on a full disk, it is what it was before.
    """

    def __init__(self, path: Path, *, head: str = "", between: str = "", tail: str = "") -> None:
        """Begin it, without what a killed process left of it; UserError if it can't be written."""
        self.path = path
        self.end = 0
        """The place in bytes where the next entry goes, and the tail lies until then."""
        self._start = len(head.encode())
        self._between, self._tail = between, tail.encode()
        try:
            remove_unfinished(path.parent, path.name)
            self._new = NewFile(path)
        except OSError as error:
            raise cant_write(path, error) from error
        try:
            self._append(head)
        except OSError as error:
            self.discard()
            raise cant_write(path, error) from error

    def add(self, *entries: str) -> None:
        """Append entries, all of them or none; raises UserError if that fails."""
        if not entries:
            return
        before = self._between if self.end > self._start else ""
        try:
            self._append(before + self._between.join(entries))
        except OSError as error:
            raise cant_write(self.path, error) from error

    def cut_back(self, end: int) -> None:
        """Make it what it was when `end` was its end."""
        self.end = end
        self._write(self._tail if end else b"")  # the disk has given room for it before
        self._new.file.truncate()

    def keep(self) -> None:
        """Give it its name; raises UserError if that fails."""
        try:
            self._new.keep()
        except OSError as error:
            raise cant_write(self.path, error) from error

    def discard(self) -> None:
        """Leave nothing of it."""
        self._new.discard()

    def _append(self, text: str) -> None:
        data = text.encode()
        try:
            self._write(data + self._tail)
        except BaseException:
            self.cut_back(self.end)
            raise
        self.end += len(data)

    def _write(self, data: bytes) -> None:
        self._new.file.seek(self.end)
        write_all(self._new.file, data)
