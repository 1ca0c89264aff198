"""The saves of a training whose `--ckpt-dir` is an address: brought at the start, put as they come.

The training works in a folder of the cache; whatever it saves there is put behind its back. The
bucket's state counts: a folder that is older is renewed from it, one that is newer, since its last
save couldn't be put, is put first.
"""

import hashlib
import logging
from collections.abc import Collection
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from endoforge.core.errors import UserError
from endoforge.core.files import link_or_copy, move_file, write_atomic, write_json_atomic
from endoforge.core.folders import make_folder, remove_files, remove_tree
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LIST_BYTES, read_regular
from endoforge.core.text import counted
from endoforge.roots.bucket import Bucket, StoredObject
from endoforge.roots.putting import files_of, put_files
from endoforge.train.checkpoint import FILE_NAMES, PREVIOUS_NAME, STATE_NAME
from endoforge.train.saved import MOST_STATE_BYTES

log = logging.getLogger(__name__)

SENT_NAME = ".sent.json"
"""In the folder: which of its files are in the bucket as they are here."""
LOOK_NAME = ".bucket-state"
"""And the bucket's state, while it is compared."""
SNAPSHOTS = ".to-put"
"""And the saves that wait to be put, a folder each."""
KEPT = ".kept-"
"""In the names of files that were kept when a training began over them."""

Mark = tuple[int, int]
"""Of a file: its size in bytes and its modification time in ns."""


class CloudSaves:
    """Keeps a bucket and a folder, which is held, at the same save.

    `others` are files in the folder, beside those that every training writes, which go with a
    save: metrics, status, split.
    """

    def __init__(self, bucket: Bucket, folder: Path, others: Collection[str]) -> None:
        self._bucket, self._folder = bucket, folder
        self._others = frozenset(others)
        self._sent: dict[str, Mark] = {}
        self._version: str | None = None
        """Of the bucket's state, as this folder knows it; None while there is none."""
        self._attempt: str | None = None
        """A digest of the state that was last begun to be put."""
        self._foreign: set[str] = set()
        """A training's files in the bucket that may be of another save."""
        self._change = Condition()
        self._next: Path | None = None
        self._is_putting = self._ends = False
        self._number = 0
        self._error: UserError | None = None
        self._lost: UserError | None = None
        self._thread = Thread(target=self._put_saves, name="putting saves", daemon=True)

    def bring(self) -> None:
        """Have the bucket's save in the folder, or see that the folder's is newer; begin to put.

        Raises UserError if both were changed since they were the same.
        """
        if (self._folder / SNAPSHOTS).is_dir():
            remove_tree(self._folder / SNAPSHOTS, within=self._folder)
        self._read_sent()
        there = {name: one for name, one in self._bucket.listed().items() if self._is_ours(name)}
        state = there.get(STATE_NAME)
        version = self._version_of(state)
        local = _mark(self._folder / STATE_NAME)
        if local is not None and local != self._sent.get(STATE_NAME):
            self._refuse_both_changed(version)
            log.warning(
                "%s: its last save isn't in %s yet, and is put now",
                self._folder, self._bucket.root,
            )  # fmt: skip
        elif local is None or version != self._version:
            self._renew(there)
        self._version = version
        self._foreign = {name for name in there if name in FILE_NAMES}
        self._thread.start()

    def put_later(self) -> None:
        """A save is complete: have it put, in the place of one that waits; doesn't wait.

        Raises UserError if another training has written to the bucket meanwhile.
        """
        if self._lost is not None:
            raise self._lost
        snapshot = self._snapshot()
        with self._change:
            dropped, self._next = self._next, snapshot
            self._change.notify_all()
        if dropped is not None:
            remove_tree(dropped, within=self._folder)

    def finish(self) -> None:
        """Put what is in the folder now, and wait for it; raises UserError if that can't be."""
        if self._lost is not None:
            raise self._lost
        self.put_later()
        with self._change:
            self._ends = True
            self._change.notify_all()
            if self._next is not None or self._is_putting:
                log.info("putting the last save to %s", self._bucket.root)
            try:
                while self._next is not None or self._is_putting:
                    self._change.wait(1.0)  # by turns, so that Ctrl-C is heard
            except KeyboardInterrupt:
                log.warning("not all is put: the last save is whole in %s", self._folder)
                raise
        if self._lost is not None:
            raise self._lost
        if self._error is not None:
            raise UserError(
                f"{self._error}; the last save isn't there, but whole in {self._folder}, and the "
                "same command on this machine puts it"
            ) from self._error

    def _is_ours(self, name: str) -> bool:
        return name in FILE_NAMES or name in self._others or ("/" not in name and KEPT in name)

    def _refuse_both_changed(self, version: str | None) -> None:
        if version != self._version:
            raise UserError(
                f"{self._bucket.flag} {self._bucket.root}: holds a save that another machine put, "
                f"and {self._folder} one of this machine that was never put; remove the one or "
                "the other"
            )

    def _renew(self, there: dict[str, StoredObject]) -> None:
        """Make the folder hold what the bucket does; the state last, by which all is judged."""
        here = [name for name in files_of(self._folder) if self._is_ours(name)]
        first = [name for name in here if name in (STATE_NAME, PREVIOUS_NAME)]
        rest = [name for name in here if name not in first]
        for name in (*first, *rest):
            path = self._folder / name
            remove_files(path.parent, [path.name], within=self._folder)
        self._sent = {}
        self._version = self._attempt = None
        for name in there.keys() - {STATE_NAME}:
            path = self._folder / name
            make_folder(path.parent, within=self._folder)
            self._bucket.fetch(name, path, there[name])
            self._sent[name] = _mark_of(path)
        if (state := there.get(STATE_NAME)) is not None:
            look, path = self._folder / LOOK_NAME, self._folder / STATE_NAME
            self._bucket.fetch(STATE_NAME, look, state)
            # Before it has its name: else a kill would leave a state of which nobody knows whose.
            self._version, self._attempt = state.version, _digest(look)
            self._sent[STATE_NAME] = _mark_of(look)
            self._write_sent()
            move_file(look, path)
        self._write_sent()
        if there:
            size = sum(one.num_bytes for one in there.values()) / 1e6
            files = counted(len(there), "file")
            log.info("%s: %s fetched (%.1f MB)", self._bucket.root, files, size)

    def _snapshot(self) -> Path:
        """The folder's files as they are now, under second names: what comes later changes none."""
        self._number += 1
        snapshot = self._folder / SNAPSHOTS / str(self._number)
        for name in files_of(self._folder):
            if name == PREVIOUS_NAME or name.startswith("."):
                continue  # an object is never half, so the bucket needs no state before the last
            source, copy = self._folder / name, snapshot / name
            make_folder(copy.parent, within=self._folder)
            if name in self._others:  # grows in its place, others are replaced
                write_atomic(copy, read_regular(source, MOST_LIST_BYTES))
            else:
                link_or_copy(source, copy)
        make_folder(snapshot, within=self._folder)
        return snapshot

    def _put_saves(self) -> None:
        while True:
            with self._change:
                while self._next is None and not self._ends:
                    self._change.wait()
                if self._next is None:
                    return
                snapshot, self._next = self._next, None
                self._is_putting = True
            error = self._tried(snapshot)
            with self._change:
                self._error, self._is_putting = error, False
                self._change.notify_all()

    def _tried(self, snapshot: Path) -> UserError | None:
        """Put a save; what went wrong, if anything did, which is told."""
        try:
            self._put(snapshot)
        except _OtherTraining as error:
            self._lost = UserError(str(error))
        except UserError as error:
            log.error("%s; the save is whole in %s, and the next one is tried", error, self._folder)
            return error
        except Exception as error:  # whatever it is, it must not be lost with its thread
            log.error("can't put to %s: %s; the next save is tried", self._bucket.root, error)
            return UserError(f"{self._bucket.flag} {self._bucket.root}: {error}")
        finally:
            remove_tree(snapshot, within=self._folder)
        return None

    def _put(self, snapshot: Path) -> None:
        marks = {name: _mark_of(snapshot / name) for name in files_of(snapshot)}
        changed = {name for name, mark in marks.items() if self._sent.get(name) != mark}
        if not changed:
            return
        if self._version_of(self._bucket.stat(STATE_NAME)) != self._version:
            raise _OtherTraining(
                f"{self._bucket.flag} {self._bucket.root}: another training has saved there "
                f"meanwhile, which stays; this one's last save is in {self._folder}; give each a "
                "place of its own"
            )
        # Of a training before this one, as --fresh leaves it: no mixture of both.
        stale = self._foreign - marks.keys()
        self._bucket.remove(sorted(stale, key=lambda name: name not in (STATE_NAME, PREVIOUS_NAME)))
        state = {STATE_NAME} & changed
        put_files(self._bucket, snapshot, [changed - state])
        if state:
            self._attempt = _digest(snapshot / STATE_NAME)
            self._write_sent()
            put_files(self._bucket, snapshot, [state])
            stored = self._bucket.stat(STATE_NAME)
            self._version = None if stored is None else stored.version
        self._foreign = set()
        self._sent = marks
        self._write_sent()

    def _version_of(self, state: StoredObject | None) -> str | None:
        """Of the bucket's state; that which this folder knows, if it is what was put from here.

        A kill, or an answer that was lost, may have come between a put and the note of it.
        """
        if state is None or state.version == self._version or self._attempt is None:
            return None if state is None else state.version
        look = self._folder / LOOK_NAME
        self._bucket.fetch(STATE_NAME, look, state)
        if _digest(look) == self._attempt:
            self._version = state.version
        remove_files(self._folder, [LOOK_NAME])
        return state.version

    def _read_sent(self) -> None:
        try:
            told: Any = parse_json(read_regular(self._folder / SENT_NAME, MOST_LIST_BYTES))
            self._version, self._attempt = told["state"], told["attempt"]
            self._sent = {name: (size, time) for name, (size, time) in told["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._version, self._attempt, self._sent = None, None, {}

    def _write_sent(self) -> None:
        told = {"state": self._version, "attempt": self._attempt, "files": self._sent}
        write_json_atomic(self._folder / SENT_NAME, told)


class _OtherTraining(Exception):
    """The bucket's state is none that this training has put or begun from."""


def _digest(path: Path) -> str:
    return hashlib.sha256(read_regular(path, MOST_STATE_BYTES)).hexdigest()


def _mark_of(path: Path) -> Mark:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _mark(path: Path) -> Mark | None:
    return _mark_of(path) if path.is_file() else None
