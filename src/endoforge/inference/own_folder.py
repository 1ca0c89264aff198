"""A folder among the results that is `detect`'s own: made, marked and cleared by it alone."""

import os
from collections.abc import Collection
from pathlib import Path

from endoforge.core.folders import (
    is_link,
    make_folder,
    remove_files,
    remove_if_empty,
    remove_unfinished,
)
from endoforge.core.marks import MARK_NAME, leave_mark
from endoforge.inference.drawings import DETECT, files_in, is_detects_own
from endoforge.inference.growing import cant_write


class OwnFolder:
    """The folder `folder`, in which files that end with one of `suffixes` are written."""

    def __init__(self, folder: Path, suffixes: Collection[str]) -> None:
        self.folder = folder
        self.is_own = is_detects_own(folder)
        """Whether nothing lies there that `detect` hasn't written."""
        self._suffixes = suffixes
        self._written: set[Path] = set()
        self._ready: set[Path] = set()

    def place(self, name: str) -> Path:
        """Choose the place of a file, which no other has, in a folder that is there; raises
        UserError if that can't be made."""
        path = self.folder / name
        while path in self._written:  # a.bmp and a.bmp.jpg are both drawn as a.bmp.jpg
            path = path.with_name(f"{path.stem}_{path.suffix}")
        self._written.add(path)
        if path.parent not in self._ready:
            try:
                self._make_ready(path.parent)
            except OSError as error:
                raise cant_write(path, error) from error
        return path

    def clear(self) -> int:
        """Remove what an earlier `detect` wrote and this one didn't; give the number of files."""
        if not self.is_own or not self.folder.is_dir():
            return 0
        stale = [
            path
            for path in files_in(self.folder)
            if path.suffix.lower() in self._suffixes
            and path not in self._written
            and not is_link(path)
        ]
        for path in stale:
            remove_files(path.parent, [path.name], within=self.folder)
        self._remove_empty_folders()
        return sum(not path.name.startswith(".") for path in stale)

    def _make_ready(self, folder: Path) -> None:
        make_folder(self.folder)
        leave_mark(self.folder, DETECT)
        make_folder(folder, within=self.folder)
        self._ready.add(folder)

    def _remove_empty_folders(self) -> None:
        for place, _, files in os.walk(self.folder, topdown=False):
            folder = Path(place)
            remove_unfinished(folder, "*", within=self.folder)
            if folder == self.folder and files == [MARK_NAME]:
                remove_files(folder, files)
            remove_if_empty(folder, within=self.folder)
