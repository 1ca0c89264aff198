"""The `convert` command: capture runs in another tool's format."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.index import CaptureIndex, find_runs, index_root
from endoforge.captures.pictures import decode_picture, read_bytes
from endoforge.captures.run_frames import AWAITS_REVIEW, FrameRecord
from endoforge.captures.schema import DEFAULT_CLASS
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.folders import new_folder, remove_tree
from endoforge.core.outputs import check_output_folder, refuse_within
from endoforge.core.packages import check_packages
from endoforge.core.progress import progress
from endoforge.core.text import counted
from endoforge.data.split import load_split, read_split_manifest
from endoforge.formats.c3vd import C3vdWriter
from endoforge.formats.coco import CocoWriter
from endoforge.formats.config import ConvertConfig, ConvertFormat
from endoforge.formats.cvat_writer import CvatWriter
from endoforge.formats.instances import NO_IMAGE, Mask, instance_masks
from endoforge.formats.label_studio import LabelStudioWriter
from endoforge.formats.mask_writers import MaskWriter, YoloSegWriter
from endoforge.formats.mot import MotWriter
from endoforge.formats.parquet import ParquetWriter
from endoforge.formats.simcol3d import SimCol3dWriter
from endoforge.formats.voc import VocWriter
from endoforge.formats.webdataset import WebDatasetWriter
from endoforge.formats.writing import ALL, TRAIN, VAL, Converted, WriteError, Writer
from endoforge.formats.yolo import YoloWriter
from endoforge.roots.bucket import Bucket
from endoforge.roots.checking import check_output_root
from endoforge.roots.fetching import fetch
from endoforge.roots.places import cloud_root, written_to
from endoforge.roots.putting import files_of, put_files

log = logging.getLogger(__name__)

WRITERS: dict[str, type[Writer]] = {
    "coco": CocoWriter,
    "yolo": YoloWriter,
    "yolo-seg": YoloSegWriter,
    "voc": VocWriter,
    "masks": MaskWriter,
    "cvat": CvatWriter,
    "label-studio": LabelStudioWriter,
    "mot": MotWriter,
    "webdataset": WebDatasetWriter,
    "parquet": ParquetWriter,
    "c3vd": C3vdWriter,
    "simcol3d": SimCol3dWriter,
}


@dataclass
class ConvertReport:
    """What was written, and what was not, by reason."""

    out: Path | str
    format: ConvertFormat
    runs_read: int
    runs: set[str] = field(default_factory=set)
    """Names of those of which a frame was written."""
    frames: Counter[str] = field(default_factory=Counter)
    """By side: all, or train and val."""
    boxes: Counter[str] = field(default_factory=Counter)
    """By class; none in formats without boxes."""
    unreviewed: int = 0
    """Frames that are a detector's word, and nobody has looked at."""
    left_out: Tally = field(default_factory=Tally)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Tell people what was written, and what was not, a line each."""
        sides = "" if set(self.frames) <= {ALL} else f" ({_counts(self.frames)})"
        without = self.runs_read - len(self.runs)
        runs = f"{len(self.runs)} of " if without else ""
        runs += counted(self.runs_read, "run")
        frames = counted(self.frames.total(), "frame")
        head = f"{self.out}: {self.format}, {runs}, {frames}{sides}"
        has_boxes = WRITERS[self.format].has_boxes
        lines = [f"{head}, {counted(self.boxes.total(), 'box')}" if has_boxes else head]
        if self.boxes:
            lines.append(f"  boxes by class: {_counts(self.boxes)}")
        if self.unreviewed:
            lines.append(
                f"  predictions that nobody has looked at: {counted(self.unreviewed, 'frame')}"
            )
        lines += [f"  {note}" for note in self.notes]
        return lines + [f"  left out: {line}" for line in self.left_out.lines()]


def _roots(config: ConvertConfig) -> list[Path]:
    """The folders to read; raises UserError, before any is, for one without runs."""
    if config.split_manifest is not None:
        read_split_manifest(Path(config.split_manifest))
    roots = [fetch(runs, "RUNS") for runs in config.runs]
    for root in roots:
        find_runs(root)
    return roots


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))


def run_convert(config: ConvertConfig) -> ConvertReport:
    """Write `config.runs` to the new folder `config.out`, which is there whole or not at all.

    Classes are numbered by their names' order. Raises UserError for a format whose package isn't
    installed, for runs that can't be read or have no frame that can be used, and for a folder that
    is there already, lies in a folder of runs, or can't be written.
    """
    assert config.format is not None
    check_packages(config.format, f"--format {config.format}", WRITERS[config.format].packages)
    out = written_to(config.out)
    bucket = _check_out(config)
    indexes = [
        index_root(root, label_field=config.label, strict=config.strict, predicted=config.predicted)
        for root in _roots(config)
    ]
    _refuse_twice(indexes)
    sides = _sides(config, indexes)
    report = ConvertReport(
        out if bucket is None else config.out,
        config.format,
        runs_read=sum(len(one.runs) for one in indexes),
    )
    report.left_out.strict = config.strict
    for index in indexes:
        report.left_out.add(index.tally)
    frames = [frame for side in sides.values() for frame in side]
    if not frames:
        raise _no_frame(config, report)
    names = tuple(sorted({name for frame in frames for name in frame.classes})) or (DEFAULT_CLASS,)
    with _unfinished(out) as partial:
        writer = WRITERS[config.format](partial, names, tuple(sides))
        with progress("converting", len(frames), "frames") as advance:
            for side, those in sides.items():
                for frame in those:
                    _convert(frame, side, names, writer, report)
                    advance()
        if not report.frames:
            raise _no_frame(config, report)
        report.notes = writer.finish()
    if bucket is not None:
        _put(out, bucket)
    return report


def _put(out: Path, bucket: Bucket) -> None:
    """Put all that lies in `out`, which goes then; what is put goes again if there is an error."""
    names = files_of(out)
    try:
        with progress(f"putting to {bucket.root}", len(names), "files") as advance:
            put_files(bucket, out, [names], on_put=advance)
    except BaseException:
        bucket.hurry.set()
        try:
            bucket.remove(bucket.listed().keys() & names)
        except UserError as error:
            log.warning("%s; a part of %s is there: remove it", error, bucket.root)
        raise
    finally:
        remove_tree(out)


def _check_out(config: ConvertConfig) -> Bucket | None:
    """Before any run is read: `out` can be made, or is an empty folder that another can replace.

    The bucket that it lies in; None for a folder.
    """
    if cloud_root(config.out) is not None:
        bucket = check_output_root("OUT", config.out)
        assert bucket is not None
        if there := bucket.listed():
            raise UserError(
                f"OUT {config.out}: holds {counted(len(there), 'object')}; name a new place"
            )
        if (left := written_to(config.out)).is_dir():
            remove_tree(left)  # of a convert that was killed while it put
        return bucket
    out = Path(config.out)
    for folder in (out, out.absolute().parent.resolve()):
        check_output_folder("OUT", folder)
    for runs in config.runs:
        refuse_within("OUT", out, "the input", runs)
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"OUT {out} is there already: name a new folder")
    return None


def _no_frame(config: ConvertConfig, report: ConvertReport) -> UserError:
    reasons = report.left_out.lines()
    why = f" ({'; '.join(reasons) or 'its runs hold none'})"
    awaiting = report.left_out.counts[f"frame: {AWAITS_REVIEW}"]
    mend = "; --predicted writes them all the same" if awaiting and config.may_be_predicted else ""
    return UserError(f"no usable frame in {', '.join(config.runs)}{why}{mend}")


@contextmanager
def _unfinished(out: Path) -> Iterator[Path]:
    """A folder that is `out` at the end, and goes if there is an error.

    Raises UserError if another process is at it, and one that names the file that couldn't be
    written, such as on a full disk.
    """
    try:
        with new_folder(out) as partial:
            yield partial
    except BlockingIOError as error:
        raise UserError(f"OUT {out}: another convert is writing it; let it end") from error
    except WriteError as error:
        file = out / error.file.relative_to(partial)
        raise UserError(
            f"OUT {file}: can't be written ({error.reason}); nothing is left of it: make room, or "
            "name another place"
        ) from error


def _refuse_twice(indexes: list[CaptureIndex]) -> None:
    """Two runs of a name would be written over each other."""
    paths: dict[str, Path] = {}
    for run in (run for index in indexes for run in index.runs):
        if run.name in paths:
            raise UserError(
                f"RUNS: {paths[run.name]} and {run.path} are both named {run.name}; name one, or "
                "convert them to two folders"
            )
        paths[run.name] = run.path


def _sides(config: ConvertConfig, indexes: list[CaptureIndex]) -> dict[str, list[FrameRecord]]:
    if config.split_manifest is None:
        return {ALL: [frame for index in indexes for frame in index.frames]}
    split = load_split(Path(config.split_manifest), indexes[0])
    return {TRAIN: split.train, VAL: split.val}


def _convert(
    frame: FrameRecord, side: str, names: tuple[str, ...], writer: Writer, report: ConvertReport
) -> None:
    try:
        data = read_bytes(frame.image_path)
        height, width, _ = decode_picture(data).shape
        boxes = frame.boxes.astype(np.float64) * np.array([width, height] * 2)
        masks = _masks(frame, boxes, (width, height), writer, report)
        numbers = tuple(names.index(name) for name in frame.classes)
        writer.add(Converted(frame, data, (width, height), numbers, boxes, masks), side)
    except Unusable as unusable:
        report.left_out.drop(f"frame: {unusable.reason}", frame.key, unusable.detail)
        return
    report.runs.add(frame.run)
    report.frames[side] += 1
    report.unreviewed += frame.awaits_review
    if writer.has_boxes:
        report.boxes.update(frame.classes)


def _masks(
    frame: FrameRecord,
    boxes: NDArray[np.float64],
    size: tuple[int, int],
    writer: Writer,
    report: ConvertReport,
) -> Mask | None:
    """The masks of a frame's polyps; None if the writer can do without and they can't be had.

    Boxes go without a mask that was there to be used, and are counted. Raises Unusable if the
    writer needs it.
    """
    if writer.masks == "unused":
        return None
    try:
        return instance_masks(frame, boxes, size)
    except Unusable as unusable:
        if writer.masks == "needed":
            raise
        if unusable.reason != NO_IMAGE:
            report.left_out.count(
                f"segmentation (boxes are written): {unusable.reason}", frame.key, len(boxes)
            )
        return None
