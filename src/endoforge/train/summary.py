"""What a training starts from, for people: both sides of the split beside each other."""

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass

import numpy as np

from endoforge.captures.schema import DEFAULT_CLASS
from endoforge.captures.tally import Tally
from endoforge.core.choices import LabelField
from endoforge.core.text import counted
from endoforge.data.classes import Classes, boxes_by_class
from endoforge.data.pack import LabelledInputs, Pack

SIDES = ("training", "validation", "neither")
Dropped = Counter[tuple[str, str]]
"""How much was dropped, by reason and side."""
OfSide = tuple[str, Tally]
"""A side, and what was dropped of it."""


@dataclass(frozen=True)
class SideCounts:
    """What one side of a split has: runs, frames, of these with one box and with more, and boxes of
    each class by its name."""

    runs: int
    frames: int
    with_one: int
    with_more: int
    boxes: Counter[str]

    @classmethod
    def of(cls, pack: Pack) -> "SideCounts":
        """Those of a pack."""
        return cls.of_inputs(pack, len({frame.run for frame in pack.frames}))

    @classmethod
    def of_inputs(cls, inputs: LabelledInputs, runs: int) -> "SideCounts":
        """Those of inputs that are frames of so many runs."""
        numbers = np.array([len(boxes) for boxes in inputs.boxes], np.int64)
        one, more = int((numbers == 1).sum()), int((numbers > 1).sum())
        return cls(runs, len(inputs), one, more, boxes_by_class(inputs))

    def share(self, number: int) -> str:
        """So many of the frames, and what share of them that is."""
        return f"{number:,} ({100 * number / self.frames:.1f} %)"


def dropped_by_side(
    found: Tally, train_runs: Container[str], val_runs: Container[str], sides: Iterable[OfSide]
) -> Dropped:
    """What was dropped by side: `sides` say of which one a tally is.

    What is `found` before the split is of the side that has frames of its run; of neither, if none
    or both do.
    """
    dropped: Dropped = Counter()
    for (reason, run), number in found.by_run.items():
        in_train, in_val = run in train_runs, run in val_runs
        side = "neither" if in_train == in_val else "training" if in_train else "validation"
        dropped[reason, side] += number
    for side, tally in sides:
        for reason, number in tally.counts.items():
            dropped[reason, side] += number
    return dropped


def summary_lines(
    train: SideCounts, val: SideCounts, class_names: Classes, dropped: Dropped, left_out: int
) -> list[str]:
    """A table of both sides beside each other, with what was dropped of each and why.

    `class_names` are those of both sides.
    """
    sides = (train, val)
    rows = [
        ("", *SIDES[:2]),
        ("runs", *(f"{side.runs:,}" for side in sides)),
        ("frames", *(f"{side.frames:,}" for side in sides)),
        ("with boxes", *(side.share(side.with_one + side.with_more) for side in sides)),
        ("  one box", *(side.share(side.with_one) for side in sides)),
        ("  more boxes", *(side.share(side.with_more) for side in sides)),
        (
            "empty (no box)",
            *(side.share(side.frames - side.with_one - side.with_more) for side in sides),
        ),
        ("boxes", *(f"{side.boxes.total():,}" for side in sides)),
        *_class_rows(sides, class_names),
        *_dropped_rows("dropped", "frame: ", dropped),
        *_dropped_rows("boxes dropped", "box: ", dropped),
    ]
    if any(len(row) > 3 for row in rows):
        rows[0] = ("", *SIDES)
    name_width, width = max(len(row[0]) for row in rows), max(len(c) for r in rows for c in r[1:])
    lines = [
        f"{name:{name_width}}" + "".join(f"  {cell:>{width}}" for cell in cells)
        for name, *cells in rows
    ]
    if left_out:
        lines.append(f"left out by the split: {counted(left_out, 'frame')}")
    return lines


def lines_on_missing_boxes(
    train: SideCounts | None, val: LabelledInputs, field: LabelField
) -> list[str]:
    """A line for each side without any box; `train` is None if frames are made as needed."""
    lines = []
    if train is not None and not train.boxes.total():
        lines.append(
            f"no box in the {counted(train.frames, 'training frame')} (--label {field}): a "
            f"detector that is "
            "shown no polyp learns to find none; look at the labels"
        )
    if not boxes_by_class(val):
        lines.append(
            f"no box in the {counted(len(val), 'validation frame')} (--label {field}): there is "
            f"nothing to "
            "find, so AP is undefined, the last weights count as the best, and patience never ends"
        )
    return lines


def _class_rows(
    sides: tuple[SideCounts, SideCounts], class_names: Classes
) -> list[tuple[str, ...]]:
    """The boxes of each class, unless all are of the default one."""
    if class_names == (DEFAULT_CLASS,):
        return []
    return [(f"  {name}", *(f"{side.boxes[name]:,}" for side in sides)) for name in class_names]


def _dropped_rows(title: str, kind: str, dropped: Dropped) -> list[tuple[str, ...]]:
    """All reasons of a kind together, then each, the most frequent first."""
    by_reason: Counter[str] = Counter()
    for (reason, _), number in dropped.items():
        if reason.startswith(kind):
            by_reason[reason] += number
    reasons = [reason for reason, _ in by_reason.most_common()]
    groups = [(title, reasons)]
    groups += [(f"  {reason.removeprefix(kind)}", [reason]) for reason in reasons]
    rows = []
    for name, members in groups:
        train, val, neither = (sum(dropped[reason, side] for reason in members) for side in SIDES)
        shown = [train, val, neither] if neither else [train, val]
        rows.append((name, *(f"{number:,}" for number in shown)))
    return rows
