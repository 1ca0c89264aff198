"""What a training starts from, for people: both sides of the split beside each other."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.index import CaptureIndex
from endoforge.captures.schema import DEFAULT_CLASS
from endoforge.core.choices import LabelField
from endoforge.data.classes import boxes_by_class
from endoforge.data.pack import LabelledInputs, Pack
from endoforge.data.split import Split

SIDES = ("training", "validation", "neither")
Dropped = Counter[tuple[str, str]]
"""How much was dropped, by reason and side."""


def dropped_by_side(
    split: Split, index: CaptureIndex, real: CaptureIndex | None, train: Pack, val: Pack
) -> Dropped:
    """What the indexes and the packs dropped; what `real`, if any, dropped is of validation.

    What `index` dropped is of the side that has frames of its run; of neither, if none or both do.
    """
    train_runs = {frame.run for frame in split.train}
    val_runs = {frame.run for frame in split.val} if real is None else set()
    dropped: Dropped = Counter()
    for (reason, run), number in index.tally.by_run.items():
        in_train, in_val = run in train_runs, run in val_runs
        side = "neither" if in_train == in_val else "training" if in_train else "validation"
        dropped[reason, side] += number
    tallies = [("training", train.tally), ("validation", val.tally)]
    tallies += [("validation", real.tally)] if real else []
    for side, tally in tallies:
        for reason, number in tally.counts.items():
            dropped[reason, side] += number
    return dropped


def summary_lines(train: Pack, val: Pack, dropped: Dropped, left_out: int) -> list[str]:
    """A table of both sides beside each other, with what was dropped of each and why."""
    packs = (train, val)
    counts = [_box_counts(pack) for pack in packs]
    rows = [
        ("", *SIDES[:2]),
        ("runs", *(f"{len({frame.run for frame in pack.frames}):,}" for pack in packs)),
        ("frames", *(f"{len(pack):,}" for pack in packs)),
        ("with boxes", *(_share(each > 0) for each in counts)),
        ("  one box", *(_share(each == 1) for each in counts)),
        ("  more boxes", *(_share(each > 1) for each in counts)),
        ("empty (no box)", *(_share(each == 0) for each in counts)),
        ("boxes", *(f"{each.sum():,}" for each in counts)),
        *_class_rows(packs),
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
        lines.append(f"left out by the split: {left_out:,} frames")
    return lines


def lines_on_missing_boxes(
    train: LabelledInputs | None, val: LabelledInputs, field: LabelField
) -> list[str]:
    """A line for each side without any box; `train` is None if frames are made as needed."""
    lines = []
    if train is not None and not boxes_by_class(train):
        lines.append(
            f"no box in the {len(train):,} training frames (--label {field}): a detector that is "
            "shown no polyp learns to find none; look at the labels"
        )
    if not boxes_by_class(val):
        lines.append(
            f"no box in the {len(val):,} validation frames (--label {field}): there is nothing to "
            "find, so AP is undefined, the last weights count as the best, and patience never ends"
        )
    return lines


def _class_rows(packs: tuple[Pack, Pack]) -> list[tuple[str, ...]]:
    """The boxes of each class, unless all are of the default one."""
    names = packs[1].class_names  # validation's hold training's
    if names == (DEFAULT_CLASS,):
        return []
    counts = [boxes_by_class(pack) for pack in packs]
    return [(f"  {name}", *(f"{each[name]:,}" for each in counts)) for name in names]


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


def _box_counts(pack: Pack) -> NDArray[np.int64]:
    return np.array([len(boxes) for boxes in pack.boxes], np.int64)


def _share(members: NDArray[np.bool_]) -> str:
    return f"{members.sum():,} ({100 * members.mean():.1f} %)"
