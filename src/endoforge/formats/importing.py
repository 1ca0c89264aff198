"""The `import` command: other tools' labelled pictures as capture runs."""

import hashlib
import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from endoforge.captures.pictures import decode_picture, encode_png, is_upright, suffix_of
from endoforge.captures.recorder import Picture, RunRecorder
from endoforge.captures.schema import (
    MANIFEST_NAME,
    FrameLabel,
    PolypLabel,
    image_name,
)
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import Resumable, UserError
from endoforge.core.outputs import refuse_within
from endoforge.core.progress import Advance, progress
from endoforge.core.text import printable
from endoforge.formats.box_labels import in_pixels, judged, polyp_label, reaches_out, renamed
from endoforge.formats.coco_results import read_coco_or_results
from endoforge.formats.config import FIELD, NAME, ONE, ImportConfig
from endoforge.formats.cvat import read_cvat
from endoforge.formats.imagefolder import read_imagefolder
from endoforge.formats.instances import INSTANCE
from endoforge.formats.kvasir import read_kvasir
from endoforge.formats.labelme import read_labelme
from endoforge.formats.ldpolyp import read_ldpolyp
from endoforge.formats.masks import read_masks
from endoforge.formats.mot import read_mot
from endoforge.formats.runs import ImportedRun, ImportReport, ImportRoot, Origin
from endoforge.formats.searching import natural_key
from endoforge.formats.sequences import in_order, named_and_timed, refuse_doubles
from endoforge.formats.source import Source, SourceFrame
from endoforge.formats.video_import import import_video
from endoforge.formats.video_labels import VideoLabelsReport, label_video_run
from endoforge.formats.voc import read_voc
from endoforge.formats.webdataset import read_webdataset
from endoforge.formats.yolo import read_yolo
from endoforge.roots.checking import check_output_root
from endoforge.roots.places import written_to

Reader = Callable[[ImportConfig, Tally], Source]

READERS: dict[str, Reader] = {
    "coco": read_coco_or_results,
    "yolo": read_yolo,
    "voc": read_voc,
    "masks": read_masks,
    "cvat": read_cvat,
    "mot": read_mot,
    "labelme": read_labelme,
    "kvasir": read_kvasir,
    "ldpolyp": read_ldpolyp,
    "imagefolder": read_imagefolder,
    "webdataset": read_webdataset,
}


def import_or_label(config: ImportConfig) -> ImportReport | VideoLabelsReport:
    """The command: `run_import`, or with `--onto` labels for a run that is there."""
    return run_import(config) if config.onto is None else label_video_run(config)


def run_import(config: ImportConfig) -> ImportReport:
    """Write the runs that `config` describes; a run that is there already stays as it is.

    Raises UserError for a source that can't be read, or whose names leave something open; Resumable
    when interrupted: the same command goes on.
    """
    bucket = check_output_root("--output-root", config.output_root)
    if config.video is not None:
        return import_video(config, bucket)
    assert config.format is not None
    _refuse_overlap(config)
    report = ImportReport(config.output_root, left_out=Tally(strict=config.strict))
    source = READERS[config.format](config, report.left_out)
    _refuse_rate(config, source)
    frames = [judged(_told_apart(one)) for one in renamed(config, source, report.left_out)]
    groups = _grouped(config, _counted(refuse_doubles(frames), report.left_out))
    report.predicted = any(frame.predicted for frame in frames)
    report.no_rate = config.fps is None and any(map(_lacks_rate, frames))
    root = ImportRoot(written_to(config.output_root), bucket=bucket)
    try:
        origins = {group: _origin(config, group, frames) for group, frames in groups.items()}
        for origin in origins.values():
            root.known(origin)  # before the first is written, none must be there otherwise
        with progress("importing", sum(map(len, groups.values())), "pictures") as advance:
            for group, frames in groups.items():
                named = named_and_timed(frames, config.fps)
                _import_run(root, origins[group], named, report, advance)
    finally:
        root.close()
    if not any(run.frames or run.there for run in report.runs):
        reasons = "; ".join(report.left_out.lines())
        raise UserError(f"{config.images}: no picture can be used ({reasons})")
    return report


def _refuse_rate(config: ImportConfig, source: Source) -> None:
    """Raises UserError if `--fps` is given, and the source says when its frames were taken."""
    said = (frame.moment.seconds for frame in source.frames if frame.moment is not None)
    if config.fps is not None and any(seconds is not None for seconds in said):
        raise UserError(f"--fps: {config.images} says when its frames were taken; leave it out")


def _lacks_rate(frame: SourceFrame) -> bool:
    return frame.moment is not None and frame.moment.seconds is None


def _refuse_overlap(config: ImportConfig) -> None:
    """Raises UserError if runs would come to lie among pictures or labels, or are the pictures."""
    assert config.images is not None
    output = config.output_root
    refuse_within("--output-root", output, "--images", config.images)
    if config.annotations is not None and Path(config.annotations).is_dir():
        refuse_within("--output-root", output, "--annotations", config.annotations)
    images, root = Path(config.images).resolve(), Path(output).resolve()
    for folder in (images, *images.parents):
        if folder.parent == root and (folder / MANIFEST_NAME).is_file():
            raise UserError(
                f"--images {config.images}: lies in a run of --output-root {output}; name another "
                "--output-root"
            )


def _told_apart(frame: SourceFrame) -> SourceFrame:
    """With a track a box where its pixels are known, for an instance image needs the name.

    Where nothing says that two pictures show one polyp, each picture has its own.
    """
    if frame.instance is None:
        return frame
    boxes = (
        replace(box, track=f"{frame.name} {n}") if box.track is None else box
        for n, box in enumerate(frame.boxes, 1)
    )
    return replace(frame, boxes=tuple(boxes))


def _counted(frames: list[SourceFrame], tally: Tally) -> list[SourceFrame]:
    """The same frames; those with a fault are counted. Raises UserError for one if strict."""
    for frame in frames:
        if frame.fault is not None:
            tally.drop(f"picture: {frame.fault.reason}", frame.name, frame.fault.detail)
    return frames


def _grouped(config: ImportConfig, frames: list[SourceFrame]) -> dict[str, list[SourceFrame]]:
    """The frames of each run to be, in order; a run has one without a fault."""
    groups: dict[str, list[SourceFrame]] = defaultdict(list)
    for frame in frames:
        groups[_group_of(config.group, frame)].append(frame)
    return {
        group: in_order(groups[group])
        for group in sorted(groups, key=natural_key)
        if any(frame.fault is None for frame in groups[group])
    }


def _group_of(rule: str, frame: SourceFrame) -> str:
    if rule == ONE:
        return "."
    if rule.startswith(FIELD):
        name = rule.removeprefix(FIELD)
        if frame.fields.get(name) is None:
            raise UserError(f"--group {rule}: {frame.name} has no {name} in the annotations")
        return f"{name} {frame.fields[name]}"
    if rule.startswith(NAME):
        match = re.search(rule.removeprefix(NAME), frame.name)
        if match is None:
            raise UserError(f"--group {rule}: the pattern isn't in {frame.name}")
        return str(match[1] if match.re.groups else match[0])
    if frame.moment is not None:
        return frame.moment.sequence
    return str(PurePosixPath(frame.name).parent)


def _origin(config: ImportConfig, group: str, frames: list[SourceFrame]) -> Origin:
    pictures, content = hashlib.sha256(), hashlib.sha256()
    for frame in frames:
        named = repr((frame.name, frame.data.num_bytes)).encode()
        boxes = [(box.name, box.corners, *_if_said(box.track)) for box in frame.boxes]
        more = (*_if_said(frame.fault and frame.fault.reason), *_if_said(frame.moment))
        more += (*_if_said(frame.pixels), *_if_said(frame.label), *_predicted(frame))
        pictures.update(named)
        content.update(named + repr((boxes, frame.normalised, frame.size, *more)).encode())
    if config.fps is not None:
        content.update(f" {config.fps} frames/s".encode())
    assert config.format is not None
    assert config.images is not None
    return Origin(
        format=config.format,
        source=printable(str(Path(config.images).absolute())),
        group=printable(group),
        pictures=pictures.hexdigest(),
        content=content.hexdigest(),
    )


def _predicted(frame: SourceFrame) -> tuple[object, ...]:
    scores = [box.polyp and box.polyp.score for box in frame.boxes]
    return ("predicted", scores) if frame.predicted else ()


def _if_said(value: object) -> tuple[object, ...]:
    """Nothing for None: what says nothing of videos has the digest that it always had."""
    return () if value is None else (value,)


def _import_run(
    root: ImportRoot,
    origin: Origin,
    frames: list[SourceFrame],
    report: ImportReport,
    advance: Advance,
) -> None:
    recorder = root.open(origin)
    if recorder is None:
        name, there = root.what_is_there(origin)
        report.runs.append(ImportedRun(name, origin.group, there=there))
        advance(len(frames))
        return
    run = ImportedRun(recorder.run_dir.name, origin.group, there=len(recorder.done))
    try:
        for number, frame in enumerate(frames):
            if number not in recorder.done and frame.fault is None:
                _import_frame(recorder, number, frame, run, report)
            advance()
        if run.frames or run.there:
            root.finish(recorder)
            report.runs.append(run)
        else:
            recorder.discard()
    except KeyboardInterrupt as stop:
        recorder.pause()
        raise Resumable from stop
    finally:
        recorder.close()


def _import_frame(
    recorder: RunRecorder, number: int, frame: SourceFrame, run: ImportedRun, report: ImportReport
) -> None:
    try:
        data, suffix, size = _picture(frame)
        polyps = [polyp_label(frame, box, size) for box in frame.boxes]
    except Unusable as unusable:
        report.left_out.drop(f"picture: {unusable.reason}", frame.name, unusable.detail)
        return
    report.clipped += sum(reaches_out(in_pixels(frame, box, size), size) for box in frame.boxes)
    label = _label(frame, number, image_name(number, suffix), polyps)
    recorder.write_encoded(data, suffix, label, _extras(frame, report))
    run.frames += 1
    run.empty += not polyps
    run.boxes.update(polyp.class_name for polyp in polyps)


def _label(frame: SourceFrame, number: int, image: str, polyps: list[PolypLabel]) -> FrameLabel:
    """The label of frame `number`, with what was said of it in the capture run that it was of."""
    assert frame.moment is not None
    assert frame.moment.seconds is not None
    there = frame.label or FrameLabel(
        frame_id=number,
        sim_time=frame.moment.seconds,
        unix_time=time.time(),
        image=image,
        image_present=True,
        camera_active=True,
        polyp_seed=0,
        polyp_labels=[],
    )
    unseen = [one for one in there.polyp_labels if not one.has_box]
    return there.model_copy(
        update={
            "frame_id": number,
            "sim_time": frame.moment.seconds,
            "image": image,
            "image_present": True,
            "polyp_labels": polyps + unseen,
            "source_image": printable(frame.name),
            "source": "predicted" if frame.predicted else there.source,
        }
    )


def _extras(frame: SourceFrame, report: ImportReport) -> dict[str, Picture]:
    """The instance image, where it is known; if it can't be made, that is counted."""
    if frame.instance is None:
        return {}
    ids = {box.corners: box.track for box in frame.boxes if isinstance(box.track, int)}
    try:
        if len(ids) < len(frame.boxes):
            raise Unusable("two polyps of one box")
        return {INSTANCE: frame.instance(ids)}
    except Unusable as unusable:
        reason = f"instance image (its boxes came in): {unusable.reason}"
        report.left_out.count(reason, frame.name)
        return {}


def _picture(frame: SourceFrame) -> tuple[bytes, str, tuple[int, int]]:
    """Bytes, suffix and (width, height); raises Unusable if boxes can't be of its pixels.

    PNG and JPEG files stay as they are; others become PNG.
    """
    data = frame.data.read()
    picture = decode_picture(data)
    size = picture.shape[1], picture.shape[0]
    if not is_upright(data):
        raise Unusable("turned by its EXIF note, so boxes may be of either way up; save it upright")
    if frame.size is not None and frame.size != size:
        said = "x".join(map(str, frame.size))
        raise Unusable("its label is of another size", f"{size[0]}x{size[1]}, label {said}")
    suffix = suffix_of(data)
    return (data, suffix, size) if suffix else (encode_png(picture), ".png", size)
