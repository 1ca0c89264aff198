"""A video in: frames of which nothing is known, so that nothing takes them for empty ones."""

import os

import av
import cv2
import numpy as np
import pytest

from endoforge.captures.frame_times import read_frame_times
from endoforge.captures.index import index_root
from endoforge.captures.pictures import read_picture
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.video import Video
from endoforge.core.errors import Resumable, UserError
from endoforge.formats.config import ImportConfig
from endoforge.formats.importing import run_import
from tests.conftest import ours_of

FPS, FRAMES = 10, 12


@pytest.fixture
def video(tmp_path):
    """Frame n is as grey as 20 n."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (64, 48))
    for number in range(FRAMES):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    return path


def bring_in(video, **settings):
    root = video.with_name("real")
    return run_import(ImportConfig(video=str(video), output_root=str(root), **settings)), root


def greys(root):
    paths = sorted(root.glob("run_*/images/*"))
    return [round(read_picture(path).mean() / 20) for path in paths]


@pytest.mark.parametrize(
    ("fps", "numbers"),
    [
        (None, list(range(12))),
        (10, list(range(12))),
        (25, list(range(12))),
        (5, [0, 2, 4, 6, 8, 10]),
        (4, [0, 3, 5, 8, 10]),
        (2.5, [0, 4, 8]),
        (0.5, [0]),
    ],
)
def test_frames_are_taken_at_even_times(video, fps, numbers):
    taken = list(Video(video).frames(fps))
    assert [number for number, _, _ in taken] == numbers
    assert [seconds for _, seconds, _ in taken] == pytest.approx([n / FPS for n in numbers])
    assert [round(frame.mean() / 20) for _, _, frame in taken] == numbers
    assert len(taken) == pytest.approx(Video(video).expected(fps), abs=1)


def test_frames_come_in_without_labels(video):
    report, root = bring_in(video, fps=5)
    assert greys(root) == [0, 2, 4, 6, 8, 10]
    index = index_root(root)
    assert index.frames == []
    assert index.dropped == {"image: no label names it": 6}
    time = read_frame_times(index.runs[0].path)[3]
    assert time.seconds == pytest.approx(6 / FPS)
    assert time.source_frame == 6
    ours = ours_of(index.runs[0].manifest)
    assert (ours["frames"], ours["complete"], ours["import"]["format"]) == (6, True, "video")
    assert "1 run, 6 frames came in" in report.lines()[0]
    assert (
        "  without labels: nothing is known of these frames; see them by detect" in report.lines()
    )


def test_the_same_again_is_known_and_other_frames_of_it_are_refused(video):
    _, root = bring_in(video, fps=5)
    assert bring_in(video, fps=5)[0].runs[0].there == 6
    assert len(list(root.glob("run_*"))) == 1
    with pytest.raises(UserError, match="remove that run"):
        bring_in(video, fps=2)


def test_what_was_cut_short_is_gone_on_with(video, monkeypatch):
    write = RunRecorder.write_unlabelled

    def interrupted(self, number, image, time):
        if number == 4:
            raise KeyboardInterrupt
        write(self, number, image, time)

    monkeypatch.setattr(RunRecorder, "write_unlabelled", interrupted)
    with pytest.raises(Resumable):
        bring_in(video)
    monkeypatch.undo()
    report, root = bring_in(video)
    assert (report.runs[0].there, report.runs[0].frames) == (4, 8)
    assert greys(root) == list(range(12))
    run = index_root(root).runs[0]
    assert ours_of(run.manifest)["frames"] == 12
    times = read_frame_times(run.path)
    assert [times[number].source_frame for number in range(12)] == list(range(12))
    assert [times[number].seconds for number in range(12)] == pytest.approx(
        [number / FPS for number in range(12)]
    )


def packets_of(video):
    with av.open(str(video)) as container:
        return [(one.pos, one.size) for one in container.demux(video=0) if one.size]


def blank(video, numbers):
    """Overwrite these frames with zeros."""
    data = bytearray(video.read_bytes())
    packets = packets_of(video)
    for number in numbers:
        start, size = packets[number]
        data[start : start + size] = bytes(size)
    video.write_bytes(data)


def test_a_video_that_ends_early_is_told(video):
    start, _ = packets_of(video)[7]
    video.write_bytes(video.read_bytes()[: start - 8])
    report, root = bring_in(video)
    assert greys(root) == list(range(7))
    reason = "frame: not decoded, of about 12 that the file's header tells"
    assert report.left_out.counts == {reason: 5}
    assert report.incomplete


def test_damage_in_the_middle_is_counted_and_a_rerun_finds_the_same_frames(video, monkeypatch):
    blank(video, [5])
    write = RunRecorder.write_unlabelled

    def interrupted(self, number, image, time):
        if number == 7:
            raise KeyboardInterrupt
        write(self, number, image, time)

    monkeypatch.setattr(RunRecorder, "write_unlabelled", interrupted)
    with pytest.raises(Resumable):
        bring_in(video)
    monkeypatch.undo()
    report, root = bring_in(video)
    assert greys(root) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    reason = "frame: not decoded, of about 12 that the file's header tells"
    assert report.left_out.counts == {reason: 1}


def test_a_video_without_a_frame_that_can_be_decoded_is_an_error(video):
    blank(video, range(FRAMES))
    with pytest.raises(UserError, match=r"clip\.avi: no frame in it could be decoded"):
        bring_in(video)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_a_name_that_isnt_utf8_is_read_and_printed_with_escapes(video):
    odd = video.rename(video.with_name(os.fsdecode(b"\xff.avi")))
    report, root = bring_in(odd)
    assert greys(root) == list(range(12))
    "\n".join(report.lines()).encode()
