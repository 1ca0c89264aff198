"""The server as browsers meet it: a real one on a port of this machine, in a thread."""

import base64
import contextlib
import json
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from endoforge.sim.engine import Engine
from endoforge.view import live, serving
from endoforge.view.live import MessagePace, StateTimer
from endoforge.view.security import watch_token
from endoforge.view.serving import listen, serve
from endoforge.view.session import Session

from .conftest import SEED, FakeDetector, InProcessPainter, small_config, until


def decoded(jpeg: bytes) -> NDArray[Any]:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1)
    assert picture is not None
    return picture


class Site:
    """A running server and its session."""

    def __init__(self, session: Session, token: str | None = None) -> None:
        self.session = session
        self._socket = listen(session.config)
        self.port = self._socket.getsockname()[1]
        self.origin = Origin(f"http://127.0.0.1:{self.port}")
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, args=(token,))
        self._thread.start()

    def _serve(self, token: str | None) -> None:
        try:
            serve(self.session, self._socket, token)
        except BaseException as error:
            self.error = error

    def close(self) -> None:
        self.session.on_end(None)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(self.origin + path, timeout=120, **more)

    def post(self, path: str, value: Any = None, **more: Any) -> httpx.Response:
        more = {"headers": {"origin": self.origin}} | more
        return httpx.post(self.origin + path, json=value, timeout=120, **more)

    def viewer(self, **more: Any) -> "Client":
        return Client(self, **more)


class Client:
    """A page, as a test writes it."""

    def __init__(self, site: Site, *, acknowledge: bool = True) -> None:
        self.site = site
        self._open = contextlib.ExitStack()
        address = site.origin.replace("http", "ws") + "/live"
        self.socket: ClientConnection = self._open.enter_context(
            connect(address, origin=site.origin, max_size=None, close_timeout=1)
        )
        self.acknowledge = acknowledge
        self.frames: list[dict[str, Any]] = []
        self.pictures: list[bytes] = []
        self.texts: list[dict[str, Any]] = []

    def send(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def switch(self, what: str) -> None:
        self.send(type="switch", what=what)

    def read(self, seconds: float = 0.05) -> None:
        """Take what comes within some time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                message = self.socket.recv(timeout=left)
            except TimeoutError:
                return
            if isinstance(message, str):
                self.texts.append(json.loads(message))
                continue
            length = struct.unpack("<I", message[:4])[0]
            header = json.loads(message[4 : 4 + length])
            self.frames.append(header)
            self.pictures.append(message[4 + length :])
            if self.acknowledge:
                self.send(type="ack", frame=header["frame"])

    def until(self, what: Callable[[], Any], seconds: float = 30) -> Any:
        """Read until `what()` is true, and return it; too many seconds fail the test."""
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, f"waited in vain; {self.texts[-3:]}"
            self.read()
        return found

    def pause(self) -> None:
        """Have the world stand still, and read until its last picture came with its own boxes."""
        self.switch("pause")
        self.until(lambda: self.state["world"]["paused"])
        self.until(lambda: self.frames[-1]["looked_at"] == self.site.session.show.numbers)

    @property
    def states(self) -> list[dict[str, Any]]:
        return [text for text in self.texts if text["type"] == "state"]

    @property
    def state(self) -> dict[str, Any]:
        return self.states[-1] if self.states else {}

    @property
    def events(self) -> list[str]:
        return [text["text"] for text in self.texts if text["type"] == "event"]

    def close(self) -> None:
        self._open.close()


@pytest.fixture
def make_site(
    cpu: Engine,  # noqa: ARG001 - it starts in the main thread
    tmp_path: Path,
    detector: FakeDetector,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Site]]:
    monkeypatch.setattr(serving, "LAST_LOOK_S", 0.0)
    begun: list[Site] = []

    def make(token: str | None = None, **flags: Any) -> Site:
        session = Session(
            small_config(tmp_path, port=0, **flags),
            SEED,
            make_painter=InProcessPainter,
            make_heuristic=lambda: detector,
        )
        begun.append(Site(session, token))
        return begun[-1]

    yield make
    for site in begun:
        site.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def viewer(site: Site) -> Iterator[Client]:
    client = site.viewer()
    client.until(lambda: client.frames and client.state)
    yield client
    client.close()


def test_the_page_comes_with_its_policy(site):
    answer = site.get("/")
    assert answer.status_code == 200
    assert "text/html" in answer.headers["content-type"]
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert site.get("/static/../../server.py").status_code == 404
    assert site.get("/static/%2e%2e/server.py").status_code == 404
    assert site.get("/nothing").json() == {"error": "Not Found"}


def test_frames_arrive_and_change(viewer):
    numbers = lambda: [frame["frame"] for frame in viewer.frames]  # noqa: E731
    viewer.until(lambda: len(set(numbers())) >= 12 and len(viewer.states) >= 3)
    assert numbers() == sorted(numbers())
    times = [state["world"]["time_s"] for state in viewer.states]
    assert times == sorted(times)
    assert times[-1] > times[0]
    pictures = [decoded(picture) for picture in viewer.pictures]
    assert {picture.shape for picture in pictures} == {(64, 96, 3)}
    assert np.abs(pictures[0].astype(int) - pictures[-1]).mean() > 1


def test_by_default_boxes_are_those_of_their_picture(viewer):
    viewer.until(lambda: viewer.frames[-1]["boxes"])
    viewer.frames.clear()
    viewer.until(lambda: len(viewer.frames) >= 10)
    assert [frame["looked_at"] for frame in viewer.frames] == [
        frame["frame"] for frame in viewer.frames
    ]


def test_hello_state_and_events(viewer):
    assert viewer.texts[0] == {"type": "hello", "resolution": [96, 64], "watches_only": False}
    viewer.until(lambda: viewer.state["detector"]["fallback"])
    state, world = viewer.state, viewer.state["world"]
    assert world["seed"] == str(SEED)
    assert world["camera"] == "endoscope"
    assert world["autopilot"] is True
    assert world["segment"] == "rectum"
    assert 2 < world["depth_cm"] < world["length_cm"]
    assert state["detector"]["mode"] == "heuristic"
    assert "no such checkpoint" in state["detector"]["fallback"]
    assert set(state) == {
        "type", "world", "detector", "recorder", "rates", "client", "truth", "lesions", "renderer",
        "trouble", "device", "source", "sources", "source_place",
    }  # fmt: skip
    assert set(world) == {
        "seed", "paused", "speed", "time_s", "duration_s", "place_s", "loop", "autopilot", "camera",
        "segment", "depth_cm", "length_cm",
    }  # fmt: skip
    assert any("no such checkpoint" in text for text in viewer.events)


COMMANDS: list[tuple[dict[str, Any], str, Any, Any]] = [
    ({"type": "switch", "what": "autopilot"}, "world.autopilot", True, False),
    ({"type": "switch", "what": "autopilot"}, "world.autopilot", False, True),
    ({"type": "switch", "what": "camera"}, "world.camera", "endoscope", "free"),
    ({"type": "switch", "what": "pause"}, "world.paused", False, True),
    ({"type": "switch", "what": "pause"}, "world.paused", True, False),
    ({"type": "speed", "by": 2}, "world.speed", 1, 4),
    ({"type": "switch", "what": "truth"}, "truth.shown", False, True),
    ({"type": "switch", "what": "newest_first"}, "rates.newest_first", False, True),
    ({"type": "threshold", "which": "objectness", "by": 0.05}, "detector.objectness", 0.3, 0.35),
    ({"type": "threshold", "which": "objectness", "by": -0.7}, "detector.objectness", 0.35, 0.0),
    ({"type": "threshold", "which": "iou", "by": -0.05}, "detector.iou", 0.5, 0.45),
    ({"type": "seed", "seed": None}, "world.seed", "3", "4"),
    ({"type": "seed", "seed": 2**64 - 1}, "world.seed", "4", "18446744073709551615"),
    ({"type": "seed", "seed": None}, "world.seed", "18446744073709551615", "0"),
    ({"type": "seed", "seed": str(2**64 - 2)}, "world.seed", "0", "18446744073709551614"),
    ({"type": "switch", "what": "record"}, "recorder.recording", False, True),
    ({"type": "switch", "what": "record"}, "recorder.recording", True, False),
    ({"type": "switch", "what": "data_run"}, "recorder.data_run", False, True),
    ({"type": "switch", "what": "data_run"}, "recorder.data_run", True, False),
]


def test_each_command_shows_in_the_state(viewer):
    def shown(place):
        state = viewer.state
        for part in place.split("."):
            state = state[part]
        return state

    for command, place, before, after in COMMANDS:
        assert shown(place) == before, command
        viewer.send(**command)
        viewer.until(lambda place=place, after=after: shown(place) == after)


@pytest.mark.parametrize(
    ("going_on", "refused", "words"),
    [
        ("record", ["data_run"], "a recording is going on: L ends it"),
        ("data_run", ["record", "autopilot", "camera"], "a data run is going on: O ends it"),
    ],
)
def test_what_a_recording_does_not_go_with_is_refused(viewer, going_on, refused, words):
    viewer.switch(going_on)
    viewer.until(lambda: viewer.state["recorder"]["recording"])
    data_run, world = viewer.state["recorder"]["data_run"], viewer.state["world"]
    assert data_run == (going_on == "data_run")
    for number, what in enumerate(refused, start=1):
        viewer.switch(what)
        viewer.until(lambda number=number: viewer.events.count(words) == number)
    truth = viewer.state["truth"]
    viewer.switch("truth")  # the state comes with it
    viewer.until(lambda: viewer.state["truth"] != truth)
    assert viewer.state["recorder"]["recording"]
    assert viewer.state["recorder"]["data_run"] == data_run
    for name in ("autopilot", "camera"):
        assert viewer.state["world"][name] == world[name]
    viewer.switch(going_on)
    viewer.until(lambda: not viewer.state["recorder"]["recording"])


@pytest.fixture
def no_regular_states(monkeypatch):
    """A viewer gets its first state, and from then on only those that a change brings about."""
    monkeypatch.setattr(live, "STATE_EVERY_S", 3600.0)


@pytest.mark.usefixtures("no_regular_states")
def test_after_a_command_the_state_comes_at_once(make_site):
    """And not with the next one that is due anyway: there is none."""
    viewer = make_site().viewer()
    viewer.until(lambda: viewer.frames and viewer.state)
    for _ in range(5):
        paused = viewer.state["world"]["paused"]
        viewer.switch("pause")
        viewer.until(lambda paused=paused: viewer.state["world"]["paused"] != paused)
    viewer.close()


def test_the_state_is_due_again_and_again_and_soon_after_a_change():
    timer = StateTimer()
    assert timer.due_s() < 0, "at once, for a new viewer"
    timer.sent(10.0)
    assert timer.due_s() == 10.25
    timer.change()
    assert timer.due_s() == 10.1, "not before: the first state told of a change, too"
    timer.sent(10.2)
    assert timer.due_s() == 10.45
    timer.sent(10.45)
    timer.change()
    timer.change()
    assert timer.due_s() == pytest.approx(10.3), "at once: the last change was told long ago"
    timer.sent(10.46)
    assert timer.due_s() == pytest.approx(10.71), "what has changed twice is told once"


BAD_MESSAGES = [
    "no json", "[]", "3", "{}", '{"type": "fly"}', '{"type": "switch", "what": "rm"}',
    '{"type": "speed", "by": 5}', '{"type": "speed", "by": true}',
    '{"type": "threshold", "which": "objectness", "by": "x"}',
    '{"type": "threshold", "which": "objectness", "by": NaN}',
    '{"type": "seed", "seed": -1}', '{"type": "seed", "seed": 18446744073709551616}',
    '{"type": "seed", "seed": [1]}',
    '{"type": "steer", "forward": "fast"}', '{"type": "drag", "dx": 1e9, "dy": 0}',
    '{"type": "drag", "dx": null, "dy": 0}', "[" * 3000,
    '{"type": "steer", "forward": ' + "9" * 400 + "}", '{"type": "ack", "frame": "x"}',
    '{"type": ' + "[" * 900 + "]" * 900 + "}",
    "[" * 2000 + "]" * 2000, '{"type": "steer", "forward": -' + "9" * 4000 + "}",
]  # fmt: skip


def test_bad_messages_are_answered_and_the_connection_stays(viewer):
    for message in BAD_MESSAGES:
        viewer.read(0.02)
        viewer.texts[:] = [text for text in viewer.texts if text["type"] == "state"]
        viewer.socket.send(message)
        viewer.until(lambda: viewer.events)
    count = len(viewer.frames)
    viewer.until(lambda: len(viewer.frames) > count + 1)


def test_a_long_message_ends_the_connection(viewer):
    viewer.socket.send(json.dumps({"type": "ack", "frame": "x" * 5000}))
    with pytest.raises(ConnectionClosed):
        viewer.until(lambda: False, seconds=10)
    assert viewer.socket.close_code == 1009


def test_an_odd_binary_message_ends_the_connection_alone(site, viewer):
    other = site.viewer()
    other.socket.send(b"\0" * 10)
    with pytest.raises(ConnectionClosed):
        other.until(lambda: False, seconds=10)
    count = len(viewer.frames)
    viewer.until(lambda: len(viewer.frames) > count + 2)


def test_a_viewer_that_takes_nothing_doesnt_slow_the_others(site, viewer):
    """It gets its two frames, and no more until it acknowledges them."""
    slow = site.viewer(acknowledge=False)
    count = len(viewer.frames)
    viewer.until(lambda: len(viewer.frames) > count + 30)
    slow.read(0.5)
    assert len(slow.frames) == 2
    assert viewer.state["rates"]["clients"] == 2
    slow.until(lambda: slow.state["client"]["skipped"] > 5)
    slow.send(type="ack", frame=slow.frames[-1]["frame"])
    slow.until(lambda: len(slow.frames) == 3)
    assert slow.frames[2]["frame"] > slow.frames[1]["frame"] + 1, "the newest, not the next"
    slow.close()
    viewer.until(lambda: viewer.state["rates"]["clients"] == 1)


def test_messages_are_taken_at_once_and_then_at_a_pace():
    """BURST of 100 at cost 5 are 20 commands; then one in 5 / 250 = 0.02 s."""
    pace = MessagePace()
    assert [pace.wait_s(5.0, 10.0) for _ in range(20)] == [0.0] * 20
    assert pace.wait_s(5.0, 10.0) == pytest.approx(0.02)
    assert pace.wait_s(5.0, 10.02) == pytest.approx(0.02)
    assert pace.wait_s(1.0, 11.0) == 0.0


def test_a_viewer_that_floods_delays_itself_alone(site, viewer, monkeypatch):
    """It may send 4 commands at once, and then one in 500 s; the other one's are taken."""
    monkeypatch.setattr(live, "MOST_HZ", 0.01)
    monkeypatch.setattr(live, "BURST", 15.0)
    flood = site.viewer()
    for _ in range(30):
        flood.send(type="threshold", which="objectness", by=0.01)
    flood.read(0.1)
    viewer.acknowledge = False
    viewer.switch("pause")
    viewer.until(lambda: viewer.state["world"]["paused"])
    assert viewer.state["detector"]["objectness"] == pytest.approx(0.34)
    flood.close()


def test_two_viewers_see_one_world(site, viewer):
    other = site.viewer()
    other.switch("pause")
    viewer.until(lambda: viewer.state["world"]["paused"])
    other.send(type="threshold", which="objectness", by=0.05)
    viewer.until(lambda: viewer.state["detector"]["objectness"] == 0.35)
    other.close()


def test_nothing_is_rendered_while_nobody_watches(site, monkeypatch):
    """The loop looks again and again whether anybody does, and makes no picture."""
    show, looks = site.session.show, []
    is_idle = show._is_idle

    def noted(painter):
        looks.append(is_idle(painter))
        return looks[-1]

    monkeypatch.setattr(show, "_is_idle", noted)
    viewer = site.viewer()
    viewer.until(lambda: viewer.frames)
    viewer.close()
    until(lambda: looks[-1:] == [True])
    seen, count, at_s = len(looks), show.numbers, site.session.shared.world.time_s
    until(lambda: len(looks) > seen + 20)
    assert all(looks[seen:])
    assert show.numbers == count
    assert site.session.shared.world.time_s == at_s
    again = site.viewer()
    again.until(lambda: again.frames)
    again.until(lambda: show.numbers > count)
    again.close()


def test_a_seed_is_flown_from_a_moment_on(viewer):
    viewer.switch("pause")
    viewer.until(lambda: viewer.state["world"]["paused"])
    viewer.send(type="seed", seed="5", at_s=67)
    viewer.until(lambda: viewer.state["world"]["seed"] == "5")
    viewer.until(lambda: viewer.state["world"]["time_s"] == 67.0)
    viewer.send(type="seed", seed="5", at_s=1e9)
    end = lambda: viewer.state["world"]["time_s"] == viewer.state["world"]["duration_s"]  # noqa: E731
    viewer.until(end)


def test_steering_takes_the_scope_and_ends_with_silence(site, viewer):
    world = site.session.shared.world
    viewer.send(type="speed", by=2)
    viewer.send(type="steer", forward=1)
    viewer.until(lambda: any("steered by hand" in text for text in viewer.events))
    viewer.until(lambda: not viewer.state["world"]["autopilot"])
    assert world.steer
    viewer.until(lambda: not world.steer)  # it said nothing for a second


def test_steering_ends_with_the_viewer(site, viewer, monkeypatch):
    monkeypatch.setattr(live, "SILENT_S", 3600.0)  # it isn't silence that ends it
    world = site.session.shared.world
    other = site.viewer()
    other.send(type="steer", forward=1)
    viewer.until(lambda: world.steer)
    other.socket.close()
    viewer.until(lambda: not world.steer)


def test_the_last_one_to_steer_wins(site, viewer):
    world = site.session.shared.world
    other = site.viewer()
    other.send(type="steer", forward=1)
    viewer.until(lambda: world.steer.forward == 1)
    viewer.send(type="steer", yaw=1)
    viewer.until(lambda: world.steer.yaw == 1)
    other.send(type="steer")
    other.read(0.2)
    assert world.steer.yaw == 1, "who doesn't steer any more can't stop who does"
    other.close()


def test_boxes_and_truth_come_with_the_frames(site, detector):
    """The fake detector always finds the same box, which a track smooths once it is confirmed."""
    detector.boxes, found = (), detector.boxes
    viewer = site.viewer()
    viewer.until(lambda: viewer.frames and viewer.state)
    viewer.pause()
    assert viewer.frames[-1]["boxes"] == []
    detector.boxes = found
    site.session.detecting.again()
    viewer.until(lambda: viewer.frames[-1]["boxes"])
    [box] = viewer.frames[-1]["boxes"]
    assert box["xyxy"] == pytest.approx([0.25, 0.25, 0.5, 0.5])
    assert box["score"] == pytest.approx(0.9)
    assert (box["label"], box["matched"], box["hit"]) == ("polyp", True, None)
    viewer.switch("pause")
    viewer.until(lambda: [box["track"] for box in viewer.frames[-1]["boxes"]] == [1])
    assert viewer.frames[-1]["truth"] is None
    viewer.switch("truth")
    viewer.until(lambda: viewer.frames[-1]["truth"] is not None)
    viewer.until(lambda: viewer.frames[-1]["boxes"])
    assert viewer.frames[-1]["boxes"][0]["hit"] in (True, False)
    counts = lambda: viewer.state["truth"]["since_reset"]  # noqa: E731
    viewer.until(lambda: counts()["fp"] + counts()["tp"] > 0)
    minute = viewer.state["truth"]["minute"]
    assert minute["fp"] + minute["tp"] > 0
    assert viewer.state["truth"]["setting"] == "heuristic, objectness 0.30, IoU 0.50, seed 3"
    viewer.pause()
    viewer.switch("reset_score")
    viewer.until(lambda: counts()["fp"] == 0)
    viewer.until(lambda: viewer.state["lesions"]["marks"] == [])
    viewer.close()


def test_a_track_on_no_polyp_is_marked_as_false(viewer):
    """What the fake detector finds stands still, whatever the scope does."""
    viewer.until(lambda: viewer.state["lesions"]["false_tracks"] + viewer.state["lesions"]["found"])
    lesions = viewer.state["lesions"]
    assert lesions["polyps"] > 0
    kinds = [mark["kind"] for mark in lesions["marks"]]
    assert kinds.count("false") == lesions["false_tracks"]
    assert kinds.count("found") == lesions["found"]
    assert kinds.count("missed") == lesions["missed"]


def test_a_paused_picture_still_gets_new_boxes(viewer, detector):
    viewer.until(lambda: viewer.frames[-1]["boxes"])
    viewer.pause()
    detector.boxes = ()
    viewer.send(type="threshold", which="objectness", by=0.05)
    viewer.until(lambda: not viewer.frames[-1]["boxes"])


def test_the_detector_failing_is_seen_and_the_view_goes_on(viewer, detector):
    detector.failure = ValueError("no")
    viewer.until(lambda: viewer.state["detector"]["error"])
    count = len(viewer.frames)
    viewer.until(lambda: len(viewer.frames) > count + 5)
    detector.failure = None
    viewer.until(lambda: viewer.state["detector"]["error"] is None)


def test_a_websocket_of_another_page_is_refused(site):
    live = site.origin.replace("http", "ws") + "/live"
    for origin in (None, *map(Origin, ("http://evil.example", "http://127.0.0.1:1", "null"))):
        with pytest.raises(InvalidStatus) as refused, connect(live, origin=origin):
            pass
        assert refused.value.response.status_code == 403


def test_a_websocket_for_another_host_is_refused(site):
    live = site.origin.replace("http", "ws") + "/live"
    evil = {"Host": f"evil.example:{site.port}"}
    with pytest.raises(InvalidStatus), connect(live, origin=site.origin, additional_headers=evil):
        pass


def test_with_a_token_only_those_who_have_it_get_in(make_site):
    site = make_site(token="s3cret")
    live = site.origin.replace("http", "ws") + "/live"
    assert site.get("/").status_code == 401
    assert site.post("/api/jobs/datagen/start").status_code == 401
    for bad in (live, f"{live}?token=wrong"):
        with pytest.raises(InvalidStatus), connect(bad, origin=site.origin):
            pass
    with httpx.Client(base_url=site.origin, follow_redirects=True) as web:
        page = web.get("/?token=s3cret")
        assert page.status_code == 200
        assert str(page.url) == site.origin + "/"
        assert web.get("/api/jobs").status_code == 200
        cookie = "; ".join(f"{name}={value}" for name, value in web.cookies.items())
    with connect(live, origin=site.origin, additional_headers={"Cookie": cookie}) as socket:
        assert json.loads(socket.recv(timeout=120))["type"] == "hello"


def test_a_clip_of_what_was_shown_can_be_had_by_who_may_do_all(make_site):
    site = make_site("s3cret")
    cookie = f"endoforge_{site.port}="
    headers = {"origin": site.origin, "cookie": cookie + "s3cret"}
    until(lambda: site.session.encoding.kept.pictures())
    answer = site.post("/api/clip?boxes=0", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.content[4:8] == b"ftyp"
    headers["cookie"] = cookie + watch_token("s3cret")
    assert site.post("/api/clip?boxes=0", headers=headers).status_code == 403


def test_the_end_waits_for_no_clip(make_site, monkeypatch, caplog):
    site, go_on = make_site(), threading.Event()
    until(lambda: site.session.encoding.kept.pictures())
    begun = threading.Event()

    def slowly(**_: Any) -> bytes:
        begun.set()
        go_on.wait(600)
        return b""

    monkeypatch.setattr(site.session.clips, "make", slowly)
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(site.post("/api/clip")))
    asking.start()
    assert begun.wait(600)
    site.close()
    go_on.set()
    asking.join(60)
    assert [answer.status_code for answer in answers] == [503]
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("watches", [True, False])
def test_who_only_watches_gets_pictures_and_changes_nothing(make_site, watches):
    site = make_site(token="s3cret")
    token = watch_token("s3cret") if watches else "s3cret"
    live = f"{site.origin.replace('http', 'ws')}/live?token={token}"
    said: list[dict[str, Any]] = []
    with connect(live, origin=site.origin, max_size=None) as socket:
        until(lambda: isinstance(socket.recv(timeout=120), bytes))
        socket.send(json.dumps({"type": "switch", "what": "pause"}))
        until(lambda: _heard(socket, said))
    refused = "this address is for watching only"
    assert (said[-1].get("text") == refused) == watches
    assert site.session.shared.world.paused != watches


def _heard(socket, said):
    """Whether the answer came: an event that refuses, or a state of a pause."""
    message = socket.recv(timeout=120)
    if isinstance(message, bytes):
        frame = json.loads(message[4 : 4 + struct.unpack("<I", message[:4])[0]])["frame"]
        socket.send(json.dumps({"type": "ack", "frame": frame}))
        return False
    said.append(json.loads(message))
    return "watching only" in said[-1].get("text", "") or said[-1].get("world", {}).get("paused")


def test_runs_and_their_thumbnails(viewer, site, tmp_path):
    viewer.send(type="speed", by=2)
    viewer.switch("record")
    viewer.until(lambda: viewer.state["recorder"]["frames"] >= 3)
    viewer.switch("record")
    viewer.until(lambda: not viewer.state["recorder"]["recording"])
    name, frames = viewer.state["recorder"]["run"], viewer.state["recorder"]["frames"]
    listing = site.get("/api/runs").json()
    [row] = listing["runs"]
    assert (row["name"], row["frames"], row["complete"]) == (name, frames, True)
    assert row["frame_ids"] == list(range(frames))
    assert row["seed"] == str(site.session.shared.world.colon.run.seed)
    queries = [("", 96), ("?overlay=1&width=48", 48), ("?width=99999", 96)]
    for query, width in (*queries, ("?overlay=1&width=0", 32)):
        answer = site.get(f"/api/runs/{name}/frames/0.jpg{query}")
        assert answer.headers["content-type"] == "image/jpeg"
        assert decoded(answer.content).shape[1] == width
    (tmp_path / "secret").mkdir()
    for path in (
        f"/api/runs/{name}/frames/99.jpg",
        "/api/runs/..%2f..%2fsecret/frames/0.jpg",
        "/api/runs/%2e%2e/frames/0.jpg",
        "/api/runs/run_1%2f..%2f..%2fsecret/frames/0.jpg",
        f"/api/runs/{name}%00/frames/0.jpg",
        f"/api/runs/{name}/frames/-1.jpg",
        f"/api/runs/{name}/frames/99999999999999999999999.jpg",
    ):
        answer = site.get(path)
        assert answer.status_code == 404, path
        assert set(answer.json()) == {"error"}
    assert site.get(f"/api/runs/{name}/frames/0.jpg?width=big").status_code == 400


def test_jobs_by_http(site):
    listing = site.get("/api/jobs").json()
    assert listing["datagen"]["state"] == listing["train"]["state"] == "idle"
    assert listing["datagen"]["defaults"] == {"runs": 4, "max_frames": 60, "seed": 1}
    assert listing["train"]["goes_on"] is False
    assert listing["train"]["defaults"] == {"epochs": 10, "batch_size": 16, "lr_start": 0.002}
    for kind, value, status in (
        ("datagen", {"runs": -1}, 400),
        ("datagen", {"output_root": "/"}, 400),
        ("datagen", [1], 400),
        ("rm", {}, 400),
    ):
        answer = site.post(f"/api/jobs/{kind}/start", value)
        assert answer.status_code == status
        assert set(answer.json()) == {"error"}
    headers = {"origin": site.origin}
    for body in (
        "[" * 3000,
        '{"runs": ' + "9" * 400 + "}",
        '{"runs": ' + "[" * 900 + "]" * 900 + "}",
    ):
        answer = httpx.post(f"{site.origin}/api/jobs/datagen/start", content=body, headers=headers)
        assert answer.status_code == 400
        assert set(answer.json()) == {"error"}
        assert len(answer.json()["error"]) < 500
    assert site.post("/api/jobs/datagen/start", {}, headers={}).status_code == 403
    assert site.get("/api/jobs/datagen/start").status_code == 405
    assert site.get("/api/jobs/datagen/log?from=0").json() == {"text": "", "next": 0}
    assert site.get("/api/jobs/datagen/log?from=-3").status_code == 400
    assert site.post("/api/jobs/datagen/stop").status_code == 200
    assert site.get("/api/jobs").json() == listing, "nothing was started"


def test_training_without_files_and_with_them(site):
    assert site.get("/api/training").json()["status"] is None
    config = site.session.config
    Path(config.status_file).parent.mkdir()
    Path(config.status_file).write_text(
        json.dumps({"status": "running", "epoch": 2, "step": 3, "steps_per_epoch": 10, "loss": 1.5})
    )
    Path(config.metrics_out).write_text('{"epoch": 1, "ap50": 0.5}\nnot json\n[1]\n')
    answer = site.get("/api/training").json()
    assert answer["status"]["epoch"] == 2
    assert answer["metrics"] == [{"epoch": 1, "ap50": 0.5}]
    assert set(answer) == {"status", "metrics", "losses", "phase"}
    until(lambda: site.get("/api/training").json()["losses"])
    assert site.get("/api/training").json()["losses"] == [[13, 1.5]]


def test_a_port_that_is_taken_is_told_or_passed_over(tmp_path, monkeypatch):
    from endoforge.core.errors import UserError

    first = listen(small_config(tmp_path, port=0))
    port = first.getsockname()[1]
    with contextlib.closing(first):
        with pytest.raises(UserError, match=f"--port {port} is taken"):
            listen(small_config(tmp_path, port=port))
        monkeypatch.setattr(serving, "DEFAULT_PORT", port)
        with contextlib.closing(listen(small_config(tmp_path))) as second:
            assert port < second.getsockname()[1] <= port + serving.TRIES
        monkeypatch.setattr(serving, "TRIES", 1)
        with pytest.raises(UserError, match=f"ports {port} to {port} are taken: give --port 0"):
            listen(small_config(tmp_path))
    with pytest.raises(UserError, match=r"--host 203\.0\.113\.1"):
        listen(small_config(tmp_path, host="203.0.113.1", port=0))


def test_it_ends_though_viewers_look_on(make_site, monkeypatch):
    """It leaves them, and waits neither for them nor, longer than a second, for an answer."""
    servers = []

    class Noted(uvicorn.Server):
        def __init__(self, config):
            servers.append(config)
            super().__init__(config)

    monkeypatch.setattr(uvicorn, "Server", Noted)
    site = make_site()
    viewer = site.viewer()
    viewer.until(lambda: viewer.frames)
    site.close()
    assert site.error is None
    assert [config.timeout_graceful_shutdown for config in servers] == [1]
    session = site.session
    assert not any(t.is_alive() for t in (session.show, session.detecting, session.encoding))
    with pytest.raises(ConnectionClosed):
        viewer.until(lambda: False)
    assert viewer.socket.close_code == 1012, "by which the page knows that nothing is broken"


def test_a_server_that_keeps_an_interruption_to_itself_is_interrupted(make_site, monkeypatch):
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: None)
    site = make_site()
    site._thread.join(20)
    assert isinstance(site.error, KeyboardInterrupt)


def test_vanishing_viewers_leave_nothing_behind(site):
    for _ in range(5):
        client = site.viewer(acknowledge=False)
        client.socket.socket.close()  # without a word
    raw = site.viewer()
    raw.socket.socket.send(base64.b64encode(os.urandom(30)))  # what is no WebSocket frame
    viewer = site.viewer()
    viewer.until(lambda: len(viewer.frames) > 5)
    viewer.until(lambda: viewer.state["rates"]["clients"] == 1, seconds=40)
    viewer.close()
