"""The recorded frames of a training: found, split, packed, and summed up for the user."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import torch

from endoforge.backends.group import Group
from endoforge.captures.index import CaptureIndex, find_runs, index_root
from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.text import counted
from endoforge.data.classes import Classes, class_names, unknown_classes, with_others
from endoforge.data.loader import Loader, Shard
from endoforge.data.pack import LabelledInputs, Pack, pack_frames
from endoforge.data.split import (
    Split,
    fingerprint,
    load_split,
    read_split_manifest,
    save_split,
    split_by_run,
    warn_of_shared_pictures,
)
from endoforge.data.twins import Digests, group_lines, seeds_of_both
from endoforge.roots.fetching import UNUSED_IN_TRAINING, fetch
from endoforge.roots.places import read_from, written_to
from endoforge.train.config import TrainConfig
from endoforge.train.saved import Facts
from endoforge.train.summary import (
    OfSide,
    SideCounts,
    dropped_by_side,
    lines_on_missing_boxes,
    summary_lines,
)

log = logging.getLogger(__name__)


class FoundFrames(Protocol):
    """Frames on disk for both sides, each known by a fingerprint from other sets of frames."""

    @property
    def train_fingerprint(self) -> str: ...
    @property
    def val_fingerprint(self) -> str: ...


FoundT = TypeVar("FoundT", bound=FoundFrames)


@dataclass(frozen=True)
class RecordedSource:
    """Frames of capture runs, to learn from and to validate on: a `TrainingSource`.

    A fingerprint tells a set of frames from others. The classes are those of the training frames;
    what validation has beyond them comes after.
    """

    config: TrainConfig
    device: torch.device
    shard: Shard
    train: Pack
    val: Pack
    train_fingerprint: str
    val_fingerprint: str

    @property
    def class_names(self) -> Classes:
        """What a detector learns from them: the names of the classes, each in its place."""
        return self.train.class_names

    def batches(self) -> Loader:
        """Batches of the training frames: this process's part of them, for its device."""
        return Loader(
            self.train,
            self.config.batch_size,
            seed=self.config.seed,
            drop_last=self.config.drop_last,
            shard=self.shard,
            device=self.device,
        )

    @property
    def facts(self) -> Facts:
        """What must not change under a training: both sets of frames."""
        return {
            "the training frames": f"{len(self.train)} ({self.train_fingerprint[:12]})",
            "the validation frames": f"{len(self.val)} ({self.val_fingerprint[:12]})",
        }


def load_recorded(config: TrainConfig, device: torch.device, group: Group) -> RecordedSource:
    """Find, split and pack the frames that `config` names, and log a summary of them.

    Of several processes the main one goes first, and writes what the others then find. Raises
    UserError where a side has no frame that can be used, naming where it looked, and where the
    processes found different data.
    """
    source = in_turn(group, partial(_load, config, device, group.shard, writes=group.is_main))
    for line in lines_on_missing_boxes(SideCounts.of(source.train), source.val, config.label):
        log.warning("%s", line)
    return source


def in_turn(group: Group, load: Callable[[], FoundT]) -> FoundT:
    """Load in the main process, then in the others, which find in the caches what it put there.

    Raises UserError where the processes found different data.
    """
    if not group.is_main:
        group.from_main(None)
    source = load()
    if group.is_main:
        group.from_main(None)
    found = group.gather((source.train_fingerprint, source.val_fingerprint))
    if any(one != found[0] for one in found):
        raise UserError(
            "the processes of this training see different data: give all machines the same "
            "--input-root, and a --split-manifest if its frames come from a split"
        )
    return source


def _load(
    config: TrainConfig, device: torch.device, shard: Shard, *, writes: bool
) -> RecordedSource:
    if config.split_manifest is not None and written_to(config.split_manifest).exists():
        read_split_manifest(written_to(config.split_manifest))
    index = _index(config, config.input_root)
    _log_searched(index)
    real = real_index(config)
    if real is None:
        split = _split(config, index, writes=writes)
    else:
        _check_apart(config, index, real)
        split = Split(usable(index), usable(real))
    classes = class_names(split.train)
    train = pack_frames(
        split.train,
        class_names=classes,
        size=config.input_size,
        resize_mode=config.resize_mode,
        max_boxes=config.max_boxes,
        strict=config.strict,
        label="training",
    )
    val = pack_validation(config, split.val, classes)
    log_dropped(train.tally)
    log_dropped(val.tally)
    dropped = dropped_by_side(
        index.tally,
        {frame.run for frame in split.train},
        {frame.run for frame in split.val} if real is None else set(),
        [("training", train.tally), ("validation", val.tally), *of_validation(real)],
    )
    sides = SideCounts.of(train), SideCounts.of(val)
    for line in summary_lines(*sides, val.class_names, dropped, split.left_out):
        log.info("%s", line)
    log_unknown(val, classes)
    return RecordedSource(
        config, device, shard, train, val, fingerprint(train.frames), fingerprint(val.frames)
    )


def pack_validation(config: TrainConfig, frames: list[FrameRecord], classes: Classes) -> Pack:
    """Frames to validate a detector of `classes` on, as `config` wants them."""
    return pack_frames(
        frames,
        class_names=with_others(classes, frames),
        size=config.val_input_size,
        resize_mode=config.val_resize_mode or config.resize_mode,
        max_boxes=config.val_max_boxes or config.max_boxes,
        strict=config.strict,
        label="validation",
    )


def of_validation(real: CaptureIndex | None) -> list[OfSide]:
    """What the index of real runs dropped, if there is one."""
    return [("validation", real.tally)] if real else []


def log_unknown(val: LabelledInputs, classes: Classes) -> None:
    """Tell of boxes to validate on whose class the detector doesn't have."""
    if (unknown := unknown_classes(val, classes)) is not None:
        log.warning("validation: %s", unknown)


def _index(config: TrainConfig, root: str) -> CaptureIndex:
    return index_root(read_from(root), label_field=config.label, strict=config.strict)


def _split(config: TrainConfig, index: CaptureIndex, *, writes: bool) -> Split:
    """Split by the manifest that `config` names, else by run, and write one that isn't there."""
    stratify = config.stratify_split
    if config.split_manifest is None:
        return split_by_run(index, config.val_ratio, config.seed, stratify=stratify)
    path = written_to(config.split_manifest)
    if path.exists():
        log.info("split as in %s", path)
        return load_split(path, index)
    split = split_by_run(index, config.val_ratio, config.seed, stratify=stratify)
    if writes:
        save_split(path, split, config.seed)
        log.info("split saved to %s", path)
    return split


def fetch_real(config: TrainConfig) -> None:
    """Have the folder of real runs here, if `config` names one; UserError if it holds none."""
    if config.real_val_dir is not None:
        find_runs(fetch(config.real_val_dir, "--real-val-dir", without=UNUSED_IN_TRAINING))


def real_index(config: TrainConfig) -> CaptureIndex | None:
    """The index of the folder of real runs; None if `config` names none."""
    if config.real_val_dir is None:
        return None
    real = _index(config, config.real_val_dir)
    _log_searched(real)
    return real


def _check_apart(config: TrainConfig, training: CaptureIndex, real: CaptureIndex) -> None:
    """Raise UserError for a frame on both sides; warn of pictures, and of colons, that are."""
    trained_on = set(map(_file_of, training.frames))
    if shared := [frame for frame in real.frames if _file_of(frame) in trained_on]:
        raise UserError(
            f"--real-val-dir {config.real_val_dir}: {shared[0].key} is in --input-root too; "
            "give a folder whose runs aren't trained on"
        )
    for line in group_lines(seeds_of_both(training.runs, real.runs)):
        log.warning("runs of both --input-root and --real-val-dir show the same: %s", line)
    warn_of_shared_pictures(training.frames, real.frames, "--real-val-dir", Digests())


def _file_of(frame: FrameRecord) -> tuple[int, int]:
    """Device and inode of the label: the same for one file by two paths."""
    found = frame.label_path.stat()
    return found.st_dev, found.st_ino


def usable(index: CaptureIndex) -> list[FrameRecord]:
    """The frames of an index; raises UserError, with what was dropped, if there is none."""
    if not index.frames:
        dropped = "; ".join(index.tally.lines()) or "its runs are empty"
        raise UserError(f"no usable frame in {index.root} ({dropped})")
    return index.frames


def _log_searched(index: CaptureIndex) -> None:
    runs, frames = counted(len(index.runs), "run"), counted(len(index.frames), "usable frame")
    log.info("%s: %s, %s", index.root, runs, frames)
    log_dropped(index.tally)


def log_dropped(tally: Tally) -> None:
    """Warn of what was left out, and of labels that are not as they should be, and why."""
    for line in tally.lines():
        log.warning("%s%s", "" if " x label: " in line else "dropped ", line)
