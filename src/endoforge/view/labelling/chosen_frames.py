"""The frames that `endoforge select` has chosen to be labelled next."""

from pathlib import Path
from threading import Lock

from endoforge.core.errors import UserError
from endoforge.select.selection import read_selection
from endoforge.view.run_files import stamp_of

SELECTED_NAME = "selected.json"
"""As `select` names its file, unless it is told otherwise."""


class ChosenFrames:
    """The frames that the file `selected.json` names, in a root or in the current folder.

    It is read again when it is another one; a file that is no choice of frames chooses none.
    """

    def __init__(self, root: Path) -> None:
        self._paths = (root / SELECTED_NAME, Path(SELECTED_NAME))
        self._lock = Lock()
        self._read: dict[Path, tuple[tuple[int, int, int], dict[str, frozenset[int]]]] = {}

    def of_run(self, name: str) -> frozenset[int]:
        """The numbers of the chosen frames of a run."""
        for path in self._paths:
            try:
                return self._by_run(path).get(name, frozenset())
            except OSError:
                continue
        return frozenset()

    def _by_run(self, path: Path) -> dict[str, frozenset[int]]:
        with self._lock:
            stamp = stamp_of(path)
            if path not in self._read or self._read[path][0] != stamp:
                self._read[path] = stamp, _by_run(path)
            return self._read[path][1]


def _by_run(path: Path) -> dict[str, frozenset[int]]:
    try:
        frames = read_selection(path).frames
    except UserError:
        return {}
    runs = {frame.run for frame in frames}
    return {run: frozenset(one.frame_id for one in frames if one.run == run) for run in runs}
