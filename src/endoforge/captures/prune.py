"""Copies the frames that show a polyp, and says what became of the others."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from endoforge.captures.config import PruneConfig
from endoforge.captures.index import FrameRecord, RunInfo, index_root
from endoforge.captures.schema import MANIFEST_NAME, PICTURE_EXTRAS, POSES_NAME
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.progress import Advance, progress

# Labels first: while old frames go, no label is left without its image.
FRAME_FOLDERS = ("labels", "images", "overlays", *PICTURE_EXTRAS)
RUN_FILES = (MANIFEST_NAME, POSES_NAME)


@dataclass
class PruneReport:
    """What was copied, and what was not, by reason."""

    output: Path
    runs: int = 0
    empty_runs: int = 0
    kept: int = 0
    skipped: Tally = field(default_factory=Tally)

    @property
    def num_skipped(self) -> int:
        """Frames of the input that are not in the output."""
        counts = self.skipped.counts
        return sum(number for reason, number in counts.items() if reason.startswith("frame:"))

    def lines(self) -> list[str]:
        """The summary for people."""
        lines = [
            f"{self.output}: {self.runs} runs, {self.kept} frames kept, {self.num_skipped} skipped"
        ]
        lines += [f"  {line}" for line in self.skipped.lines()]
        if self.empty_runs:
            lines.append(f"  {self.empty_runs} runs without a polyp to be seen were not written")
        return lines


def prune_empty(config: PruneConfig) -> PruneReport:
    """Copy every frame with at least one usable box; never change the input.

    Safe to run again: what is there and equal stays untouched, and frames of these runs that the
    input no longer has, or has no box for, go. Raises UserError if there is no run, or if the
    output and the input overlap.
    """
    source, output = Path(config.input), Path(config.output)
    index = index_root(source)
    _refuse_overlap(source, output, index.runs)
    report = PruneReport(output, skipped=index.tally)
    with progress("pruning", len(index.frames), "frames") as advance:
        for run in index.runs:
            frames = [frame for frame in index.frames if frame.run == run.name]
            _prune_run(run, frames, output / run.name, report, advance)
    return report


def _refuse_overlap(source: Path, output: Path, runs: list[RunInfo]) -> None:
    within_input = output.resolve().is_relative_to(source.resolve())
    if within_input or any(_overlap(run.path, output / run.name) for run in runs):
        raise UserError(f"--output {output} overlaps --input {source}: name a folder outside it")


def _overlap(one: Path, other: Path) -> bool:
    one, other = one.resolve(), other.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)


def _prune_run(
    run: RunInfo, frames: list[FrameRecord], target: Path, report: PruneReport, advance: Advance
) -> None:
    written: set[Path] = set()
    for frame in frames:
        if len(frame.boxes):
            written.update(_copy(run, source, target) for source in _files_of(run, frame))
            report.kept += 1
        else:
            report.skipped.count("frame: no polyp to be seen", frame.key)
        advance()
    _remove_stale_frames(target, written)
    if not written:
        report.empty_runs += 1
        _remove_what_is_left(target)
        return
    report.runs += 1
    for name in RUN_FILES:
        if (run.path / name).is_file():
            _copy(run, run.path / name, target)


def _files_of(run: RunInfo, frame: FrameRecord) -> Iterator[Path]:
    """A frame's files in the order to write them: its label comes last."""
    yield frame.image_path
    for folder in ("overlays", *PICTURE_EXTRAS):
        picture = run.path / folder / f"{frame.label_path.stem}.png"
        if picture.is_file():
            yield picture
    yield frame.label_path


def _copy(run: RunInfo, source: Path, target: Path) -> Path:
    """Put the run's file `source` at the same place below `target`, unless it is there already."""
    copy = target / source.relative_to(run.path)
    data = source.read_bytes()
    if not copy.is_file() or copy.read_bytes() != data:
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(copy, data)
    return copy


def _remove_stale_frames(target: Path, written: set[Path]) -> None:
    for folder in FRAME_FOLDERS:
        for path in sorted((target / folder).glob("frame_*")):
            if path not in written:
                path.unlink()


def _remove_what_is_left(target: Path) -> None:
    """Of an earlier copy whose run has no frame left: what is of the run, and its empty folders."""
    for name in RUN_FILES:
        (target / name).unlink(missing_ok=True)
    for folder in (*(target / name for name in FRAME_FOLDERS), target):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
