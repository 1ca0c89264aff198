"""Labelled pictures of another tool, as every reader gives them: named boxes, nothing numbered."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import PICTURE_SUFFIXES
from endoforge.captures.schema import Corners, FrameLabel, PolypLabel
from endoforge.captures.tally import EXAMPLES_KEPT, Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_PICTURE_BYTES, open_regular
from endoforge.core.text import counted
from endoforge.formats.config import ImportConfig
from endoforge.formats.pairing import Pairing
from endoforge.formats.searching import FilesFound, listed, search
from endoforge.formats.spellings import Paths, is_in_its_folder, nearest

log = logging.getLogger(__name__)

MOST_COMPARED = 20
"""Labels for which a similar name is looked for; it takes a while where pictures are many."""
UNCLEAR = "several labels or pictures fit its name"


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
        """Read the boxes of a picture. Raises Unusable if that can't be done."""
        try:
            with open_regular(self.path) as file:
                if self.num_bytes > MOST_PICTURE_BYTES:
                    raise Unusable("larger than 1 GB")
                file.seek(self.offset)
                return file.read(self.num_bytes)
        except OSError as error:
            raise Unusable("unreadable", str(error)) from error


Track = int | str
"""What another tool calls an object, the same in all pictures of a video."""


@dataclass(frozen=True)
class NamedBox:
    """A box of a class: xyxy in pixels of the picture with exclusive right and bottom edges.

    `track` is the object that is in it, where the label says that. `polyp` is what else is said of
    it, such as in the label of a capture run, whose box and names may since have changed.
    """

    name: str
    corners: Corners
    track: Track | None = None
    polyp: PolypLabel | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Moment:
    """Where a picture belongs in a video: the `sequence`'s name, and what is said of its place.

    `number` counts the video's frames at an even rate; `seconds` is the time.
    """

    sequence: str
    number: int | None = None
    seconds: float | None = None


Painter = Callable[[Mapping[Corners, int]], NDArray[np.uint8] | NDArray[np.uint16]]
"""Makes the instance image, (H, W), of a picture whose boxes have these polyp_ids; raises Unusable
where it can't be told which pixels are whose."""


@dataclass(frozen=True)
class SourceFrame:
    """A picture of another tool's data set, with its boxes.

    `name` is its path within the source, with forward slashes. `boxes` are in pixels, or, if
    `normalised`, in 0..1 of the picture. `size` is the (width, height) that the label says the
    picture has; `fields` are what else the label says of the picture. `fault` is why its label, or
    one of its boxes, can't be used: such a picture is left out as a whole, since a frame without
    some of its boxes would be wrong. `moment` is its place in a video, if it is a frame of one.
    `instance` paints the pixels of what is in its boxes, where the label tells them, and `pixels`
    is a digest of what these are painted from, to know the same frame again. `label` is that of the
    capture run that the frame was of. What it shows may be `predicted`, whose boxes say their
    scores.
    """

    name: str
    data: Blob
    boxes: tuple[NamedBox, ...] = ()
    normalised: bool = False
    size: tuple[int, int] | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    fault: Unusable | None = None
    moment: Moment | None = None
    instance: Painter | None = None
    pixels: str | None = None
    label: FrameLabel | None = None
    predicted: bool = False


@dataclass(frozen=True)
class Source:
    """All pictures that a reader found, and the classes that their labels may name."""

    frames: list[SourceFrame]
    class_names: tuple[str, ...]


def folder_of(flag: str, text: str) -> Path:
    """The folder that a flag names; raises UserError where there is none."""
    folder = Path(text)
    if not folder.is_dir():
        raise UserError(f"{flag} {text}: no such folder")
    return folder


class Pictures:
    """The pictures below a folder, by their path within it, in natural order.

    `unclear` are those that a label may be of, or another picture: nothing is known of them, so
    they aren't pictures without a label either.
    """

    def __init__(self, folder: Path) -> None:
        """Raises UserError if there is none.

        Folders that can't be read, and those that hold what this program wrote, are told of.
        """
        self.folder = folder
        self.unclear: dict[str, Unusable] = {}
        self.unused_labels: list[Path] = []
        found = search(folder, PICTURE_SUFFIXES, pass_outputs=True)
        self.paths = {path.relative_to(folder).as_posix(): path for path in found.files}
        if not self.paths:
            raise UserError(f"--images {folder}: no picture in it ({_endings()}){_not_seen(found)}")
        _warn_of(found)
        if found.outputs:
            log.warning(
                "--images %s: not searched, since endoforge wrote it: %s: %s",
                folder,
                counted(len(found.outputs), "folder"),
                listed(found.outputs),
            )
        self._by_name = Paths(self.paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def find(self, named: str, *, by_file_name: bool = True) -> str:
        """The picture that a label names, by its path or else by its file name alone.

        Upper and lower case, URL escapes and the ways to compose a letter don't count where one
        picture fits. Raises Unusable if there is none, or more than one that fits as well; without
        `by_file_name` also if it lies in another folder than the one that is named.
        """
        try:
            name = self._by_name.find(named)
            if by_file_name or is_in_its_folder(named, self.paths[name].absolute()):
                return name
            raise Unusable("missing", f"there is {name}")
        except Unusable as unusable:
            for name in self._by_name.fitting(named):
                self.unclear[name] = Unusable(UNCLEAR, named)
            raise unusable

    def note(self, doubts: Mapping[str, list[Path]], unused: Iterable[Path], folder: Path) -> None:
        """Keep which labels of `folder` are of no picture, and which may be of one or another."""
        unclear = {path for paths in doubts.values() for path in paths}
        self.unused_labels = [path.relative_to(folder) for path in unused if path not in unclear]
        for name, paths in doubts.items():
            shown = ", ".join(path.relative_to(folder).as_posix() for path in paths[:2])
            self.unclear[name] = Unusable(UNCLEAR, shown)


def _endings() -> str:
    return ", ".join(sorted(PICTURE_SUFFIXES))


def _not_seen(found: FilesFound) -> str:
    notes = {**found.outputs, **found.unreadable}
    return f"; not searched: {listed(notes)}" if notes else ""


def _warn_of(found: FilesFound) -> None:
    if found.unreadable:
        log.warning("left out, since it can't be read: %s", listed(found.unreadable))


def files_below(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Files with one of these endings, hidden ones left out, in natural order.

    Linked folders are followed; a warning names folders that can't be read.
    """
    found = search(folder, suffixes)
    _warn_of(found)
    return found.files


def label_files(
    pictures: Pictures, folder: Path, suffixes: Iterable[str], beside: str = "labels"
) -> dict[str, Path]:
    """Of each picture its label file below `folder`, if it has one: same path, other suffix.

    In its path, `beside` may stand in place of the last `images`. Where there is none at that path,
    the one file of that name in any folder, if the picture is the only one of that name. Names fit
    as in `Pictures.find`. Raises UserError if no picture has one, and for a folder that can't be
    read, since it may hold any picture's.
    """
    found = search(folder, suffixes)
    refuse_unreadable(found)
    files = {path: stem_of(path.relative_to(folder)) for path in found.files}
    matching = Pairing({name: stem_of(name) for name in pictures}, files, beside)
    labels = {name: paths[0] for name, paths in matching.found.items() if len(paths) == 1}
    doubts = {name: matching.found.get(name) or matching.alike(name) for name in pictures}
    doubts = {name: paths for name, paths in doubts.items() if paths and name not in labels}
    pictures.note(doubts, matching.left, folder)
    if not labels:
        kinds = " or ".join(f"*{suffix}" for suffix in sorted(suffixes))
        raise UserError(
            f"no label for any of the {counted(len(pictures.paths), 'picture')} in "
            f"{pictures.folder}: looked "
            f"for {kinds} named as the pictures in {folder}{_instead(pictures, files)}; name their "
            "folder with --annotations"
        )
    return labels


def _instead(pictures: Pictures, files: Mapping[Path, str]) -> str:
    """What is there where no label fits, for the message."""
    if pictures.unclear:
        name, why = next(iter(pictures.unclear.items()))
        return f" ({name}: {why.reason}, {why.detail})"
    if not files:
        return ""
    stems = [PurePosixPath(stem_of(name)).name for name in pictures]
    for path in list(files)[:MOST_COMPARED]:
        if near := nearest(path.stem, stems):
            return f" (there is {path.name}, and a picture {near})"
    return f" (there is {next(iter(files)).name}, and the first picture is {next(iter(pictures))})"


def refuse_unreadable(labels: FilesFound) -> None:
    """Raises UserError if a place of labels can't be read: it may hold those of any picture."""
    if labels.unreadable:
        raise UserError(
            f"labels can't be read: {listed(labels.unreadable)}; fix that, or move it elsewhere"
        )


def subfolders(folder: Path, name: str) -> list[Path]:
    """Those in `folder` of this name in upper or lower case; the one of the very name first."""
    try:
        found = [path for path in folder.iterdir() if path.name.lower() == name.lower()]
    except OSError:
        return []
    found = [path for path in found if path.is_dir()]
    return sorted(found, key=lambda path: (path.name != name, path.name))


def stem_of(path: str | PurePath) -> str:
    """A relative path without the ending of its file name, with forward slashes."""
    return PurePath(path).with_suffix("").as_posix()


def count_orphans(pictures: Pictures, tally: Tally) -> None:
    """Count the label files that belong to no picture."""
    for path in pictures.unused_labels:
        tally.drop("label: no picture of its name", path.as_posix())


def without_label(
    config: ImportConfig, name: str, pictures: Pictures, tally: Tally
) -> list[SourceFrame]:
    """What becomes of a picture without a label, or with one that can't be told to be its own."""
    if name in pictures.unclear:
        return [SourceFrame(name, Blob.of(pictures.paths[name]), fault=pictures.unclear[name])]
    if config.unlabelled == "background":
        return [SourceFrame(name, Blob.of(pictures.paths[name]))]
    reason = "picture: no label (--unlabelled background keeps such)"
    near = None
    if len(tally.examples.get(reason, ())) < EXAMPLES_KEPT:
        near = nearest(stem_of(name), map(stem_of, pictures.unused_labels))
    tally.drop(reason, name, f"there is {near}" if near else "")
    return []


ReadLabel = Callable[[Path], tuple[tuple[int, int] | None, tuple[NamedBox, ...]]]
"""Gives the (width, height) that a picture's label says it has, if it does, and its boxes; raises
Unusable if one is no box."""


def labelled_frames(
    config: ImportConfig,
    pictures: Pictures,
    labels: Mapping[str, Path],
    tally: Tally,
    read: ReadLabel,
) -> list[SourceFrame]:
    """Make a frame of every picture, with what `read` makes of its label's file, in pixels."""
    frames: list[SourceFrame] = []
    for name, path in pictures.paths.items():
        if name not in labels:
            frames += without_label(config, name, pictures, tally)
            continue
        try:
            size, boxes = read(labels[name])
            frames.append(SourceFrame(name, Blob.of(path), boxes, size=size))
        except Unusable as unusable:
            detail = labels[name].name + (f": {unusable.detail}" if unusable.detail else "")
            frames.append(SourceFrame(name, Blob.of(path), fault=Unusable(unusable.reason, detail)))
    return frames
