"""Checks of configuration values: an error names the flag, what is wrong, and a value to try."""

import math
import os
import re
from collections.abc import Sequence
from numbers import Integral, Real

from endoforge.core.errors import UserError
from endoforge.core.sizes import LEAST_SIDE_PX, MOST_SIDE_PX, parse_size

MAX_SEED = 2**64 - 1
"""Seeds are what 64 bits hold: other readers of a run's files may have no larger integer."""
LEAST_LONGER_SIDE_PX = 64
"""Of a detector's input: below, the coarsest features are a single cell, of which batch norm can
make nothing."""

MOST_FPS = 240
"""Frames a second at most: of the fastest endoscopes' and slow-motion cameras'."""


def check_share(flag: str, value: float, *, example: str) -> None:
    """Raise UserError, which names `flag`, unless 0 < value < 1."""
    if not (is_number(value) and 0 < value < 1):
        _fail(flag, value, "between 0 and 1 (exclusive)", example)


def check_probability(flag: str, value: float, *, example: str) -> None:
    """Raise UserError, which names `flag`, unless 0 <= value <= 1."""
    if not (is_number(value) and 0 <= value <= 1):
        _fail(flag, value, "between 0 and 1", example)


def check_positive(flag: str, value: float, *, example: str) -> None:
    """Raise UserError, which names `flag`, unless the value is finite and above 0."""
    if not (is_number(value) and value > 0 and math.isfinite(value)):
        _fail(flag, value, "a number greater than 0", example)


def check_at_least(flag: str, value: float, least: int, *, example: str) -> None:
    """Raise UserError, which names `flag`, unless the value is finite and at least `least`."""
    if not (is_number(value) and value >= least and math.isfinite(value)):
        _fail(flag, value, f"at least {least}", example)


def check_frame_rate(flag: str, value: float) -> None:
    """Raise UserError, which names `flag`, unless 0 < value <= MOST_FPS."""
    if not (is_number(value) and 0 < value <= MOST_FPS):
        _fail(flag, value, f"above 0 and at most {MOST_FPS}", "25")


def check_stretch(start: str, start_s: float, end: str, end_s: float | None) -> None:
    """Raise UserError, which names the flags `start` and `end`, unless 0 <= start_s < end_s."""
    check_at_least(start, start_s, 0, example="60")
    if end_s is None:
        return
    if not (is_number(end_s) and end_s > start_s and math.isfinite(end_s)):
        _fail(end, end_s, f"a number greater than {start_s:g} ({start})", f"{start_s + 30:g}")


def parse_ends(flag: str, text: str, sign: str, *, example: str) -> tuple[int, int]:
    """`"12-20"`, of the `sign` "-", to its ends (12, 20), whole numbers that don't fall.

    Raises UserError, which names `flag`, for any other, and for ends of more than 15 digits.
    """
    match = re.fullmatch(rf"(\d{{1,15}}){re.escape(sign)}(\d{{1,15}})", text.strip())
    if match is None:
        raise UserError(f"{flag} {text}: expected two whole numbers such as {example}")
    first, last = int(match[1]), int(match[2])
    if first > last:
        raise UserError(
            f"{flag} {text}: begins at {first} and ends at {last}, below it; "
            f"try {last}{sign}{first}"
        )
    return first, last


def check_seed(flag: str, value: int) -> None:
    """Raise UserError, which names `flag`, unless the value is from 0 to MAX_SEED."""
    if not (is_whole(value) and 0 <= value <= MAX_SEED):
        _fail(flag, value, f"between 0 and {MAX_SEED}", "42")


def check_count(flag: str, value: int) -> None:
    """Raise UserError, which names `flag`, unless the value is a whole number from 1 on."""
    if not (is_whole(value) and value >= 1):
        raise UserError(f"{flag} {value}: must be a whole number, 1 or more")


def check_text(flag: str, value: str) -> None:
    """Raise UserError, which names `flag`, unless the value is a text."""
    if not isinstance(value, str):
        raise UserError(f"{flag} {value}: must be a text")


def check_path(flag: str, value: str | os.PathLike[str]) -> None:
    """Raise UserError, which names `flag`, unless the value is a path, or the text of one."""
    if not isinstance(value, str | os.PathLike):
        raise UserError(f"{flag} {value}: must be a path")


def is_number(value: object) -> bool:
    """Whether a value that a program gives is a number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Whether a value that a program gives is a whole number."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_choice(flag: str, value: str, choices: Sequence[str]) -> None:
    """Raise UserError, which names `flag`, unless the value is one of `choices`."""
    if value not in choices:
        raise UserError(f"{flag} {value}: must be one of {', '.join(choices)}")


def check_render_size(given: str, size: tuple[int, int], *, when: str = "") -> None:
    """Raise UserError unless frames of `size`, (width, height), can be rendered.

    The error begins with `given`, what was asked for: "--resolution 10x10". `when`, such as
    "with --simulate ", says where these limits come from if a flag has others too.
    """
    if not (isinstance(size, Sequence) and len(size) == 2 and all(map(is_whole, size))):
        raise UserError(f"{given}: {when}must be two whole numbers, such as (640, 360)")
    if min(size) < LEAST_SIDE_PX or max(size) > MOST_SIDE_PX:
        limits = f"{LEAST_SIDE_PX} to {MOST_SIDE_PX} pixels"
        raise UserError(f"{given}: {when}each side must be {limits}")


def check_size(flag: str, text: str, divisor: int) -> tuple[int, int]:
    """`"320x192"` to (320, 192): multiples of `divisor` that an input may have.

    The longer one is at least LEAST_LONGER_SIDE_PX, and neither is above MOST_SIDE_PX; raises
    UserError, which names `flag`, for any other.
    """
    width, height = parse_size(text, flag)
    if max(width, height) < LEAST_LONGER_SIDE_PX:
        _fail(flag, text, f"at least {LEAST_LONGER_SIDE_PX} pixels on the longer side", "320x192")
    if max(width, height) > MOST_SIDE_PX:
        _fail(flag, text, f"at most {MOST_SIDE_PX} pixels each way", "320x192")
    if width % divisor or height % divisor:
        near = "x".join(str(max(1, round(side / divisor)) * divisor) for side in (width, height))
        _fail(flag, text, f"multiples of {divisor}", near)
    return width, height


def parse_thresholds(flag: str, text: str) -> list[float]:
    """`"0.5,0.75"` to [0.5, 0.75], each above 0 and at most 1; "" to []."""
    try:
        values = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        values = [math.nan]
    if not all(0 < value <= 1 for value in values):
        _fail(flag, repr(text), "numbers above 0 and at most 1, split by commas", "0.5,0.75")
    return values


def _fail(flag: str, value: object, must_be: str, example: str) -> None:
    raise UserError(f"{flag} {value}: must be {must_be}; try {example}")
