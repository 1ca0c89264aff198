"""YOLO: a text file a picture, a line a box, classes by numbers that another file names."""

import logging
import math
from pathlib import Path
from typing import Any

import yaml

from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.formats.config import ImportConfig
from endoforge.formats.source import (
    Blob,
    NamedBox,
    Pictures,
    Source,
    SourceFrame,
    count_orphans,
    folder_of,
    label_files,
    without_label,
)
from endoforge.formats.writing import ALL, Converted, Writer

log = logging.getLogger(__name__)

SUFFIX = ".txt"
NAME_FILES = ("data.yaml", "dataset.yaml", "data.yml", "classes.txt", "obj.names")
LEVELS_UP = 2
"""How far above labels and pictures a file of names is looked for."""

Names = dict[int, str]


def _shown(names: Names) -> str:
    return ", ".join(f"{number} {name}" for number, name in names.items()) or "none"


def read_yolo(config: ImportConfig, tally: Tally) -> Source:
    """Every picture with its text file, classes by name.

    Lines are `class x y width height` in 0..1, or a polygon `class x y x y x y ...`, of which
    the box is taken. Raises UserError where no label is found, and for a class without a name.
    """
    assert config.images is not None
    pictures = Pictures(folder_of("--images", config.images))
    folder = _label_folder(config, pictures.folder)
    labels = label_files(pictures, folder, [SUFFIX])
    names_file = _names_file(config, folder, pictures.folder)
    names = read_names(names_file)
    log.info("names of classes from %s: %s", names_file, _shown(names))
    count_orphans({"": names_file, **labels}, folder, [SUFFIX], tally)
    frames: list[SourceFrame] = []
    for name, path in pictures.paths.items():
        if name not in labels:
            frames += without_label(config, name, path, tally)
            continue
        boxes = _read_boxes(labels[name], names, names_file, tally)
        frames.append(SourceFrame(name, Blob.of(path), boxes, normalised=True))
    return Source(frames, tuple(dict.fromkeys(names.values())))


def _label_folder(config: ImportConfig, images: Path) -> Path:
    """As named; else labels in place of the last images of the path; else beside the pictures."""
    if config.annotations is not None:
        return folder_of("--annotations", config.annotations)
    parts = images.absolute().parts
    for place in reversed(range(len(parts))):
        if parts[place].lower() == "images":
            folder = Path(*parts[:place], "labels", *parts[place + 1 :])
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


def read_names(path: Path) -> Names:
    """Class names by number: `names` of a YAML file, a list or numbers with names; or a line each.

    Raises UserError for a file that has none, and if its `nc` says another number of them.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() not in (".yaml", ".yml"):
            lines = text.splitlines()
            while lines and not lines[-1].strip():
                lines.pop()
            return dict(enumerate(map(str.strip, lines)))
        content: Any = yaml.safe_load(text)
        names = content["names"]
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        found = {int(number): str(name) for number, name in pairs}
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: no names of classes in it; name their file by --names") from error
    if "kpt_shape" in content:
        raise UserError(f"{path}: labels of key points aren't read; export boxes or polygons")
    if "nc" in content and content["nc"] != len(found):
        raise UserError(f"{path}: nc is {content['nc']}, but there are {len(found)} names; mend it")
    return found


def _read_boxes(path: Path, names: Names, names_file: Path, tally: Tally) -> tuple[NamedBox, ...]:
    boxes: list[NamedBox] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read as text ({error}); mend or remove it") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            place, corners = _parse(line)
        except Unusable as unusable:
            tally.drop(f"box: {unusable.reason}", f"{path.name} line {number}", unusable.detail)
            continue
        if not names.get(place):
            raise UserError(
                f"{path} line {number}: class {place} has no name in {names_file} "
                f"({_shown(names)}); name it there, or name the right file with --names"
            )
        boxes.append(NamedBox(names[place], corners))
    return tuple(boxes)


def _parse(line: str) -> tuple[int, tuple[float, float, float, float]]:
    """Class and xyxy in 0..1."""
    try:
        first, *values = map(float, line.split())
    except ValueError as error:
        raise Unusable("line isn't numbers", line.strip()[:60]) from error
    if not first.is_integer():
        raise Unusable("class isn't a whole number", line.strip()[:60])
    if len(values) == 4:
        x, y, width, height = values
        return int(first), (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(values) >= 6 and len(values) % 2 == 0:
        if not all(map(math.isfinite, values)):
            raise Unusable("NaN or infinite")
        xs, ys = values[0::2], values[1::2]
        return int(first), (min(xs), min(ys), max(xs), max(ys))
    raise Unusable("line is neither `class x y width height` nor a polygon", line.strip()[:60])


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
        width, height = frame.size
        lines = [
            f"{number} {(x0 + x1) / 2 / width:.8f} {(y0 + y1) / 2 / height:.8f} "
            f"{(x1 - x0) / width:.8f} {(y1 - y0) / height:.8f}\n"
            for number, (x0, y0, x1, y1) in zip(frame.classes, frame.boxes_px, strict=True)
        ]
        self.write(f"labels/{frame.name}{SUFFIX}", "".join(lines).encode())
        self._pictures[side].append(f"./{picture}\n")

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
