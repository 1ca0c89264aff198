"""Picture sizes as people write them: `640x360`, width first."""

import re

from endoforge.core.errors import UserError

MOST_INPUT_SIDE = 4096
"""Pixels of a detector's input, each way."""


def parse_size(text: str, flag: str) -> tuple[int, int]:
    """`"640x360"` to `(640, 360)`: (width, height) in pixels; `flag` is named in the error."""
    match = re.fullmatch(r"(\d{1,9})[xX](\d{1,9})", text.strip())
    if match is None or min(int(match[1]), int(match[2])) == 0:
        raise UserError(f"{flag}: expected WIDTHxHEIGHT such as 640x360, got {text!r}")
    return int(match[1]), int(match[2])
