"""What a training starts from, for people: both sides of the split beside each other."""

from collections import Counter
from collections.abc import Sequence

from endoforge.captures.tally import Tally
from endoforge.data.pack import Pack
from endoforge.data.stratify import group_counts

SIDES = ("training", "validation", "neither")
FIRST_WIDTH, WIDTH = 40, 18
"""Of the columns, in characters."""


def summary_lines(train: Pack, val: Pack, left_out: int, found: Sequence[Tally]) -> list[str]:
    """A table of training and validation: runs, frames with and without boxes, what was dropped.

    `found` tallies what the index of each folder dropped; it is put down to the side that has the
    run's other frames, or to neither where none or both have some. `left_out` is the number of
    frames that the split put on neither side.
    """
    dropped = _dropped(train, val, found)
    sides = SIDES if any(counts["neither"] for counts in dropped.values()) else SIDES[:2]
    lines = [_row("", sides)]
    columns = [_cells(pack) for pack in (train, val)]
    lines += [_row(name, [column[name] for column in columns]) for name in columns[0]]
    if not dropped:
        lines.append(_row("dropped", ["0"] * len(sides)))
    for reason, counts in sorted(dropped.items()):
        lines.append(_row(f"dropped {reason}", [f"{counts[side]:,}" for side in sides]))
    if left_out:
        lines.append(f"left out by the split: {left_out:,} frames")
    return lines


def _cells(pack: Pack) -> dict[str, str]:
    """What the rows say of one side."""
    empty, one, more = (int(count) for count in group_counts(pack.frames))

    def share(count: int) -> str:
        return f"{count:,} ({100 * count / len(pack):4.1f} %)"

    return {
        "runs": f"{len(_runs(pack)):,}",
        "frames": f"{len(pack):,}",
        "with boxes": share(one + more),
        "  one box": share(one),
        "  more boxes": share(more),
        "empty": share(empty),
        "boxes": f"{sum(len(boxes) for boxes in pack.boxes):,}",
    }


def _dropped(train: Pack, val: Pack, found: Sequence[Tally]) -> dict[str, Counter[str]]:
    """How much was dropped on each side, by reason."""
    train_runs, val_runs = _runs(train), _runs(val)
    dropped: dict[str, Counter[str]] = {}
    for tally in (*found, train.tally, val.tally):
        for (reason, run), number in tally.by_run.items():
            on_one_side = (run in train_runs) != (run in val_runs)
            side = SIDES[run in val_runs] if on_one_side else "neither"
            dropped.setdefault(reason, Counter())[side] += number
    return dropped


def _runs(pack: Pack) -> set[str]:
    return {frame.run for frame in pack.frames}


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:{FIRST_WIDTH}}" + "".join(f"{cell:>{WIDTH}}" for cell in cells)
