"""Text of files that other programs wrote."""

import codecs
import json
from collections.abc import Sequence

MOST_SHOWN = 4000
"""Characters of one line for people; a name in a file may have millions."""

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


def printable(text: str) -> str:
    r"""`text` in one line that a terminal shows as it is and UTF-8 can hold.

    Control characters, and the bytes of a file's name that are no UTF-8, become escapes such as
    `\x1b`.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def shortened(text: str, most: int = MOST_SHOWN) -> str:
    """`text` as `printable` has it, with its middle left out if it is longer than `most`."""
    if len(text) > most:
        text = f"{text[: most // 2]} ... {text[-most // 2 :]}"
    return printable(text)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as lines: of each row the first and the last cell begin where those above do, and the
    cells between, numbers, end there."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if 0 < place < len(row) - 1 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def counted(number: int, what: str) -> str:
    """`number`, with commas between thousands, of `what`: "1 frame", "2,000 frames", "3 boxes".

    `what` is one, and may have words before its noun: "usable frame".
    """
    if number == 1:
        return f"1 {what}"
    return f"{number:,} {what}{'es' if what.endswith(('s', 'x')) else 's'}"


def _escaped(one: str) -> str:
    if "\udc80" <= one <= "\udcff":  # how Python keeps a byte that is no UTF-8
        return f"\\x{ord(one) - 0xDC00:02x}"
    return one.encode("unicode_escape").decode()


def size_in_words(num_bytes: int) -> str:
    """How large something is, in GB, or in MB if it is less than one."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
