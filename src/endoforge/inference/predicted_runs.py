"""`detect --as-runs`: what a detector finds as labels of capture runs, for people to review."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.frame_times import append_frame_time
from endoforge.captures.label_boxes import usable_box
from endoforge.captures.pictures import encode_png, is_upright, read_bytes, suffix_of
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import (
    MANIFEST_NAME,
    FrameLabel,
    PolypLabel,
    image_name,
)
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import Resumable, UserError
from endoforge.core.outputs import check_output_folder, refuse_within
from endoforge.core.progress import Advance, progress
from endoforge.core.text import counted, printable
from endoforge.detect.detections import Detections
from endoforge.formats.box_labels import UNKNOWN_PLACE
from endoforge.formats.runs import DETECTOR_KEY, ImportedRun, ImportReport, ImportRoot
from endoforge.inference.config import DetectConfig
from endoforge.inference.drawings import drawings_around
from endoforge.inference.following import Followed, Following
from endoforge.inference.material import InputPicture, Material
from endoforge.inference.opening import OpenedDetector
from endoforge.inference.portions import Portion, portions_of

log = logging.getLogger(__name__)


@dataclass
class PredictedReport:
    """The runs that were written, whose word their labels are, and what could not be looked at."""

    runs: ImportReport
    detector: str
    threshold: float
    tracks: int = 0
    notes: Tally = field(default_factory=Tally)

    @property
    def incomplete(self) -> bool:
        """Whether a video, or a part of one, couldn't be looked at: the exit code says so."""
        return self.runs.incomplete

    def lines(self) -> list[str]:
        """The report for people, a line each."""
        found = f"boxes of score {self.threshold:g} and more, {counted(self.tracks, 'track')}"
        return [
            *self.runs.lines(),
            *([found] if any(run.frames for run in self.runs.runs) else []),
            f"detector: {self.detector}",
            *(f"note: {line}" for line in self.notes.lines()),
        ]


def write_predicted_runs(config: DetectConfig, flag: str = "--as-runs") -> PredictedReport:
    """Write what the detector finds in `config.paths` as runs in `config.as_runs`, which `flag`
    named; a run that is there already stays as it is.

    Raises UserError for weights, paths or a folder that can't be used, and if no picture can be
    read; Resumable when interrupted: the same command goes on.
    """
    root_folder = _checked(config, flag)
    material = Material(config.paths, config.fps, config.seconds)
    opened = OpenedDetector(config)
    threshold = config.infer_obj_thresh
    said = repr((opened.digest, opened.classes, threshold, opened.iou))
    imported = ImportReport(root_folder, left_out=material.tally, predicted=True)
    report = PredictedReport(imported, opened.described, threshold, notes=material.notes)
    root = ImportRoot(root_folder, flag)
    try:
        portions = portions_of(material, config.fps, said)
        for portion in portions:
            root.known(portion.origin)  # before the first is written, none must be there otherwise
        with progress("detecting", sum(one.expected for one in portions), "frames") as advance:
            writer = _RunWriter(root, opened, config, report, advance)
            for portion in portions:
                writer.write(portion)
    finally:
        root.close()
    imported.incomplete = material.incomplete
    if not any(run.frames or run.there for run in imported.runs):
        raise UserError(f"no picture can be read: {'; '.join(material.tally.lines())}")
    return report


def _checked(config: DetectConfig, flag: str) -> Path:
    """The folder for the runs; raises UserError unless it can be written to, and lies among nothing
    that is looked at."""
    assert config.as_runs is not None
    root = Path(config.as_runs)
    check_output_folder(flag, root)
    for path in map(Path, config.paths):
        if path.is_dir():
            refuse_within(flag, root, "what is looked at,", path)
        real = path.resolve()
        for folder in (real, *real.parents):
            if folder.parent == root.resolve() and (folder / MANIFEST_NAME).is_file():
                raise UserError(f"{path}: lies in a run of {flag} {root}; name another {flag}")
    for folder in (root.resolve(), *root.resolve().parents):
        if (folder / MANIFEST_NAME).is_file():
            refuse_within(flag, root, "the capture run", folder)
    if (drawings := drawings_around(root)) is not None:
        refuse_within(flag, root, "drawn pictures", drawings)
    return root


class _RunWriter:
    """Writes runs into `root`, of what `opened` finds in portions."""

    def __init__(
        self,
        root: ImportRoot,
        opened: OpenedDetector,
        config: DetectConfig,
        report: PredictedReport,
        advance: Advance,
    ) -> None:
        self._root, self._opened, self._config = root, opened, config
        self._report, self._advance = report, advance

    def write(self, portion: Portion) -> None:
        """Write the run of a portion, or what of it isn't there.

        All of an unfinished one is looked at again: tracks go on from frame to frame.
        """
        origin = portion.origin
        recorder = self._root.open(origin, {DETECTOR_KEY: self._detector()})
        if recorder is None:
            name, there = self._root.what_is_there(origin)
            self._report.runs.runs.append(ImportedRun(name, origin.group, there=there))
            self._advance(portion.expected)
            return
        run = ImportedRun(recorder.run_dir.name, origin.group)
        try:
            self._write_frames(portion, recorder, run)
            self._end(recorder, run)
        except KeyboardInterrupt as stop:
            if portion.is_live:  # what was to be seen is gone, and what was written is all of it
                self._end(recorder, run)
                log.warning(
                    "ended early: %s holds %s", recorder.run_dir, counted(run.frames, "frame")
                )
                raise
            recorder.pause()
            raise Resumable from stop
        finally:
            recorder.close()

    def _end(self, recorder: RunRecorder, run: ImportedRun) -> None:
        if run.frames or run.there:
            recorder.finish()
            self._report.runs.runs.append(run)
        else:
            recorder.discard()

    def _detector(self) -> dict[str, object]:
        return {
            "name": self._opened.name,
            "sha256": self._opened.digest or None,
            "obj_thresh": self._config.infer_obj_thresh,
            "iou_thresh": self._opened.iou,
        }

    def _write_frames(self, portion: Portion, recorder: RunRecorder, run: ImportedRun) -> None:
        threshold = self._config.infer_obj_thresh
        following = Following(threshold, sinks=())
        naming = _Naming()
        size = 1 if portion.is_live else self._config.batch_size
        for place, (picture, every) in enumerate(self._opened.look_at(portion.pictures(), size)):
            names = naming.names(following.follow(picture, every), len(every.above(threshold)))
            polyps = self._labels(picture, every.above(threshold), names)
            number = portion.number_of(picture, place)
            if number in recorder.done:
                run.there += 1
            else:
                _write_frame(portion, recorder, number, picture, polyps)
                run.frames += 1
                run.empty += not polyps
                run.boxes.update(polyp.class_name for polyp in polyps)
            self._advance()
        self._report.tracks += len(naming.confirmed)

    def _labels(
        self, picture: InputPicture, found: Detections, names: Sequence[int | None]
    ) -> list[PolypLabel]:
        """A label of each detection, by its name; one that is no box is counted."""
        height, width = picture.pixels.shape[:2]
        columns = found.classes.tolist(), found.scores.tolist(), found.boxes.tolist()
        labels = []
        for number, score, corners, name in zip(*columns, names, strict=True):
            try:
                x0, y0, x1, y1 = usable_box(tuple(corners))
            except Unusable as unusable:
                self._report.runs.left_out.count(f"detection: {unusable.reason}", picture.name)
                continue
            label = PolypLabel(
                center_world=UNKNOWN_PLACE,
                bbox_px=(x0 * width, y0 * height, x1 * width, y1 * height),
                bbox_norm=(x0, y0, x1, y1),
                label=self._opened.classes[number],
                polyp_id=name,
                source="predicted",
                score=round(score, 4),
            )
            labels.append(label)
        return labels


class _Naming:
    """Names what is found through a run: a track has one name, from its first detection on.

    A detection of no track, such as a second box of one lesion, has a name of its own: so a person
    may accept any of them, and the run tells its polyps apart. `confirmed` are ids of tracks.
    """

    def __init__(self) -> None:
        self.confirmed: set[int] = set()
        self._by_serial: dict[int, int] = {}
        self._next = count(1)

    def names(self, followed: Followed | None, most: int) -> list[int | None]:
        """The `polyp_id` of each of the `most` best detections; None where nothing is followed."""
        if followed is None:
            return [None] * most
        self.confirmed.update(followed.owners[followed.owners > 0].tolist())
        return [self._name(serial) for serial in followed.serials[:most].tolist()]

    def _name(self, serial: int) -> int:
        if serial == 0:
            return next(self._next)
        if serial not in self._by_serial:
            self._by_serial[serial] = next(self._next)
        return self._by_serial[serial]


def _write_frame(
    portion: Portion,
    recorder: RunRecorder,
    number: int,
    picture: InputPicture,
    polyps: list[PolypLabel],
) -> None:
    data, suffix = _image(portion.paths.get(picture.name), picture.pixels)
    taken = portion.time_of(picture)
    label = FrameLabel(
        frame_id=number,
        sim_time=float(number) if taken is None else taken.seconds,
        unix_time=time.time(),
        image=image_name(number, suffix),
        image_present=True,
        camera_active=True,
        polyp_seed=0,
        polyp_labels=polyps,
        source_image=printable(picture.name),
        source="predicted",
    )
    if taken is not None:
        append_frame_time(recorder.run_dir, number, taken)
    recorder.write_encoded(data, suffix, label)


def _image(path: Path | None, pixels: NDArray[np.uint8]) -> tuple[bytes, str]:
    """The bytes of an image, and its suffix: those of its file if that is an upright PNG or JPEG.

    One that its EXIF note would turn is written as it was looked at, since its boxes are so.
    """
    try:
        data = None if path is None else read_bytes(path)
    except Unusable:  # it went since it was looked at
        data = None
    suffix = None if data is None else suffix_of(data)
    if data is None or suffix is None or not is_upright(data):
        return encode_png(pixels), ".png"
    return data, suffix
