"""The frames of a training that lie in shards: surveyed, split, and summed up for the user."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from endoforge.backends.group import Group
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.text import counted
from endoforge.data.classes import Classes
from endoforge.data.pack import LabelledInputs, LabelledPicture, load_inputs
from endoforge.data.shard_frames import ShardFrames, ShardPicture
from endoforge.data.split import fingerprint
from endoforge.data.stream import WINDOW_FRAMES, StreamLoader
from endoforge.formats.writing import ALL
from endoforge.train.config import TrainConfig
from endoforge.train.recorded import (
    in_turn,
    log_dropped,
    log_unknown,
    of_validation,
    pack_validation,
    real_index,
    usable,
)
from endoforge.train.saved import Facts
from endoforge.train.summary import (
    OfSide,
    SideCounts,
    dropped_by_side,
    lines_on_missing_boxes,
    summary_lines,
)
from endoforge.train.survey import MOST_VALIDATION_FRAMES, ShardSide, sides_of, survey

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ValidationSide:
    """The frames to validate on, what they are, and what was left out of them."""

    inputs: LabelledInputs
    fingerprint: str
    counts: SideCounts
    runs: frozenset[str]
    """Those of shards."""
    tally: Tally
    indexed: list[OfSide] = field(default_factory=list)
    """What was left out before any frame was decoded."""
    left_out: int = 0
    """Frames that aren't used, as there are too many."""


@dataclass(frozen=True)
class StreamedSource:
    """Frames of shards, read as a stream, and a fixed set to validate on: a `TrainingSource`.

    The classes are those of the training frames; `most_boxes` is how many one of them has.
    """

    config: TrainConfig
    device: torch.device
    group: Group
    train: ShardFrames
    most_boxes: int
    validation: ValidationSide
    train_fingerprint: str

    @property
    def class_names(self) -> Classes:
        """What a detector learns from them: the names of the classes, each in its place."""
        return self.train.class_names

    @property
    def val(self) -> LabelledInputs:
        """The frames to validate on; classes beyond those that are learned come last."""
        return self.validation.inputs

    @property
    def val_fingerprint(self) -> str:
        """That of the frames to validate on."""
        return self.validation.fingerprint

    def batches(self) -> StreamLoader:
        """Batches of the training frames: this process's part of them, for its device."""
        config = self.config
        return StreamLoader(
            self.train,
            config.batch_size,
            seed=config.seed,
            size=config.input_size,
            resize_mode=config.resize_mode,
            max_boxes=config.max_boxes,
            most_boxes=min(self.most_boxes, config.max_boxes),
            window=WINDOW_FRAMES,
            drop_last=config.drop_last,
            strict=config.strict,
            shard=self.group.shard,
            device=self.device,
            gather=self.group.gather,
        )

    @property
    def facts(self) -> Facts:
        """What must not change under a training: both sets of frames."""
        return {
            "the training frames": f"{len(self.train)} ({self.train_fingerprint[:12]})",
            "the validation frames": f"{len(self.val)} ({self.val_fingerprint[:12]})",
        }


def load_streamed(
    config: TrainConfig, shards: list[Path], device: torch.device, group: Group
) -> StreamedSource:
    """Find and split the frames in `shards`, which lie below `--input-root`, and log a summary.

    Of several processes the main one goes first. Raises UserError where a side has no frame that
    can be used, and where the processes found different data.
    """
    if config.split_manifest is not None and config.real_val_dir is None:
        raise UserError(
            f"--split-manifest {config.split_manifest}: is of runs, and {config.input_root} holds "
            "shards: give it to `endoforge convert`, whose train-*.tar and val-*.tar keep the split"
        )
    return in_turn(group, partial(_load, config, shards, device, group))


def _load(
    config: TrainConfig, shards: list[Path], device: torch.device, group: Group
) -> StreamedSource:
    found = survey(config, shards)
    log.info(
        "%s: %s of %s, %s, read as a stream",
        found.root,
        counted(len(shards), "shard"),
        counted(len(found.names), "run"),
        counted(found.num_frames, "usable frame"),
    )
    log_dropped(found.tally)
    if config.real_val_dir is None:
        train, held_out = sides_of(found, config)
        validation = _decoded(config, held_out)
    else:
        train = found.side(found.runs[ALL], range(len(shards)))
        validation = _real(config, train)
    over = Tally()
    for name, run in train.runs.items():
        if run.over:
            over.count("box: boxes over --max-boxes", name, run.over)
    counts = train.counts()
    dropped = dropped_by_side(
        found.tally,
        {name.partition("/")[0] for name in train.runs},
        {name.partition("/")[0] for name in validation.runs},
        [("training", over), ("validation", validation.tally), *validation.indexed],
    )
    for tally in (over, validation.tally):
        log_dropped(tally)
    names = validation.inputs.class_names
    for line in summary_lines(counts, validation.counts, names, dropped, validation.left_out):
        log.info("%s", line)
    log_unknown(validation.inputs, train.frames.class_names)
    for line in lines_on_missing_boxes(counts, validation.inputs, config.label):
        log.warning("%s", line)
    most = max(run.most for run in train.runs.values())
    return StreamedSource(
        config, device, group, train.frames, most, validation, train.fingerprint()
    )


def _real(config: TrainConfig, train: ShardSide) -> ValidationSide:
    """All runs of `--real-val-dir`; raises UserError for one that is trained on."""
    real = real_index(config)
    assert real is not None
    if both := sorted(train.runs.keys() & {run.name for run in real.runs}):
        raise UserError(
            f"--real-val-dir {config.real_val_dir}: {both[0]} is in the shards of --input-root "
            "too; give a folder whose runs aren't trained on"
        )
    pack = pack_validation(config, usable(real), train.frames.class_names)
    return ValidationSide(
        pack,
        fingerprint(pack.frames),
        SideCounts.of(pack),
        frozenset(),
        pack.tally,
        of_validation(real),
    )


def _decoded(config: TrainConfig, side: ShardSide) -> ValidationSide:
    """The frames of a side to validate on, decoded; of too many, evenly spaced ones."""
    frames = side.frames
    places = np.arange(len(frames))
    if len(places) > MOST_VALIDATION_FRAMES:
        places = places[:: -(-len(places) // MOST_VALIDATION_FRAMES)]
    wanted = list(_frames_at(frames, places))
    inputs, kept, tally = load_inputs(
        frames.root,
        [LabelledPicture(picture, boxes, classes) for _, picture, boxes, classes in wanted],
        lambda place: wanted[place][1].told_name(),
        class_names=frames.class_names,
        size=config.val_input_size,
        resize_mode=config.val_resize_mode or config.resize_mode,
        max_boxes=config.val_max_boxes or config.max_boxes,
        strict=config.strict,
        label="validation",
    )
    return ValidationSide(
        inputs,
        side.fingerprint(),
        SideCounts.of_inputs(inputs, len({wanted[place][0] for place in kept})),
        frozenset(side.runs),
        tally,
        left_out=len(frames) - len(places),
    )


_Wanted = tuple[str, ShardPicture, NDArray[np.float32], NDArray[np.int64]]
"""A frame's run, its picture, its boxes (K, 4) and their classes (K,)."""


def _frames_at(frames: ShardFrames, places: NDArray[np.int64]) -> Iterator[_Wanted]:
    """The frames at rising places among all of a side."""
    shards = np.searchsorted(frames.firsts, places, side="right") - 1
    for number in np.unique(shards).tolist():
        part = frames.part(number)
        index = part.index
        for row in part.rows[places[shards == number] - frames.firsts[number]].tolist():
            here = index.boxes_of(row)
            run = index.runs[index.run_of[row]]
            yield run, frames.picture(part, row), index.boxes[here], part.classes[here]
