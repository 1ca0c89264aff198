"""Labelled pictures of another tool, as every reader gives them: named boxes, nothing numbered."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from endoforge.captures.schema import Corners
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.formats.config import ImportConfig

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class Blob:
    """Bytes on disk: a file, or `num_bytes` of one from `offset` on."""

    path: Path
    offset: int
    num_bytes: int

    @classmethod
    def of(cls, path: Path) -> "Blob":
        """All of a file."""
        return cls(path, 0, path.stat().st_size)

    def read(self) -> bytes:
        """Raises Unusable if that can't be done."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return file.read(self.num_bytes)
        except OSError as error:
            raise Unusable("unreadable", str(error)) from error


@dataclass(frozen=True)
class NamedBox:
    """A box of a class: xyxy in pixels of the picture with exclusive right and bottom edges."""

    name: str
    corners: Corners


@dataclass(frozen=True)
class SourceFrame:
    """One picture and its boxes.

    `name` is its path within the source, with forward slashes. `boxes` are in pixels, or, if
    `normalised`, in 0..1 of the picture. `size` is the (width, height) that the label says the
    picture has; `fields` are what else the label says of the picture. `fault` is why its label, or
    one of its boxes, can't be used: such a picture is left out as a whole, since a frame without
    some of its boxes would be wrong.
    """

    name: str
    data: Blob
    boxes: tuple[NamedBox, ...] = ()
    normalised: bool = False
    size: tuple[int, int] | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    fault: Unusable | None = None


@dataclass(frozen=True)
class Source:
    """All pictures that a reader found, and the classes that their labels may name."""

    frames: list[SourceFrame]
    class_names: tuple[str, ...]


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts names with numbers by the numbers: frame 9 before frame 10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def folder_of(flag: str, text: str) -> Path:
    """The folder that a flag names; raises UserError where there is none."""
    folder = Path(text)
    if not folder.is_dir():
        raise UserError(f"{flag} {text}: no such folder")
    return folder


class Pictures:
    """The pictures below a folder, by their path within it, in natural order."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError if there is none."""
        self.folder = folder
        self.paths = {
            path.relative_to(folder).as_posix(): path
            for path in files_below(folder, PICTURE_SUFFIXES)
        }
        if not self.paths:
            endings = ", ".join(sorted(PICTURE_SUFFIXES))
            raise UserError(f"--images {folder}: no picture in it ({endings})")
        self._by_file_name: dict[str, list[str]] = defaultdict(list)
        for name in self.paths:
            self._by_file_name[PurePosixPath(name).name].append(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def find(self, named: str) -> str:
        """The picture that a label names, by its path or else by its file name alone.

        Raises Unusable if there is none, or more than one of that file name.
        """
        plain = PurePosixPath(named.replace("\\", "/"))
        if plain.as_posix() in self.paths:
            return plain.as_posix()
        alike = self._by_file_name.get(plain.name, [])
        if len(alike) > 1:
            raise Unusable("several have the file name", f"{alike[0]}, {alike[1]}")
        if not alike:
            raise Unusable("missing")
        return alike[0]


def files_below(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Files with one of these endings, hidden ones left out, in natural order."""
    wanted = set(suffixes)
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in wanted
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def label_files(
    pictures: Pictures, folder: Path, suffixes: Iterable[str], endings: tuple[str, ...] = ("",)
) -> dict[str, Path]:
    """Of each picture its label file below `folder`, if it has one: same path, other suffix.

    Where there is none at that path, the one file of that name in any folder, if the picture is the
    only one of that name. Between name and suffix, a label file may have one of `endings`. Raises
    UserError if no picture has one.
    """
    by_stem: dict[str, Path] = {}
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in files_below(folder, suffixes):
        for ending in endings:
            if path.stem.endswith(ending) and len(path.stem) > len(ending):
                stem = path.stem.removesuffix(ending)
                inner = path.relative_to(folder).with_name(stem).as_posix()
                by_stem.setdefault(inner, path)
                by_name[stem].append(path)
    names = Counter(PurePosixPath(name).stem for name in pictures)
    found: dict[str, Path] = {}
    for name in pictures:
        pure = PurePosixPath(name)
        alike = by_name.get(pure.stem, [])
        inner = pure.with_suffix("").as_posix()
        if inner in by_stem:
            found[name] = by_stem[inner]
        elif len(alike) == 1 and names[pure.stem] == 1:
            found[name] = alike[0]
    if not found:
        kinds = " or ".join(f"*{suffix}" for suffix in sorted(suffixes))
        raise UserError(
            f"no label for any of the {len(pictures.paths)} pictures in {pictures.folder}: looked "
            f"for {kinds} named as the pictures in {folder}; name their folder with --annotations"
        )
    return found


def count_orphans(
    labels: dict[str, Path], folder: Path, suffixes: Iterable[str], tally: Tally
) -> None:
    """Count label files below `folder` that are of no picture."""
    used = set(labels.values())
    for path in files_below(folder, suffixes):
        if path not in used:
            tally.drop("label: no picture of its name", path.relative_to(folder).as_posix())


def without_label(config: ImportConfig, name: str, path: Path, tally: Tally) -> list[SourceFrame]:
    """What becomes of a picture without a label."""
    if config.unlabelled == "background":
        return [SourceFrame(name, Blob.of(path))]
    tally.drop("picture: no label (--unlabelled background keeps such)", name)
    return []
