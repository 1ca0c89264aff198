"""Addresses of cameras and streams, and how they are shown: without what is secret in them."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from endoforge.core.errors import UserError
from endoforge.core.text import printable

SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "rtmp", "srt")
"""Of the streams that are opened, as far as the FFmpeg of PyAV has them."""
DEVICES = "/dev/"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True)
class LiveAddress:
    """What a live picture comes from: a stream's address, or the path of a device.

    `scheme` is None of a device, which is a camera or a capture card that Linux knows by V4L2.
    """

    address: str = field(repr=False)
    scheme: str | None

    @property
    def shown(self) -> str:
        """The address for people and files."""
        return shown_address(self.address)


def live_address(text: str) -> LiveAddress | None:
    """The camera or stream that `text` names; None if it is the path of files.

    Raises UserError for an address that can't be opened.
    """
    if (found := _SCHEME.match(text)) is not None:
        scheme = found[1].lower()
        if scheme not in SCHEMES:
            known = ", ".join(SCHEMES)
            raise UserError(f"{shown_address(text)}: no known kind of stream; there are {known}")
        if not text[found.end() :].strip("/"):
            raise UserError(f"{shown_address(text)}: names no host")
        return LiveAddress(text, scheme)
    path = Path(text)
    if not text.startswith(DEVICES) or path.is_file() or path.is_dir():
        return None
    if not path.is_char_device():
        raise UserError(f"{printable(text)}: no such device; v4l2-ctl --list-devices lists cameras")
    return LiveAddress(text, None)


def shown_address(text: str) -> str:
    """`text` without a user, a password, and what stands behind `?` or `#`, which may be a key."""
    if (found := _SCHEME.match(text)) is None:
        return printable(text)
    scheme, rest = text[: found.end()], text[found.end() :]
    # To the last @, wherever it is: passwords may hold any sign, / and ? too.
    secret, at, rest = rest.rpartition("@")
    # UDP's own form is udp://@:port, in which nothing is hidden.
    hidden = "***" if secret else ""
    plain, mark, more = _cut(rest)
    return printable(scheme + hidden + at + plain + (f"{mark}***" if more else ""))


def _cut(rest: str) -> tuple[str, str, str]:
    place = min((rest.find(mark) for mark in "?#" if mark in rest), default=len(rest))
    return rest[:place], rest[place : place + 1], rest[place + 1 :]
