"""Which frames train and which validate: never frames of one run on both sides."""

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from endoforge.captures.index import CaptureIndex
from endoforge.captures.run_frames import FrameRecord
from endoforge.core.errors import UserError
from endoforge.core.files import write_json_atomic
from endoforge.core.folders import make_folder_of
from endoforge.core.reading import MOST_LIST_BYTES, read_regular
from endoforge.core.text import as_utf8, counted
from endoforge.data.stratify import stratified_runs
from endoforge.data.twins import (
    Digests,
    Twins,
    group_lines,
    group_names,
    shared_pictures,
    twin_runs,
)

log = logging.getLogger(__name__)

# Neighbouring frames look alike: of a lone run, one frame in this many is left out as a gap.
GAP_ONE_IN = 20


@dataclass(frozen=True)
class Split:
    """Frames to train on and to validate on, and how many frames are in neither."""

    train: list[FrameRecord]
    val: list[FrameRecord]
    left_out: int = 0


class SplitManifest(BaseModel):
    """A split on disk: labels by their path relative to the root, with forward slashes."""

    train: Annotated[list[str], Field(fail_fast=True)]
    val: Annotated[list[str], Field(fail_fast=True)]
    seed: int
    fingerprint: str


def split_by_run(
    index: CaptureIndex, val_ratio: float, seed: int, *, stratify: bool = False
) -> Split:
    """Give whole runs to validation, as near to `val_ratio` (0..1) of the frames as can be.

    Runs that show the same (`data.twins`) go to one side together. With `stratify`, as near to that
    share of the frames without, with one and with more boxes. Of the choices that come equally
    near, `seed` picks one. Neither side is empty. A lone run, and runs that all show the same, are
    split by time, with a gap between. Raises UserError if there are too few frames to split.
    """
    if len(index.frames) < 2:
        raise UserError(
            f"{counted(len(index.frames), 'usable frame')} in {index.root}, at least 2 are needed "
            f"to train and validate{_what_was_dropped(index)}"
        )
    digests = Digests()
    twins = twin_runs(index.frames, index.runs, digests)
    for line in group_lines(twins):
        log.warning("runs that show the same stay on one side: %s", line)
    groups = group_names(twins)
    names = {frame.run: groups.get(frame.run, frame.run) for frame in index.frames}
    sizes = Counter(names[frame.run] for frame in index.frames)
    if len(sizes) == 1:
        return _split_by_time(index.frames, val_ratio, digests)
    if stratify:
        held_out = stratified_runs(index.frames, val_ratio, seed, groups)
    else:
        held_out = pick_runs(sizes, val_ratio * len(index.frames), seed)
    train = [frame for frame in index.frames if names[frame.run] not in held_out]
    val = [frame for frame in index.frames if names[frame.run] in held_out]
    warn_of_shared_pictures(train, val, "the split", digests)
    return Split(train, val)


def warn_of_shared_pictures(
    train: Sequence[FrameRecord], val: Sequence[FrameRecord], where: str, digests: Digests
) -> None:
    """Warn, with their number, of validation pictures that are trained on too."""
    if shared := shared_pictures(train, val, digests):
        log.warning(
            "%s: among the training pictures too: %d of %s, such as %s; "
            "scores will flatter the detector",
            where,
            len(shared),
            counted(len(val), "validation picture"),
            shared[0],
        )


def _what_was_dropped(index: CaptureIndex) -> str:
    return f" (dropped: {'; '.join(index.tally.lines())})" if index.dropped else ""


def pick_runs(sizes: Counter[str], target: float, seed: int) -> set[str]:
    """The runs whose frames together come nearest to `target`; at least one, and not all.

    `sums[i]` has bit n set if some of the first i runs, shuffled, have n frames together.
    """
    # The subset-sum problem by integers as sets: exact, in a moment for thousands of runs, since a
    # shift of a large integer adds a run to all sums at once.
    names = sorted(sizes)
    np.random.default_rng(seed).shuffle(names)
    # The nearest sum isn't over this: it would come nearer without one of its runs.
    useful = (1 << math.floor(target) + max(sizes.values()) + 1) - 1
    sums = [1]
    for name in names:
        sums.append((sums[-1] | sums[-1] << sizes[name]) & useful)
    bits = enumerate(reversed(f"{sums[-1]:b}"))
    reachable = [n for n, bit in bits if bit == "1" and 0 < n < sizes.total()]
    left = min(reachable, key=lambda n: abs(n - target))
    picked = set()
    # Back through the sets: a run is picked only where the sum can't be had without it.
    for i in reversed(range(len(names))):
        if not sums[i] >> left & 1:
            picked.add(names[i])
            left -= sizes[names[i]]
    return picked


def _split_by_time(frames: Sequence[FrameRecord], val_ratio: float, digests: Digests) -> Split:
    """The first frames to train on, the last to validate on.

    Of runs that show the same, those of the same numbers are on the same side; where they differ in
    numbers, and in a run that shows a picture again, what is validated on isn't trained on.
    """
    frames = sorted(frames, key=lambda frame: frame.frame_id)
    count = len(frames)
    num_val = min(max(1, round(val_ratio * count)), count - 1)
    first_val = frames[count - num_val].frame_id
    val = [frame for frame in frames if frame.frame_id >= first_val]
    before = [frame for frame in frames if frame.frame_id < first_val]
    gap = min(max(1, count // GAP_ONE_IN), len(before) - 1)
    if not before:
        raise UserError(
            f"{counted(count, 'usable frame')} of the same moment of the same colon: nothing is "
            "left to validate on; record more runs"
        )
    last_train = before[len(before) - gap - 1].frame_id
    train = [frame for frame in before if frame.frame_id <= last_train]
    shared = set(shared_pictures(val, train, digests))
    train = [frame for frame in train if frame.key not in shared]
    if not train:
        raise UserError(
            f"{counted(len(val), 'frame')} to validate on, and the other {len(before)} show no "
            "more: nothing is left to train on; record more runs"
        )
    log.warning(
        "only one run (%s): training on its first %s, validating on its last %d, with %d "
        "left out between%s; scores will flatter the detector, record more runs for honest ones",
        frames[0].run,
        counted(len(train), "frame"),
        len(val),
        count - len(train) - len(val),
        f", {len(shared)} of them as they show what is validated on" if shared else "",
    )
    return Split(train, val, count - len(train) - len(val))


def fingerprint(frames: Iterable[FrameRecord]) -> str:
    """The fingerprint of frames by their keys, what their labels say, and their images' sizes.

    The same data, the same value, whatever the files' times; as the index read them.
    """
    return fingerprint_of(
        (frame.key, frame.digest + frame.image_bytes.to_bytes(8, "little")) for frame in frames
    )


def fingerprint_of(named: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256, as hexadecimal digits, over names and the bytes that stand for what each names.

    Their order doesn't count.
    """
    digest = hashlib.sha256()
    for name, content in sorted(named):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()


def save_split(path: Path, split: Split, seed: int) -> None:
    """Write `split` as a manifest that `load_split` reads, making its folder if need be."""
    manifest = SplitManifest(
        train=[frame.key for frame in split.train],
        val=[frame.key for frame in split.val],
        seed=seed,
        fingerprint=fingerprint(split.train + split.val),
    )
    make_folder_of(path)
    write_json_atomic(path, manifest.model_dump())


def read_split_manifest(path: Path) -> SplitManifest:
    """What the file of `--split-manifest` says; raises UserError if it can't be used.

    Before frames are read, which may take minutes, it is read to be checked.
    """
    try:
        manifest = SplitManifest.model_validate_json(as_utf8(read_regular(path, MOST_LIST_BYTES)))
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"can't read the split manifest {path}: {reason}") from error
    if not manifest.train or not manifest.val:
        raise UserError(f"{path} lists no frame for one side: delete it to split anew")
    return manifest


def load_split(path: Path, index: CaptureIndex) -> Split:
    """The split saved at `path`, on the frames of `index`.

    Raises UserError if the file can't be used, if a label that it lists isn't among the usable
    frames, or if one is on both sides. Warns if frames have changed since.
    """
    manifest = read_split_manifest(path)
    by_key = {frame.key: frame for frame in index.frames}
    listed = manifest.train + manifest.val
    for key in listed:
        if key not in by_key:
            raise UserError(
                f"{path} lists {key}, which is no usable frame in {index.root}: bring it back, "
                "or delete the manifest to split anew"
            )
    if twice := [key for key, times in Counter(listed).items() if times > 1]:
        raise UserError(f"{path} lists {twice[0]} more than once: delete it to split anew")
    split = Split(
        [by_key[key] for key in manifest.train],
        [by_key[key] for key in manifest.val],
        len(by_key) - len(listed),
    )
    digests = Digests()
    twins = twin_runs(split.train + split.val, index.runs, digests)
    _check_runs_apart(path, split, group_names(twins))
    _warn_of_twins(path, split, twins, digests)
    if fingerprint(split.train + split.val) != manifest.fingerprint:
        log.warning("frames have changed since %s was written; its split is kept", path)
    if split.left_out:
        log.warning("left out: %s that %s doesn't list", counted(split.left_out, "frame"), path)
    return split


def _check_runs_apart(path: Path, split: Split, groups: Mapping[str, str]) -> None:
    """A lone run, or runs that all show the same, may be on both sides, as `split_by_run` puts
    them; of several, none may."""
    train_runs, val_runs = _runs_of(split)
    num_groups = len({groups.get(run, run) for run in train_runs | val_runs})
    if (both := train_runs & val_runs) and num_groups > 1:
        raise UserError(
            f"{path} has frames of {min(both)} on both sides, and neighbouring frames look alike: "
            "delete it to split anew"
        )


def _warn_of_twins(path: Path, split: Split, twins: Iterable[Twins], digests: Digests) -> None:
    """Warn of runs on both sides that show the same, and of pictures that both sides have."""
    train_runs, val_runs = _runs_of(split)
    parted = [
        group
        for group in twins
        if not train_runs.isdisjoint(group.runs) and not val_runs.isdisjoint(group.runs)
    ]
    for line in group_lines(parted):
        log.warning("%s has runs that show the same on both sides: %s", path, line)
    warn_of_shared_pictures(split.train, split.val, str(path), digests)


def _runs_of(split: Split) -> tuple[set[str], set[str]]:
    return {frame.run for frame in split.train}, {frame.run for frame in split.val}
