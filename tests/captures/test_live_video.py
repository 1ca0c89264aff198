"""Streams from a server of this machine: what comes through, what breaks, what is refused."""

import os
import pty
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from endoforge.captures import live_video
from endoforge.captures.addresses import LiveAddress, live_address
from endoforge.captures.live_video import StreamBroken, live_frames

FPS = 25


def save(path: Path, count: int) -> Path:
    """Frames as grey as 4 times their number."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(count):
            pixels = np.full((64, 96, 3), 4 * number, np.uint8)
            frame = VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Serves one answer to everything, and gives the address."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(OSError):  # who asked has gone
                    answer(self)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/stream"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def file_of(data: bytes) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    return answer


def at(address: str) -> LiveAddress:
    found = live_address(address)
    assert found is not None
    return found


def greys(address: str) -> list[int]:
    with live_frames(at(address)) as frames:
        return [round(frame.to_ndarray(format="rgb24").mean() / 4) for frame in frames]


def test_a_transport_stream_comes_through_whole(tmp_path, serve):
    data = save(tmp_path / "a.ts", 30).read_bytes()

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()  # no length: it might go on for ever
        request.wfile.write(data)

    seen: list[int] = []
    with live_frames(at(serve(endless))) as frames, pytest.raises(StreamBroken, match="it broke"):
        seen += (round(frame.to_ndarray(format="rgb24").mean() / 4) for frame in frames)
    assert seen == list(range(30))


def test_a_file_at_an_address_comes_at_its_pace(tmp_path, serve, monkeypatch):
    monkeypatch.setattr(live_video, "AHEAD_S", 0.1)
    address = serve(file_of(save(tmp_path / "a.mkv", 20).read_bytes()))
    began = time.monotonic()
    assert greys(address) == list(range(20))
    assert time.monotonic() - began > 0.6  # 0.76 s, less what is read ahead


def test_a_server_that_falls_silent_is_given_up(tmp_path, serve, monkeypatch):
    monkeypatch.setattr(live_video, "READ_S", 0.3)
    data = save(tmp_path / "a.ts", 40).read_bytes()
    over = threading.Event()

    def silent(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(data)
        over.wait(10)

    with pytest.raises(StreamBroken, match="it doesn't answer"):
        greys(serve(silent))
    over.set()


def test_an_address_leads_to_no_file_of_this_machine(tmp_path, serve):
    """Neither by a redirect nor by a playlist."""
    video = save(tmp_path / "secret.mkv", 3)

    def redirected(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", f"file://{video}")
        request.end_headers()

    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{video}\n#EXT-X-ENDLIST\n"
    joined = f"ffconcat version 1.0\nfile file://{video}\n"
    for answer in (redirected, file_of(playlist.encode()), file_of(joined.encode())):
        with pytest.raises(StreamBroken):
            greys(serve(answer))


@pytest.mark.parametrize(
    ("status", "why"), [(401, "authorization"), (404, "not found"), (500, "5XX")]
)
def test_a_server_that_refuses_says_why(serve, status, why):
    address = serve(lambda request: request.send_error(status)).replace("//", "//eve:secret@")
    with pytest.raises(StreamBroken, match=f"(?i){why}") as broken:
        greys(address)
    assert "secret" not in str(broken.value)


def test_a_device_that_is_no_camera_says_so():
    master, slave = pty.openpty()
    with pytest.raises(StreamBroken, match=r"Inappropriate ioctl|Invalid argument|can't be opened"):
        greys(os.ttyname(slave))
    os.close(master)
    os.close(slave)
