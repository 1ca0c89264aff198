"""The `detect` command: shows pictures and videos to a detector, and writes what it finds."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.progress import progress
from endoforge.core.text import counted, printable
from endoforge.inference.coco_ids import CocoIds
from endoforge.inference.config import DetectConfig
from endoforge.inference.drawings import DRAWN, IMAGES, LINES, REPORT, RESULTS, TRACKS
from endoforge.inference.following import Following
from endoforge.inference.growing import cant_write
from endoforge.inference.material import Material
from endoforge.inference.mot_files import MOT
from endoforge.inference.opening import OpenedDetector
from endoforge.inference.out import check_out
from endoforge.inference.predicted_runs import PredictedReport, write_predicted_runs
from endoforge.inference.results import Results
from endoforge.inference.track_log import TrackLog

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetectReport:
    """How much `detect` looked at and found, how fast, and what it could not look at."""

    out: Path
    detector: str
    """Its weights, what they are, and where it computes."""
    pictures: int
    with_found: int
    found: int
    threshold: float
    seconds: float
    detector_seconds: float
    tracks: TrackLog
    """The tracks of videos and runs."""
    has_page: bool
    """Whether the page of `--report` was written."""
    cleared: int
    cleared_mot: int
    """Drawings, and files of tracks, of an earlier time that were removed."""
    notes: Tally
    left_out: Tally
    incomplete: bool
    """Whether a video, or a part of one, couldn't be looked at: the exit code says so."""

    def lines(self) -> list[str]:
        """The report for people, a line each."""
        return [
            f"{counted(self.pictures, 'picture')}, {self.with_found:,} with something found: "
            f"{counted(self.found, 'detection')} of score {self.threshold:g} and more",
            f"{self.pictures / max(self.seconds, 1e-9):.1f} frames/s with reading and drawing, "
            f"{self.pictures / max(self.detector_seconds, 1e-9):.1f} the detector alone",
            f"detector: {self.detector}",
            *self._tracked(),
            f"in {printable(str(self.out))}: {', '.join(self._files())}",
            *self._cleared(DRAWN, self.cleared, "drawing"),
            *self._cleared(MOT, self.cleared_mot, "file"),
            *(f"note: {line}" for line in self.notes.lines()),
            *(f"left out: {line}" for line in self.left_out.lines()),
        ]

    def _files(self) -> list[str]:
        return [*([REPORT] if self.has_page else []), LINES, TRACKS, RESULTS, IMAGES]

    def _tracked(self) -> list[str]:
        sequences = self.tracks.sequences.values()
        if not sequences:
            return []
        minutes = sum(one.duration for one in sequences) / 60
        return [
            f"{counted(self.tracks.count, 'track')} in {counted(len(sequences), 'sequence')} "
            f"(videos, runs) of {minutes:.1f} minutes"
        ]

    def _cleared(self, folder: str, count: int, what: str) -> list[str]:
        if not count:
            return []
        where = printable(str(self.out / folder))
        return [f"removed from {where}: {counted(count, what)} of an earlier detect"]


def run_detect(config: DetectConfig) -> DetectReport | PredictedReport:
    """Show every picture and video of `config.paths` to the detector, and write what it finds.

    Raises UserError for weights, paths or a folder that can't be used, and if no picture can be
    read.
    """
    return _write_results(config) if config.as_runs is None else write_predicted_runs(config)


def _write_results(config: DetectConfig) -> DetectReport:
    check_out(config)
    material = Material(config.paths, config.fps, config.seconds)
    opened = OpenedDetector(config)
    annotations = None if config.annotations is None else Path(config.annotations)
    ids = CocoIds(opened.classes, annotations, material)
    results = Results(Path(config.output), ids, opened.classes, config.draw, mot=config.mot)
    following = Following(config.infer_obj_thresh, results.sinks)
    started = time.monotonic()
    expected = material.expected
    size = 1 if material.live else config.batch_size  # a batch would wait for frames to come
    with results, progress("detecting", expected, "frames") as advance:
        for picture, every in opened.look_at(material.decoded(), size):
            followed = following.follow(picture, every)
            results.add(picture, every, config.infer_obj_thresh, followed)
            advance(total=max(expected, results.pictures))
    left_out = material.tally
    left_out.add(results.tally)
    if not results.pictures:
        raise UserError(f"no picture can be read: {'; '.join(left_out.lines())}")
    seconds = time.monotonic() - started
    has_page = _write_page(config, results, material, opened)
    return DetectReport(
        out=results.out,
        detector=opened.described,
        has_page=has_page,
        pictures=results.pictures,
        with_found=results.with_found,
        found=results.found,
        threshold=config.infer_obj_thresh,
        seconds=seconds,
        detector_seconds=opened.seconds,
        tracks=results.tracks,
        cleared=results.cleared,
        cleared_mot=results.cleared_mot,
        notes=material.notes,
        left_out=left_out,
        incomplete=material.incomplete,
    )


def _write_page(
    config: DetectConfig, results: Results, material: Material, opened: OpenedDetector
) -> bool:
    """Write the page of `--report`, if it is wanted and there is anything to show in it."""
    path = results.out / REPORT
    if not config.report:
        if path.is_file():
            material.notes.count("report: of an earlier detect; --report makes it anew", REPORT)
        return False
    if not results.tracks.sequences:
        reason = "report: it shows videos and recorded runs over time, and there is none"
        material.tally.count(reason, REPORT)
        return False
    from endoforge.inference.timeline_page import write_timeline_page  # matplotlib takes its time

    log.info("reading the stills of %s again", counted(results.tracks.count, "track"))
    threshold = config.infer_obj_thresh
    try:
        write_timeline_page(path, results.tracks, material, opened=opened, threshold=threshold)
    except OSError as error:
        raise cant_write(path, error) from error
    return True
