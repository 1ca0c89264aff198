"""Single objects as files, as many as fit: for data that is read from end to end, as shards are."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Condition

from endoforge.core.errors import UserError, is_full
from endoforge.core.folders import make_folder, remove_files
from endoforge.roots.bucket import Bucket, StoredObject


@dataclass
class _Kept:
    """An object's file: what it holds, and how many use it; not `ready` while it is fetched."""

    path: Path
    num_bytes: int
    users: int = 1
    ready: bool = False


class ObjectCache:
    """Objects of a bucket as whole files in `folder`, never above `most_bytes` in all.

    Safe for several threads of one process. What nobody uses any more stays until there is no room
    for another, the least lately used first. The folder is this cache's alone.
    """

    def __init__(self, bucket: Bucket, folder: Path, most_bytes: int) -> None:
        self._bucket, self._folder, self._most = bucket, folder, most_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._changed = Condition()

    @contextmanager
    def opened(self, name: str, stored: StoredObject, *, keep: bool = False) -> Iterator[Path]:
        """The object `name`, listed as `stored`, as a file until the end of what is inside.

        Waits while what others use leaves no room. With `keep` it stays for a next time as long as
        there is room; else it goes at once. Raises UserError for an object that can't be fetched,
        or that is larger than the cache.
        """
        kept = self._taken(name, stored)
        try:
            yield kept.path
        finally:
            with self._changed:
                kept.users -= 1
                if not kept.users and not keep:
                    self._drop(name)
                self._changed.notify_all()

    def clear(self) -> None:
        """Remove all that nobody uses."""
        with self._changed:
            for name in [name for name, kept in self._kept.items() if not kept.users]:
                self._drop(name)

    def _taken(self, name: str, stored: StoredObject) -> _Kept:
        if stored.num_bytes > self._most:
            raise UserError(
                f"{self._bucket.flag} {self._bucket.root}/{name}: has {stored.num_bytes} bytes, "
                f"more than the {self._most} that may be kept here; make smaller shards"
            )
        with self._changed:
            while True:
                kept = self._kept.get(name)
                if kept is not None and kept.ready:
                    kept.users += 1
                    self._kept.move_to_end(name)
                    return kept
                if kept is None and self._has_room(stored.num_bytes):
                    break
                self._changed.wait()
            # In the table before it is here: its room is taken, and nobody else fetches it.
            digest = sha256(name.encode()).hexdigest()[:16]
            kept = _Kept(self._folder / f"{digest}-{name.rpartition('/')[2]}", stored.num_bytes)
            self._kept[name] = kept
        try:
            make_folder(self._folder)
            self._bucket.fetch(name, kept.path, stored)
        except BaseException as error:
            with self._changed:
                self._drop(name)
                self._changed.notify_all()
            if is_full(error):
                raise UserError(
                    f"{self._bucket.flag} {self._bucket.root}/{name}: no room for it in "
                    f"{self._folder}; make some, or name a folder on a larger disk"
                ) from error
            raise
        with self._changed:
            kept.ready = True
            self._changed.notify_all()
        return kept

    def _has_room(self, num_bytes: int) -> bool:
        """Whether so much fits, if need be after the removal of what nobody uses."""
        used = sum(kept.num_bytes for kept in self._kept.values())
        for name in [name for name, kept in self._kept.items() if not kept.users]:
            if used + num_bytes <= self._most:
                break
            used -= self._kept[name].num_bytes
            self._drop(name)
        return used + num_bytes <= self._most

    def _drop(self, name: str) -> None:
        kept = self._kept.pop(name)
        remove_files(self._folder, [kept.path.name])
