"""Text of files that other programs wrote, and names of files."""

import codecs
import json
import os
from pathlib import Path

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode_text(data: bytes) -> str:
    """UTF-8, UTF-16 or UTF-32, with a byte order mark or without, to text without the mark.

    Without a mark, UTF-16 and UTF-32 are known by the zeros among their first four bytes, as JSON's
    are (RFC 4627, section 3). Raises UnicodeDecodeError for any other encoding.
    """
    return data.decode(json.detect_encoding(data)).removeprefix("\ufeff")


def as_utf8(data: bytes) -> bytes:
    """`data` itself if it is plain UTF-8, else its text as UTF-8 without a mark.

    For parsers that take UTF-8 alone. What can't be decoded is given back as it is, for the parser
    to complain of.
    """
    if not data.startswith(_MARKS) and b"\0" not in data[:4]:
        return data
    try:
        return decode_text(data).encode()
    except UnicodeDecodeError:
        return data


def printable(name: str | Path) -> str:
    """A file's name that can be printed and encoded: bytes that aren't UTF-8 as `\\xff`.

    `os` gives such bytes as lone surrogates, which no encoder takes.
    """
    return os.fsencode(name).decode(errors="backslashreplace")
