"""YOLO: a text file a picture, a line a box, classes by numbers that another file names."""

import logging
import re
from dataclasses import replace
from pathlib import Path

import yaml

from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import decode_text
from endoforge.formats.class_names import Names, read_names, shown
from endoforge.formats.config import ImportConfig
from endoforge.formats.sequences import numbered_moments
from endoforge.formats.source import (
    Blob,
    NamedBox,
    Pictures,
    Source,
    SourceFrame,
    count_orphans,
    folder_of,
    label_files,
    subfolders,
    without_label,
)
from endoforge.formats.writing import ALL, Converted, Writer
from endoforge.formats.yolo_lines import Columns, Line, read_lines

log = logging.getLogger(__name__)

SUFFIX = ".txt"
NAME_FILES = ("data.yaml", "dataset.yaml", "data.yml", "classes.txt", "obj.names")
LEVELS_UP = 2
"""How far above labels and pictures a file of names is looked for."""

_NO_LABEL = re.compile(
    r"readme.*|(data|dataset|classes|names|train|valid|val|test|all|predefined_classes)\.txt",
    re.IGNORECASE,
).fullmatch
"""Texts that data sets have beside their labels."""


def read_yolo(config: ImportConfig, tally: Tally) -> Source:
    """Every picture with its text file, classes by name.

    Lines are `class x y width height` in 0..1, with or without a confidence and what a tracker or
    key points add, or a polygon `class x y x y x y ...`, of which the box is taken. Where a tracker
    wrote them, pictures are frames of videos, as `numbered_moments` finds them. Raises
    UserError where no label is found, and for a class without a name.
    """
    assert config.images is not None
    pictures = Pictures(folder_of("--images", config.images))
    folder = _label_folder(config, pictures.folder)
    labels = label_files(pictures, folder, [SUFFIX])
    names_file = _names_file(config, folder, pictures.folder)
    names = read_names(names_file)
    log.info("names of classes from %s: %s", names_file, shown(names))
    pictures.unused_labels = [path for path in pictures.unused_labels if not _NO_LABEL(path.name)]
    count_orphans(pictures, tally)
    lines = {name: _lines(labels[name]) for name in pictures if name in labels}
    columns = Columns(
        line.values for read in lines.values() if not isinstance(read, Unusable) for line in read
    )
    frames: list[SourceFrame] = []
    for name, path in pictures.paths.items():
        if name not in labels:
            frames += without_label(config, name, pictures, tally)
            continue
        try:
            boxes = _boxes(lines[name], columns, labels[name], names, names_file)
            frames.append(SourceFrame(name, Blob.of(path), boxes, normalised=True))
        except Unusable as unusable:
            frames.append(SourceFrame(name, Blob.of(path), fault=unusable))
    if columns.have_tracks:
        frames = _of_videos(frames, tally)
    return Source(frames, tuple(dict.fromkeys(names.values())))


def _of_videos(frames: list[SourceFrame], tally: Tally) -> list[SourceFrame]:
    """The frames with their places in videos; without tracks if their names don't tell these."""
    moments = numbered_moments(frame.name for frame in frames)
    if moments:
        return [replace(frame, moment=moments[frame.name]) for frame in frames]
    reason = "track: of a picture that isn't named as a video's frame, such as clip_12"
    for frame in frames:
        if number := sum(box.track is not None for box in frame.boxes):
            tally.count(reason, frame.name, number)
    return [
        replace(frame, boxes=tuple(replace(box, track=None) for box in frame.boxes))
        for frame in frames
    ]


def _label_folder(config: ImportConfig, images: Path) -> Path:
    """As named; else labels in place of the last images of the path; else beside the pictures."""
    if config.annotations is not None:
        return folder_of("--annotations", config.annotations)
    parts = images.absolute().parts
    for place in reversed(range(len(parts))):
        if parts[place].lower() == "images":
            for beside in subfolders(Path(*parts[:place]), "labels"):
                folder = Path(beside, *parts[place + 1 :])
                if folder.is_dir():
                    return folder
    return images


def _names_file(config: ImportConfig, *folders: Path) -> Path:
    if config.names is not None:
        return Path(config.names)
    searched: list[Path] = []
    for folder in folders:
        searched += [folder.absolute(), *list(folder.absolute().parents)[:LEVELS_UP]]
    for folder in dict.fromkeys(searched):
        for name in NAME_FILES:
            if (folder / name).is_file():
                return folder / name
    raise UserError(
        f"no {', '.join(NAME_FILES)} in {folders[0]}, {folders[-1]} or up to {LEVELS_UP} folders "
        "above: YOLO's labels only have numbers; name the file of their names with --names"
    )


def _lines(path: Path) -> list[Line] | Unusable:
    try:
        return read_lines(decode_text(read_regular(path, MOST_LABEL_BYTES)))
    except OSError as error:
        return Unusable("label unreadable", f"{path.name}: {error.strerror}")
    except UnicodeDecodeError as error:
        return Unusable("label isn't text", f"{path.name}: {error.reason}")
    except Unusable as unusable:
        return Unusable(unusable.reason, f"{path.name} {unusable.detail}")


def _boxes(
    lines: list[Line] | Unusable, columns: Columns, path: Path, names: Names, names_file: Path
) -> tuple[NamedBox, ...]:
    """Raises Unusable if one can't be used."""
    if isinstance(lines, Unusable):
        raise lines
    boxes: list[NamedBox] = []
    for line in lines:
        try:
            corners = columns.corners(line)
        except Unusable as unusable:
            raise Unusable(unusable.reason, f"{path.name} {unusable.detail}") from unusable
        if not names.get(line.number):
            raise UserError(
                f"{path} line {line.place}: class {line.number} has no name in {names_file} "
                f"({shown(names)}); name it there, or name the right file with --names"
            )
        boxes.append(NamedBox(names[line.number], corners, columns.track(line)))
    return tuple(boxes)


class YoloWriter(Writer):
    """`images/<run>/<frame>`, `labels/<run>/<frame>.txt`, and data.yaml, which names the classes.

    Of a split, train.txt and val.txt list the pictures.
    """

    def __init__(self, out: Path, class_names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        super().__init__(out, class_names, sides)
        self._pictures: dict[str, list[str]] = {side: [] for side in sides}

    def add(self, frame: Converted, side: str) -> None:
        picture = f"images/{frame.name}{frame.suffix}"
        self.write_picture(picture, frame)
        self.write(f"labels/{frame.name}{SUFFIX}", "".join(self.lines(frame)).encode())
        self._pictures[side].append(f"./{picture}\n")

    def lines(self, frame: Converted) -> list[str]:
        """The lines of a frame's label, one a polyp."""
        width, height = frame.size
        return [
            f"{number} {(x0 + x1) / 2 / width:.8f} {(y0 + y1) / 2 / height:.8f} "
            f"{(x1 - x0) / width:.8f} {(y1 - y0) / height:.8f}\n"
            for number, (x0, y0, x1, y1) in zip(frame.classes, frame.boxes_px, strict=True)
        ]

    def finish(self) -> list[str]:
        notes = []
        for side in self.sides:
            if side != ALL:
                self.write(f"{side}.txt", "".join(self._pictures[side]).encode())
        train, val = "train.txt", "val.txt"
        if self.sides == (ALL,):
            train = val = "images"
            notes.append(
                "data.yaml names all pictures for train and val alike, for YOLO wants both; scores "
                "on them mean nothing: --split-manifest holds runs out"
            )
        names = dict(enumerate(self.class_names))
        text = yaml.safe_dump({"train": train, "val": val, "names": names}, sort_keys=False)
        self.write("data.yaml", text.encode())
        return notes
