"""The weights that viewers may choose among: no page can name a file of its own."""

import time
from collections.abc import Sequence
from pathlib import Path

from endoforge.core.errors import UserError
from endoforge.core.text import printable
from endoforge.detect.packaged import PACKAGED, packaged_weights, weights_file
from endoforge.formats.searching import natural_key

SUFFIX = ".safetensors"
LOOK_EVERY_S = 1.0
"""Seconds between two looks at the folder of weights."""
HEURISTIC = "heuristic"
"""The choice of the detector that needs no weights."""


class WeightChoices:
    """The files that flags name, those that lie beside the first of them, and the packaged ones.

    Any thread may ask.
    """

    def __init__(self, usual: str, named: Sequence[str]) -> None:
        """`usual` is the file that is loaded at first; of it and its folder only what is there
        counts. `named` are always among the choices, `packaged` for those that come with EndoForge.
        """
        self._usual, self._named = Path(usual), [weights_file(name) for name in named]
        self._found: dict[str, Path] = {}
        self._next_look = 0.0

    def names(self) -> tuple[str, ...]:
        """What can be chosen, by the names that pages show."""
        return tuple(self._choices())

    def path(self, name: str) -> Path:
        """The file of a choice; raises UserError if it is none, or no longer."""
        choices = self._choices()
        if name not in choices:
            raise UserError(f"{printable(name[:80])}: not among the weights that can be chosen")
        return choices[name]

    def _choices(self) -> dict[str, Path]:
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_EVERY_S
            paths = [*self._named, *self._beside()]
            if self._usual.exists():
                paths.insert(0, self._usual)
            if (packaged := packaged_weights()) is not None:
                paths.append(packaged)
            self._found = {shown_name(path): path for path in paths}
        return self._found

    def _beside(self) -> list[Path]:
        folder = self._usual.parent
        if self._usual == packaged_weights():
            return []
        try:
            files = [path for path in folder.iterdir() if path.suffix == SUFFIX]
        except OSError:  # there is no such folder yet
            return []
        return sorted(files, key=lambda path: natural_key(path.name))


def shown_name(path: Path) -> str:
    """What weights are called on the page: their file, or `packaged`."""
    return PACKAGED if path == packaged_weights() else printable(str(path))
