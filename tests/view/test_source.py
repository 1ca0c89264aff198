"""Real pictures in the live view: files, folders, a stream of this machine, a camera's stand-in."""

import errno
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from endoforge.captures import live_reader, live_video
from endoforge.captures.addresses import LiveAddress
from endoforge.captures.frame_times import read_frame_times
from endoforge.captures.index import index_root
from endoforge.captures.live_video import StreamBroken
from endoforge.captures.recorder import RunRecorder
from endoforge.captures.schema import FrameLabel
from endoforge.core.errors import UserError
from endoforge.view import live_show
from endoforge.view.ab_loop import Loop
from endoforge.view.commands import run_command
from endoforge.view.config import SimViewConfig
from endoforge.view.frame import WorldFrame
from endoforge.view.from_viewers import (
    FrameStep,
    SeedChoice,
    Seek,
    SeekStep,
    SourceChoice,
    SpeedStep,
    Switch,
    Switchable,
)
from endoforge.view.painter import Painter
from endoforge.view.readings import read_state
from endoforge.view.session import Session
from endoforge.view.to_viewers import ClientState, LiveState

from .conftest import FakeDetector, InProcessPainter, Watched, small_config

SIZE = 96, 64
SECRET = "rtsp://doctor:hun/ter@2@127.0.0.1:9/room?key=hunter2"
SHOWN = "rtsp://***@127.0.0.1:9/room?***"


def grey(number: int) -> np.ndarray:
    """As grey as 4 times its number."""
    return np.full((SIZE[1], SIZE[0], 3), 4 * number, np.uint8)


def save_video(path: Path, count: int, fps: int = 25) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"g": "10"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(count):
            frame = VideoFrame.from_ndarray(grey(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


class Source(Watched):
    """A watched session whose frames are kept, as (seconds, number of the grey)."""

    def __init__(self, session: Session) -> None:
        self.seen: list[tuple[float, int]] = []
        self.rendered = 0
        passed_on = session.encoding.frames.put

        def put(frame: Any) -> None:
            self.seen.append((round(frame.seconds, 3), round(frame.rgb.mean() / 4)))
            self.rendered += isinstance(frame, WorldFrame)
            passed_on(frame)

        session.encoding.frames.put = put  # type: ignore[method-assign, assignment]
        super().__init__(session)

    @property
    def shown(self) -> tuple[float, int]:
        """The newest of the frames; before the first one (-1.0, -1)."""
        return self.seen[-1] if self.seen else (-1.0, -1)

    def press(self, what: Switchable) -> None:
        run_command(self.session, Switch(what))

    def state(self) -> LiveState:
        return read_state(self.session, 1, ClientState(0.0, 0))


@pytest.fixture
def look_at(tmp_path: Path, detector: FakeDetector) -> Iterator[Callable[..., Source]]:
    """Starts sessions on a source, and ends them after the test."""
    begun: list[Session] = []

    def start(source: str | Path, *more: str, make_painter: Any = Painter, **flags: Any) -> Source:
        config = small_config(tmp_path, source=(str(source), *more), **flags)
        session = Session(config, 0, make_painter=make_painter, make_heuristic=lambda: detector)
        begun.append(session)
        return Source(session)

    yield start
    for session in begun:
        session.close()


def test_a_file_is_played_at_its_pace_and_to_its_end(tmp_path, look_at):
    site = look_at(save_video(tmp_path / "clip.mp4", 20, fps=25))
    started = time.monotonic()
    site.until(lambda: site.state().source.is_over)
    assert time.monotonic() - started > 0.5  # of 0.76 s from its first frame to its last
    assert site.seen == [(number / 25, number) for number in range(20)]
    assert "clip.mp4 is at its end, K plays it" in site.texts()
    state = site.state()
    assert state.world.paused
    assert state.world.duration_s == 0.8
    assert state.source.name == "clip.mp4"
    assert state.truth.since_reset.fp == 0  # nothing is known, so nothing is false
    assert state.lesions.polyps == 0
    assert state.detector.count == 1
    site.press("pause")
    site.until(lambda: len(site.seen) == 40)


def test_a_file_can_be_sought_through_and_stepped(tmp_path, look_at):
    site = look_at(save_video(tmp_path / "clip.mp4", 60, fps=30))
    site.until(lambda: site.seen)
    site.press("pause")
    run_command(site.session, Seek(1.0))
    site.until(lambda: site.shown == (1.0, 30))
    with site.session.shared.lock:  # so the first is on its way at the second
        for _ in range(2):
            run_command(site.session, SeekStep(0.3))
    site.until(lambda: site.shown == (1.6, 48))
    run_command(site.session, SeekStep(-0.6))
    site.until(lambda: site.shown == (1.0, 30))
    run_command(site.session, FrameStep(1))
    site.until(lambda: site.shown == (1.033, 31))
    for number in (30, 29):
        run_command(site.session, FrameStep(-1))
        site.until(lambda number=number: site.shown[1] == number)
    assert site.state().world.paused
    run_command(site.session, SpeedStep(2))
    site.press("pause")
    site.until(lambda: site.shown == (1.967, 59))
    assert site.state().world.speed == 4.0


def test_steps_of_speed_add_up_and_end_at_the_slowest_and_the_fastest(tmp_path, look_at):
    """Presses that follow each other before the page has heard of the first."""
    site = look_at(save_video(tmp_path / "clip.mp4", 60, fps=30))
    site.until(lambda: site.seen)
    for by, speed in ((1, 2.0), (1, 4.0), (1, 4.0), (-1, 2.0), (-4, 0.25), (-1, 0.25)):
        run_command(site.session, SpeedStep(by))
        assert site.state().world.speed == speed


def test_a_loop_of_a_file_shows_its_part_again_and_again(tmp_path, look_at):
    """From frame 10 to 40, at 30 a second; then to the end."""
    site = look_at(save_video(tmp_path / "clip.mp4", 60, fps=30))
    site.until(lambda: site.seen)
    site.press("pause")
    for number in (10, 40):
        run_command(site.session, Seek(number / 30))
        site.until(lambda number=number: site.shown[1] == number)
        site.press("loop")
    site.until(lambda: site.shown[1] == 10)
    assert site.state().world.loop == Loop(10 / 30, 40 / 30)
    site.seen.clear()
    run_command(site.session, SpeedStep(2))
    site.press("pause")
    site.until(lambda: len(site.seen) > 70)
    numbers = [number for _, number in site.seen]
    assert set(numbers) == set(range(10, 40))
    assert numbers[29:31] == [10, 11], "after 11 to 39"
    site.press("loop")
    site.until(lambda: site.state().source.is_over)
    assert site.shown[1] == 59


def test_a_loop_goes_with_no_recording_and_with_no_stream(tmp_path, look_at, camera):
    site = look_at(save_video(tmp_path / "clip.mp4", 60), SECRET)
    site.until(lambda: site.seen)
    site.press("loop")
    site.press("record")
    assert site.state().world.loop is None
    with pytest.raises(UserError, match="takes no loop"):
        site.press("loop")
    site.press("record")
    site.until(lambda: not site.state().recorder.recording)
    run_command(site.session, SourceChoice(1))
    site.until(lambda: site.state().source.is_live and camera.opened)
    with pytest.raises(UserError, match="there is only now"):
        site.press("loop")


@pytest.fixture
def painters() -> list[InProcessPainter]:
    """The renderers that were started, in the tests' own process."""
    return []


@pytest.fixture
def make_painter(painters: list[InProcessPainter]) -> Callable[..., InProcessPainter]:
    def make(*given: Any) -> InProcessPainter:
        painters.append(InProcessPainter(*given))
        return painters[-1]

    return make


@pytest.mark.usefixtures("cpu")
def test_the_simulator_is_a_source_too_and_leaves_no_renderer(
    tmp_path, look_at, painters, make_painter
):
    site = look_at(save_video(tmp_path / "clip.mp4", 60), make_painter=make_painter)
    site.until(lambda: site.seen)
    assert site.state().sources == ("clip.mp4", "simulator")
    with pytest.raises(UserError, match="these are real pictures"):
        site.press("autopilot")
    for visit in (1, 2):
        before = site.rendered  # the second time the world is paused, and shown once
        run_command(site.session, SourceChoice(1))
        site.until(lambda: site.state().source is None and site.state().world.segment)
        state = site.state()
        site.until(lambda before=before: site.rendered > before)
        assert (state.source_place, state.world.seed) == (1, "0")
        assert len(painters) == visit
        site.press("pause")
        site.until(lambda: site.session.detecting.found is not None)
        run_command(site.session, SourceChoice(0))
        site.until(lambda: site.state().source is not None)
        assert site.state().world.seed == ""
        site.until(lambda: painters[-1].closed)
    assert "looking at clip.mp4" in site.texts()
    assert [painter.closed for painter in painters] == [True, True]


@pytest.mark.usefixtures("cpu")
def test_a_world_is_there_again_as_it_was_left(tmp_path, look_at, make_painter):
    site = look_at(save_video(tmp_path / "clip.mp4", 60), make_painter=make_painter)
    run_command(site.session, SourceChoice(1))
    site.until(lambda: site.state().world.segment)
    site.press("pause")
    run_command(site.session, Seek(20.0))
    run_command(site.session, SourceChoice(0))
    site.until(lambda: site.state().source is not None)
    run_command(site.session, SourceChoice(1))
    site.until(lambda: site.state().source is None)
    site.until(lambda: site.shown[0] == 20.0)
    world = site.state().world
    assert (world.place_s, world.paused) == (20.0, True)


@pytest.mark.usefixtures("cpu")
def test_a_simulator_that_cant_start_is_told_of_and_the_source_comes_again(tmp_path, look_at):
    def missing(*_: Any) -> Any:
        raise UserError("no GPU here")

    site = look_at(save_video(tmp_path / "clip.mp4", 60), make_painter=missing)
    run_command(site.session, SourceChoice(1))
    site.until(lambda: site.state().trouble == "the simulator has ended: no GPU here")
    assert site.ended == [], "there is more to look at"
    seen = len(site.seen)
    run_command(site.session, SourceChoice(0))
    site.until(lambda: len(site.seen) > seen)


def test_what_needs_a_simulated_world_is_refused(tmp_path, look_at):
    site = look_at(save_video(tmp_path / "clip.mp4", 3))
    for what in ("autopilot", "camera", "data_run", "truth"):
        with pytest.raises(UserError, match="these are real pictures"):
            site.press(what)
    with pytest.raises(UserError, match="these are real pictures"):
        run_command(site.session, SeedChoice(1))


def test_a_folder_is_shown_in_natural_order(tmp_path, look_at):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in (2, 10, 1):
        cv2.imwrite(str(folder / f"{number}.png"), grey(number))
    (folder / "3.png").write_bytes(b"no picture")
    site = look_at(folder)
    site.until(lambda: site.state().source.is_over)
    assert site.seen == [(0.0, 1), (0.2, 2), (0.6, 10)]
    site.until(lambda: any("is at its end" in text for text in site.texts()))
    assert "left out: 1 x picture: image unreadable" in " ".join(site.texts())


def test_a_recorded_run_is_shown_at_its_times(tmp_path, look_at):
    recorder = RunRecorder.create(tmp_path / "runs", seed=1, max_frames=None, extra={})
    for frame, seconds in enumerate((5.0, 5.4, 5.5)):
        label = FrameLabel(
            frame_id=frame,
            sim_time=seconds,
            unix_time=0.0,
            image=f"images/frame_{frame:05d}.png",
            image_present=True,
            camera_active=True,
            polyp_seed=0,
            polyp_labels=[],
        )
        recorder.write(grey(frame), label)
    recorder.finish()
    site = look_at(recorder.run_dir)
    site.until(lambda: site.state().source.is_over)
    assert site.seen == [(0.0, 0), (0.4, 1), (0.5, 2)]


def test_a_recording_ends_with_the_video(tmp_path, look_at):
    site = look_at(save_video(tmp_path / "clip.mp4", 10))
    site.press("record")
    site.until(lambda: any("recording ended" in text for text in site.texts()))
    assert site.state().source.is_over
    site.until(lambda: not site.state().recorder.recording)


def test_a_full_disk_ends_a_recording_with_a_line(tmp_path, look_at, monkeypatch):
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    site = look_at(save_video(tmp_path / "clip.mp4", 50))
    monkeypatch.setattr(RunRecorder, "write_unlabelled", full)
    site.press("record")
    site.until(lambda: "recording stopped: no space left on the disk" in site.texts())
    site.until(lambda: not site.state().recorder.recording)
    assert list((tmp_path / "captures").iterdir()) == []  # of no picture there is no run


def test_a_recording_has_no_labels(tmp_path, look_at):
    """So an index finds no frame without a polyp in it."""
    site = look_at(save_video(tmp_path / "clip.mp4", 30), max_frames=5)
    site.press("record")
    site.until(lambda: any("recording ended" in text for text in site.texts()))
    [run] = (tmp_path / "captures").iterdir()
    assert len(list((run / "images").iterdir())) == 5
    assert list((run / "labels").iterdir()) == []
    times = [time.seconds for _, time in sorted(read_frame_times(run).items())]
    assert np.diff(times) == pytest.approx([1 / 25] * 4)  # the video's own, wherever it began
    about = json.loads((run / "run_manifest.json").read_text())["endoforge"]
    assert about["frames"] == 5
    assert about["complete"] is True
    assert about["source"] == "clip.mp4"
    assert not index_root(tmp_path / "captures").frames
    state = site.state().recorder
    assert (state.recording, state.frames, state.run) == (False, 5, run.name)


class Camera:
    """Stands in for a device: gives what a test puts there, and breaks when it is told to."""

    def __init__(self) -> None:
        self.opened = 0
        self.breaks = threading.Event()
        self.missing = False
        self.fps = 100.0
        self.count = math.inf
        """After so many pictures it gives none."""

    @contextmanager
    def frames(self, _: LiveAddress) -> Iterator[Iterator[VideoFrame]]:
        self.opened += 1
        if self.missing:
            raise StreamBroken("No such device")
        self.breaks.clear()
        yield self._frames()

    def _frames(self) -> Iterator[VideoFrame]:
        number = 0
        while not self.breaks.wait(1 / self.fps):
            if number < self.count:
                yield VideoFrame.from_ndarray(grey(number % 60), format="rgb24")
                number += 1
        raise StreamBroken("Input/output error")


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Camera:
    stand_in = Camera()
    monkeypatch.setattr(live_video, "live_frames", stand_in.frames)
    monkeypatch.setattr(live_reader, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(live_reader, "LONGEST_PAUSE_S", 0.2)
    return stand_in


def test_a_broken_stream_says_so_and_comes_again(look_at, camera):
    site = look_at(SECRET)
    site.until(lambda: site.seen)
    assert site.state().trouble is None
    camera.missing = True
    camera.breaks.set()
    site.until(lambda: site.state().trouble == "No such device; trying again in 0.2 s")
    seen, opened = len(site.seen), camera.opened
    site.until(lambda: camera.opened > opened + 1)
    camera.missing = False
    site.until(lambda: len(site.seen) > seen)
    site.until(lambda: site.state().trouble is None)
    texts = site.texts()
    assert f"{SHOWN}: Input/output error; trying again in 0.05 s" in texts
    assert f"{SHOWN}: No such device; trying again in 0.1 s" in texts
    assert texts[-1] == f"{SHOWN}: pictures come again"
    assert not site.ended


def test_a_camera_that_falls_silent_says_so(look_at, camera, monkeypatch):
    monkeypatch.setattr(live_show, "SILENT_S", 0.3)
    site = look_at(SECRET)
    site.until(lambda: site.seen)
    camera.fps = 0.1
    site.until(lambda: site.state().trouble == "no new picture comes")
    camera.breaks.set()


def test_only_the_newest_picture_of_a_camera_is_shown(look_at, camera):
    """While the second is handed on, 58 come: the last of them is next, the others are counted."""
    camera.count = 1
    site = look_at(SECRET)
    site.until(lambda: len(site.seen) == 1)
    put, goes_on = site.session.detecting.look_at, threading.Event()

    def slow(frame: Any) -> None:
        goes_on.wait(600)
        put(frame)

    site.session.detecting.look_at = slow
    camera.count = 2
    site.until(lambda: len(site.seen) == 2)
    camera.count = 60
    site.until(lambda: site.state().source.dropped == 57)
    goes_on.set()
    site.until(lambda: len(site.seen) == 3)
    assert site.shown[1] == 59
    for leap in (Seek(1.0), SeekStep(1.0)):
        with pytest.raises(UserError, match="is live: there is only now"):
            run_command(site.session, leap)
    with pytest.raises(UserError, match="is live: it has its own speed"):
        run_command(site.session, SpeedStep(1))
    camera.breaks.set()


@pytest.mark.usefixtures("camera")
def test_a_paused_camera_goes_on_with_what_is_now(look_at):
    site = look_at(SECRET)
    site.until(lambda: site.seen)
    site.press("pause")
    time.sleep(0.1)
    count, (paused_at, _) = len(site.seen), site.shown
    time.sleep(0.3)
    assert len(site.seen) == count
    site.press("pause")
    site.until(lambda: len(site.seen) > count)
    assert site.seen[count][0] > paused_at + 0.3


def test_no_password_is_told_anywhere(tmp_path, look_at, camera, caplog):
    caplog.set_level("DEBUG")
    site = look_at(SECRET, max_frames=2)
    site.until(lambda: site.seen)
    site.press("record")
    site.until(lambda: any("recording ended" in text for text in site.texts()))
    camera.breaks.set()
    site.until(lambda: any("Input/output error" in text for text in site.texts()))
    [manifest] = (tmp_path / "captures").glob("*/run_manifest.json")
    told = [manifest.read_text(), str(site.state()), caplog.text, *site.texts()]
    assert all("hun" not in text and "ter2" not in text for text in told)
    assert json.loads(manifest.read_text())["endoforge"]["source"] == SHOWN


class Mjpeg(BaseHTTPRequestHandler):
    """A camera of the network: JPEG after JPEG, `frames` of them, then it hangs up."""

    frames = 12

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        for number in range(self.frames):
            data = cv2.imencode(".jpg", grey(number))[1].tobytes()
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + data + b"\r\n")
            except OSError:
                return  # who looked on has gone
            time.sleep(0.02)

    def log_message(self, *_: Any) -> None:
        pass


def test_a_stream_of_the_network_is_shown_and_opened_again(look_at, monkeypatch):
    monkeypatch.setattr(live_reader, "FIRST_PAUSE_S", 0.05)
    with ThreadingHTTPServer(("127.0.0.1", 0), Mjpeg) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site = look_at(f"http://127.0.0.1:{server.server_port}/stream")
        site.until(lambda: len(site.seen) > Mjpeg.frames)
        shown = f"http://127.0.0.1:{server.server_port}/stream"
        assert f"{shown}: it broke off; trying again in 0.05 s" in site.texts()
        assert site.session.size == SIZE
        site.session.close()
        server.shutdown()


def test_a_stream_that_nobody_gives_says_why(look_at, monkeypatch):
    monkeypatch.setattr(live_reader, "FIRST_PAUSE_S", 5.0)
    site = look_at("http://eve:secret@127.0.0.1:9/x")
    trouble = "Connection refused; trying again in 5 s"
    site.until(lambda: site.state().trouble == trouble)
    assert f"http://***@127.0.0.1:9/x: {trouble}" in site.texts()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("file:///etc/passwd", "no known kind of stream"),
        ("concat:///a|b", "no known kind of stream"),
        ("rtsp://", "names no host"),
        ("/dev/no-such-camera", "no such device"),
        ("  ", "names nothing"),
        ("gone.mp4", "no such video, folder or device"),
    ],
)
def test_a_source_that_cannot_be_is_refused_at_once(source, message):
    with pytest.raises(UserError, match=message):
        SimViewConfig(source=(source,))


def test_a_source_goes_with_no_flag_of_the_simulator():
    with pytest.raises(UserError, match="--mode datagen records the simulator"):
        SimViewConfig(source=("a.mp4",), mode="datagen")
    with pytest.raises(UserError, match="--seed is of the simulator"):
        SimViewConfig(source=("a.mp4",), seed=1)


def test_the_page_chooses_among_the_sources_that_were_named(tmp_path, look_at):
    """Frames are numbered on: what is newer has a higher number."""
    first = save_video(tmp_path / "clip.mp4", 5)
    second = save_video(tmp_path / "other.mp4", 8)
    site = look_at(first, str(second), SECRET)
    site.until(lambda: site.state().source.is_over)
    assert site.state().sources == ("clip.mp4", "other.mp4", SHOWN, "simulator")
    assert site.state().source_place == 0
    run_command(site.session, SourceChoice(1))
    site.until(lambda: site.state().source.name == "other.mp4")
    site.until(lambda: site.state().source.is_over)
    assert len(site.seen) == 13
    assert site.state().source_place == 1
    site.until(lambda: site.packets[-1].frame > 8)
    with pytest.raises(UserError, match="there are 4 sources, from 0"):
        run_command(site.session, SourceChoice(4))


def test_no_other_source_is_chosen_while_one_is_recorded(tmp_path, look_at):
    path = save_video(tmp_path / "clip.mp4", 60)
    site = look_at(path, str(path))
    site.press("record")
    with pytest.raises(UserError, match="a recording is going on: L ends it"):
        run_command(site.session, SourceChoice(1))


@pytest.fixture
def slow_to_finish(monkeypatch) -> Iterator[threading.Event]:
    """Recordings aren't closed until it is set."""
    closes = threading.Event()
    finish = RunRecorder.finish

    def finish_late(recorder: RunRecorder) -> None:
        closes.wait(600)
        finish(recorder)

    monkeypatch.setattr(RunRecorder, "finish", finish_late)
    yield closes
    closes.set()


def test_a_recording_that_is_still_being_closed_keeps_nobody_waiting(
    tmp_path, look_at, slow_to_finish
):
    """Its end was asked for: another one can begin, then another source be chosen."""
    first = save_video(tmp_path / "clip.mp4", 60, fps=5)
    second = save_video(tmp_path / "other.mp4", 60)
    site = look_at(first, str(second))
    for _ in range(2):
        site.press("record")
        site.until(lambda: site.state().recorder.frames > 0)
        site.press("record")
    run_command(site.session, SourceChoice(1))
    site.until(lambda: site.state().source.name == "other.mp4")
    slow_to_finish.set()
    site.session.close()
    runs = list((tmp_path / "captures").iterdir())
    assert len(runs) == 2
    for run in runs:
        assert json.loads((run / "run_manifest.json").read_text())["endoforge"]["complete"]


def test_no_source_is_shown_that_was_opened_while_a_recording_began(tmp_path, look_at, monkeypatch):
    """The recording is what was asked for last; why the source isn't shown is said."""
    path = save_video(tmp_path / "clip.mp4", 60, fps=5)
    site = look_at(path, str(save_video(tmp_path / "other.mp4", 5)))
    opens, may_open = threading.Event(), threading.Event()
    open_source = site.session._open

    def open_late(place: int) -> Any:
        opens.set()
        may_open.wait(600)
        return open_source(place)

    monkeypatch.setattr(site.session, "_open", open_late)
    run_command(site.session, SourceChoice(1))
    assert opens.wait(600)
    site.press("record")
    may_open.set()
    site.until(lambda: any("other.mp4 isn't shown: a recording" in one for one in site.texts()))
    assert site.state().source.name == "clip.mp4"


def test_of_two_choices_the_later_one_counts_though_it_opens_sooner(tmp_path, look_at, monkeypatch):
    names = ("a.mp4", "slow.mp4", "c.mp4")
    first, *more = (str(save_video(tmp_path / name, 60, fps=5)) for name in names)
    site = look_at(first, *more)
    may_open, opened = threading.Event(), threading.Event()
    open_source = site.session._open

    def open_late(place: int) -> Any:
        if place == 1:
            may_open.wait(600)
        show = open_source(place)
        if place == 1:
            monkeypatch.setattr(show, "end", opened.set)
        return show

    monkeypatch.setattr(site.session, "_open", open_late)
    run_command(site.session, SourceChoice(1))
    run_command(site.session, SourceChoice(2))
    site.until(lambda: site.state().source.name == "c.mp4")
    may_open.set()
    assert opened.wait(600), "it is ended"
    assert site.state().source_place == 2


def test_a_source_that_went_away_leaves_the_one_before(tmp_path, look_at):
    first, second = (save_video(tmp_path / name, 5) for name in ("a.mp4", "b.mp4"))
    site = look_at(first, str(second))
    second.write_bytes(b"no video any more")
    run_command(site.session, SourceChoice(1))
    site.until(lambda: any("b.mp4: not a video that FFmpeg reads" in one for one in site.texts()))
    assert site.state().source.name == "a.mp4"
