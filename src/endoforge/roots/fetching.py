"""Roots of object storage as folders to read: what is missing or changed is fetched, nothing else.

What is fetched lies in the user's cache folder as it does in the bucket. A journal for each root,
beside these folders, says of which version each file is: a fetch that is cut short goes on.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from platformdirs import user_cache_path

from endoforge.core.errors import UserError, is_full
from endoforge.core.files import append_json_line, write_atomic
from endoforge.core.folders import FolderLock, is_link, make_folder, remove_files
from endoforge.core.machine import free_bytes
from endoforge.core.marks import MARK_NAME
from endoforge.core.parsing import parse_json
from endoforge.core.progress import Advance, progress
from endoforge.core.reading import MEGABYTE, MOST_LIST_BYTES, read_regular
from endoforge.core.text import counted
from endoforge.roots.bucket import AT_ONCE, Bucket, StoredObject
from endoforge.roots.places import CloudRoot, cloud_root, is_plain_name

log = logging.getLogger(__name__)

UNUSED_IN_TRAINING = ("overlays", "instance", "depth", "normals")
"""Folders of a run that hold neither labels nor images."""
MOST_FAILURES = 20
"""After so many objects that can't be fetched, the others aren't tried."""
ROOM = 50 * MEGABYTE
"""What is left free of the cache's disk."""

Entry = tuple[int, str, int]
"""Of a fetched file: the object's size and version, and the file's modification time in ns."""


def fetch(given: str | Path, flag: str, *, without: Collection[str] = ()) -> Path:
    """Have what the root `given` holds in a folder, which is returned.

    A folder is returned as it is. Of an address, all objects are fetched that aren't here in their
    present version, but for those in folders named as one of `without`; files of objects that are
    gone go. Raises UserError, which names `flag`, if there is nothing, or if one object can't be
    had: part of a data set is never taken for the whole.
    """
    root = cloud_root(given)
    if root is None:
        return Path(given)
    bucket = Bucket(root, flag)
    with _held(root):
        _Mirror(bucket).renew(without)
    return root.mirror


@contextmanager
def _held(root: CloudRoot) -> Iterator[None]:
    """Keep other fetches of the same bucket waiting, which may be of a root around this one."""
    top = CloudRoot(root.scheme, root.bucket, "").mirror
    make_folder(top)
    lock = FolderLock(top, wait=True)
    try:
        yield
    finally:
        lock.release()


@dataclass
class _Plan:
    """What a fetch is to do."""

    wanted: dict[str, StoredObject] = field(default_factory=dict)
    """Objects to fetch."""
    here: int = 0
    """Objects that are here already."""
    unnamed: list[str] = field(default_factory=list)
    """Objects whose names can be no file's."""
    gone: list[Path] = field(default_factory=list)
    """Files without an object."""

    @property
    def num_bytes(self) -> int:
        return sum(stored.num_bytes for stored in self.wanted.values())


class _Mirror:
    """The folder of one root, and its journal."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.folder = bucket.root.mirror
        name = hashlib.sha256(str(bucket.root).encode()).hexdigest()[:32]
        top = user_cache_path("endoforge", appauthor=False)
        self._journal = top / "root-journals" / f"{name}.jsonl"
        self._writing = Lock()

    def renew(self, without: Collection[str]) -> None:
        root, flag = self._bucket.root, self._bucket.flag
        listed = self._bucket.listed()
        if not listed:
            raise UserError(
                f"{flag} {root}: nothing lies there; make runs with `endoforge datagen "
                f"--output-root {root}`, or name another root"
            )
        plan = self._plan(listed, without)
        if plan.unnamed:
            names = ", ".join(map(ascii, plan.unnamed[:3]))
            log.warning(
                "%s: dropped %d x object: its name can't be a file's (%s)",
                root, len(plan.unnamed), names,
            )  # fmt: skip
        for path in plan.gone:
            remove_files(path.parent, [path.name], within=self.folder)
        self._refuse_full(plan)
        if plan.wanted:
            self._fetch(plan.wanted)
        log.info(
            "%s: %s fetched (%.1f MB), %d were here, %s went; in %s",
            root, counted(len(plan.wanted), "object"), plan.num_bytes / MEGABYTE, plan.here,
            counted(len(plan.gone), "file"),
            self.folder,
        )  # fmt: skip

    def renew_file(self, name: str) -> None:
        stored = self._bucket.stat(name) if name else None
        if stored is None:
            where = f"{self._bucket.root}/{name}"
            raise UserError(f"{self._bucket.flag} {where}: there is no such object; name another")
        path = self.folder / name
        state = path.stat() if path.is_file() else None
        if not _is_of(stored, self._entries().get(name), state):
            make_folder(self._journal.parent)
            self._fetch({name: stored})

    def _plan(self, listed: dict[str, StoredObject], without: Collection[str]) -> _Plan:
        plan = _Plan()
        entries, files = self._entries(), self._files()
        for name, stored in listed.items():
            if not is_plain_name(name):
                plan.unnamed.append(name)
            elif not set(without) & set(name.split("/")[:-1]) and not _is_hidden(name):
                if _is_of(stored, entries.get(name), files.get(name)):
                    plan.here += 1
                else:
                    plan.wanted[name] = stored
        plan.gone = [self.folder / name for name in files if name not in listed]
        # Anew, so that it doesn't grow for ever; a kill from here on costs looking, no file.
        self._write_journal(
            {name: entry for name, entry in entries.items() if name in listed and name in files}
        )
        return plan

    def _fetch(self, wanted: dict[str, StoredObject]) -> None:
        failures: list[tuple[str, UserError]] = []
        megabytes = max(1, round(sum(one.num_bytes for one in wanted.values()) / MEGABYTE))
        label = f"fetching {counted(len(wanted), 'object')}"
        with progress(label, megabytes, "MB", "waiting for the first") as advance:
            shown = _Megabytes(advance)
            pool = ThreadPoolExecutor(AT_ONCE)
            try:
                for name, future in _finished(pool, self._fetch_one, wanted):
                    try:
                        future.result()
                    except UserError as error:
                        failures.append((name, error))
                        if len(failures) >= MOST_FAILURES:
                            break
                    shown.add(wanted[name].num_bytes)
            except KeyboardInterrupt:
                self._bucket.hurry.set()
                raise
            except OSError as error:
                if is_full(error):
                    raise self._no_room(f"the disk of {self.folder} is full") from error
                raise
            finally:
                # Objects on their way are let end: each is whole, and in the journal.
                pool.shutdown(cancel_futures=True)
        if failures:
            _, first = failures[0]
            more = f"; {len(failures)} objects of {len(wanted)} failed" if failures[1:] else ""
            raise UserError(f"{first}{more}") from first

    def _fetch_one(self, name: str, stored: StoredObject) -> None:
        path = self.folder / name
        make_folder(path.parent, within=self.folder)
        self._bucket.fetch(name, path, stored)
        entry = [name, stored.num_bytes, stored.version, path.stat().st_mtime_ns]
        with self._writing:
            append_json_line(self._journal, entry)

    def _refuse_full(self, plan: _Plan) -> None:
        free = free_bytes(self.folder)
        if plan.num_bytes + ROOM > free:
            need, have = plan.num_bytes / MEGABYTE, free / MEGABYTE
            raise self._no_room(f"{need:,.0f} MB are to be fetched, {have:,.0f} MB are free")

    def _no_room(self, why: str) -> UserError:
        return UserError(
            f"{self._bucket.flag} {self._bucket.root}: no room for it in {self.folder} ({why}); "
            "make some, or have XDG_CACHE_HOME name a folder on a larger disk"
        )

    def _entries(self) -> dict[str, Entry]:
        try:
            lines = read_regular(self._journal, MOST_LIST_BYTES).splitlines()
        except OSError:
            return {}
        found: dict[str, Entry] = {}
        for line in lines:
            try:
                name, size, version, modified = parse_json(line)
            except (ValueError, TypeError):
                continue  # the last line of a process that was killed
            found[str(name)] = (size, version, modified)
        return found

    def _write_journal(self, entries: dict[str, Entry]) -> None:
        make_folder(self._journal.parent)
        lines = (json.dumps([name, *entry]) + "\n" for name, entry in entries.items())
        write_atomic(self._journal, "".join(lines).encode())

    def _files(self) -> dict[str, os.stat_result]:
        """What lies in the folder, unfinished files too, by its name from there."""
        found = {}
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)  # noqa: PTH118 - for every frame
                if not is_link(path):
                    place = os.path.relpath(path, self.folder).replace(os.sep, "/")
                    found[place] = os.stat(path)  # noqa: PTH116
        return found


def fetch_file(given: str | Path, flag: str) -> Path:
    """Have one file here, such as weights; returns its path, which for a file is its own.

    Raises UserError, which names `flag`, for an address at which there is no object.
    """
    root = cloud_root(given)
    if root is None:
        return Path(given)
    folder, _, name = root.prefix.rpartition("/")
    bucket = Bucket(CloudRoot(root.scheme, root.bucket, folder), flag)
    with _held(root):
        _Mirror(bucket).renew_file(name)
    return root.mirror


class _Megabytes:
    """Bytes to a progress of whole megabytes."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._bytes, self._told = advance, 0, 0

    def add(self, num_bytes: int) -> None:
        self._bytes += num_bytes
        whole = self._bytes // MEGABYTE
        self._advance(whole - self._told)
        self._told = whole


def _finished(
    pool: ThreadPoolExecutor,
    do: Callable[[str, StoredObject], None],
    wanted: dict[str, StoredObject],
) -> Iterator[tuple[str, Future[None]]]:
    """Yield each name as its object is done with; few are begun before they are needed."""
    begun: dict[Future[None], str] = {}
    for name, stored in wanted.items():
        begun[pool.submit(do, name, stored)] = name
        if len(begun) >= 2 * AT_ONCE:
            yield from _first_of(begun)
    while begun:
        yield from _first_of(begun)


def _first_of(begun: dict[Future[None], str]) -> Iterator[tuple[str, Future[None]]]:
    done, _ = wait(begun, return_when=FIRST_COMPLETED)
    for future in done:
        yield begun.pop(future), future


def _is_of(stored: StoredObject, entry: Entry | None, file: os.stat_result | None) -> bool:
    """Whether a file is that very version of its object, and nobody has changed it since."""
    return (
        file is not None
        and entry == (stored.num_bytes, stored.version, file.st_mtime_ns)
        and file.st_size == stored.num_bytes
    )


def _is_hidden(name: str) -> bool:
    """Whether it is of no data set: a probe, or what a desktop leaves; marks are of one."""
    last = name.rpartition("/")[2]
    return last.startswith(".") and last != MARK_NAME
