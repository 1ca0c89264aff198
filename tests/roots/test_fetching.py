"""Roots fetched from a real S3 server: whole, once, and whatever goes wrong is said."""

import errno
import logging

import pytest

from endoforge.core.errors import UserError
from endoforge.core.files import NewFile
from endoforge.roots import fetching
from endoforge.roots.fetching import fetch, fetch_file
from tests.roots.s3 import BROKEN, DENIED, REFUSED, SLOW_DOWN, TRUNCATED

RUN = {"run_1/images/a.png": b"a" * 3000, "run_1/labels/a.json": b"{}", "run_1/depth/a.png": b"d"}


@pytest.fixture(autouse=True)
def _own_roots(other_machine):
    """Each test has a cache of its own."""


def fill(store, objects=RUN, prefix="caps"):
    for name, data in objects.items():
        store.put(f"{prefix}/{name}", data)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_is_itself(tmp_path):
    assert fetch(tmp_path / "nowhere", "--input-root") == tmp_path / "nowhere"


def test_what_is_missing_or_changed_is_fetched_and_nothing_else(store):
    fill(store)
    folder = fetch(store.address("caps"), "--input-root")
    assert files(folder) == RUN
    store.faults.seen.clear()
    store.put("caps/run_1/images/a.png", b"b" * 3000)  # as long as before
    store.put("caps/run_1/images/b.png", b"new")
    store.remove("caps/run_1/labels/a.json")
    assert fetch(store.address("caps/"), "--input-root") == folder
    assert files(folder) == {
        "run_1/images/a.png": b"b" * 3000,
        "run_1/images/b.png": b"new",
        "run_1/depth/a.png": b"d",
    }
    objects = [path for path in store.faults.paths("GET") if path.endswith(".png")]
    assert sorted(path[-5:] for path in objects) == ["a.png", "b.png"]


def test_what_somebody_changed_here_is_fetched_again(store):
    fill(store)
    folder = fetch(store.address("caps"), "--input-root")
    (folder / "run_1/labels/a.json").write_bytes(b"[]")
    assert files(fetch(store.address("caps"), "--input-root")) == RUN


def test_a_root_and_one_within_it_share_their_files(store):
    fill(store)
    outer = fetch(store.address("caps"), "--input-root")
    inner = fetch(store.address("caps/run_1"), "--input-root")
    assert inner == outer / "run_1"
    store.put("caps/run_1/labels/a.json", b"[1]")
    fetch(store.address("caps/run_1"), "--input-root")
    store.put("caps/run_1/labels/a.json", b"{}")  # as the journal of the outer one has it
    assert files(fetch(store.address("caps"), "--input-root")) == RUN


def test_a_prefix_is_no_part_of_a_name(store):
    fill(store)
    fill(store, {"x": b"other"}, prefix="caps_filtered")
    assert files(fetch(store.address("caps"), "--input-root")) == RUN


def test_folders_that_training_has_no_use_for_stay_where_they_are(store):
    fill(store)
    folder = fetch(store.address("caps"), "--input-root", without=fetching.UNUSED_IN_TRAINING)
    assert set(files(folder)) == RUN.keys() - {"run_1/depth/a.png"}
    assert files(fetch(store.address("caps"), "--input-root")) == RUN


@pytest.mark.parametrize("fault", [SLOW_DOWN, BROKEN, TRUNCATED])
def test_what_passes_is_tried_again(store, fault):
    fill(store)
    store.faults.first(2, fault, "GET", "/run_1/images/a.png")
    assert files(fetch(store.address("caps"), "--input-root")) == RUN


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (SLOW_DOWN, "the server puts off every request"),
        (BROKEN, "can't read"),
        (TRUNCATED, r"1500 of 3000 bytes came\); run the same command again, it goes on"),
        (DENIED, r"these credentials may not read there \(AccessDenied it is\); have it allowed"),
    ],
)
def test_one_object_that_cannot_be_had_ends_it_and_the_others_stay(
    store, fault, words, monkeypatch
):
    monkeypatch.setattr("endoforge.roots.bucket.PATIENCE_S", 0.3)
    fill(store)
    store.faults.always(fault, "GET", "/run_1/images/a.png")
    with pytest.raises(UserError, match=f"^--input-root {store.address('caps')}/run_1.*{words}"):
        fetch(store.address("caps"), "--input-root")
    store.faults.clear()
    folder = fetch(store.address("caps"), "--input-root")
    assert files(folder) == RUN
    fetched = [path for path in store.faults.paths("GET") if "/run_1/" in path]
    assert [path[-5:] for path in fetched] == ["a.png"]  # one: the other two were here


def test_all_that_fail_are_counted(store):
    fill(store)
    store.faults.always(DENIED, "GET", "/run_1/")
    with pytest.raises(UserError, match=r"; 3 objects of 3 failed$"):
        fetch(store.address("caps"), "--input-root")


@pytest.mark.parametrize("part", ["caps/run_1/a//b", "caps/run_1/../b", "caps/./b", "caps/a\\b"])
def test_a_name_that_leads_elsewhere_is_dropped_and_counted(store, part, caplog):
    fill(store)
    store.put(part, b"evil")
    with caplog.at_level(logging.WARNING):
        assert files(fetch(store.address("caps"), "--input-root")) == RUN
    assert "dropped 1 x object: its name can't be a file's" in caplog.text


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://no-such-bucket/caps", "there is no such bucket; make it, or name another"),
        ("s3://BUCKET/none", "nothing lies there; make runs with `endoforge datagen"),
        ("s3://", "names no bucket; try s3://BUCKET/captures"),
        ("s3://BUCKET/a/../b", "has an empty part, or one of dots"),
        ("ftp://host/caps", "no known kind of root; there are s3://, gs://, az:// and folders"),
        ("gs://bucket/caps", r"isn't installed \(.*\): pip install \"endoforge\[cloud\]\""),
        ("az://bucket/caps", r"isn't installed \(.*\): pip install \"endoforge\[cloud\]\""),
    ],
)
def test_an_address_that_leads_nowhere_is_named(store, address, words):
    with pytest.raises(UserError, match=words):
        fetch(address.replace("BUCKET", store.name), "--input-root")


def test_wrong_credentials_are_named(store, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", REFUSED)
    with pytest.raises(UserError, match=r"InvalidAccessKeyId it is\); set AWS_ACCESS_KEY_ID"):
        fetch(store.address("caps"), "--input-root")


def test_no_credentials_are_named(store, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UserError, match=r"no credentials that are taken .*; set AWS_ACCESS"):
        fetch(store.address("caps"), "--input-root")


def test_a_listing_that_is_refused_is_no_empty_root(store):
    fill(store)
    store.faults.always(DENIED, "GET")
    with pytest.raises(UserError, match="these credentials may not list there"):
        fetch(store.address("caps"), "--input-root")


@pytest.mark.usefixtures("store")
def test_no_network_is_named(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"can't be reached .*look at the network, and at AWS_END"):
        fetch("s3://bucket/caps", "--input-root")


def test_too_little_room_is_said_before_anything_is_fetched(store, monkeypatch):
    fill(store)
    monkeypatch.setattr(fetching, "ROOM", 10**18)
    with pytest.raises(UserError, match=r"no room for it in .*; make some, or have XDG_CACHE_HOME"):
        fetch(store.address("caps"), "--input-root")
    assert not [path for path in store.faults.paths("GET") if "/run_1/" in path]


def test_a_disk_that_fills_up_is_named(store, monkeypatch):
    fill(store)

    class Full(NewFile):
        def keep(self):
            raise OSError(errno.ENOSPC, "No space left on device", str(self.path))

    monkeypatch.setattr("endoforge.roots.bucket.NewFile", Full)
    with pytest.raises(UserError, match=r"no room for it in .*is full\); make some"):
        fetch(store.address("caps"), "--input-root")


def test_what_a_kill_leaves_goes(store):
    fill(store)
    folder = fetch(store.address("caps"), "--input-root")
    (folder / "run_1" / f".b.png.{'0' * 16}.tmp").write_bytes(b"half")
    assert files(fetch(store.address("caps"), "--input-root")) == RUN


def test_one_file(store):
    store.put("weights/tinydet.safetensors", b"one")
    address = store.address("weights/tinydet.safetensors")
    assert fetch_file(address, "--checkpoint").read_bytes() == b"one"
    store.faults.seen.clear()
    fetch_file(address, "--checkpoint")
    assert store.faults.paths("GET") == []
    store.put("weights/tinydet.safetensors", b"two")
    assert fetch_file(address, "--checkpoint").read_bytes() == b"two"
    with pytest.raises(UserError, match="there is no such object; name another"):
        fetch_file(store.address("weights/none"), "--checkpoint")
