"""Outputs, tried before work begins: what can't be written is said at the start, by its flag.

Nothing is made by trying: a folder that isn't there is made by the command when it writes.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from endoforge.core.errors import UserError
from endoforge.core.files import is_stream
from endoforge.core.folders import is_link, link_fault
from endoforge.core.reading import open_regular

_OURS = (b'{"epoch": ', b'{"detector": ')
"""How the lines begin that `train` and `eval` write."""
_MOST_OF_A_LINE = 1_000_000


def check_output_folder(flag: str, folder: str | Path) -> None:
    """Raises UserError, which names `flag`, unless `folder` is or can be made and be written to.

    It may lie behind links, but be none.
    """
    path = Path(folder)
    _refuse_link(flag, folder, path)
    if not path.is_dir() and os.path.lexists(path):
        raise UserError(f"{flag} {folder}: is there, but is no folder; name another")
    _try_folder(flag, folder, path)


def check_output_file(flag: str, file: str | Path, *, appended: bool = False) -> None:
    """Raises UserError, which names `flag`, unless `file` can be written.

    It may be there if it is a plain file, and lie behind links, but be none. If it is `appended` to
    rather than replaced, it may be a device or a pipe too, or a link to one, such as /dev/stdout.
    """
    path = Path(file)
    if not (appended and is_stream(path)):
        _refuse_link(flag, file, path)
    if path.is_dir():
        raise UserError(f"{flag} {file}: is a folder; name a file in it")
    if os.path.lexists(path):
        if not path.is_file() and not (appended and path.exists()):
            raise UserError(f"{flag} {file}: is no plain file; name another")
        if not os.access(path, os.W_OK):
            raise UserError(f"{flag} {file}: can't be written by this user; name another")
        if appended:
            return
    _try_folder(flag, file, path.parent)


def _refuse_link(flag: str, given: str | Path, path: Path) -> None:
    if is_link(path):
        raise UserError(f"{flag} {given}: {link_fault(path)}; give that path")


def _try_folder(flag: str, given: str | Path, folder: Path) -> None:
    """Make a file without a name in the nearest folder that is there."""
    nearest = folder.absolute()
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        raise UserError(f"{flag} {given}: {nearest} is no folder; name another place")
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{flag} {given}: can't write in {nearest} ({reason}); fix that, or name another place"
        ) from error


def refuse_same(outputs: Mapping[str, str | Path | None]) -> None:
    """Raises UserError if two flags name one file or folder; None: not given."""
    flags: dict[str, str] = {}
    for flag, given in outputs.items():
        if given is None:
            continue
        place = os.path.realpath(given)
        if place in flags:
            raise UserError(f"{flag} {given}: is that of {flags[place]} too; name another")
        flags[place] = flag


def refuse_within(flag: str, output: str | Path, what: str, folder: str | Path) -> None:
    """Raises UserError if `output` is `folder` or lies in it; `what` names the folder in words."""
    if Path(output).resolve().is_relative_to(Path(folder).resolve()):
        raise UserError(f"{flag} {output}: lies in {what} {folder}; name a place outside it")


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
