"""What the folders of a run hold, and a signature that is another when any of it changes."""

import hashlib
import os
import stat
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from endoforge.captures.schema import MANIFEST_NAME
from endoforge.core.errors import UserError

SETTLED_S = 2.0
"""A file's time may stand still for so long while its content changes (FAT's clock is coarsest)."""

# Name, whether it is a link, then of what it leads to, 0 if nothing: mode, size in bytes, mtime
# and ctime in ns.
_Entry = tuple[str, bool, int, int, int, int]


@dataclass(frozen=True)
class Listing:
    """The entries of one folder, sorted; none if it isn't there. `real` is its path without links.

    `within_run`: whether that lies in the run's folder.
    """

    real: Path
    within_run: bool
    entries: list[_Entry]

    @cached_property
    def names(self) -> list[str]:
        """Sorted; those with a leading dot are a recorder's unfinished files, or a desktop's."""
        return [name for name, *_ in self.entries if not name.startswith(".")]

    @cached_property
    def plain_files(self) -> dict[str, int]:
        """Sizes in bytes of the regular files that are no links, by name."""
        return {
            name: size
            for name, link, mode, size, _, _ in self.entries
            if not link and stat.S_ISREG(mode)
        }

    @property
    def has_links(self) -> bool:
        """Whether any entry is a symbolic link."""
        return any(entry[1] for entry in self.entries)

    @property
    def newest_ns(self) -> int:
        """When an entry last changed, in ns of Unix time; 0 if there is none."""
        return max((max(entry[-2:]) for entry in self.entries), default=0)


def list_folder(folder: Path, run: Path) -> Listing:
    """The folder as it is now, of a run whose path without links is `run`.

    Raises OSError if it is there but can't be read.
    """
    entries: list[_Entry] = []
    try:
        with os.scandir(folder) as found:
            for entry in found:
                entries.append((entry.name, entry.is_symlink(), *_state(entry)))
        real = folder.resolve()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a null is in no folder's name
        return Listing(folder, False, [])
    return Listing(real, real.is_relative_to(run), sorted(entries))


def _state(entry: os.DirEntry[str] | Path) -> tuple[int, int, int, int]:
    try:
        s = entry.stat()
    except OSError:
        return 0, 0, 0, 0
    return s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns


class RunFolders:
    """The folders of a run that hold labels and images, each listed once, when first asked for.

    What is read later is of the listing's state or a newer one, never of an older one.
    """

    def __init__(self, path: Path) -> None:
        """`path` is the run's; labels/ and images/ are listed now.

        Raises UserError if one of them is there but can't be read.
        """
        self.path = path
        self._started_ns = time.time_ns()
        self._real = path.resolve()
        self._manifest = _state(path / MANIFEST_NAME)
        self._listings: dict[str, Listing] = {}
        for name in ("labels", "images"):
            try:
                self._listings[name] = list_folder(path / name, self._real)
            except OSError as error:
                problem = f"can't read the folder {path / name}: {error.strerror}"
                raise UserError(problem) from error

    @property
    def names(self) -> list[str]:
        """The folders that were listed, relative to the run, with forward slashes."""
        return list(self._listings)

    def listing(self, name: str) -> Listing:
        """Of a folder relative to the run; empty if it can't be read."""
        if name not in self._listings:
            folder = self.path / name
            try:
                self._listings[name] = list_folder(folder, self._real)
            except OSError:  # what is wrong shows when its images are looked for one by one
                self._listings[name] = Listing(folder, False, [])
        return self._listings[name]

    def plain_size(self, image: str) -> int | None:
        """The image's size in bytes if it surely lies in the run: a file, not reached by a link."""
        folder, _, name = image.rpartition("/")
        listing = self.listing(folder)
        return listing.plain_files.get(name) if listing.within_run else None

    def leads_out(self, path: Path) -> bool:
        """Whether `path`, its links followed, lies outside the run."""
        return not path.resolve().is_relative_to(self._real)

    @property
    def signature(self) -> str:
        """Another one whenever a name, a size, a time or a folder's place is another."""
        digest = hashlib.sha256(repr(self._manifest).encode())
        for name, listing in sorted(self._listings.items()):
            digest.update(repr((name, str(listing.real), listing.entries)).encode())
        return digest.hexdigest()

    @property
    def trustworthy(self) -> bool:
        """Whether an equal signature will mean equal files.

        Not if a file changed just before the listing: it may again, within a tick of its clock. Nor
        with links, which lead to where no listing looks.
        """
        oldest_tick = self._started_ns - SETTLED_S * 1e9
        if any(listing.has_links for listing in self._listings.values()):
            return False
        newest = (listing.newest_ns for listing in self._listings.values())
        return max(*newest, *self._manifest[-2:]) < oldest_tick
