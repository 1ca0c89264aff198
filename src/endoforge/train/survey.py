"""What a folder of shards holds, and which of its runs train and which validate."""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.index import holds_runs
from endoforge.captures.schema import DEFAULT_CLASS
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.progress import progress
from endoforge.core.text import counted
from endoforge.data.classes import Classes
from endoforge.data.shard_cache import ShardCache
from endoforge.data.shard_frames import ShardFrames
from endoforge.data.shard_index import ShardIndex
from endoforge.data.shards import SHARD_SUFFIX
from endoforge.data.split import fingerprint_of, pick_runs
from endoforge.data.stratify import pick_stratified
from endoforge.formats.source import files_below
from endoforge.formats.writing import ALL, TRAIN, VAL
from endoforge.roots.places import read_from
from endoforge.train.config import TrainConfig
from endoforge.train.summary import SideCounts

log = logging.getLogger(__name__)

MOST_VALIDATION_FRAMES = 10_000
"""Frames that are held out of shards, whatever --val-ratio says: their pictures lie decoded on the
disk, their boxes and what is detected in memory."""


@dataclass
class RunCounts:
    """A run's usable frames without, with one and with more boxes, and its boxes by class.

    `most` is how many boxes one of its frames has.
    """

    groups: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))
    boxes: Counter[str] = field(default_factory=Counter)
    most: int = 0
    over: int = 0
    """Boxes over --max-boxes."""

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return int(self.groups.sum())


Runs = dict[str, RunCounts]
"""What runs have, by their names."""


@dataclass(frozen=True)
class ShardSide:
    """The frames of one side, and what the runs have of which they are."""

    frames: ShardFrames
    runs: Runs

    def counts(self) -> SideCounts:
        """What they have together."""
        groups, boxes = np.zeros(3, np.int64), Counter[str]()
        for run in self.runs.values():
            groups = groups + run.groups
            boxes.update(run.boxes)
        one, more = groups[1:].tolist()
        return SideCounts(len(self.runs), int(groups.sum()), one, more, boxes)

    def fingerprint(self) -> str:
        """The fingerprint of its shards' content and its runs, whatever the files' times."""
        named = zip(self.frames.shards, self.frames.digests, strict=True)
        return fingerprint_of([*named, ("", "\0".join(sorted(self.runs)).encode())])


@dataclass
class Survey:
    """The shards of a folder, and what the runs have of which their frames are.

    `runs` are by side, where shards are named by it; else all are under `ALL`.
    """

    root: Path
    cache: ShardCache
    shards: list[str] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    frames: list[NDArray[np.int32]] = field(default_factory=list)
    """(R, 2) a shard: its runs, by their places among `names`, and how many frames each has."""
    names: dict[str, int] = field(default_factory=dict)
    runs: dict[str, Runs] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    @property
    def num_frames(self) -> int:
        """How many frames can be used."""
        return sum(run.frames for runs in self.runs.values() for run in runs.values())

    def side(self, runs: Runs, shards: Iterable[int], known: Classes = ()) -> ShardSide:
        """The frames that shards, by their numbers, have of some runs.

        Its classes are the `known` ones, then the others by name.
        """
        wanted = np.zeros(len(self.names), np.bool_)
        wanted[[self.names[run] for run in runs]] = True
        counts = {
            n: int((self.frames[n][:, 1] * wanted[self.frames[n][:, 0]]).sum()) for n in shards
        }
        some = [number for number, count in counts.items() if count]
        found = {name for run in runs.values() for name in run.boxes}
        classes = (*known, *sorted(found - set(known))) or (DEFAULT_CLASS,)
        frames = ShardFrames(
            self.root,
            [self.shards[number] for number in some],
            [self.digests[number] for number in some],
            np.array([counts[number] for number in some], np.int64),
            None if wanted.all() else frozenset(runs),
            classes,
            self.cache,
        )
        return ShardSide(frames, runs)


def shards_in(folder: Path) -> list[Path]:
    """The shards below a folder that holds no runs, in natural order; none, if it holds some.

    Of one that holds both, a warning tells.
    """
    if not folder.is_dir():
        return []
    if not holds_runs(folder):
        return files_below(folder, [SHARD_SUFFIX])
    if beside := len(list(folder.glob(f"*{SHARD_SUFFIX}"))):
        log.warning(
            "%s holds runs, which are used, and %s, not used: name a folder of shards "
            "alone to learn from those",
            folder,
            counted(beside, "shard"),
        )
    return []


def survey(config: TrainConfig, shards: list[Path]) -> Survey:
    """Read what isn't known yet of the shards below `--input-root`.

    What was read is kept, so that one that is interrupted goes on there. Raises UserError for a
    frame that is there twice, and if no frame can be used.
    """
    root = read_from(config.input_root).absolute()
    found = Survey(root, ShardCache(config.label, strict=config.strict))
    found.cache.tidy()
    sides = _named_sides(shards) if config.real_val_dir is None else [ALL] * len(shards)
    keys: list[NDArray[np.uint64]] = []
    with progress("reading shards", len(shards), "shards") as advance:
        for shard, side in zip(shards, sides, strict=True):
            index = found.cache.index(shard)
            found.shards.append(shard.absolute().relative_to(root).as_posix())
            found.digests.append(index.digest)
            _add_runs(found, found.runs.setdefault(side, {}), index, config.max_boxes)
            found.tally.add(index.tally)
            keys.append(index.keys)
            advance()
    for side, runs in found.runs.items():
        if not runs:
            where = (
                f"the {counted(len(shards), 'shard')}" if side == ALL else f"{side}-*{SHARD_SUFFIX}"
            )
            dropped = "; ".join(found.tally.lines()) or "its shards are empty"
            raise UserError(f"no usable frame in {where} of {root} ({dropped})")
    _refuse_twice(found, keys)
    return found


def _named_sides(shards: list[Path]) -> list[str]:
    """The side that each shard is named by, as `convert` does; ALL of each, if not all are so."""
    sides = [shard.name.partition("-")[0] for shard in shards]
    if set(sides) != {TRAIN, VAL}:
        return [ALL] * len(shards)
    log.info("split as the shards are named: train-*.tar and val-*.tar")
    return sides


def _add_runs(found: Survey, runs: Runs, index: ShardIndex, max_boxes: int) -> None:
    """Add the runs of a shard to `runs`, and the shard's frames of each to what was found."""
    box_runs = np.repeat(index.run_of, index.num_boxes)
    frames = np.zeros((len(index.runs), 2), np.int32)
    for number, name in enumerate(index.runs):
        run = runs.setdefault(name, RunCounts())
        boxes = index.num_boxes[index.run_of == number]
        run.groups += np.bincount(np.minimum(boxes, 2), minlength=3)
        run.most = max(run.most, int(boxes.max()))
        run.over += int(np.maximum(boxes - max_boxes, 0).sum())
        own = np.bincount(index.classes[box_runs == number], minlength=len(index.class_names))
        run.boxes.update(
            {name: n for name, n in zip(index.class_names, own.tolist(), strict=True) if n}
        )
        frames[number] = found.names.setdefault(name, len(found.names)), len(boxes)
    found.frames.append(frames)


def _refuse_twice(found: Survey, keys: list[NDArray[np.uint64]]) -> None:
    """Raise UserError if a frame is in two shards, which would be seen twice as often."""
    every = np.concatenate(keys)
    every.sort()
    same = every[1:][every[1:] == every[:-1]]
    if len(same):
        first = [found.shards[n] for n, own in enumerate(keys) if (own == same[0]).any()]
        raise UserError(
            f"{found.root}: there twice: {counted(len(same), 'frame')}, such as one in "
            f"{' and '.join(first)}; remove one shard of the two"
        )


def sides_of(found: Survey, config: TrainConfig) -> tuple[ShardSide, ShardSide]:
    """What to train and to validate on: as the shards are named, else whole runs.

    Raises UserError if nothing can be held out.
    """
    everywhere = range(len(found.shards))
    if ALL not in found.runs:
        sides = [PurePosixPath(shard).name.partition("-")[0] for shard in found.shards]
        own = {side: [n for n in everywhere if sides[n] == side] for side in (TRAIN, VAL)}
        train = found.side(found.runs[TRAIN], own[TRAIN])
        return train, found.side(found.runs[VAL], own[VAL], train.frames.class_names)
    runs = found.runs[ALL]
    if len(runs) == 1:
        raise UserError(
            f"{found.root}: {counted(found.num_frames, 'frame')} of one run, {next(iter(runs))}, "
            f"and "
            "neighbouring frames look alike: give --real-val-dir, or shards of more runs"
        )
    held_out = _held_out(found, config)
    train = found.side({name: runs[name] for name in runs.keys() - held_out}, everywhere)
    val = {name: runs[name] for name in held_out}
    return train, found.side(val, everywhere, train.frames.class_names)


def _held_out(found: Survey, config: TrainConfig) -> set[str]:
    """The runs to validate on: --val-ratio of the frames, but no more than memory should hold."""
    runs = found.runs[ALL]
    wanted = config.val_ratio * found.num_frames
    if wanted > MOST_VALIDATION_FRAMES:
        log.info(
            "holding out about %s frames, not --val-ratio %g of %s, to bound what memory holds",
            f"{MOST_VALIDATION_FRAMES:,}",
            config.val_ratio,
            f"{found.num_frames:,}",
        )
        wanted = MOST_VALIDATION_FRAMES
    if config.stratify_split:
        groups = {name: run.groups for name, run in runs.items()}
        return pick_stratified(groups, wanted / found.num_frames, config.seed)
    sizes = Counter({name: run.frames for name, run in runs.items()})
    return pick_runs(sizes, wanted, config.seed)
