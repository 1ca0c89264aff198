"""Text of files that anybody may have made, as Markdown that shows it and does nothing else."""

import re
from collections.abc import Sequence

from endoforge.core.text import shortened

MOST_CELL = 500
"""Characters of a name or a value in a card."""
UNKNOWN = "unknown"
_ACTIVE = re.compile(r"([\\`*_\[\]<>|#!&~])")


def plain(text: str) -> str:
    """`text` in one line, with all that Markdown or HTML would act upon escaped."""
    return _ACTIVE.sub(r"\\\1", shortened(text, MOST_CELL))


def code(text: str) -> str:
    """`text` in one line as it would be typed; it may stand in a cell of a table."""
    shown = shortened(text, MOST_CELL).replace("|", "\\|")
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{shown}{space}{fence}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def number(value: float | None) -> str:
    """A share with three digits."""
    return UNKNOWN if value is None else f"{value:.3f}"
