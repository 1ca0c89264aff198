"""Folders that a command writes to and removes from: made, cleared and held, links never followed.

A folder may hold what somebody else has put there. So none is written to or cleared that is a link,
nor one that lies behind a link from the command's own folder on. The folders above that one are the
user's, who may link them.
"""

import fnmatch
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from endoforge.core.errors import UserError
from endoforge.core.temporary import name_to_be, temporary_beside
from endoforge.core.text import printable

_BY_DESCRIPTOR = {os.open, os.unlink} <= os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
"""Whether files can be removed from a folder that is open, whatever takes its name meanwhile."""


def is_link(path: str | Path) -> bool:
    """Whether `path` is a symbolic link, or on Windows a junction."""
    return os.path.islink(path) or _is_junction(path)  # noqa: PTH114  # fast, for every frame


def _no_junction(_: str | Path) -> bool:
    return False


_is_junction = getattr(os.path, "isjunction", _no_junction)  # from Python 3.12 on


def link_fault(path: str | Path) -> str:
    """What to say of a link that is an output."""
    real = printable(os.path.realpath(path))
    return f"is a link to {real}, which isn't written through"


def refuse_link(path: Path, *, within: Path | None = None) -> None:
    """Raises UserError if `path` is a link, or a folder on the way to it from `within` on."""
    for place in _way(path, within or path):
        if is_link(place):
            where = printable(str(place))
            raise UserError(f"{where}: {link_fault(place)}; remove the link, or name another place")


def _way(path: Path, within: Path) -> list[Path]:
    """`within`, `path`, and the folders between them, the outermost first."""
    start = len(within.parts)
    inner = path.parts[start:]
    if path.parts[:start] != within.parts or ".." in inner:
        raise ValueError(f"{path} leads out of {within}")
    way = [within]
    for name in inner:
        way.append(way[-1] / name)
    return way


def make_folder(folder: Path, *, within: Path | None = None) -> None:
    """Make `folder`, and what lacks of the folders around it; it may be there.

    Raises UserError if it is a link, or one on the way to it from `within` on, and OSError if it
    can't be made.
    """
    for place in _way(folder, within or folder):
        if os.path.isdir(place) and not is_link(place):  # noqa: PTH112
            continue  # as for most of the thousands of frames of a run
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            refuse_link(place)
            if not place.is_dir():  # else another thread has just made it
                raise


def make_new_folder(folder: Path) -> None:
    """Make `folder`; raises FileExistsError if there is anything of that name."""
    folder.mkdir()


def make_folder_of(file: Path) -> None:
    """Make the folder that a file which the user named is to lie in; that may be a link."""
    file.parent.mkdir(parents=True, exist_ok=True)


def remove_files(folder: Path, names: Iterable[str], *, within: Path | None = None) -> list[str]:
    """Remove files of `folder` by their names, in this order; which of them were there.

    A link among them goes itself, not what it leads to. Raises UserError, and removes nothing, if
    `folder` is a link, or one on the way to it from `within` on.
    """
    removed = []
    try:
        with _opened(folder, within or folder) as descriptor:
            for name in names:
                with suppress(FileNotFoundError):
                    if descriptor is None:
                        (folder / name).unlink()
                    else:
                        os.unlink(name, dir_fd=descriptor)
                    removed.append(name)
    except FileNotFoundError:  # the folder
        pass
    return removed


@contextmanager
def _opened(folder: Path, within: Path) -> Iterator[int | None]:
    """Its descriptor; None where the system can't remove by that, but it is no link."""
    if not _BY_DESCRIPTOR:
        refuse_link(folder, within=within)
        yield None
        return
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(within, flags)
        for place in _way(folder, within)[1:]:
            outer = descriptor
            try:
                descriptor = os.open(place.name, flags, dir_fd=outer)
            finally:
                os.close(outer)
    except NotADirectoryError:
        refuse_link(folder, within=within)
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path, names: str, *, within: Path | None = None) -> None:
    """Remove the temporary files that a killed process left of files named `names`.

    `names` is a pattern such as `frame_*`; files of other names, and of other programs, stay.
    Raises UserError as `remove_files` does.
    """
    files = []
    for path in folder.glob(".*.tmp*"):
        name = name_to_be(path.name)
        if name and fnmatch.fnmatchcase(name, names) and (is_link(path) or not path.is_dir()):
            files.append(path.name)
    if files:
        remove_files(folder, files, within=within)


def remove_if_empty(folder: Path, *, within: Path | None = None) -> None:
    """Remove a folder unless it holds something. Raises UserError if a link leads to it."""
    refuse_link(folder, within=within)
    with suppress(OSError):  # it holds something, or isn't there
        folder.rmdir()


def remove_tree(folder: Path, *, within: Path | None = None) -> None:
    """Remove a folder that this program made, and all in it; links in it go, not what they lead to.

    Raises UserError if it is a link, or one on the way to it from `within` on.
    """
    refuse_link(folder, within=within)
    shutil.rmtree(folder)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which is `folder` at the end, or goes if there is an error.

    What is there already may only be an empty folder. What killed processes left of it goes first.
    Raises BlockingIOError if another process is making it.
    """
    partial = temporary_beside(folder.absolute())
    missing = [one for one in partial.parents if not one.is_dir()]
    try:
        partial.mkdir(parents=True)
        lock = FolderLock(partial)
        try:
            _remove_left_beside(partial, folder.name)
            yield partial
            if folder.is_dir():
                folder.rmdir()
            partial.rename(folder)
            sync_folder(partial.parent)
        finally:
            lock.release()
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for one in missing:
            remove_if_empty(one)
        raise


def _remove_left_beside(partial: Path, name: str) -> None:
    """Raises BlockingIOError if what is left is of a process that lives."""
    for left in partial.parent.glob(".*.tmp"):
        is_left = left != partial and name_to_be(left.name) == name
        if is_left and left.is_dir() and not is_link(left):
            FolderLock(left).release()
            remove_tree(left)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder where the system has temporary files, gone with all in it at the end."""
    with tempfile.TemporaryDirectory(prefix="endoforge-") as folder:
        yield Path(folder)


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

        Without, raises BlockingIOError if one does. Raises another OSError for a link.
        """
        self._descriptor: int | None = None
        if os.name != "posix":
            return
        import fcntl

        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        self._descriptor = os.open(folder, flags)
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
