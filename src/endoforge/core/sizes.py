"""Picture sizes as people write them: `640x360`, width first."""

import re

from endoforge.core.errors import UserError

LEAST_SIDE_PX, MOST_SIDE_PX = 64, 4096
"""What each side of a rendered frame may have. A detector's input may have as many at most; of its
least, see `checks.check_size`."""


def parse_size(text: str, flag: str) -> tuple[int, int]:
    """`"640x360"` to `(640, 360)`: (width, height) in pixels; `flag` is named in the error."""
    match = re.fullmatch(r"(\d{1,9})[xX](\d{1,9})", text.strip())
    if match is None or min(int(match[1]), int(match[2])) == 0:
        raise UserError(f"{flag}: expected WIDTHxHEIGHT such as 640x360, got {text!r}")
    return int(match[1]), int(match[2])
