"""`detect` on a camera or a stream, for which a generator of frames stands in."""

import json
import time
from contextlib import contextmanager

import pytest
from av.video.frame import VideoFrame

from endoforge.captures import live_reader, live_video
from endoforge.captures.live_video import StreamBroken
from endoforge.core.errors import UserError
from endoforge.inference import live_input
from endoforge.inference.config import DetectConfig
from tests.inference.conftest import SIZE, lines_of, noise

ADDRESS = "rtsp://eve:secret@cam/room"
NAME = "rtsp_cam_room"


@pytest.fixture
def stream(monkeypatch):
    """Gives 20 frames within 0.2 s, breaks, and gives them again when it is opened again."""
    opened = []

    @contextmanager
    def frames(address):
        opened.append(address.address)
        yield some()

    def some():
        for number in range(20):
            time.sleep(0.01)
            yield VideoFrame.from_ndarray(noise(number), format="rgb24")
        raise StreamBroken("Connection reset by peer")

    monkeypatch.setattr(live_video, "live_frames", frames)
    monkeypatch.setattr(live_reader, "FIRST_PAUSE_S", 0.01)
    return opened


def test_a_stream_is_looked_at_for_so_many_seconds(stream, detect):
    report, out = detect(ADDRESS, seconds=0.6, mot=True)
    records = lines_of(out)
    assert stream == [ADDRESS] * len(stream)
    assert len(stream) >= 2
    assert [record["frame"] for record in records] == list(range(len(records)))
    seconds = [record["seconds"] for record in records]
    assert seconds == sorted(seconds)
    assert seconds[0] == 0
    assert 0.3 < seconds[-1] < 0.6
    assert {record["file"] for record in records} == {NAME}
    assert (records[0]["width"], records[0]["height"]) == SIZE
    [video] = json.loads((out / "tracks.json").read_text())["videos"]
    assert video["file"] == NAME
    assert (out / f"drawn/{NAME}.mp4").is_file()
    [left_out] = [line for line in report.lines() if "stream: it broke off" in line]
    assert "Connection reset by peer; trying again in 0.01 s" in left_out
    written = [path.read_text() for path in (out / "mot").rglob("*") if path.is_file()]
    assert "secret" not in "".join([*report.lines(), *written, json.dumps(records)])


def test_a_stream_gives_so_many_frames_a_second_at_most(stream, detect):
    _, out = detect(ADDRESS, seconds=0.5, fps=10, draw="none")
    assert 3 <= len(lines_of(out)) <= 5
    assert stream


def test_a_stream_that_gives_nothing_ends_it_with_a_line(monkeypatch, detect):
    def refused(_):
        raise StreamBroken("Connection refused")

    monkeypatch.setattr(live_video, "live_frames", refused)
    monkeypatch.setattr(live_input, "FIRST_PICTURE_S", 0.2)
    with pytest.raises(
        UserError, match=r"no picture can be read: .*Connection refused.*no picture came"
    ):
        detect(ADDRESS, seconds=1)


def test_seconds_are_for_live_sources_which_need_them():
    with pytest.raises(UserError, match=r"rtsp://\*\*\*@cam/room: say how long .* --seconds 60"):
        DetectConfig(paths=(ADDRESS,))
    with pytest.raises(UserError, match=r"--report: .* with rtsp://\*\*\*@cam/room; leave"):
        DetectConfig(paths=("rtsp://me:secret@cam/room",), seconds=5, report=True)
    with pytest.raises(UserError, match="--seconds: is for cameras and streams"):
        DetectConfig(paths=("a.png",), seconds=3)
    with pytest.raises(UserError, match="--seconds 0: must be a number greater than 0"):
        DetectConfig(paths=(ADDRESS,), seconds=0)
