"""What the folders of a run hold."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from endoforge.core.errors import UserError


@dataclass(frozen=True)
class Listing:
    """The entries of one folder; none if it isn't there.

    `names` are sorted, without those that begin with a dot: a recorder's unfinished files, or a
    desktop's. `plain` are the names of regular files that are no links. `within_run` says whether
    the folder, its links followed, lies in the run's.
    """

    names: list[str] = field(default_factory=list)
    plain: frozenset[str] = frozenset()
    within_run: bool = False


def list_folder(folder: Path, run: Path) -> Listing:
    """The folder as it is now, of a run whose path without links is `run`.

    Raises OSError if it is there but can't be read.
    """
    try:
        # The kind of an entry comes with its name: asking it costs no look at the file.
        with os.scandir(folder) as found:
            is_plain = {entry.name: entry.is_file(follow_symlinks=False) for entry in found}
        within_run = folder.resolve().is_relative_to(run)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a null is in no folder's name
        return Listing()
    names = sorted(name for name in is_plain if not name.startswith("."))
    return Listing(names, frozenset(name for name in is_plain if is_plain[name]), within_run)


class RunFolders:
    """The folders of a run that hold labels and images, each listed once, when first asked for."""

    def __init__(self, path: Path) -> None:
        """List labels/ and images/ of the run at `path`.

        Raises UserError if one of them is there but can't be read.
        """
        self.path = path
        self._real = path.resolve()
        self._listings: dict[str, Listing] = {}
        for name in ("labels", "images"):
            try:
                self._listings[name] = list_folder(path / name, self._real)
            except OSError as error:
                problem = f"can't read the folder {path / name}: {error.strerror}"
                raise UserError(problem) from error

    def listing(self, name: str) -> Listing:
        """The listing of a folder relative to the run; empty if the folder can't be read."""
        if name not in self._listings:
            self._listings[name] = Listing()
            with suppress(OSError):  # what is wrong shows when its images are looked for one by one
                self._listings[name] = list_folder(self.path / name, self._real)
        return self._listings[name]

    def plain_size(self, image: str) -> int | None:
        """The image's size in bytes if it surely lies in the run: a file, not reached by a link."""
        folder, _, name = image.rpartition("/")
        listing = self.listing(folder)
        if not listing.within_run or name not in listing.plain:
            return None
        try:
            return os.stat(f"{self.path}/{image}").st_size  # noqa: PTH116 - for every frame
        except OSError:
            return None

    def leads_out(self, path: Path) -> bool:
        """Whether `path`, its links followed, lies outside the run."""
        return not path.resolve().is_relative_to(self._real)
