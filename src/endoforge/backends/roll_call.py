"""Makes sure that processes talk with the living alone, before they join.

torchrun keeps one store for all attempts of a training (pytorch #135712). After a restart, a
process would find the address of a dead one there, and wait for it or give up.
"""

import json
import time
import uuid
from datetime import timedelta
from hashlib import sha256

from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

BETWEEN_LOOKS_S = 0.05


def store_of_living(store: Store, rank: int, size: int, *, longest: timedelta) -> Store:
    """Give a part of `store` that belongs to these `size` processes alone, once all are there.

    Each writes a name that no other attempt had. The first writes the roll of the names it reads,
    the others agree to a roll that has their own, and once all agreed to one it is closed.
    RuntimeError tells who wasn't there after `longest`.
    """
    name = uuid.uuid4().hex
    store.set(f"here/{rank}", name)
    deadline = time.monotonic() + longest.total_seconds()
    while time.monotonic() < deadline:
        if rank == 0:
            _write_roll(store, size)
        names = _roll(store)
        if len(names) == size and names[rank] == name:
            attempt = _attempt(names)
            store.set(f"{attempt}/{rank}", "agreed")
            if rank == 0 and store.check([f"{attempt}/{other}" for other in range(size)]):
                store.set(f"{attempt}/closed", "")
            if store.check([f"{attempt}/closed"]):
                return PrefixStore(attempt, store)
        time.sleep(BETWEEN_LOOKS_S)
    raise RuntimeError(f"after {longest} not all of {size} processes had come")


def _write_roll(store: Store, size: int) -> None:
    keys = [f"here/{rank}" for rank in range(size)]
    if store.check(keys):
        store.set("roll", json.dumps([store.get(key).decode() for key in keys]))


def _roll(store: Store) -> list[str]:
    return json.loads(store.get("roll")) if store.check(["roll"]) else []


def _attempt(names: list[str]) -> str:
    """A short name for the attempt of these processes."""
    return sha256(" ".join(names).encode()).hexdigest()[:16]
