"""Kvasir-SEG's kavsir_bboxes.json: of each picture, by its name without ending, size and boxes."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, FiniteFloat, TypeAdapter, ValidationError

from endoforge.captures.label_boxes import refuse_shares
from endoforge.captures.schema import ClassName
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_LIST_BYTES, read_regular
from endoforge.core.text import as_utf8, printable
from endoforge.formats.config import ImportConfig
from endoforge.formats.json_texts import Side, fault_of
from endoforge.formats.source import (
    UNCLEAR,
    Blob,
    NamedBox,
    Pictures,
    Source,
    SourceFrame,
    folder_of,
    stem_of,
    without_label,
)
from endoforge.formats.spellings import Paths

_Entries = TypeAdapter(dict[str, Any])


class _KvasirBox(BaseModel):
    label: ClassName
    xmin: FiniteFloat
    ymin: FiniteFloat
    xmax: FiniteFloat
    ymax: FiniteFloat


class _KvasirEntry(BaseModel):
    height: Side
    width: Side
    bbox: list[_KvasirBox]


def read_kvasir(config: ImportConfig, tally: Tally) -> Source:
    """The pictures that the file names, with their boxes.

    An entry that can't be used is its picture's fault. Raises UserError for a file that can't be
    read.
    """
    assert config.images is not None
    assert config.annotations is not None
    pictures = Pictures(folder_of("--images", config.images))
    entries = _entries(Path(config.annotations))
    stems: dict[str, list[str]] = {}
    for name in pictures:
        stems.setdefault(stem_of(name), []).append(name)
    paths, found = Paths(stems), dict[str, SourceFrame]()
    for named, entry in entries.items():
        try:
            of_stem = stems[paths.find(named)]
            if len(of_stem) > 1:
                raise Unusable("several have the file name", ", ".join(of_stem[:2]))
        except Unusable as unusable:
            tally.drop(f"picture: {unusable.reason}", printable(named), unusable.detail)
            for stem in paths.fitting(named):
                pictures.unclear |= {name: Unusable(UNCLEAR, named) for name in stems[stem]}
            continue
        [name] = of_stem
        frame = _frame(name, Blob.of(pictures.paths[name]), entry)
        if name in found:
            frame = SourceFrame(name, frame.data, fault=Unusable("named twice", printable(named)))
        found[name] = frame
    frames: list[SourceFrame] = []
    for name in pictures:
        frames += [found[name]] if name in found else without_label(config, name, pictures, tally)
    return Source(frames, tuple(sorted({box.name for frame in frames for box in frame.boxes})))


def _entries(path: Path) -> dict[str, Any]:
    try:
        return _Entries.validate_json(as_utf8(read_regular(path, MOST_LIST_BYTES)))
    except OSError as error:
        raise UserError(f"--annotations {path}: {error.strerror}") from error
    except ValidationError as error:
        raise UserError(
            f"--annotations {path}: not Kvasir-SEG's JSON: {fault_of(error)}"
        ) from error


def _frame(name: str, data: Blob, entry: Any) -> SourceFrame:
    try:
        said = _KvasirEntry.model_validate(entry)
        boxes = tuple(_box(one) for one in said.bbox)
    except ValidationError as error:
        return SourceFrame(name, data, fault=Unusable("label malformed", fault_of(error)))
    except Unusable as unusable:
        return SourceFrame(name, data, fault=unusable)
    return SourceFrame(name, data, boxes, size=(said.width, said.height))


def _box(said: _KvasirBox) -> NamedBox:
    if not (label := said.label.strip()):
        raise Unusable("a box without a label")
    refuse_shares(corners := (said.xmin, said.ymin, said.xmax, said.ymax))
    return NamedBox(label, corners)
