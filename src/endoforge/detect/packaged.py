"""The weights that come with EndoForge, and what is said of how a file of weights was made."""

import errno
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from endoforge.core.errors import UserError
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MEGABYTE, open_regular, read_regular
from endoforge.roots.places import read_from

WEIGHTS_NAME = "tinydet.safetensors"
"""The name under which `train` writes its latest weights."""
DEFAULT_CHECKPOINT = f"checkpoints/{WEIGHTS_NAME}"
"""Where `train` writes them, unless it is told of another folder."""
PACKAGED = "packaged"
"""What to write in place of a file's name for the weights that come with EndoForge."""
RECORD = ".bin"
"""How the names of Burn's records end, of which nothing can be read here."""
MOST_HEADER_BYTES, MOST_WEIGHTS_BYTES = 10 * MEGABYTE, 500 * MEGABYTE
PROVENANCE_KEY = "provenance"
"""The key of the safetensors file's metadata that holds it."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How weights were made: enough to make them again."""

    command: str
    seed: int
    commit: str
    """The full hash of EndoForge's commit that made them."""
    note: str = ""
    """What else there is to know, such as of which data."""

    def to_json(self) -> str:
        """The text for a file's metadata; `from_json` undoes it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Provenance":
        """Read what `to_json` wrote; raises ValueError or TypeError for another text."""
        made = cls(**parse_json(text))
        texts = (made.command, made.commit, made.note)
        if type(made.seed) is not int or not all(isinstance(text, str) for text in texts):
            raise TypeError("a field of another type")
        return made

    def __str__(self) -> str:
        note = f"; {self.note}" if self.note else ""
        return f"{self.command} (seed {self.seed}, commit {self.commit[:12]}{note})"


def location() -> Path:
    """Where the packaged weights lie, whether they are there or not."""
    return Path(str(resources.files("endoforge") / "assets" / "demo.safetensors"))


def packaged_weights() -> Path | None:
    """The weights that come with EndoForge; None where this copy has none."""
    path = location()
    return path if path.is_file() else None


def weights_file(given: str) -> Path:
    """The file that `given` names: itself, or the packaged weights for the word `packaged`.

    Of an address it is the file that `fetch_file` makes. Raises UserError if the packaged ones are
    asked for and this copy of EndoForge has none.
    """
    if given != PACKAGED:
        return read_from(given)
    if (path := packaged_weights()) is None:
        raise UserError(
            f"{given}: this copy of EndoForge has no weights of its own ({location()} is missing): "
            "name a file that `endoforge train` wrote (--checkpoint), or take the classical "
            "detector, which needs none (--detector heuristic)"
        )
    return path


def chosen_weights(given: str | None) -> Path:
    """Follow the one rule of `--checkpoint`: the file that `given` names; where none is named,
    DEFAULT_CHECKPOINT, which `train` writes; while that isn't there, the packaged weights.

    Where there are none of these, it is DEFAULT_CHECKPOINT that is missed. Raises UserError if
    another tool's record lies in its place.
    """
    usual = Path(DEFAULT_CHECKPOINT)
    if given is not None:
        return weights_file(given)
    if usual.exists():
        return usual
    record = usual.with_suffix(RECORD)
    if record.exists():
        refuse_record(record)
    return packaged_weights() or usual


def refuse_record(path: Path) -> None:
    """Raises UserError for a record of weights as another tool, written in Rust, leaves them."""
    if path.suffix == RECORD:
        raise UserError(
            f"{path}: .bin records of weights aren't read, only .safetensors files as `endoforge "
            "train` writes them: name one, or packaged for the weights that come with EndoForge"
        )


def check_weights_file(path: Path) -> None:
    """Raises OSError for what isn't a regular file, and for one that is larger than weights are.

    Its first eight bytes are the length of its header.
    """
    with open_regular(path) as file:
        header_bytes = int.from_bytes(file.read(8) or b"", "little")
        num_bytes = file.seek(0, os.SEEK_END)
    if header_bytes > MOST_HEADER_BYTES or num_bytes > MOST_WEIGHTS_BYTES:
        raise OSError(errno.EFBIG, "larger than weights are", str(path))


def weights_digest(path: Path) -> str:
    """The SHA-256 of a file of weights, as 64 hex digits; raises OSError as it is read."""
    return hashlib.sha256(read_regular(path, MOST_WEIGHTS_BYTES)).hexdigest()


def provenance_of(path: Path) -> Provenance | None:
    """How the weights in a safetensors file were made; None where it doesn't say."""
    import safetensors

    check_weights_file(path)
    opened: Any = safetensors.safe_open(path, framework="np")
    with opened as file:
        text = (file.metadata() or {}).get(PROVENANCE_KEY)
    try:
        return None if text is None else Provenance.from_json(text)
    except (ValueError, TypeError):
        return None
