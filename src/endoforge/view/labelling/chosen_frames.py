"""The frames that `endoforge select` has chosen to be labelled next."""

from pathlib import Path
from threading import Lock

from pydantic import BaseModel, ConfigDict, ValidationError

from endoforge.core.reading import MOST_LIST_BYTES, read_regular
from endoforge.core.text import as_utf8
from endoforge.view.run_files import stamp_of

SELECTED_NAME = "selected.json"
"""As `select` names its file, unless it is told otherwise."""


class _Chosen(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    run: str
    frame_id: int


class _Choice(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    frames: list[_Chosen]


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
                self._read[path] = stamp, _parse(read_regular(path, MOST_LIST_BYTES))
            return self._read[path][1]


def _parse(data: bytes) -> dict[str, frozenset[int]]:
    try:
        choice = _Choice.model_validate_json(as_utf8(data))
    except ValidationError:
        return {}
    runs = {one.run for one in choice.frames}
    return {run: frozenset(c.frame_id for c in choice.frames if c.run == run) for run in runs}
