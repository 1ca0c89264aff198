"""Objects of one root, listed, fetched and put whole, through fsspec; what may pass is tried again.

An object is there whole or not at all: the storage shows none of which the last byte hasn't come,
and a file here gets its name when its size is that of the object.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from endoforge.core.errors import UserError
from endoforge.core.files import NewFile
from endoforge.core.packages import packages_of
from endoforge.roots.faults import Fault, fault_of, is_taken
from endoforge.roots.places import CloudRoot

log = logging.getLogger(__name__)

PATIENCE_S = 180.0
"""How long one object is tried for. A bucket whose limits are reached recovers within minutes."""
FIRST_PATIENCE_S = 5.0
"""And a server that can't be reached at the first look: mostly it has a wrong name."""
FIRST_WAIT_S, MOST_WAIT_S = 0.2, 15.0
LIBRARY_TRIES = 3
"""Of a part of a large object, before all of it is tried again; s3fs alone can be told."""
AT_ONCE = 16
"""Objects on their way at a time: most are small, and wait for the server."""
PROBE_NAME = ".endoforge-probe"

Given = TypeVar("Given")


@dataclass(frozen=True)
class StoredObject:
    """An object as the storage lists it: bytes, and what changes when it does."""

    num_bytes: int
    version: str


class Truncated(OSError):
    """An object came with another number of bytes than it has."""


class Bucket:
    """The objects below one root, by their names from there; safe for several threads.

    Every method raises UserError, which begins with the flag and the address, for what can't be
    mended by trying again, and for what can after `PATIENCE_S`.
    """

    def __init__(self, root: CloudRoot, flag: str) -> None:
        """Raises UserError if the library for such roots isn't installed."""
        self.root = root
        self.flag = flag
        self.hurry = Event()
        """Once set, nothing is tried again: the command is to end."""
        self._files = _file_system(root, flag)
        self._top = "/".join(part for part in (root.bucket, root.prefix) if part)

    def listed(self, folder: str = "") -> dict[str, StoredObject]:
        """Every object, by name; with `folder`, those in it alone. Nothing there: an empty dict."""
        top = f"{self._top}/{folder}" if folder else self._top
        found = self._tried("list", lambda: self._files.find(top, detail=True), first=True)
        start = len(self._top) + 1
        return {
            name[start:]: _stored(info)
            for name, info in found.items()
            # An object of the root's own name lies beside what is in it; a folder's mark is empty.
            if len(name) > start and info.get("type") != "directory" and not name.endswith("/")
        }

    def stat(self, name: str) -> StoredObject | None:
        """The object of this name; None if there is none."""
        try:
            info = self._tried("read", lambda: self._files.info(self._key(name)))
        except _AbsentError:
            return None
        return _stored(info) if info.get("type") != "directory" else None

    def read(self, name: str) -> bytes | None:
        """All of a small object; None if there is none."""
        try:
            data: bytes = self._tried("read", lambda: self._files.cat_file(self._key(name)))
        except _AbsentError:
            return None
        return data

    def fetch(self, name: str, path: Path, stored: StoredObject) -> None:
        """Make the file `path`, whose folder is there, of an object; OSError if the disk is full.

        Whatever happens, what has the name `path` is whole.
        """

        def once() -> None:
            new = NewFile(path)
            try:
                self._files.get_file(self._key(name), str(new.temporary))
                size = new.temporary.stat().st_size
                if size != stored.num_bytes:
                    raise Truncated(f"{size} of {stored.num_bytes} bytes came")
                new.keep()
            except BaseException:
                new.discard()
                raise

        self._tried("read", once, name)

    def put(self, path: Path, name: str) -> None:
        """Make the file `path` an object, in place of what has the name."""
        self._tried("write", lambda: self._files.put_file(str(path), self._key(name)), name)

    def put_bytes(self, data: bytes, name: str) -> None:
        """Make `data` an object, in place of what has the name."""
        self._tried("write", lambda: self._files.pipe_file(self._key(name), data), name)

    def claim(self, name: str, data: bytes) -> bool:
        """Make `data` an object unless there is one of that name: whether it was made.

        Of several machines that claim one name at once, one gets it.
        """

        def once() -> bool:
            try:
                self._files.pipe_file(self._key(name), data, mode="create")
            except Exception as error:
                if is_taken(error):
                    return False
                raise
            return True

        return self.stat(name) is None and self._tried("write", once, name)

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; one that isn't there is none to remove."""
        for name in names:
            with suppress(_AbsentError):
                self._tried("write", partial(self._files.rm_file, self._key(name)), name)

    def check_writable(self) -> None:
        """Put a small object and take it away, before any work is done."""
        key = self._key(PROBE_NAME)
        self._tried("write", lambda: self._files.pipe_file(key, b"endoforge"), first=True)
        try:
            self._tried("remove", lambda: self._files.rm_file(key), first=True)
        except UserError as error:  # such as those who may add but never remove
            log.debug("%s stays: %s", PROBE_NAME, error)

    def _key(self, name: str) -> str:
        return f"{self._top}/{name}"

    def _tried(
        self, doing: str, call: Callable[[], Given], name: str = "", *, first: bool = False
    ) -> Given:
        """What `call` gives; tried again, later and later, while what is wrong may pass."""
        started, wait = time.monotonic(), FIRST_WAIT_S
        while True:
            try:
                return call()
            except Exception as error:
                fault = fault_of(error)
                if fault is None:
                    raise
                hasty = first and fault.kind == "unreachable"
                patience = FIRST_PATIENCE_S if hasty else PATIENCE_S
                too_late = time.monotonic() + wait > started + patience
                if too_late or self.hurry.is_set() or not fault.may_pass:
                    raise self._error(fault, doing, name) from error
                log.debug("%s: %s; trying again", self._where(name), fault.said)
            self.hurry.wait(wait * random.uniform(0.5, 1.0))  # so that not all come back at once
            wait = min(2 * wait, MOST_WAIT_S)

    def _where(self, name: str) -> str:
        return f"{self.root}/{name}" if name else str(self.root)

    def _error(self, fault: Fault, doing: str, name: str) -> UserError:
        kind = _AbsentError if fault.kind == "absent" else UserError
        return kind(f"{self.flag} {self._where(name)}: {fault.words(self.root.scheme, doing)}")


class _AbsentError(UserError):
    """There is no such object."""


def _file_system(root: CloudRoot, flag: str) -> Any:
    # Fresh ones, which look at the credentials and endpoints of now, and remember no listing.
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if root.scheme == "s3":
        options["config_kwargs"] = {
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"max_attempts": 1, "mode": "standard"},  # for others try again already
            "max_pool_connections": 2 * AT_ONCE,
        }
    try:
        with packages_of("cloud", f"{flag} {root}"):
            import fsspec

            files = fsspec.filesystem(root.scheme, **options)
        files.retries = LIBRARY_TRIES
        return files
    except Exception as error:  # gs and az look for credentials at once
        fault = fault_of(error)
        if fault is None:
            raise
        raise UserError(f"{flag} {root}: {fault.words(root.scheme, 'open')}") from error


def _stored(info: dict[str, Any]) -> StoredObject:
    """The version by the storage's own mark, which three libraries spell in three ways."""
    marks = (info.get(name) for name in ("ETag", "etag", "md5Hash", "LastModified", "updated"))
    version = next((str(mark) for mark in marks if mark), "")
    return StoredObject(int(info["size"]), version.strip('"'))
