"""A video as a run of frames without labels."""

import hashlib
from pathlib import Path

from endoforge.captures.frame_times import FrameTime
from endoforge.captures.pictures import is_whole
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import image_name
from endoforge.captures.video import Video
from endoforge.core.errors import Resumable, UserError
from endoforge.core.progress import progress
from endoforge.core.text import printable
from endoforge.formats.config import ImportConfig
from endoforge.formats.runs import ImportedRun, ImportReport, ImportRoot, Origin
from endoforge.roots.bucket import Bucket
from endoforge.roots.places import written_to


def import_video(config: ImportConfig, bucket: Bucket | None) -> ImportReport:
    """A run of `config.video`, of `config.fps` frames a second; no frame has a label.

    With a `bucket` it is put there.

    So nothing takes them for frames without a polyp: an index counts them as images that no label
    names. Raises UserError for a file that can't be read.
    """
    assert config.video is not None
    video = Video(Path(config.video))
    report = ImportReport(config.output_root, labelled=False)
    root = ImportRoot(written_to(config.output_root), bucket=bucket)
    try:
        origin = origin_of(video, config.fps)
        recorder = root.open(origin)
        if recorder is None:
            name, there = root.what_is_there(origin)
            report.runs.append(ImportedRun(name, origin.group, there=there))
            return report
        try:
            report.runs.append(_write(config, video, root, recorder, origin.group))
        except KeyboardInterrupt as stop:
            recorder.pause()
            raise Resumable from stop
        finally:
            recorder.close()
    finally:
        root.close()
    run = report.runs[0]
    if lacking := video.lacking(run.frames + run.there, config.fps):
        expected = video.expected(config.fps)
        reason = f"frame: not decoded, of about {expected} that the file's header tells"
        where = f"{printable(str(video.path))} (from {video.lacking_from:.2f} s on)"
        report.left_out.count(reason, where, lacking)
        report.incomplete = True
    return report


def origin_of(video: Video, fps: float | None, said: str = "") -> Origin:
    """The origin of a run of a video, of `fps` frames a second, of whose frames `said` is said."""
    stat = video.path.stat()
    pictures = hashlib.sha256(f"{printable(video.path.name)} {stat.st_size}".encode())
    content = pictures.copy()
    content.update(f" {fps} {stat.st_mtime_ns}{said}".encode())
    return Origin(
        format="video",
        source=printable(str(video.path.absolute())),
        group="all frames" if fps is None else f"{fps:g} frames/s",
        pictures=pictures.hexdigest(),
        content=content.hexdigest(),
    )


def _write(
    config: ImportConfig, video: Video, root: ImportRoot, recorder: RunRecorder, group: str
) -> ImportedRun:
    run = ImportedRun(recorder.run_dir.name, group)
    with progress("importing", video.expected(config.fps), "frames") as advance:
        for number, (source, seconds, picture) in enumerate(video.frames(config.fps)):
            if is_whole(recorder.run_dir / image_name(number)):
                run.there += 1
                recorder.num_frames += 1
            else:
                recorder.write_unlabelled(number, picture, FrameTime(seconds, source))
                run.frames += 1
            advance()
    if not run.frames + run.there:
        raise UserError(f"{video.path}: no frame in it could be decoded")
    root.finish(recorder)
    return run
