"""A bucket for each test, empty, on an S3 server behind a proxy that makes faults."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer
from werkzeug.serving import WSGIRequestHandler

from endoforge.roots.bucket import Bucket
from endoforge.roots.places import cloud_root
from tests.roots.s3 import KEYS, Faults, Proxy
from tests.untraced import untraced

_NUMBERS = itertools.count()


@dataclass
class Store:
    """One bucket, looked at past the proxy."""

    name: str
    client: Any
    faults: Faults

    def address(self, prefix: str = "") -> str:
        return f"s3://{self.name}/{prefix}".rstrip("/")

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def put_folder(self, folder: Path, prefix: str) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return data

    def names(self, prefix: str = "") -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix
        )
        return {one["Key"] for page in pages for one in page.get("Contents", ())}

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def bucket(self, prefix: str = "data") -> Bucket:
        root = cloud_root(self.address(prefix))
        assert root is not None
        return Bucket(root, "--root")


@pytest.fixture(scope="session")
def _models_once() -> Iterator[None]:
    """Read the descriptions of S3 once; each new client would, for half a second of a busy CPU."""
    from botocore.loaders import JSONFileLoader

    read = JSONFileLoader.load_file
    found: dict[str, Any] = {}

    def load_file(self: JSONFileLoader, path: str) -> Any:
        if path not in found:
            found[path] = read(self, path)
        return found[path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", load_file)
        yield


@pytest.fixture(scope="session")
def _server() -> Iterator[tuple[int, Proxy]]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WSGIRequestHandler, "handle", untraced(WSGIRequestHandler.handle))
        server.start()
        _, port = server.get_host_and_port()
        proxy = Proxy(port)
        yield port, proxy
        proxy.close()
        server.stop()


@pytest.fixture
def store(
    _models_once: None, _server: tuple[int, Proxy], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Store]:
    """An empty bucket; AWS_ENDPOINT_URL leads to the proxy, and the cache folder is a new one."""
    import boto3

    port, proxy = _server
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setattr("endoforge.roots.bucket.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("endoforge.roots.bucket.PATIENCE_S", 20.0)
    monkeypatch.setattr("endoforge.roots.bucket.FIRST_PATIENCE_S", 0.3)
    monkeypatch.setattr("endoforge.roots.bucket.LIBRARY_TRIES", 1)
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="tests",
        aws_secret_access_key="tests",
    )
    name = f"bucket-{next(_NUMBERS)}"
    client.create_bucket(Bucket=name)
    proxy.faults.clear()
    yield Store(name, client, proxy.faults)
    proxy.faults.clear()


@pytest.fixture
def other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Go to another machine of this name: one with other roots; at first to one named here."""

    def go(name: str) -> None:
        monkeypatch.setattr(
            "endoforge.roots.places.user_cache_path", lambda *_, **__: tmp_path / name
        )
        monkeypatch.setattr(
            "endoforge.roots.fetching.user_cache_path", lambda *_, **__: tmp_path / name
        )

    go("here")
    return go
