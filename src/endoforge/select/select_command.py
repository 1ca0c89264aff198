"""The `select` command: which frames of capture runs a person should label next."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from endoforge import __version__
from endoforge.backends.compute import pick_compute
from endoforge.backends.loading import describe_detector
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.outputs import check_output_folder, refuse_same, refuse_within
from endoforge.core.text import aligned, counted, printable
from endoforge.detect.decode import MIN_SCORE
from endoforge.detect.neural import NeuralDetector
from endoforge.select.choosing import Choice, Coverage, choose
from endoforge.select.config import SelectConfig
from endoforge.select.copying import copy_frames
from endoforge.select.looking import Seen, look_at
from endoforge.select.pool import Pool, PoolFrame, read_pool
from endoforge.select.selection import (
    ChosenReason,
    SelectedFrame,
    Selection,
    check_selection_output,
    write_selection,
)
from endoforge.select.worth import Impression, Reason, reasons_of, worth_of

log = logging.getLogger(__name__)

ROWS_SHOWN = 100
REASONS_SHOWN = 2


@dataclass(frozen=True)
class SelectReport:
    """What was chosen, from how many frames, and what could not be."""

    selection: Selection
    output: Path
    copied_to: Path | None
    runs: int
    labelled: int
    """Frames that are labelled already."""
    unlabelled: int
    """Frames without a label that could be looked at."""
    asked: int
    label_faults: Tally
    """What is wrong with labels; a frame whose label can't be used counts as not labelled."""
    left_out: Tally

    def lines(self) -> list[str]:
        """A table for people: which frames, and why."""
        frames = self.selection.frames
        lines = [
            f"{len(frames)} of {counted(self.unlabelled, 'frame')} without labels, in "
            f"{counted(self.runs, 'run')}; {self.labelled:,} labelled already",
            f"detector: {self.selection.detector}",
            *_table(frames[:ROWS_SHOWN]),
        ]
        if len(frames) > ROWS_SHOWN:
            lines.append(f"... and {len(frames) - ROWS_SHOWN} more")
        if self.copied_to is not None:
            where = printable(str(self.copied_to))
            lines.append(f"copied to {where}: {counted(len(frames), 'image')}")
        lines.append(f"in {printable(str(self.output))}: these frames, and why")
        if len(frames) < self.asked:
            lines.append(f"note: all there are to choose from, fewer than --frames {self.asked}")
        lines += [f"note: labels: {line}" for line in self.label_faults.lines()]
        return lines + [f"left out: {line}" for line in self.left_out.lines()]


def run_select(config: SelectConfig) -> SelectReport:
    """Choose the frames of `config.paths` to label next, write them down, and tell why.

    Raises UserError for runs, weights or outputs that can't be used, and if there is no frame to
    choose. Nothing is written before all is chosen.
    """
    output = Path(config.output)
    copy_to = None if config.copy_to is None else Path(config.copy_to)
    pool = read_pool(map(Path, config.paths))
    _check_outputs(config, pool)
    if all(frame.labelled for frame in pool.frames):
        raise UserError(_nothing_to_choose(config, pool))
    detector, described = _open_detector(config)
    seen = look_at(pool.frames, detector, pool.left_out)
    reasons = _reasons(seen)
    chosen = _choose(config, seen, reasons, pool.left_out)
    if not chosen:
        raise UserError(_nothing_to_choose(config, pool))
    selection = Selection(
        version=__version__,
        detector=described,
        seed=config.seed,
        frames=[
            _selected(rank, choice, seen, reasons[choice.place])
            for rank, choice in enumerate(chosen, 1)
        ],
    )
    if copy_to is not None:
        copy_frames([seen.frames[choice.place] for choice in chosen], copy_to)
    write_selection(selection, output)
    labelled = sum(frame.labelled for frame in seen.frames)
    return SelectReport(
        selection=selection,
        output=output,
        copied_to=copy_to,
        runs=len(pool.runs),
        labelled=labelled,
        unlabelled=len(seen.frames) - labelled,
        asked=config.frames,
        label_faults=pool.label_faults,
        left_out=pool.left_out,
    )


def _check_outputs(config: SelectConfig, pool: Pool) -> None:
    check_selection_output(Path(config.output))
    outputs = {"--output": config.output}
    if config.copy_to is not None:
        check_output_folder("--copy-to", config.copy_to)
        outputs["--copy-to"] = config.copy_to
        if Path(config.copy_to).is_dir() and any(Path(config.copy_to).iterdir()):
            raise UserError(f"--copy-to {config.copy_to}: isn't empty; name a new folder")
    refuse_same(outputs)
    for flag, given in outputs.items():
        for run in pool.runs:
            refuse_within(flag, given, "the run", run)


def _nothing_to_choose(config: SelectConfig, pool: Pool) -> str:
    labelled = sum(frame.labelled for frame in pool.frames)
    why = "; ".join([f"{labelled} labelled already", *pool.left_out.lines()])
    return (
        f"no frame without a label in {', '.join(config.paths)} ({why}); name runs that have some, "
        "such as those of `endoforge import --video`"
    )


def _open_detector(config: SelectConfig) -> tuple[NeuralDetector, str]:
    compute = pick_compute(config.backend, config.device, config.adapter)
    detector = NeuralDetector(config.checkpoint, place=compute.net)
    detector.set_thresholds(objectness=MIN_SCORE, iou=detector.iou)
    described = describe_detector(detector, compute)
    log.info("detector: %s", described)
    return detector, described


def _reasons(seen: Seen) -> list[list[Reason]]:
    """The reasons to look at each frame, worked out for a stretch of a run at a time."""
    found: list[list[Reason]] = []
    rows = zip(seen.frames, seen.impressions, strict=True)
    for _, group in groupby(rows, key=_stretch):
        stretch = list(group)
        seconds = np.array([frame.seconds or 0.0 for frame, _ in stretch])
        found += reasons_of(seconds, [impression for _, impression in stretch])
    return found


def _stretch(row: tuple[PoolFrame, Impression]) -> tuple[Path, int, bool]:
    """What is the same for frames of which one tracker tells, and for none of its neighbours."""
    frame, impression = row
    return frame.run, impression.stretch, frame.seconds is None


def _choose(
    config: SelectConfig, seen: Seen, reasons: Sequence[Sequence[Reason]], left_out: Tally
) -> list[Choice]:
    labelled = [place for place, frame in enumerate(seen.frames) if frame.labelled]
    known = {seen.looks[place].tobytes() for place in labelled}
    open_places = []
    for place, frame in enumerate(seen.frames):
        if frame.labelled:
            continue
        if seen.looks[place].tobytes() in known:
            left_out.count("frame: looks exactly like a labelled one", printable(frame.name))
        else:
            open_places.append(place)
    coverage = Coverage(seen.frames, seen.looks)
    coverage.add(labelled)
    worth = np.array([worth_of(found) for found in reasons])
    return choose(worth, coverage, open_places, config.frames, config.seed)


def _selected(rank: int, choice: Choice, seen: Seen, reasons: Sequence[Reason]) -> SelectedFrame:
    frame, impression = seen.frames[choice.place], seen.impressions[choice.place]
    told = [ChosenReason(kind=reason.kind, text=reason.text) for reason in reasons]
    if choice.by_chance:
        told.insert(0, ChosenReason(kind="chance", text="drawn by chance"))
    elif not told:
        told = [ChosenReason(kind="other", text="unlike the frames chosen before")]
    tracks = [reason.track for reason in reasons if reason.track is not None]
    return SelectedFrame(
        rank=rank,
        run=frame.run.name,
        folder=printable(str(frame.run)),
        frame_id=frame.frame_id,
        image=frame.image,
        seconds=frame.seconds,
        worth=round(worth_of(reasons), 3),
        score=round(impression.best, 3),
        track=tracks[0] if tracks else None,
        reasons=told,
    )


def _table(frames: Sequence[SelectedFrame]) -> list[str]:
    digits = len(str(len(frames)))
    rows = [(" " * digits + "  frame", "time", "score", "track", "why")]
    for frame in frames:
        texts = [reason.text for reason in frame.reasons]
        more = len(texts) - REASONS_SHOWN
        rows.append(
            (
                f"{frame.rank:>{digits}}  {printable(frame.run)} #{frame.frame_id}",
                "-" if frame.seconds is None else f"{frame.seconds:.2f} s",
                f"{frame.score:.2f}" if frame.score else "-",
                "-" if frame.track is None else str(frame.track),
                "; ".join(texts[:REASONS_SHOWN]) + (f"; {more} more" if more > 0 else ""),
            )
        )
    return aligned(rows)
