"""Copies of runs in a folder: which are whose, so that nothing else is ever removed."""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePosixPath

from endoforge.captures.index import RunInfo
from endoforge.captures.schema import MANIFEST_NAME, PICTURE_EXTRAS
from endoforge.core.errors import UserError
from endoforge.core.files import move_file, write_atomic
from endoforge.core.folders import (
    FolderLock,
    is_link,
    make_folder,
    refuse_link,
    remove_files,
    remove_if_empty,
    remove_unfinished,
)
from endoforge.core.marks import MARK_NAME, facts_of, leave_mark, mark_of
from endoforge.core.reading import MOST_PICTURE_BYTES, read_regular
from endoforge.core.text import printable

COMMAND = "prune-empty"
FRAME_FOLDERS = ("labels", "images", "overlays", *PICTURE_EXTRAS)
NOT_OURS = ""
"""Stands for the digest of a file that lay in a copy before this command wrote one there."""


@contextmanager
def copies_in(
    output: Path, source: Path, runs: Sequence[RunInfo], empty_labels: Collection[Path]
) -> Iterator[list[str]]:
    """Hold `output` for copies of `runs`, the runs of `source`; no other process may meanwhile.

    `empty_labels` are those of frames that show no polyp. Gives the names of the copied runs that
    `source` has no more. Raises UserError, before anything is changed, for a folder of a run's name
    that is no copy of the run, or a link, and while another process is at it.
    """
    for run in runs:
        _refuse_other(output, source, run, empty_labels)
    make_folder(output)
    try:
        lock = FolderLock(output)
    except BlockingIOError as error:
        raise UserError(f"--output {output}: another {COMMAND} is writing it") from error
    try:
        for run in runs:
            _remove_unfinished(output / run.name)
        yield _no_longer_there(output, source, {run.name for run in runs})
    finally:
        lock.release()


class Copy:
    """The copy of a run in `folder`: which of its files are this command's, and what was in them.

    The mark says so. Files of others are never removed, and a file that was changed in the copy
    gets a place in a folder of its own before it is written over or removed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: list[Path] = []
        """The paths to which files went that had been changed in the copy."""
        self._digests = _recorded(folder)
        self._aside: Path | None = None

    def begin(self, run: RunInfo, names: Iterable[str]) -> None:
        """Say that files of `run` with these `names` are to be written; make the folder."""
        for name in names:
            there = os.path.lexists(self.folder / name)
            self._digests.setdefault(name, NOT_OURS if there else None)
        make_folder(self.folder)
        self._leave_mark(run)

    def put(self, name: str, data: bytes) -> bool:
        """Write `data` to the file `name`, unless it holds that; True if it held something else."""
        path = self.folder / name
        there = os.path.lexists(path)
        differs = not there or is_link(path) or read_regular(path, MOST_PICTURE_BYTES) != data
        if differs:
            make_folder(path.parent, within=self.folder)
            self._keep_if_changed(name)
            write_atomic(path, data)
        self._digests[name] = _digest(data)
        return there and differs

    def end(self, run: RunInfo, names: Collection[str]) -> int:
        """Remove what was copied and is of none of the `names`; returns how many labels went."""
        removed = self._remove([name for name in self._digests if name not in names])
        self._leave_mark(run)
        return removed

    def remove(self) -> int:
        """Remove all that was copied, and folders then empty; returns how many labels went."""
        if not _is_real_folder(self.folder):
            return 0
        removed = self._remove(list(self._digests))
        remove_files(self.folder, [MARK_NAME])
        for folder in (*(self.folder / name for name in FRAME_FOLDERS), self.folder):
            if _is_real_folder(folder):
                remove_if_empty(folder, within=self.folder)
        return removed

    def _remove(self, names: Iterable[str]) -> int:
        """Remove these files; labels first, so that none is left without its image meanwhile."""
        removed = 0
        for name in sorted(names, key=lambda name: (not _is_label(name), name)):
            path, is_ours = self.folder / name, self._digests[name] != NOT_OURS
            if is_ours and os.path.lexists(path) and _lies_in(self.folder, path):
                self._keep_if_changed(name)
                remove_files(path.parent, [path.name], within=self.folder)
                removed += _is_label(name)
            del self._digests[name]
        return removed

    def _keep_if_changed(self, name: str) -> None:
        path, digest = self.folder / name, self._digests.get(name)
        if digest is None or is_link(path) or not path.is_file():
            return
        if _digest(read_regular(path, MOST_PICTURE_BYTES)) == digest:
            return
        if self._aside is None:
            folders = (self.folder / f"kept-{number}" for number in count(1))
            self._aside = next(folder for folder in folders if not os.path.lexists(folder))
        place = self._aside / name
        make_folder(place.parent, within=self.folder)
        move_file(path, place)
        self.kept.append(place)

    def _leave_mark(self, run: RunInfo) -> None:
        origin = printable(str(run.path.resolve()))
        leave_mark(self.folder, COMMAND, {"copy_of": origin, "files": self._digests})


def _recorded(copy: Path) -> dict[str, str | None]:
    """Digests of the files that this command wrote, by name; None for one it was about to."""
    files = facts_of(copy).get("files")
    if mark_of(copy) != COMMAND or not isinstance(files, dict):
        return {}
    return {
        name: digest
        for name, digest in files.items()
        if _is_inner(name) and (digest is None or isinstance(digest, str))
    }


def _is_inner(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _is_label(name: str) -> bool:
    return name.startswith("labels/")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _lies_in(folder: Path, path: Path) -> bool:
    """Whether the folder of `path`, its links followed, lies in `folder`."""
    return path.parent.resolve().is_relative_to(folder.resolve())


def _copied_from(copy: Path) -> Path | None:
    """The run that `copy` is marked as a copy of; None if it isn't, or was renamed since."""
    original = facts_of(copy).get("copy_of")
    if mark_of(copy) != COMMAND or not isinstance(original, str):
        return None
    return Path(original) if Path(original).name == copy.name else None


def _no_longer_there(output: Path, source: Path, names: set[str]) -> list[str]:
    gone = []
    for copy in sorted(output.glob("run_*")):
        original = _copied_from(copy) if _is_real_folder(copy) else None
        if original and copy.name not in names and original.parent == source.resolve():
            gone.append(copy.name)
    return gone


def _refuse_other(output: Path, source: Path, run: RunInfo, empty_labels: Collection[Path]) -> None:
    """Raises UserError if what has the run's name in `output` isn't its copy."""
    copy = output / run.name
    for name in FRAME_FOLDERS:
        refuse_link(copy / name, within=output)
    original = _copied_from(copy)
    if original is not None:
        if original == run.path.resolve() or not original.is_dir():
            return
        raise UserError(
            f"--output {output} holds the copy of {original}, another run of the same name than "
            f"that of --input {source}: name another folder"
        )
    for file in _files_of_frames(copy):
        original = run.path / file.relative_to(copy)
        if not original.is_file() or _content(original) != _content(file):
            raise UserError(
                f"--output {output}: {file} isn't as in --input {source}, and {COMMAND} didn't "
                "make it, so it stays: were the two swapped? Else name another folder"
            )
        if original in empty_labels:
            raise UserError(
                f"--output {output}: {file} shows no polyp, so {COMMAND} didn't copy it, and it "
                "stays: name another folder"
            )


def _content(path: Path) -> bytes:
    return read_regular(path, MOST_PICTURE_BYTES)


def _files_of_frames(run: Path) -> Iterator[Path]:
    for folder in ("labels", "images"):
        if (run / folder).is_dir():
            yield from sorted(path for path in (run / folder).iterdir() if path.is_file())


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not is_link(path)


def _remove_unfinished(copy: Path) -> None:
    """Remove what a killed call left: files that had not got their names."""
    for folder, names in ((copy, MANIFEST_NAME), *((copy / f, "*") for f in FRAME_FOLDERS)):
        if _is_real_folder(folder):
            remove_unfinished(folder, names)
