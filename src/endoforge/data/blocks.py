"""Blocks of decoded frames in the user's cache folder.

A folder for each root, size and way of resizing. A block is the pixels of frames that were decoded
together, one after the other, and a table that says whose they are. The table comes last; from then
on neither file changes, so that processes may read, add and delete blocks as they like. Frames of
shards, which are decoded one by one, lie beside them in row files.
"""

import errno
import hashlib
import json
import logging
import os
import re
import secrets
import sys
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from platformdirs import user_cache_path

from endoforge import __version__
from endoforge.captures.tally import Unusable
from endoforge.core.choices import ResizeMode
from endoforge.core.files import create_file, write_atomic
from endoforge.core.folders import (
    FolderLock,
    is_link,
    link_fault,
    make_folder,
    remove_files,
    remove_if_empty,
    remove_unfinished,
)
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LIST_BYTES, first_line, read_regular
from endoforge.data.decode_pictures import (
    Identity,
    Mapped,
    Outcome,
    State,
    file_state,
    map_new,
)
from endoforge.data.letterbox import Placement
from endoforge.data.row_files import RowFile

log = logging.getLogger(__name__)

FORMAT = 1
KEPT_DAYS = 30
MOST_HEAD_BYTES = 10_000
MOST_BLOCKS = 64
"""Reading them opens all at once; where there are more, all frames are decoded into one again. A
start that finds new pictures adds one."""

_ROWS = ".rows"
_FILE = re.compile(r"[0-9a-f]{16}\.(pixels|json|rows)")
_FOLDER = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, eq=False)
class Block:
    """N frames: `pixels` (N, H, W, 3) uint8, whose they are, and what became of each.

    A frame without an identity is not to be used again.
    """

    pixels: Mapped
    identities: list[Identity | None]
    outcomes: list[Outcome]


class BlockFolder:
    """The blocks of one root in one size, (width, height).

    None are read, written or removed if the folder is a link, or the one around it.
    """

    def __init__(self, root: Path, size: tuple[int, int], resize_mode: ResizeMode) -> None:
        # What decides a pixel is in the key, and the versions that could resize otherwise: another
        # version looks in another folder, and need not understand what is in this one.
        self._root, self._size = root.resolve(), size
        self._key = {
            "root": str(self._root),
            "size": size,
            "resize_mode": resize_mode,
            "format": FORMAT,
            "version": __version__,
            "opencv": cv2.__version__,
        }
        name = hashlib.sha256(json.dumps(self._key).encode()).hexdigest()[:32]
        self.path = user_cache_path("endoforge", appauthor=False) / "frames" / name

    def read(self) -> list[Block]:
        """The blocks that are whole: their tables are read, their pixels mapped."""
        if self._link() is not None:
            return []
        return [block for table in _tables(self.path) if (block := self._read(table))]

    def new_pixels(self, num_frames: int) -> tuple[Path, Mapped]:
        """A file and its (N, H, W, 3) array, zeros, that are no block yet.

        Raises OSError, and leaves no file, if that can't be.
        """
        self.refuse_link()
        path = self.path / f"{secrets.token_hex(8)}.pixels"
        with create_file(path) as file:
            try:
                return path, map_new(file, (num_frames, *self._frame_shape))
            except OSError:
                self._remove(path)
                raise

    def add(self, path: Path, block: Block) -> None:
        """Make a block of the pixels in `path`; raises OSError if that can't be."""
        block.pixels.flush()  # a table must not outlive a power cut without its pixels
        # Pixels are too many for a checksum at each start. Their size and a time that the table
        # knows are looked at instead: whoever writes to them changes one.
        written = int(time.time())
        os.utime(path, (written, written))
        table = {
            "written": written,
            "identities": block.identities,
            "outcomes": [_encode(outcome) for outcome in block.outcomes],
        }
        body = json.dumps(table, separators=(",", ":")).encode()
        # From here on it is a block: the table is the last thing written, whole and by rename.
        write_atomic(path.with_suffix(".json"), self._head(body) + b"\n" + body, sync=True)

    def row_file(self, name: str, state: State, pictures: bytes) -> RowFile:
        """The file for pictures that lie in the file `name` below the root, which has this state.

        `pictures` says which they are. Call `refuse_link` first.
        """
        own = {"file": name, "state": state, "pictures": hashlib.sha256(pictures).hexdigest()}
        head = json.dumps(self._key | own).encode() + b"\n"
        return RowFile(self.path / f"{hashlib.sha256(head).hexdigest()[:16]}{_ROWS}", head)

    def refuse_link(self) -> None:
        """Raise OSError if the folder is a link, or the one around it."""
        if (link := self._link()) is not None:
            raise OSError(errno.ELOOP, f"{link} {link_fault(link)}")

    def remove_unless_kept(self, path: Path) -> None:
        """Remove the pixels in `path` if they are of no block."""
        with suppress(OSError):  # Windows keeps what is mapped
            if not path.with_suffix(".json").exists():
                self._remove(path)

    def mark_used(self) -> None:
        """Put off the day on which `read_and_tidy` of another folder removes this one."""
        if self._link() is None:
            with suppress(OSError):
                os.utime(self.path)

    def num_bytes(self, *, in_rows: bool = False) -> int:
        """What the files take on the disk, or the row files alone; 0 if that can't be told."""
        if self._link() is not None:
            return 0
        paths = _entries(self.path)
        return sum(_num_bytes(path) for path in paths if path.suffix == _ROWS or not in_rows)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder for this process alone; where it can't be locked, go on without.

        Waits for another process that holds it, and makes the folder if it can.
        """
        lock = self._lock()
        try:
            yield
        finally:
            if lock:
                lock.release()

    def read_and_tidy(self) -> list[Block]:
        """Read as `read` does, and remove what nothing will read again; call it when `alone`.

        Here: what a killed process left or is damaged, blocks none of whose frames is as it was,
        and all if they are too many; row files whose shard isn't as it was. Beside: folders whose
        root is gone, or that nothing has used for KEPT_DAYS.
        """
        if self._link() is not None:
            return []
        blocks = {table.stem: self._read(table) for table in _tables(self.path)}
        useful = {stem: block for stem, block in blocks.items() if block and self._is_useful(block)}
        if len(useful) > MOST_BLOCKS:
            useful = {}  # other processes keep what they have mapped, though its name goes
        rows = {path.stem for path in _entries(self.path) if self._is_current(path)}
        _clear(self.path, useful.keys() | rows)
        for folder in _entries(self.path.parent):
            if folder != self.path and _is_forgotten(folder):
                _clear(folder, ())
                remove_if_empty(folder)
        return list(useful.values())

    def _link(self) -> Path | None:
        """The part of the folder's path that is a link; None where neither is."""
        return next(filter(is_link, (self.path.parent, self.path)), None)

    def _remove(self, path: Path) -> None:
        remove_files(self.path, [path.name], within=self.path.parent)

    def _lock(self) -> FolderLock | None:
        if self._link() is not None:
            return None
        try:
            make_folder(self.path, within=self.path.parent)
            return FolderLock(self.path)
        except BlockingIOError:
            log.info("another process is decoding frames of %s: waiting for it", self._root)
            return FolderLock(self.path, wait=True)
        except OSError as error:
            log.debug("can't use %s: %s", self.path, error)
            return None

    def _is_useful(self, block: Block) -> bool:
        return any(
            identity and file_state(self._root / identity[0].partition("\0")[0]) == identity[1:]
            for identity in block.identities
        )

    def _is_current(self, rows: Path) -> bool:
        """Whether it is a row file, and what its pictures lie in is as it was."""
        if rows.suffix != _ROWS:
            return False
        try:
            told = _told(rows)
            return file_state(self._root / told["file"]) == tuple(told["state"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.debug("no rows in %s: %s", rows, error)
            return False

    def _read(self, table: Path) -> Block | None:
        """The block of a table; None if it isn't whole, or not what was written."""
        pixels = table.with_suffix(".pixels")
        try:
            head, _, body = read_regular(table, MOST_LIST_BYTES).partition(b"\n")
            if head != self._head(body):
                log.debug("%s is damaged", table)
                return None
            content = parse_json(body)
            shape = (len(content["identities"]), *self._frame_shape)
            found = pixels.stat()
            if (found.st_size, found.st_mtime) != (int(np.prod(shape)), content["written"]):
                log.debug("%s is damaged", pixels)
                return None
            return Block(
                np.memmap(pixels, np.uint8, "r", shape=shape),
                [identity and tuple(identity) for identity in content["identities"]],
                [self._decode(outcome) for outcome in content["outcomes"]],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.debug("no block of %s: %s", table, error)
            return None

    def _head(self, body: bytes) -> bytes:
        return json.dumps(self._key | {"checksum": hashlib.sha256(body).hexdigest()}).encode()

    @property
    def _frame_shape(self) -> tuple[int, int, int]:
        width, height = self._size
        return height, width, 3

    def _decode(self, outcome: Any) -> Outcome:
        if isinstance(outcome, dict):
            return Unusable(**outcome)
        left, top, width, height = outcome
        return Placement(left, top, width, height, self._size)


def _encode(outcome: Outcome) -> Any:
    if isinstance(outcome, Unusable):
        return {"reason": outcome.reason, "detail": outcome.detail}
    return outcome.left, outcome.top, outcome.width, outcome.height


def _entries(folder: Path) -> list[Path]:
    """The paths in a folder; none of them if it can't be read."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _tables(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.suffix == ".json"]


def _told(path: Path) -> Any:
    """The first line of a table or of a row file; raises OSError and ValueError."""
    return parse_json(first_line(path, MOST_HEAD_BYTES))


def _num_bytes(path: Path) -> int:
    """What a file takes on the disk, where holes take nothing; 0 if there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0
    return min(found.st_size, getattr(found, "st_blocks", sys.maxsize) * 512)


def _clear(folder: Path, useful: Container[str]) -> None:
    """Remove the blocks of a folder, but for the `useful` ones, and what a killed process left."""
    stale = [path for path in _entries(folder) if path.stem not in useful]
    for path in stale:
        if _FILE.fullmatch(path.name):
            with suppress(OSError):  # Windows keeps what is mapped
                remove_files(folder, [path.name])
    with suppress(OSError):
        remove_unfinished(folder, "*")


def _is_forgotten(folder: Path) -> bool:
    """Whether it is a folder of blocks whose root is gone, or whose last use is long ago."""
    if is_link(folder) or not _FOLDER.fullmatch(folder.name):
        return False
    oldest = time.time() - KEPT_DAYS * 24 * 3600
    try:
        if folder.stat().st_mtime < oldest:
            return True
        for path in _entries(folder):
            if path.suffix in (".json", _ROWS):
                return not Path(_told(path)["root"]).exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False  # gone, or damaged and soon old
    return False
