"""A real S3 server on this machine, and a proxy before it that makes faults on demand."""

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.untraced import untraced

KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests"}
REFUSED = "not-a-key"
"""An access key that the proxy doesn't know: the server behind it takes any."""

Fault = str
SLOW_DOWN, DENIED, BROKEN, TRUNCATED = "slow down", "denied", "broken", "truncated"


@dataclass
class Faults:
    """What the proxy does in place of passing a request on, by what comes of `choose`.

    `choose` is told the method and the path of each request, and gives a fault or None.
    """

    choose: Callable[[str, str], Fault | None] = lambda _method, _path: None
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Every request, in order."""

    def of(self, method: str, path: str) -> Fault | None:
        self.seen.append((method, path))
        return self.choose(method, path)

    def first(self, number: int, fault: Fault, method: str, part: str = "") -> None:
        """Make `fault` of the first `number` requests of this method whose path has this part."""
        left = [number]

        def choose(one: str, path: str) -> Fault | None:
            if one != method or part not in path or left[0] <= 0:
                return None
            left[0] -= 1
            return fault

        self.choose = choose

    def always(self, fault: Fault, method: str, part: str = "") -> None:
        """Make `fault` of every request of this method whose path has this part."""
        self.choose = lambda one, path: fault if one == method and part in path else None

    def clear(self) -> None:
        self.choose = lambda _method, _path: None
        self.seen.clear()

    def paths(self, method: str) -> list[str]:
        """The paths of the requests of one method so far."""
        return [path for one, path in self.seen if one == method]


class Proxy:
    """Passes requests to the server at `port`, or makes faults of them."""

    def __init__(self, port: int) -> None:
        self.faults = Faults()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                proxy._handle(self, port)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = untraced(handle_any)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, request: BaseHTTPRequestHandler, port: int) -> None:
        method, path = request.command, unquote(request.path)
        fault = self.faults.of(method, path)
        if REFUSED in request.headers.get("Authorization", ""):
            _refuse(request, 403, "InvalidAccessKeyId")
        elif fault == SLOW_DOWN:
            _refuse(request, 503, "SlowDown")
        elif fault == DENIED:
            _refuse(request, 403, "AccessDenied")
        elif fault == BROKEN and method == "PUT":
            request.rfile.read(1)  # in the midst of what is written
            _cut(request)
        else:
            _pass_on(request, port, fault)


def _pass_on(request: BaseHTTPRequestHandler, port: int, fault: Fault | None) -> None:
    length = int(request.headers.get("Content-Length", 0))
    body = request.rfile.read(length)
    if len(body) < length:  # whoever wrote was killed
        return
    behind = http.client.HTTPConnection("127.0.0.1", port)
    behind.request(request.command, request.path, body, dict(request.headers.items()))
    answer = behind.getresponse()
    data = answer.read()
    behind.close()
    said = len(data) // 2 if fault == TRUNCATED else len(data)
    request.send_response(answer.status)
    for name, value in answer.getheaders():
        left_out = ["content-length", "transfer-encoding", "connection"]
        if fault == TRUNCATED:  # as from a server that sends no checksums
            left_out += ["x-amz-checksum-crc32", "x-amz-checksum-type"]
        if name.lower() not in left_out:
            request.send_header(name, value)
    told = answer.getheader("Content-Length") if request.command == "HEAD" else str(said)
    request.send_header("Content-Length", told or "0")
    request.end_headers()
    if fault == BROKEN:  # in the midst of what is read
        request.wfile.write(data[: len(data) // 2])
        request.wfile.flush()
        _cut(request)
        return
    request.wfile.write(b"" if request.command == "HEAD" else data[:said])


def _cut(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True
    request.connection.shutdown(2)


def _refuse(request: BaseHTTPRequestHandler, status: int, code: str) -> None:
    request.rfile.read(int(request.headers.get("Content-Length", 0)))
    body = f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>".encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/xml")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
