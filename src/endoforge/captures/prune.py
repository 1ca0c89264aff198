"""Copies the frames that show a polyp, and says what became of the others."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from endoforge.captures.config import PruneConfig
from endoforge.captures.copies import Copy, copies_in
from endoforge.captures.index import RunInfo, index_root
from endoforge.captures.run_frames import AWAITS_REVIEW, FrameRecord
from endoforge.captures.schema import MANIFEST_NAME, PICTURE_EXTRAS, POSES_NAME
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.outputs import check_output_folder
from endoforge.core.progress import Advance, progress
from endoforge.core.reading import MOST_PICTURE_BYTES, read_regular
from endoforge.core.text import counted
from endoforge.roots.fetching import fetch
from endoforge.roots.places import read_from

RUN_FILES = (MANIFEST_NAME, POSES_NAME)
NO_POLYP = "no polyp to be seen"


@dataclass
class PruneReport:
    """What was copied, what was not, by reason, and what went from the copy."""

    output: Path
    runs: int = 0
    empty_runs: int = 0
    kept: int = 0
    skipped: Tally = field(default_factory=Tally)
    replaced: int = 0
    """Files of the copy that were others than the input's, and were written anew."""
    kept_aside: list[Path] = field(default_factory=list)
    """Where files of the copy went that somebody else had changed, before that or a removal."""
    removed: int = 0
    """Frames that went from the copy."""
    removed_runs: list[str] = field(default_factory=list)
    """Runs that went from the copy, since the input no longer has them."""

    @property
    def num_skipped(self) -> int:
        """Frames of the input that are not in the output."""
        counts = self.skipped.counts
        return sum(number for reason, number in counts.items() if reason.startswith("frame:"))

    def lines(self) -> list[str]:
        """The summary for people."""
        lines = [
            f"{self.output}: {counted(self.runs, 'run')}, {counted(self.kept, 'frame')} kept, "
            f"{self.num_skipped:,} skipped"
        ]
        lines += [f"  {line}" for line in self.skipped.lines()]
        if self.empty_runs:
            lines.append(
                f"  not written: {counted(self.empty_runs, 'run')} without a polyp to be seen"
            )
        if self.removed_runs:
            names = ", ".join(self.removed_runs[:3]) + (", ..." if self.removed_runs[3:] else "")
            runs = counted(len(self.removed_runs), "run")
            lines.append(f"  removed from the copy: {runs} the input has no more ({names})")
        if self.removed:
            lines.append(f"  removed from the copy: {counted(self.removed, 'frame')}")
        if self.replaced:
            lines.append(f"  written anew: {counted(self.replaced, 'file')}, not as in the input")
        if self.kept_aside:
            files = counted(len(self.kept_aside), "file")
            lines.append(f"  changed in the copy, so kept: {files}, such as {self.kept_aside[0]}")
        return lines


def prune_empty(config: PruneConfig) -> PruneReport:
    """Copy every frame with at least one box, if all of its boxes can be used.

    The input is never changed. Safe to run again: what is there and equal stays untouched, and
    frames and runs that an earlier call copied from this input, and that it no longer has or has no
    box for, go. What others changed in the copy is kept aside, and what they added stays. Raises
    UserError if there is no run, if all frames are predictions that nobody has looked at, if the
    output and the input overlap, and if the output holds a run of the same name that is no copy of
    the input's.
    """
    source, output = read_from(config.input), Path(config.output)
    check_prune_output(source, output, "--output")
    fetch(config.input, "--input")
    index = index_root(source)
    if not index.frames and index.dropped[f"frame: {AWAITS_REVIEW}"]:
        raise UserError(f"--input {source}: no frame to copy: {'; '.join(index.tally.lines())}")
    _refuse_overlapping_runs(source, output, index.runs)
    report = PruneReport(output, skipped=index.tally)
    empty_labels = {frame.label_path for frame in index.frames if not len(frame.boxes)}
    with (
        copies_in(output, source, index.runs, empty_labels) as no_longer_there,
        progress("pruning", len(index.frames), "frames") as advance,
    ):
        for name in no_longer_there:
            _remove_run(Copy(output / name), report)
            report.removed_runs.append(name)
        for run in index.runs:
            frames = [frame for frame in index.frames if frame.run == run.name]
            _prune_run(run, frames, output / run.name, report, advance)
    return report


def check_prune_output(source: Path, output: Path, flag: str) -> None:
    """Raises UserError, which names `flag`, unless `output` can be written and is no input."""
    if output.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{flag} {output} overlaps --input {source}: name a folder outside it")
    check_output_folder(flag, output)


def _refuse_overlapping_runs(source: Path, output: Path, runs: list[RunInfo]) -> None:
    if any(_overlap(run.path, output / run.name) for run in runs):
        raise UserError(f"--output {output} overlaps --input {source}: name a folder outside it")


def _overlap(one: Path, other: Path) -> bool:
    one, other = one.resolve(), other.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)


def _prune_run(
    run: RunInfo, frames: list[FrameRecord], target: Path, report: PruneReport, advance: Advance
) -> None:
    copy = Copy(target)
    sources: list[list[Path]] = []
    for frame in frames:
        if len(frame.boxes) and _leads_within(run, frame.label_path):
            sources.append(list(_files_of(run, frame, report.skipped)))
            continue
        reason = "its label lies outside the run, by a link" if len(frame.boxes) else NO_POLYP
        report.skipped.count(f"frame: {reason}", frame.key)
        advance()
    if not sources:
        report.empty_runs += 1
        _remove_run(copy, report)
        return
    run_files = [run.path / name for name in RUN_FILES]
    run_files = [path for path in run_files if _lies_in_run(run, path, report.skipped)]
    # The mark names all files before the first is written, so that whatever a kill leaves is known
    # to be this command's.
    names = {_name(run, path): None for path in (*chain(*sources), *run_files)}
    copy.begin(run, names)
    for paths in sources:
        _put(run, paths, copy, report)
        advance()
    _put(run, run_files, copy, report)
    report.removed += copy.end(run, names)
    report.kept_aside += copy.kept
    report.kept += len(sources)
    report.runs += 1


def _remove_run(copy: Copy, report: PruneReport) -> None:
    report.removed += copy.remove()
    report.kept_aside += copy.kept


def _files_of(run: RunInfo, frame: FrameRecord, tally: Tally) -> Iterator[Path]:
    """A frame's files in the order to write them: its label comes last."""
    yield frame.image_path
    for folder in ("overlays", *PICTURE_EXTRAS):
        picture = run.path / folder / f"{frame.label_path.stem}.png"
        if _lies_in_run(run, picture, tally):
            yield picture
    yield frame.label_path


def _lies_in_run(run: RunInfo, path: Path, tally: Tally) -> bool:
    """Whether it is a file of the run; one outside it, to which a link leads, is counted."""
    if not path.is_file():
        return False
    if _leads_within(run, path):
        return True
    tally.count("file: outside the run, by a link", f"{run.name}/{path.relative_to(run.path)}")
    return False


def _leads_within(run: RunInfo, path: Path) -> bool:
    return path.resolve().is_relative_to(run.path.resolve())


def _put(run: RunInfo, paths: list[Path], copy: Copy, report: PruneReport) -> None:
    """Put files of the run at the same places in its copy."""
    for path in paths:
        data = read_regular(path, MOST_PICTURE_BYTES)
        report.replaced += copy.put(_name(run, path), data)


def _name(run: RunInfo, path: Path) -> str:
    return path.relative_to(run.path).as_posix()
