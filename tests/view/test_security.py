"""Who is let in: the server's own pages, and from elsewhere those with the token."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from endoforge.view.security import MOST_BODY, POLICY, Guard, is_loopback, new_token, watch_token

TOKEN = "the-right-token"


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} bytes")


def ask(
    method="GET", path="/", *, token=None, host="127.0.0.1", port=8765, headers=None, **more
) -> httpx.Response:
    app = Starlette(routes=[Route("/{rest:path}", echo, methods=["GET", "POST"])])
    guard = Guard(app, host=host, port=port, token=token)

    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=guard)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}:{port}") as web:
            return await web.request(method, path, headers=headers, **more)

    return asyncio.run(go())


def test_a_page_gets_its_headers():
    answer = ask()
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("host", ["localhost:9999", "127.0.0.1:1", "[::1]:8765", "LOCALHOST"])
def test_this_machines_names_are_ours_at_any_port(host):
    """An ssh -L may forward another port."""
    assert ask(headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.5:8765", "", "localhost.", "[::1"]
)
def test_another_host_is_refused(host):
    """A page whose name leads here (DNS rebinding) has that name as its Host."""
    answer = ask(headers={"host": host})
    assert answer.status_code == 403
    assert "error" in answer.json()


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://127.0.0.1:8766",
        "http://127.0.0.1",
        "null",
        "file://127.0.0.1:8765",
        "http://127.0.0.1:8765.evil.example",
        "http://[",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_origin_is_refused(origin, method):
    assert ask(method, headers={"origin": origin}).status_code == 403


def test_a_post_needs_an_origin():
    assert ask("POST").status_code == 403
    assert ask("POST", headers={"origin": "http://127.0.0.1:8765"}).status_code == 200


def test_a_long_body_is_refused():
    origin = {"origin": "http://127.0.0.1:8765"}
    assert ask("POST", headers=origin, content=b"x" * MOST_BODY).text == f"{MOST_BODY} bytes"
    assert ask("POST", headers=origin, content=b"x" * (MOST_BODY + 1)).status_code == 413
    for length in ("-5", "9" * 5000):
        assert ask("POST", headers=origin | {"content-length": length}).status_code == 413


def test_without_the_token_nothing_is_given():
    for path in ("/", "/api/runs", "/?token=", "/?token=wrong", f"/?Token={TOKEN}"):
        answer = ask(path=path, token=TOKEN)
        assert answer.status_code == 401, path
        assert TOKEN not in answer.text
        assert "set-cookie" not in answer.headers


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_dont_see():
    answer = ask(path=f"/?token={TOKEN}", token=TOKEN)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert cookie == f"endoforge_8765={TOKEN}; HttpOnly; SameSite=Strict; Path=/"
    kept = {"cookie": f"endoforge_8765={TOKEN}"}
    assert ask(path="/api/runs", token=TOKEN, headers=kept).status_code == 200
    for bad in (f"endoforge_8765={TOKEN}x", f"endoforge_1={TOKEN}", "endoforge_8765=", "\x01;;="):
        assert ask(token=TOKEN, headers={"cookie": bad}).status_code == 401


def test_the_token_alone_doesnt_excuse_a_wrong_origin():
    headers = {"origin": "http://evil.example"}
    assert ask("POST", f"/api?token={TOKEN}", token=TOKEN, headers=headers).status_code == 403


def test_listening_everywhere_takes_addresses_but_no_foreign_names():
    kept = {"cookie": f"endoforge_8765={TOKEN}"}
    for name, status in (("10.0.0.7:8765", 200), ("evil.example", 403)):
        answer = ask(token=TOKEN, host="0.0.0.0", headers=kept | {"host": name})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("pc", False)],
)
def test_which_addresses_are_this_machines_alone(host, alone):
    assert is_loopback(host) is alone


def test_tokens_are_long_and_differ():
    assert len({new_token() for _ in range(50)}) == 50
    assert len(new_token()) >= 32


def test_a_browser_without_the_token_gets_a_page_that_asks_for_it():
    """Its form leads to the address that sim-view prints; a script gets a line of JSON."""
    for path in ("/", "/?token=wrong"):
        answer = ask(path=path, token=TOKEN, headers={"accept": "text/html,*/*;q=0.8"})
        assert answer.status_code == 401
        assert "text/html" in answer.headers["content-type"]
        assert '<form method="get" action="/"' in answer.text
        assert 'name="token"' in answer.text
        assert TOKEN not in answer.text
        assert "set-cookie" not in answer.headers
    assert "token" in ask(token=TOKEN, headers={"accept": "*/*"}).json()["error"]
    assert ask(method="POST", token=TOKEN, headers={"accept": "text/html"}).status_code == 403


def test_a_token_to_watch_opens_the_page_and_starts_nothing():
    watching = watch_token(TOKEN)
    assert TOKEN not in watching
    answer = ask(path=f"/?token={watching}", token=TOKEN)
    assert answer.status_code == 303
    assert f"={watching};" in answer.headers["set-cookie"]
    origin = {"origin": "http://127.0.0.1:8765"}
    for given, status in ((watching, 403), (TOKEN, 200), ("wrong", 401)):
        headers = {"cookie": f"endoforge_8765={given}"}
        assert ask(token=TOKEN, headers=headers).status_code == (401 if status == 401 else 200)
        posted = ask(method="POST", token=TOKEN, headers=headers | origin)
        assert posted.status_code == status
    assert (
        "watching only"
        in ask(
            method="POST", token=TOKEN, headers={"cookie": f"endoforge_8765={watching}"} | origin
        ).json()["error"]
    )
