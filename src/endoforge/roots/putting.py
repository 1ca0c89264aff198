"""Files put as objects, several at a time, in an order by which whatever ends it leaves no half."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from endoforge.core.temporary import name_to_be
from endoforge.roots.bucket import AT_ONCE, Bucket


class PutStopped(Exception):
    """Putting was stopped before its end, by whoever asked for it."""


def files_of(folder: Path) -> list[str]:
    """The files in a folder, by their names from there, but for unfinished ones; sorted.

    What another thread removes meanwhile isn't among them.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    return sorted(
        path.relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder, onerror=refuse)
        for path in (Path(parent, name) for name in names)
        if path.is_file() and not name_to_be(path.name)
    )


def put_files(
    bucket: Bucket,
    folder: Path,
    stages: Sequence[Collection[str]],
    *,
    below: str = "",
    stopping: Event | None = None,
    on_put: Callable[[], object] = lambda: None,
) -> None:
    """Put files of `folder` by their names from there, below `below`: a stage, then the next.

    So the last stage is what others go by. `on_put` is called after each object. Raises UserError
    for one that can't be put, and PutStopped once `stopping` is set; in both cases those on their
    way are let end.
    """
    for stage in stages:
        with _at_once() as pool:
            puts = [
                pool.submit(_put, bucket, folder, name, below, stopping) for name in sorted(stage)
            ]
            for one in puts:
                one.result()
                on_put()


@contextmanager
def _at_once() -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _put(bucket: Bucket, folder: Path, name: str, below: str, stopping: Event | None) -> None:
    if stopping is not None and stopping.is_set():
        raise PutStopped
    bucket.put(folder / name, f"{below}/{name}" if below else name)
