"""The frames of capture runs that `select` chooses from, and those that are labelled already."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from endoforge.captures.frame_times import read_frame_times
from endoforge.captures.index import find_runs, has_plain_name, is_run
from endoforge.captures.listing import RunFolders
from endoforge.captures.run_frames import IMAGE_SUFFIXES, FrameRecord, label_of, usable_frames
from endoforge.captures.schema import frame_number
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.progress import progress
from endoforge.formats.runs import import_of


@dataclass(frozen=True, slots=True)
class PoolFrame:
    """The frame `frame_id` of the run folder `run`.

    `image` is its picture's path in the run, with forward slashes. `seconds` is its time in the
    run; None if it is a picture by itself, which no time joins to others. `labelled` says whether a
    label tells all that it shows.
    """

    run: Path
    frame_id: int
    image: str
    seconds: float | None
    labelled: bool

    @property
    def path(self) -> Path:
        """The path of the picture's file."""
        return self.run / self.image

    @property
    def name(self) -> str:
        """What it is called in tables and counts: `run_1764161446512/images/frame_00012.png`."""
        return f"{self.run.name}/{self.image}"


@dataclass
class Pool:
    """The frames of `runs`: run by run, each by number. `left_out` counts what can't be chosen,
    `label_faults` what is wrong with labels."""

    runs: list[Path] = field(default_factory=list)
    frames: list[PoolFrame] = field(default_factory=list)
    left_out: Tally = field(default_factory=Tally)
    label_faults: Tally = field(default_factory=Tally)


def read_pool(paths: Iterable[Path]) -> Pool:
    """Read which frames the runs at `paths` have, runs or folders of them, and which are labelled.

    A run that is named twice counts once. Raises UserError where there is no run.
    """
    pool, seen = Pool(), set()
    found = [run for path in paths for run in _runs_at(path)]
    with progress("reading labels", len(found), "runs") as advance:
        for run in found:
            real = run.resolve()
            if real not in seen and has_plain_name(run, pool.left_out):
                pool.runs.append(run)
                pool.frames += _frames_of(run, pool)
            seen.add(real)
            advance()
    return pool


def _runs_at(path: Path) -> list[Path]:
    """The run at `path`, also one without labels, or those in it."""
    if path.is_file():
        raise UserError(
            f"{path}: is a file, not a folder of capture runs; bring a video in with `endoforge "
            "import --video`"
        )
    return [path.absolute()] if is_run(path) else find_runs(path)


def _frames_of(run: Path, pool: Pool) -> list[PoolFrame]:
    tally = Tally()
    labelled = {record.image: record for record, _ in usable_frames(run, "label", tally)}
    for reason in [reason for reason in tally.counts if reason.startswith("image:")]:
        del tally.counts[reason]  # images that no label names are what is chosen from
    pool.label_faults.add(tally)
    frames = [
        PoolFrame(run, record.frame_id, image, None, labelled=True)
        for image, record in labelled.items()
    ]
    frames += _unlabelled(run, labelled, pool.left_out)
    frames.sort(key=lambda frame: frame.frame_id)
    return _timed(run, frames, labelled)


def _unlabelled(
    run: Path, labelled: Mapping[str, FrameRecord], left_out: Tally
) -> Iterator[PoolFrame]:
    """The numbered pictures of a run that no usable label names, each number once."""
    folders = RunFolders(run)
    stems = {PurePosixPath(image).stem for image in labelled}
    for name in folders.listing("images").names:
        path, where = PurePosixPath(name), f"{run.name}/images/{name}"
        if path.suffix.lower() not in IMAGE_SUFFIXES or f"images/{name}" in labelled:
            continue
        number = frame_number(name)
        if number is None:
            left_out.count("image: not named frame_<number>", where)
        elif folders.leads_out(run / "images" / name):
            left_out.count("image: outside the run, by a link", where)
        elif path.stem in stems:
            left_out.count("image: another one has its number", where)
        else:
            stems.add(path.stem)
            yield PoolFrame(run, number, f"images/{name}", None, labelled=False)


def _timed(
    run: Path, frames: list[PoolFrame], labelled: Mapping[str, FrameRecord]
) -> list[PoolFrame]:
    """The frames with their times, where the run says them: as a video's, or by their labels."""
    if times := read_frame_times(run):
        return [
            replace(frame, seconds=times[frame.frame_id].seconds)
            if frame.frame_id in times
            else frame
            for frame in frames
        ]
    if import_of(run) is not None:
        return frames  # a label's time is the place that the picture had among others
    return [replace(frame, seconds=_label_seconds(frame, labelled)) for frame in frames]


def _label_seconds(frame: PoolFrame, labelled: Mapping[str, FrameRecord]) -> float | None:
    """The time that a frame's label says, also one that can't be used for what it shows."""
    if frame.labelled:
        return labelled[frame.image].seconds
    label = label_of(frame.run, frame.path)
    return label.sim_time if label is not None and math.isfinite(label.sim_time) else None
