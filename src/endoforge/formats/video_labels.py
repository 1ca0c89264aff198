"""CVAT's labels of a video, put onto the run that `import --video` made of it."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from endoforge.captures.frame_times import TIMES_NAME, FrameTime, read_frame_times
from endoforge.captures.pictures import is_whole, picture_size
from endoforge.captures.run_frames import read_manifest
from endoforge.captures.schema import (
    FrameLabel,
    PolypLabel,
    frame_number,
    image_name,
    label_name,
)
from endoforge.captures.tally import Tally
from endoforge.core.errors import Resumable, UserError
from endoforge.core.files import write_json_atomic
from endoforge.core.folders import FolderLock, make_folder
from endoforge.core.outputs import check_output_folder
from endoforge.core.progress import progress
from endoforge.core.text import counted, printable
from endoforge.formats.box_labels import judged, polyp_label, renamed
from endoforge.formats.config import ImportConfig
from endoforge.formats.cvat_task import (
    CvatTask,
    SaidOfFrame,
    read_task_file,
    said_of_video,
    task_of,
)
from endoforge.formats.labels_there import LabelsThere, Tracked, name_tracks
from endoforge.formats.outlines import Size
from endoforge.formats.runs import MANIFEST_KEY, Origin
from endoforge.formats.sequences import refuse_doubles
from endoforge.formats.source import Blob, Moment, NamedBox, Source, SourceFrame, Track
from endoforge.formats.spellings import caseless

_RUN = re.compile(r"run_\d+")
ASPECT_PIXELS = 1.5
"""A copy of a video in another size may be off by so many pixels, for sides are whole numbers."""


@dataclass
class VideoLabelsReport:
    """What of a video's labels came onto the frames of its run, and what did not, by reason."""

    run_dir: Path
    num_frames: int = 0
    """Frames that the run has."""
    written: int = 0
    empty: int = 0
    there: int = 0
    """Frames that had the same label already."""
    replaced: int = 0
    """Frames of those written that had a prediction which nobody had looked at."""
    boxes: Counter[str] = field(default_factory=Counter)
    left_out: Tally = field(default_factory=Tally)

    def lines(self) -> list[str]:
        """Tell people what came in, and what did not."""
        again = f", {self.there} were there already" if self.there else ""
        head = f"labels for {self.written} of {counted(self.num_frames, 'frame')} came in{again}"
        lines = [f"{self.run_dir}: {head}"]
        if self.replaced:
            lines.append(f"  {self.replaced} of them take the place of a prediction")
        if self.empty:
            lines.append(f"  {self.empty} of them show no polyp")
        if self.boxes:
            classes = ", ".join(f"{name} {number}" for name, number in sorted(self.boxes.items()))
            lines.append(f"  boxes by class: {classes}")
        return lines + [f"  left out: {line}" for line in self.left_out.lines()]


def label_video_run(config: ImportConfig) -> VideoLabelsReport:
    """Write the labels of `config.annotations` for the frames of the run `config.onto`.

    Frames are matched by their numbers in the video, which the run has in its times. Those of the
    task without a box get a label without one; those outside of it stay without a label. A label
    that is there stays as it is, but for predictions that nobody has looked at. Raises UserError
    where it says something else, and for a file that isn't plainly of this run's video, before
    anything is written; Resumable when interrupted.
    """
    assert config.onto is not None
    assert config.annotations is not None
    run_dir, file = Path(config.onto), Path(config.annotations)
    check_output_folder("--onto", config.onto)
    origin = _video_origin(run_dir)
    root = read_task_file(file)
    task = task_of(root)
    _refuse_other_video(file, task, origin)
    report = VideoLabelsReport(run_dir, left_out=Tally(strict=config.strict))
    try:
        lock = FolderLock(run_dir)
    except BlockingIOError:
        raise UserError(f"--onto {run_dir}: another process is writing it; let it end") from None
    try:
        times = {n: t for n, t in _times_by_number(run_dir).items() if n in task}
        said = said_of_video(root, sorted(times), file)
        frames = [
            _with_said(frame, said[number], task.size)
            for number, frame in _frames(run_dir, times)
            if number in said
        ]
        _count_others(said.keys() - times.keys(), said, len(frames), report)
        _write(run_dir, _judged(config, frames, report.left_out), report)
    finally:
        lock.release()
    return report


def _video_origin(run_dir: Path) -> Origin:
    """Where the run is from; raises UserError if it isn't a whole one of `import --video`."""
    try:
        manifest = read_manifest(run_dir)
        ours = (manifest and manifest.endoforge) or {}
        origin = Origin(**ours[MANIFEST_KEY])
    except (OSError, ValidationError, KeyError, TypeError):
        origin = None
    if origin is None or origin.format != "video":
        raise UserError(
            f"--onto {run_dir}: not a run that `endoforge import --video` made; name its folder, "
            "run_<number>"
        )
    if not ours.get("complete"):
        raise UserError(
            f"--onto {run_dir}: its import was cut short; run that `import --video` again"
        )
    return origin


def _refuse_other_video(file: Path, task: CvatTask, origin: Origin) -> None:
    """Raises UserError for a file of pictures, of another video, or without its task's frames."""
    where = f"--annotations {file}"
    if task.source is None:
        raise UserError(
            f"{where}: names no video (<source>), as a task of pictures doesn't; export the task "
            "of the video by itself, or import pictures with --images in place of --onto"
        )
    if _RUN.fullmatch(task.source):
        raise UserError(
            f"{where}: of the pictures that `endoforge convert` wrote of {task.source}, whose "
            "numbers are no video's; import them with --images and the folder of these pictures in "
            "place of --onto"
        )
    clip = Path(origin.source).name
    if caseless(Path(task.source).stem) != caseless(Path(clip).stem):
        raise UserError(
            f"{where}: of the video {printable(task.source)}, and the run is of {clip}; name the "
            "run of that video, or if it is the same one, fix <source> in the file"
        )
    if task.last is None:
        raise UserError(
            f"{where}: doesn't say which frames its task has (stop_frame), so frames without a box "
            "may be such that nobody looked at; export it from CVAT"
        )


def _times_by_number(run_dir: Path) -> dict[int, tuple[int, FrameTime]]:
    """Of each frame of the video that the run has its `frame_id` and its time, by its number.

    Raises UserError if the run doesn't say it, or says two frames to be one.
    """
    numbered: dict[int, tuple[int, FrameTime]] = {}
    for frame_id, moment in read_frame_times(run_dir).items():
        number = moment.source_frame
        if number is None or number in numbered:
            numbered = {}
            break
        numbered[number] = frame_id, moment
    if not numbered:
        raise UserError(
            f"--onto {run_dir}: {TIMES_NAME} in it doesn't say which frames of the video it has; "
            "import the video again, to another --output-root"
        )
    return numbered


def _frames(
    run_dir: Path, times: dict[int, tuple[int, FrameTime]]
) -> Iterator[tuple[int, SourceFrame]]:
    """The frames of the run at these times whose pictures are whole, by their numbers."""
    for number, (frame_id, moment) in sorted(times.items()):
        path = run_dir / image_name(frame_id)
        if is_whole(path):
            place = Moment("", number, moment.seconds)
            size = picture_size(path)
            yield number, SourceFrame(image_name(frame_id), Blob.of(path), size=size, moment=place)


def _with_said(frame: SourceFrame, said: SaidOfFrame, labels: Size | None) -> SourceFrame:
    """The frame with its boxes in 0..1, where they are of frames of the size `labels`, if told."""
    assert frame.size is not None
    width, height = _size_of_labels(labels or frame.size, frame.size)
    frame = said.on(frame)
    boxes = []
    for box in frame.boxes:
        x0, y0, x1, y1 = box.corners
        boxes.append(replace(box, corners=(x0 / width, y0 / height, x1 / width, y1 / height)))
    return replace(frame, boxes=tuple(boxes), normalised=True)


def _count_others(
    lacking: Set[int], said: dict[int, SaidOfFrame], num_labelled: int, report: VideoLabelsReport
) -> None:
    """Count the run's frames that the task lacks, and boxes on those `lacking` in the run."""
    report.num_frames = len(list((report.run_dir / "images").glob("frame_*.png")))
    if outside := report.num_frames - num_labelled:
        reason = "frame: outside of the task, so it stays without a label"
        report.left_out.count(reason, str(report.run_dir), outside)
    for number in sorted(lacking):
        if said[number].boxes:
            reason = "label: of a frame that the run or the task doesn't have"
            report.left_out.count(reason, f"frame {number}")


def _size_of_labels(labels: Size, picture: Size) -> Size:
    """The size that boxes are of; raises UserError if it is of another shape than the picture."""
    if abs(labels[0] * picture[1] / labels[1] - picture[0]) > ASPECT_PIXELS:
        raise UserError(
            f"--annotations: of frames of {labels[0]}x{labels[1]}, and the run's are "
            f"{picture[0]}x{picture[1]}, which has another shape, so where a box is isn't known; "
            "label the video as it was imported"
        )
    return labels


def _judged(config: ImportConfig, frames: list[SourceFrame], tally: Tally) -> list[SourceFrame]:
    """Those that can be used, with the classes of `--class-map`; others are counted."""
    classes = tuple(sorted({box.name for frame in frames for box in frame.boxes}))
    named = [judged(one) for one in renamed(config, Source(frames, classes), tally)]
    usable: list[SourceFrame] = []
    for frame in refuse_doubles(named):
        if frame.fault is None:
            usable.append(frame)
        else:
            tally.drop(f"frame: {frame.fault.reason}", frame.name, frame.fault.detail)
    return usable


def _write(run_dir: Path, frames: list[SourceFrame], report: VideoLabelsReport) -> None:
    """Write the labels that aren't there, all checked before the first."""
    there = LabelsThere(run_dir)
    labels: dict[int, tuple[SourceFrame, list[Tracked]]] = {}
    for frame in frames:
        polyps = [(box.track, _nameless(frame, box)) for box in frame.boxes]
        if _id_of(frame) in there:
            there.learn(_id_of(frame), polyps)
            report.there += 1
        else:
            labels[_id_of(frame)] = frame, polyps
    tracks = (box.track for frame in frames for box in frame.boxes if box.track is not None)
    names = name_tracks(tracks, there.known, there.ids_elsewhere(map(_id_of, frames)))
    make_folder(run_dir / "labels", within=run_dir)
    try:
        with progress("writing", len(labels), "labels") as advance:
            for frame_id, (frame, polyps) in labels.items():
                label = _label(frame, [_named(polyp, track, names) for track, polyp in polyps])
                there.refuse_new(frame_id)  # somebody may label the run meanwhile
                write_json_atomic(run_dir / label_name(frame_id), label.model_dump(mode="json"))
                report.written += 1
                report.replaced += there.is_predicted(frame_id)
                report.empty += not polyps
                report.boxes.update(polyp.class_name for _, polyp in polyps)
                advance()
    except KeyboardInterrupt as stop:
        raise Resumable from stop


def _id_of(frame: SourceFrame) -> int:
    frame_id = frame_number(PurePosixPath(frame.name).name)
    assert frame_id is not None  # `image_name` made it
    return frame_id


def _nameless(frame: SourceFrame, box: NamedBox) -> PolypLabel:
    assert frame.size is not None
    return polyp_label(frame, replace(box, track=None), frame.size)


def _named(polyp: PolypLabel, track: Track | None, names: dict[Track, int]) -> PolypLabel:
    return polyp if track is None else polyp.model_copy(update={"polyp_id": names[track]})


def _label(frame: SourceFrame, polyps: list[PolypLabel]) -> FrameLabel:
    assert frame.moment is not None
    assert frame.moment.seconds is not None
    return FrameLabel(
        frame_id=_id_of(frame),
        sim_time=frame.moment.seconds,
        unix_time=time.time(),
        image=frame.name,
        image_present=True,
        camera_active=True,
        polyp_seed=0,
        polyp_labels=polyps,
    )
