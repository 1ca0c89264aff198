"""Which frames of a shard can be used, where they lie in it, and what is in their boxes."""

import hashlib
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.label_boxes import (
    normalised_corners,
    note_disagreement,
    note_namelessness,
    usable_box,
)
from endoforge.captures.run_frames import AWAITS_REVIEW, classes_of
from endoforge.captures.schema import Corners
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.choices import LabelField
from endoforge.data.shards import ShardLabel, read_shard


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """The N usable frames of a shard and their K boxes, without a Python object for any of them.

    `places` (N, 2) int64 are offset and bytes of the pictures, `sizes` (N, 2) int32 the (width,
    height) that the labels say they have, `run_of` (N,) int32 their places among `runs`, and `keys`
    (N,) uint64 what their names hash to. `boxes` (K, 4) float32 are xyxy in 0..1 and `classes` (K,)
    int32 their places among `class_names`; those of frame i end before `ends[i]`, (N,) int64.
    `digest` stands for all that was read; `tally` says what is left out.
    """

    places: NDArray[np.int64]
    sizes: NDArray[np.int32]
    run_of: NDArray[np.int32]
    keys: NDArray[np.uint64]
    ends: NDArray[np.int64]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int32]
    runs: tuple[str, ...]
    class_names: tuple[str, ...]
    digest: bytes
    tally: Tally

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def num_boxes(self) -> NDArray[np.int64]:
        """(N,): how many boxes each frame has."""
        return np.diff(self.ends, prepend=0)

    def boxes_of(self, row: int) -> slice:
        """Where the boxes of frame `row` are among all."""
        return slice(int(self.ends[row] - self.num_boxes[row]), int(self.ends[row]))


def index_shard(shard: Path, label_field: LabelField, *, strict: bool = False) -> ShardIndex:
    """Read the headers and the labels of a shard, and judge its frames as those of runs are.

    A frame's run is the folder of its name in the shard; one without is of a run that is named as
    the shard. A shard that can't be read, or not to its end, is tallied, and so is a frame that
    can't be used. Raises UserError, if `strict`, at the first of these.
    """
    tally, rows = Tally(strict=strict), _Rows()
    try:
        content = read_shard(shard, tally)
    except OSError as error:
        tally.drop("shard: can't be read (none of its frames is used)", shard.name, str(error))
        return rows.index(b"", tally)
    for damage in content.damage:
        tally.drop("shard: damaged (its whole frames are used)", shard.name, damage)
    for key, picture, label in content.pairs():
        run = posixpath.dirname(key) or shard.name
        where = f"{run}/{posixpath.basename(picture.name)}"
        try:
            if not isinstance(label, ShardLabel):
                raise label
            if label.awaits_review:
                raise Unusable(AWAITS_REVIEW)
            polyps = label.seen_polyps
            boxes = list(_boxes(label, tally, where))
            classes = classes_of(polyps, label_field)
            note_namelessness(polyps, tally, where)
        except Unusable as unusable:
            detail = f"in {shard.name}" + (f": {unusable.detail}" if unusable.detail else "")
            tally.drop(f"frame: {unusable.reason}", where, detail)
            continue
        rows.places.append((picture.offset, picture.num_bytes))
        rows.sizes.append((label.width, label.height))
        rows.runs.append(run)
        rows.keys.append(_hash(key))
        rows.boxes.append(boxes)
        rows.classes.append(classes)
    for key in content.lone_labels():
        tally.drop("frame: no picture of its label's name", f"{key}.json", f"in {shard.name}")
    return rows.index(content.digest, tally)


def _boxes(label: ShardLabel, tally: Tally, where: str) -> Iterator[Corners]:
    """Boxes of the polyps that can be seen; raises Unusable if one of them can't be used."""
    size = label.width, label.height
    for number, polyp in enumerate(label.seen_polyps, 1):
        corners = normalised_corners(polyp, size)
        if corners is not None:
            note_disagreement(polyp, number, size, tally, where)
            yield usable_box(corners)


def _hash(key: str) -> int:
    digest = hashlib.blake2b(key.encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@dataclass
class _Rows:
    """Frames as they are read, one after the other."""

    places: list[tuple[int, int]] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    boxes: list[list[Corners]] = field(default_factory=list)
    classes: list[tuple[str, ...]] = field(default_factory=list)

    def index(self, digest: bytes, tally: Tally) -> ShardIndex:
        """All of them as arrays."""
        runs = {name: place for place, name in enumerate(dict.fromkeys(self.runs))}
        found = sorted({name for names in self.classes for name in names})
        places = {name: place for place, name in enumerate(found)}
        ends = np.cumsum([len(boxes) for boxes in self.boxes], dtype=np.int64)
        return ShardIndex(
            places=np.array(self.places, np.int64).reshape(-1, 2),
            sizes=np.array(self.sizes, np.int32).reshape(-1, 2),
            run_of=np.array([runs[name] for name in self.runs], np.int32),
            keys=np.array(self.keys, np.uint64),
            ends=ends,
            boxes=np.array([box for each in self.boxes for box in each], np.float32).reshape(-1, 4),
            classes=np.array([places[n] for each in self.classes for n in each], np.int32),
            runs=tuple(runs),
            class_names=tuple(found),
            digest=digest,
            tally=tally,
        )
