"""Outputs against the runs that are read."""

import json
from pathlib import Path

from endoforge.core.errors import UserError
from endoforge.core.files import is_stream
from endoforge.core.reading import open_regular

_OURS = (b'{"epoch": ', b'{"detector": ')
"""How the lines begin that `train` and `eval` write."""
_MOST_OF_A_LINE = 1_000_000


def refuse_in_runs(flag: str, output: str | Path, root_flag: str, root: str | Path) -> None:
    """Raises UserError if `output` is the folder `root` of runs, or a run of it, or lies in one.

    Beside the runs, in the same folder, it may lie.
    """
    place, top = Path(output).resolve(), Path(root).resolve()
    if place == top:
        raise UserError(f"{flag} {output}: is the folder of {root_flag} itself; name another")
    for folder in (place, *place.parents):
        in_root = folder.parent == top and folder.name.startswith("run_")
        if in_root or (folder == top and (top / "labels").is_dir()):
            raise UserError(
                f"{flag} {output}: lies in a capture run of {root_flag} ({folder}), which is only "
                "read; name a place outside it"
            )


def refuse_no_metrics(flag: str, file: str | Path) -> None:
    """Raises UserError if there is a `file` that isn't JSON Lines: another line would spoil it."""
    path = Path(file)
    if not path.is_file() or is_stream(path):
        return
    with open_regular(path) as opened:
        first, end, _ = (opened.read(_MOST_OF_A_LINE) or b"").partition(b"\n")
    if first and not (_is_object(first) if end else first.startswith(_OURS)):
        raise UserError(f"{flag} {file}: is there, but holds no lines of metrics; name another")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
