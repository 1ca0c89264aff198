"""What an index read, kept in the user's cache folder until files of the root change.

One file a root: a line of JSON that says of which root, by which version, and the checksum of the
rest, then the runs as JSON. A cache that can't be used costs time, never an error.
"""

import hashlib
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from platformdirs import user_cache_path
from pydantic import BaseModel, ConfigDict, NonNegativeInt

from endoforge import __version__
from endoforge.captures.listing import RunFolders
from endoforge.captures.run_frames import DIGEST_BYTES, RunFrames, read_run
from endoforge.captures.tally import Tally
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.folders import is_link, link_fault, make_folder, remove_files
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LIST_BYTES, first_line, read_regular

log = logging.getLogger(__name__)

FORMAT = 3
MOST_HEAD_BYTES = 10_000

T = TypeVar("T")


class _Kept(BaseModel):
    """What `_encode` makes of a run."""

    model_config = ConfigDict(extra="forbid")

    signature: str
    folders: list[str]
    labels: list[str]
    images: list[str]
    frame_ids: list[int]
    image_bytes: list[int]
    digests: str
    class_lists: list[tuple[str, ...]]
    classes: list[NonNegativeInt]
    paris_lists: list[tuple[str | None, ...]]
    paris: list[NonNegativeInt]
    boxes: str
    dropped: dict[str, int]
    examples: dict[str, list[str]]


class IndexCache:
    """The runs of one root: as they were kept before, and as they are to be kept."""

    def __init__(self, root: Path) -> None:
        self._root = str(root.resolve())
        name = hashlib.sha256(repr(self._root).encode()).hexdigest()[:32]
        self._path = user_cache_path("endoforge", appauthor=False) / "index" / f"{name}.index"
        self._is_linked = is_link(self._path.parent)
        if self._is_linked:
            where = self._path.parent
            log.warning("the index isn't kept: %s %s; remove the link", where, link_fault(where))
        self._before = {} if self._is_linked else self._load()
        self._runs: dict[str, dict[str, Any]] = {}

    def read_run(self, folders: RunFolders, *, strict: bool) -> RunFrames:
        """As `run_frames.read_run`, but opens no label if the run is as it was."""
        name = folders.path.name
        kept = self._before.get(name)
        if kept is not None:
            known = _still_true(kept, folders)
            if known is not None and not (strict and known.tally.counts):
                self._runs[name] = kept
                return known
            folders = RunFolders(folders.path)  # without folders that only the cache named
        frames = read_run(folders, strict=strict)
        if folders.trustworthy:
            self._runs[name] = _encode(folders, frames)
        return frames

    def save(self) -> None:
        """Keep the runs that were read, if they aren't those that were kept before."""
        if self._is_linked or self._runs == self._before:
            return
        body = json.dumps(self._runs, separators=(",", ":")).encode()
        try:
            make_folder(self._path.parent)
            write_atomic(self._path, self._head(body) + b"\n" + body)
            _remove_orphans(self._path.parent)
        except (OSError, UserError) as error:
            log.debug("the index of %s can't be kept: %s", self._root, error)

    def _load(self) -> dict[str, dict[str, Any]]:
        try:
            head, _, body = read_regular(self._path, MOST_LIST_BYTES).partition(b"\n")
        except OSError as error:
            log.debug("no index of %s was kept: %s", self._root, error)
            return {}
        if head != self._head(body):
            log.debug("%s is damaged or of another version: reading all labels", self._path)
            return {}
        try:
            runs = parse_json(body)
        except ValueError as error:
            log.debug("%s is damaged (%s): reading all labels", self._path, error)
            return {}
        if not isinstance(runs, dict):
            log.debug("%s is damaged: reading all labels", self._path)
            return {}
        return runs

    def _head(self, body: bytes) -> bytes:
        head = {
            "root": self._root,
            "format": FORMAT,
            "version": __version__,
            "checksum": hashlib.sha256(body).hexdigest(),
        }
        return json.dumps(head).encode()


def _remove_orphans(folder: Path) -> None:
    """Remove what was kept of roots that are gone."""
    for path in folder.glob("*.index"):
        try:
            root = Path(parse_json(first_line(path, MOST_HEAD_BYTES))["root"])
            is_orphan = not root.exists()
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no file of ours
        if is_orphan:
            remove_files(folder, [path.name])


def _still_true(kept: Any, folders: RunFolders) -> RunFrames | None:
    """What was kept of a run, if the run is as it was then; None too if it isn't what we keep."""
    try:
        run = _Kept.model_validate(kept)
        for name in run.folders:
            folders.listing(name)
        if run.signature != folders.signature:
            return None
        frames = _decode(run, folders.path.name)
        _check(frames, folders)
    except (ValueError, IndexError) as error:
        log.debug("what was kept of %s is damaged: %s", folders.path.name, error)
        return None
    return frames


def _check(frames: RunFrames, folders: RunFolders) -> None:
    """Raises ValueError unless all columns are of one length, and files are those of the run."""
    columns = (
        *(frames.images, frames.frame_ids, frames.image_bytes, frames.digests),
        *(frames.classes, frames.paris),
    )
    if {len(column) for column in columns} != {len(frames.labels)}:
        raise ValueError("columns of several lengths")
    boxes = list(map(len, frames.classes))
    if boxes != list(map(len, frames.paris)) or sum(boxes) != len(frames.boxes):
        raise ValueError("boxes without a class")
    if not ((frames.boxes >= 0) & (frames.boxes <= 1)).all():
        raise ValueError("boxes that aren't in the picture")
    there = folders.listing("labels").plain_files
    if not {label.removeprefix("labels/") for label in frames.labels} <= there.keys():
        raise ValueError("labels that aren't of the run")
    if list(map(folders.plain_size, frames.images)) != frames.image_bytes:
        raise ValueError("images that aren't of the run")


def _encode(folders: RunFolders, frames: RunFrames) -> dict[str, Any]:
    """As JSON; the arrays as hexadecimal digits of little-endian bytes."""
    class_lists, classes = _numbered(frames.classes)
    paris_lists, paris = _numbered(frames.paris)
    return {
        "signature": folders.signature,
        "folders": folders.names,
        "labels": frames.labels,
        "images": frames.images,
        "frame_ids": frames.frame_ids,
        "image_bytes": frames.image_bytes,
        "digests": b"".join(frames.digests).hex(),
        "class_lists": class_lists,
        "classes": classes,
        "paris_lists": paris_lists,
        "paris": paris,
        "boxes": frames.boxes.astype("<f4").tobytes().hex(),
        "dropped": frames.tally.counts,
        "examples": frames.tally.examples,
    }


def _numbered(lists: list[tuple[T, ...]]) -> tuple[list[tuple[T, ...]], list[int]]:
    """Each list once, and for each frame the place of its own among them: most are alike."""
    places = {one: place for place, one in enumerate(dict.fromkeys(lists))}
    return list(places), [places[one] for one in lists]


def _decode(kept: _Kept, run: str) -> RunFrames:
    digests = bytes.fromhex(kept.digests)
    boxes = np.frombuffer(bytes.fromhex(kept.boxes), "<f4").astype(np.float32)
    by_run = {(reason, run): number for reason, number in kept.dropped.items()}
    return RunFrames(
        labels=kept.labels,
        images=kept.images,
        frame_ids=kept.frame_ids,
        image_bytes=kept.image_bytes,
        digests=[digests[i : i + DIGEST_BYTES] for i in range(0, len(digests), DIGEST_BYTES)],
        classes=[kept.class_lists[n] for n in kept.classes],
        paris=[kept.paris_lists[n] for n in kept.paris],
        boxes=boxes.reshape(-1, 4),
        tally=Tally(counts=Counter(kept.dropped), examples=kept.examples, by_run=Counter(by_run)),
    )
