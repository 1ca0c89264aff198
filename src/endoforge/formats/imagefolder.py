"""Hugging Face's imagefolder: a metadata.jsonl beside its pictures, a line a picture."""

import posixpath
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from endoforge.captures.label_boxes import refuse_shares
from endoforge.captures.schema import ClassName
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_LIST_BYTES, read_regular
from endoforge.core.text import as_utf8, printable
from endoforge.formats.class_names import Names, read_names, shown
from endoforge.formats.config import ImportConfig
from endoforge.formats.json_texts import fault_of
from endoforge.formats.searching import search
from endoforge.formats.source import (
    Blob,
    NamedBox,
    Pictures,
    Source,
    SourceFrame,
    folder_of,
    refuse_unreadable,
    without_label,
)

FILE = "metadata.jsonl"


class _PictureLine(BaseModel):
    file_name: str
    objects: Any = None


class _PictureObjects(BaseModel):
    """Some data sets write `category` in place of `categories`."""

    model_config = ConfigDict(strict=True)

    bbox: list[list[FiniteFloat]]
    categories: list[int | ClassName] | None = None
    category: list[int | ClassName] | None = None


def read_imagefolder(config: ImportConfig, tally: Tally) -> Source:
    """The pictures that each metadata.jsonl below `--images` names, with their boxes.

    A picture whose objects can't be used comes with that fault. Raises UserError where no such file
    is found, for a line that doesn't say its picture, and for a number of a class without a name.
    """
    assert config.images is not None
    pictures = Pictures(folder_of("--images", config.images))
    names = {} if config.names is None else read_names(Path(config.names))
    found: dict[str, SourceFrame] = {}
    for file in _files(pictures.folder):
        for place, line in enumerate(_lines(file), 1):
            where = f"{file} line {place}"
            said = _said(line, where)
            if said is None:
                continue
            within = file.parent.relative_to(pictures.folder).as_posix()
            named = posixpath.normpath(posixpath.join(within, said.file_name.replace("\\", "/")))
            try:
                name = pictures.find(named)
            except Unusable as unusable:
                tally.drop(f"picture: {unusable.reason}", printable(named), unusable.detail)
                continue
            data = Blob.of(pictures.paths[name])
            try:
                if name in found:
                    raise Unusable("named twice", f"line {place}")
                found[name] = SourceFrame(name, data, _boxes(said.objects, names, where))
            except Unusable as unusable:
                found[name] = SourceFrame(name, data, fault=unusable)
    frames: list[SourceFrame] = []
    for name in pictures:
        frames += [found[name]] if name in found else without_label(config, name, pictures, tally)
    boxes = (box.name for frame in frames for box in frame.boxes)
    return Source(frames, tuple(sorted({*names.values(), *boxes} - {""})))


def _files(images: Path) -> list[Path]:
    texts = search(images, [".jsonl"])
    refuse_unreadable(texts)
    files = [path for path in texts.files if path.name == FILE]
    if not files:
        raise UserError(f"no {FILE} in {images} or a folder within; name its folder by --images")
    return files


def _lines(file: Path) -> list[str]:
    try:
        return as_utf8(read_regular(file, MOST_LIST_BYTES)).decode().split("\n")
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: neither UTF-8 nor UTF-16; save it as one of them") from error


def _said(line: str, where: str) -> _PictureLine | None:
    """What a line says; None for an empty one. Raises UserError if it doesn't say its picture."""
    if not line.strip():
        return None
    try:
        return _PictureLine.model_validate_json(line)
    except (ValidationError, UnicodeEncodeError) as error:
        why = fault_of(error) if isinstance(error, ValidationError) else "not text"
        raise UserError(f"{where}: may be of any picture ({why}); fix it") from error


def _boxes(objects: Any, names: Names, where: str) -> tuple[NamedBox, ...]:
    """Raises Unusable if they aren't said, or one can't be used."""
    if objects is None:
        raise Unusable("its line has no objects")
    try:
        said = _PictureObjects.model_validate(objects)
    except ValidationError as error:
        raise Unusable("label malformed", fault_of(error)) from error
    categories = said.category if said.categories is None else said.categories
    if len(categories or []) != len(said.bbox):
        raise Unusable("its line has not as many categories as boxes")
    boxes: list[NamedBox] = []
    for category, box in zip(categories or [], said.bbox, strict=True):
        if len(box) != 4:
            raise Unusable("a box that isn't four numbers")
        x, y, width, height = box
        if width < 0 or height < 0:
            raise Unusable("bbox of negative size")
        refuse_shares(corners := (x, y, x + width, y + height))
        boxes.append(NamedBox(_class_of(category, names, where), corners))
    return tuple(boxes)


def _class_of(category: int | str, names: Names, where: str) -> str:
    if isinstance(category, str):
        if not category.strip():
            raise Unusable("a box without a category")
        return category.strip()
    if not names.get(category):
        raise UserError(
            f"{where}: category {category} has no name ({shown(names)}); name the file of the "
            "classes' names with --names"
        )
    return names[category]
