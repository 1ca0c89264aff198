"""Who may talk to the server: pages of its own, and beyond this machine those with the token."""

import hmac
import ipaddress
import secrets
import socket
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from endoforge.core.errors import UserError

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
WATCH_ONLY = "endoforge.watch_only"
"""The key of a scope that is true for who may watch alone."""
MOST_BODY = 4096
"""Bytes of a request; there is nothing to send that is longer, but for labels."""
MOST_LABEL_BODY = 500_000
"""Bytes of the label of a frame with hundreds of boxes."""
TOKEN_PAGE = Path(__file__).with_name("static") / "token.html"
REFUSED = 1008
"""WebSocket's code for a policy that was violated."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """A secret of 192 bits, as a text that may stand in an address."""
    return secrets.token_urlsafe(24)


def watch_token(token: str) -> str:
    """The token of those who may only watch; that of the others can't be told from it."""
    return hmac.new(token.encode(), b"watch only", "sha256").hexdigest()[:32]


class Guard:
    """Lets through what the server's own pages ask, and adds headers to all that it answers.

    Host must be a name of this server, which keeps out pages whose own name was made to lead here.
    Origin must be the same, where there is one; POST, PUT and WebSocket must have one. With
    `token`, the address or a cookie must have that, or its `watch_token`; with this, nothing is
    changed, and the scope of a WebSocket says WATCH_ONLY.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int, token: str | None) -> None:
        self._app = app
        self._host = host
        self._token = token
        self._cookie = f"endoforge_{port}"
        self._names = {"localhost", "127.0.0.1", "::1", host.lower()}
        if token is not None:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            if self._refusal(scope) is None:
                watches = not self._may_all(scope, Headers(scope=scope))
                await self._app({**scope, WATCH_ONLY: watches}, receive, send)
            else:
                await receive()  # the handshake: it has to be taken before it can be refused
                await send({"type": "websocket.close", "code": REFUSED})
            return
        answer = self._with_headers(send, scope)
        if (response := self._refusal(scope) or self._welcome(scope)) is not None:
            await response(scope, receive, answer)
            return
        await self._app(scope, _limited(receive, _most_body(scope)), answer)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(_name(host)):
            return _error(403, f"this server isn't {host[:80]!r}: open the address that it printed")
        origin = headers.get("origin")
        needed = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if (needed or origin is not None) and not _same(origin, host):
            return _error(403, "only pages of this server may ask for that")
        if scope["type"] == "http" and _length(headers) > (most := _most_body(scope)):
            return _error(413, f"a request may have {most} bytes")
        if self._given(scope, headers) is None:
            if "text/html" in headers.get("accept", ""):
                return FileResponse(TOKEN_PAGE, status_code=401)
            return _error(401, "open the address that sim-view printed, with its token")
        if scope["type"] == "http" and needed and not self._may_all(scope, headers):
            return _error(403, "this address is for watching only")
        return None

    def _is_ours(self, name: str) -> bool:
        if name in self._names:
            return True
        if self._host not in ("0.0.0.0", "::"):
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _welcome(self, scope: Scope) -> Response | None:
        """A redirect from the address with the token to the one without.

        So the token isn't left in the history of the browser, nor seen over somebody's shoulder.
        """
        if self._token is None or scope["path"] != "/" or not self._knows(scope):
            return None
        return RedirectResponse("/", status_code=303)

    def _knows(self, scope: Scope) -> str | None:
        """The token that the address has, if it is one of ours."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        return self._ours(query.get("token", [""])[0])

    def _given(self, scope: Scope, headers: Headers) -> str | None:
        """The token of the address or the cookie; None if there is none of ours."""
        if self._token is None:
            return ""
        if (known := self._knows(scope)) is not None:
            return known
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return None
        return None if cookie is None else self._ours(cookie.value)

    def _may_all(self, scope: Scope, headers: Headers) -> bool:
        return self._given(scope, headers) == (self._token or "")

    def _ours(self, given: str) -> str | None:
        if self._token is None:
            return None
        for token in (self._token, watch_token(self._token)):
            # In the same time for any other text, so that nobody can guess it letter by letter.
            if hmac.compare_digest(given.encode(), token.encode()):
                return token
        return None

    def _with_headers(self, send: Send, scope: Scope) -> Send:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if (known := self._knows(scope)) is not None:
                    cookie = f"{self._cookie}={known}; HttpOnly; SameSite=Strict; Path=/"
                    headers.append("Set-Cookie", cookie)
            await send(message)

        return answer


class TooLong(UserError):
    """A request without a length that turned out to be too long."""


def _most_body(scope: Scope) -> int:
    is_label = scope["method"] == "PUT" and scope["path"].startswith("/api/labels/")
    return MOST_LABEL_BODY if is_label else MOST_BODY


def _limited(receive: Receive, most: int) -> Receive:
    """`receive`, but that it raises TooLong after `most` bytes."""
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise TooLong(f"a request may have {most} bytes")
        return message

    return limited


def _length(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    # A number of thousands of digits is more than `int` reads.
    return int(text) if text.isdecimal() and len(text) < 16 else MOST_LABEL_BODY + 1


def _name(host: str) -> str:
    """A Host header's name, without its port: "[::1]:8765" is "::1"."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _same(origin: str | None, host: str) -> bool:
    """Whether an Origin header is of pages of this Host."""
    if origin is None:
        return False
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status_code=status)
