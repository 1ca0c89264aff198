"""What stands in for the Hub: as much of its HTTP API as pushing and pulling needs."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_tests"
LARGE = (".safetensors", ".tar")
"""How names of files end that lie in large file storage, as .gitattributes has it."""


@dataclass
class StoredRepo:
    """Its commits by their hashes, the newest last; each has all files by their names."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    def commit(self, changed: dict[str, bytes]) -> str:
        name = hashlib.sha1(str(len(self.commits)).encode()).hexdigest()
        self.commits[name] = self.files | changed
        return name


class StandIn:
    """A Hub of one user, `me`, who is known by TOKEN."""

    def __init__(self) -> None:
        self.repos: dict[str, StoredRepo] = {}
        """By kind and name, such as `models/me/polyps`."""
        self.large: dict[str, bytes] = {}
        self.ignored: set[str] = set()
        """Names that a .gitignore would leave out."""
        self.spoilt = False
        """Whether large files are sent with a byte that isn't theirs."""
        self.read_only = False
        self.address = ""


@contextmanager
def serving(hub: StandIn) -> Iterator[StandIn]:
    class Handler(_Handler):
        of = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    of: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        parts = self._parts()
        if parts[0] == "api":
            self._info(parts[1:])
        else:
            self._resolve(parts)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        self.of.large[self._parts()[1]] = self._body()
        self._say({})

    def do_POST(self) -> None:
        parts, body = self._parts(), self._body()
        if parts == ["api", "validate-yaml"]:
            bad = "broken" in json.loads(body)["content"]
            errors = [{"message": "broken"}] if bad else []
            self._say({"errors": errors, "warnings": []}, 400 if bad else 200)
        elif not self._is_me():
            self._say({"error": "Invalid credentials"}, 401)
        elif parts == ["api", "repos", "create"]:
            self._create(json.loads(body))
        elif self.of.read_only:
            self._say({"error": "Forbidden: read only"}, 403)
        elif parts[-1] == "batch":
            self._batch(json.loads(body))
        elif parts[4] == "preupload":
            self._preupload(json.loads(body))
        else:
            self._commit("/".join(parts[1:4]), body)

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['type']}s/{wanted['organization']}/{wanted['name']}"
        url = f"{self.of.address}/{name.removeprefix('models/')}"
        if name in self.of.repos:
            self._say({"error": "You already created this repo", "url": url}, 409)
            return
        self.of.repos[name] = StoredRepo(private=wanted.get("visibility") == "private")
        self._say({"url": url})

    def _preupload(self, wanted: dict[str, Any]) -> None:
        files = [
            {
                "path": one["path"],
                "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular",
                "shouldIgnore": one["path"] in self.of.ignored,
                "oid": None,
            }
            for one in wanted["files"]
        ]
        self._say({"files": files})

    def _batch(self, wanted: dict[str, Any]) -> None:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.of.address}/large/{one['oid']}"}}}
            for one in wanted["objects"]
        ]
        self._say({"transfer": "basic", "objects": objects})

    def _commit(self, name: str, body: bytes) -> None:
        changed = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "lfsFile":
                changed[value["path"]] = self.of.large[value["oid"]]
            elif line["key"] == "file":
                changed[value["path"]] = base64.b64decode(value["content"])
        made = self.of.repos[name].commit(changed)
        self._say({"commitUrl": f"{self.of.address}/{name}/commit/{made}", "commitOid": made})

    def _info(self, parts: list[str]) -> None:
        repo = self._seen("/".join(parts[:3]))
        if repo is None:
            return
        revision = parts[4] if len(parts) > 4 else "main"
        commit = repo.head if revision == "main" else revision
        if commit not in repo.commits:
            self._say({"error": "Invalid rev id"}, 404, **{"X-Error-Code": "RevisionNotFound"})
            return
        siblings = [_sibling(name, data) for name, data in repo.commits[commit].items()]
        name = "/".join(parts[1:3])
        told = {"id": name, "sha": commit, "private": repo.private, "siblings": siblings}
        self._say({**told, "tags": [], "downloads": 0, "likes": 0})

    def _resolve(self, parts: list[str]) -> None:
        kind, parts = ("datasets", parts[1:]) if parts[0] == "datasets" else ("models", parts)
        repo = self._seen("/".join([kind, *parts[:2]]))
        if repo is None:
            return
        data = repo.commits[parts[3]]["/".join(parts[4:])]
        tag = hashlib.sha256(data).hexdigest()
        if self.of.spoilt:
            data = data[:-1] + bytes([data[-1] ^ 1])
        headers = {"X-Repo-Commit": parts[3], "ETag": f'"{tag}"'}
        self._send(data, "application/octet-stream", 200, headers)

    def _seen(self, name: str) -> StoredRepo | None:
        repo = self.of.repos.get(name)
        if repo is not None and (self._is_me() or not repo.private):
            return repo
        self._say({"error": "Repository not found"}, 404, **{"X-Error-Code": "RepoNotFound"})
        return None

    def _is_me(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _parts(self) -> list[str]:
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _say(self, value: Any, status: int = 200, **headers: str) -> None:
        self._send(json.dumps(value).encode(), "application/json", status, headers)

    def _send(self, data: bytes, kind: str, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    told: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": "b" * 40}
    if name.endswith(LARGE):
        sha256 = hashlib.sha256(data).hexdigest()
        told["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 100}
    return told
