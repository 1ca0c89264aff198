"""Shards: tar files in which a picture and the JSON of its label have one name."""

import hashlib
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from endoforge.captures.pictures import PICTURE_SUFFIXES
from endoforge.captures.schema import MOST_SIDE, FrameLabel
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.reading import MOST_LABEL_BYTES, MOST_PICTURE_BYTES, open_regular
from endoforge.core.text import as_utf8, counted

SHARD_SUFFIX = ".tar"
SPARSE = Unusable("stored with holes (write the shard without --sparse)")
NO_LABEL = "no label"
MOST_DAMAGE = 16
"""Damaged places of a shard after which no more of it is read: it may be made to be slow."""
BLOCKS_AT_ONCE = 2048
_MAGIC, _MAGIC_AT = b"ustar", 257
_OF_BAD_HEADERS = (ValueError, IndexError, KeyError, OverflowError, RecursionError)
"""What `tarfile` raises for some, beside its own errors."""


class ShardLabel(FrameLabel):
    """A run's label, which says the size of its picture too."""

    width: Annotated[int, Field(gt=0, le=MOST_SIDE)]
    height: Annotated[int, Field(gt=0, le=MOST_SIDE)]


@dataclass(frozen=True, slots=True)
class PictureMember:
    """A picture in a shard: `num_bytes` from `offset` on; `name` is its path there.

    `fault` is why it can't be used.
    """

    name: str
    offset: int
    num_bytes: int
    fault: Unusable | None = None


@dataclass
class ShardContent:
    """What is in a shard: its pictures and labels by their names without an ending.

    `digest` is a SHA-256 of names, sizes and labels. Where there is `damage`, which says where and
    what, some of it may be lacking.
    """

    pictures: dict[str, PictureMember] = field(default_factory=dict)
    labels: dict[str, ShardLabel | Unusable] = field(default_factory=dict)
    digest: bytes = b""
    damage: list[str] = field(default_factory=list)

    def pairs(self) -> Iterator[tuple[str, PictureMember, ShardLabel | Unusable]]:
        """Every picture with its label, or with what is wrong with either."""
        for key, picture in self.pictures.items():
            label = self.labels.get(key, Unusable(NO_LABEL))
            yield key, picture, picture.fault or label

    def lone_labels(self) -> list[str]:
        """The names of the labels that are of no picture."""
        return sorted(self.labels.keys() - self.pictures.keys())


def open_shard(shard: Path) -> AbstractContextManager[FileIO]:
    """Open a shard, to read in it from anywhere; every reader of shards does so here.

    Raises OSError for what isn't a regular file.
    """
    return open_regular(shard)


def read_member(shard: Path, offset: int, num_bytes: int) -> bytes:
    """Part of a shard; raises Unusable if it can't be read."""
    if num_bytes > MOST_PICTURE_BYTES:
        raise Unusable("image unreadable", f"larger than {MOST_PICTURE_BYTES // 10**9} GB")
    try:
        with open_shard(shard) as file:
            file.seek(offset)
            return file.read(num_bytes) or b""
    except (OSError, MemoryError) as error:
        raise Unusable("image unreadable", str(error) or "not enough memory") from error


def name_in(shard: Path, offset: int) -> str:
    """The name of the picture that begins at `offset` of a shard, for people."""
    return _names_in(shard).get(offset, f"byte {offset}")


@lru_cache(maxsize=4)  # where one picture is bad, others of its shard may be
def _names_in(shard: Path) -> dict[int, str]:
    """The names in a shard by where what they name begins; none, if it is gone."""
    try:
        with open_shard(shard) as file:
            return {member.offset_data: member.name for member in _members(file, [])}
    except OSError:
        return {}


def read_shard(shard: Path, tally: Tally) -> ShardContent:
    """All that a shard holds, but for the pixels; tallies files that are neither of the two.

    Raises OSError if it can't be opened.
    """
    content, digest = ShardContent(), hashlib.sha256()
    with open_shard(shard) as file:
        try:
            for member in _members(file, content.damage):
                # As text: paths as objects take as long as the headers.
                parts = [part for part in member.name.split("/") if part not in ("", ".")]
                is_hidden = not parts or any(part.startswith(".") for part in parts)
                if is_hidden or not member.isfile():
                    continue
                name = "/".join(parts)
                digest.update(f"{name}\0{member.size}\0".encode(errors="surrogateescape"))
                stem, _, ending = parts[-1].partition(".")
                key = "/".join([*parts[:-1], stem])
                if posixpath.splitext(name)[1].lower() in PICTURE_SUFFIXES:
                    fault = SPARSE if member.issparse() else None
                    content.pictures[key] = PictureMember(
                        name, member.offset_data, member.size, fault
                    )
                elif ending == "json":
                    content.labels[key], data = _read_label(file, member)
                    digest.update(data)
                else:
                    where = f"{shard.name}: {member.name}"
                    tally.drop("label: neither a picture nor .json", where)
        except (OSError, MemoryError, tarfile.TarError) as error:
            content.damage.append(str(error) or "not enough memory")
    content.digest = digest.digest()
    return content


class _Headers:
    """A tar file, of which no header is read that says it has more than a label may."""

    def __init__(self, file: FileIO) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MOST_LABEL_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._read(size) or b""


def _members(file: FileIO, damage: list[str]) -> Iterator[tarfile.TarInfo]:
    """The members of a tar file; of what is wrong with it, a line is added to `damage` each.

    After a bad header it goes on with the next good one; after MOST_DAMAGE it gives up.
    """
    length = file.seek(0, 2)
    headers: Any = _Headers(file)
    next_header: int | None = 0
    while next_header is not None and len(damage) < MOST_DAMAGE:
        file.seek(next_header)
        try:
            with tarfile.open(fileobj=headers, mode="r:") as archive:
                for member in archive:
                    _check_size(member, length)
                    next_header = archive.offset
                    yield member
                _check_end(file, archive.offset)
                return
        except (OSError, MemoryError, tarfile.TarError, *_OF_BAD_HEADERS) as error:
            damage.append(str(error) or "not enough memory")
        next_header = _next_header(file, next_header + tarfile.BLOCKSIZE)


def _check_size(member: tarfile.TarInfo, length: int) -> None:
    """Raise ReadError if a member can't be as large as it says, in a file of this length."""
    if member.size < 0:
        raise tarfile.ReadError(f"a member of {member.size} bytes")
    if not member.issparse() and member.offset_data + member.size > length:
        raise tarfile.ReadError(f"cut short in {member.name}")


def _check_end(file: FileIO, offset: int) -> None:
    """Raise ReadError if the file doesn't end at `offset`, where `tarfile` found no more members.

    To that, a header that is none is as good an end as the zeros that are one.
    """
    file.seek(offset)
    end = file.read(tarfile.BLOCKSIZE) or b""
    if len(end) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"cut short after {offset + len(end)} bytes")
    if any(end):
        raise tarfile.ReadError(f"a bad header at byte {offset}")


def _next_header(file: FileIO, start: int) -> int | None:
    """Where the first block from `start` on is that looks like a header; None if none does."""
    file.seek(start)
    while blocks := file.read(BLOCKS_AT_ONCE * tarfile.BLOCKSIZE):
        for place in range(0, len(blocks), tarfile.BLOCKSIZE):
            if blocks.startswith(_MAGIC, place + _MAGIC_AT):
                return start + place
        start += len(blocks)
    return None


def _read_label(file: FileIO, member: tarfile.TarInfo) -> tuple[ShardLabel | Unusable, bytes]:
    """The label, or why there is none, and its bytes."""
    if member.issparse():
        return SPARSE, b""
    if member.size > MOST_LABEL_BYTES:
        return Unusable("label too large", f"{counted(member.size, 'byte')}"), b""
    file.seek(member.offset_data)
    data = file.read(member.size) or b""
    try:
        return ShardLabel.model_validate_json(as_utf8(data)), data
    except ValidationError as error:
        return Unusable("label isn't of a capture run", error.errors()[0]["msg"]), data
