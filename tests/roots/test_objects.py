"""Single objects in a bounded cache, as training reads shards."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from endoforge.core.errors import UserError
from endoforge.roots.objects import ObjectCache
from tests.roots.s3 import BROKEN


@pytest.fixture
def cached(store, tmp_path):
    """Four objects of 1000 bytes, the bucket's list of them, and a cache with room for two."""
    for number in range(4):
        store.put(f"data/{number}.tar", bytes([number]) * 1000)
    bucket = store.bucket()
    return bucket.listed(), ObjectCache(bucket, tmp_path / "shards", 2500), tmp_path / "shards"


def test_an_object_is_there_whole_and_gone_afterwards(store, cached):
    listed, cache, folder = cached
    store.faults.first(1, BROKEN, "GET", "1.tar")
    with cache.opened("1.tar", listed["1.tar"]) as path:
        assert path.read_bytes() == bytes([1]) * 1000
    assert list(folder.iterdir()) == []


def test_what_is_kept_goes_when_there_is_no_room(store, cached):
    listed, cache, folder = cached
    for name in ("0.tar", "1.tar", "0.tar", "2.tar"):
        with cache.opened(name, listed[name], keep=True) as path:
            assert path.stat().st_size == 1000
    assert sorted(path.name[-5:] for path in folder.iterdir()) == ["0.tar", "2.tar"]
    fetched = [path[-5:] for path in store.faults.paths("GET") if path.endswith(".tar")]
    assert fetched == ["0.tar", "1.tar", "2.tar"]
    cache.clear()
    assert list(folder.iterdir()) == []


def test_it_never_grows_above_its_bound_whoever_reads(cached):
    listed, cache, folder = cached
    most = []

    def read(number):
        name = f"{number % 4}.tar"
        with cache.opened(name, listed[name], keep=number % 2 == 0) as path:
            most.append(len(list(folder.iterdir())))
            return path.read_bytes()

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(read, range(40)))
    assert found == [bytes([number % 4]) * 1000 for number in range(40)]
    assert max(most) <= 2


def test_one_that_can_never_fit_is_refused(store, cached):
    _, cache, _ = cached
    store.put("data/large.tar", b"x" * 2501)
    stored = store.bucket().listed()["large.tar"]
    with (
        pytest.raises(UserError, match=r"has 2501 bytes, more than the 2500"),
        cache.opened("large.tar", stored),
    ):
        pass


def test_one_that_cannot_be_had_leaves_its_room_to_others(store, cached):
    listed, cache, _ = cached
    store.remove("data/3.tar")
    with (
        pytest.raises(UserError, match=r"3.tar: isn't there"),
        cache.opened("3.tar", listed["3.tar"]),
    ):
        pass
    with cache.opened("0.tar", listed["0.tar"]), cache.opened("1.tar", listed["1.tar"]):
        pass
