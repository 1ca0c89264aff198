"""Names of what isn't finished: they can't be guessed, and are known again after a kill."""

import re
import secrets
from pathlib import Path

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp(\.\w+)?")


def temporary_beside(path: Path, ending: str = "") -> Path:
    """A name in the folder of `path` for what shall be `path`; with the `ending`, if it needs one.

    Nobody can have prepared anything of that name, such as a link.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp{ending}")


def name_to_be(name: str) -> str | None:
    """What a temporary `name` stands for; None if it is none."""
    match = _TEMPORARY.fullmatch(name)
    return match and match[1]
