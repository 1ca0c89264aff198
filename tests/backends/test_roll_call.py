"""Processes find the living in a store that has words of the dead."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from torch.distributed import HashStore  # type: ignore[attr-defined]

from endoforge.backends.roll_call import store_of_living

SIZE = 3


def come(shared, ranks, longest_s=60):
    """The stores that these ranks get, each in a thread of its own."""
    with ThreadPoolExecutor(len(ranks)) as threads:
        waits = [
            threads.submit(
                store_of_living, shared, rank, SIZE, longest=timedelta(seconds=longest_s)
            )
            for rank in ranks
        ]
        return [wait.result() for wait in waits]


def test_all_of_an_attempt_share_a_store_that_no_other_attempt_has():
    shared = HashStore()
    for attempt in range(3):
        stores = come(shared, range(SIZE))
        assert not stores[0].check(["address"]), "nobody has written it in this attempt"
        stores[1].set("address", f"of attempt {attempt}")
        assert {store.get("address") for store in stores} == {f"of attempt {attempt}".encode()}


@pytest.mark.parametrize("late", range(SIZE))
def test_nobody_goes_on_with_one_that_died_in_the_attempt_before(late):
    shared = HashStore()
    come(shared, range(SIZE))
    others = [rank for rank in range(SIZE) if rank != late]
    with ThreadPoolExecutor(1) as thread:
        early = thread.submit(come, shared, others)
        time.sleep(0.5)
        assert not early.done(), "they wait for the one who isn't there yet"
        (store,) = come(shared, [late])
        store.set("said", "hello")
        assert [other.get("said") for other in early.result()] == [b"hello"] * len(others)


@pytest.mark.parametrize("here", [[0], [1, 2], [0, 2]])
def test_a_missing_one_is_told_of(here):
    shared = HashStore()
    come(shared, range(SIZE))
    with pytest.raises(RuntimeError, match="not all of 3 processes had come"):
        come(shared, here, longest_s=0.3)
