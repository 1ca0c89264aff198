"""The frames that `endoforge select` has chosen to be labelled next."""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from endoforge.core.errors import UserError
from endoforge.select.selection import read_selection
from endoforge.view.run_files import stamp_of

SELECTED_NAME = "selected.json"
"""As `select` names its file, unless it is told otherwise."""


@dataclass(frozen=True)
class FrameChoice:
    """The chosen frames by the names of their runs, and what is wrong with the file."""

    by_run: dict[str, frozenset[int]]
    problem: str | None = None


class ChosenFrames:
    """The frames that the file `selected.json` names, in a root or in the current folder.

    It is read again when it is another one; a file that is no choice of frames chooses none, and
    says so.
    """

    def __init__(self, root: Path) -> None:
        self._paths = (root / SELECTED_NAME, Path(SELECTED_NAME))
        self._lock = Lock()
        self._read: dict[Path, tuple[tuple[int, int, int], FrameChoice]] = {}

    def now(self) -> FrameChoice:
        """What is chosen now; nothing where there is no such file."""
        for path in self._paths:
            try:
                return self._choice_in(path)
            except OSError:
                continue
        return FrameChoice({})

    def _choice_in(self, path: Path) -> FrameChoice:
        with self._lock:
            stamp = stamp_of(path)
            if path not in self._read or self._read[path][0] != stamp:
                self._read[path] = stamp, _read(path)
            return self._read[path][1]


def _read(path: Path) -> FrameChoice:
    try:
        frames = read_selection(path).frames
    except UserError as error:
        return FrameChoice({}, str(error))
    runs = {frame.run for frame in frames}
    return FrameChoice(
        {run: frozenset(one.frame_id for one in frames if one.run == run) for run in runs}
    )
