"""Labelme: a JSON file a picture, of shapes with points in pixels."""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from endoforge.captures.label_boxes import refuse_shares
from endoforge.captures.schema import ClassName, Corners
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import as_utf8
from endoforge.formats.config import ImportConfig
from endoforge.formats.json_texts import Point, Side, around_points, fault_of
from endoforge.formats.outlines import Size
from endoforge.formats.source import (
    NamedBox,
    Pictures,
    Source,
    count_orphans,
    folder_of,
    label_files,
    labelled_frames,
)

LEAST_POINTS = {"rectangle": 2, "polygon": 3}
"""Of the shapes that have a box."""


class _Shape(BaseModel):
    label: ClassName
    points: list[Point]
    shape_type: str = "polygon"
    group_id: int | str | None = None


class _LabelmeFile(BaseModel):
    shapes: list[_Shape]
    imageWidth: Side | None = None
    imageHeight: Side | None = None

    @property
    def size(self) -> Size | None:
        """(width, height); None where it isn't said."""
        if self.imageWidth is None or self.imageHeight is None:
            return None
        return self.imageWidth, self.imageHeight


def read_labelme(config: ImportConfig, tally: Tally) -> Source:
    """Every picture with its JSON file, from `--annotations` or beside it.

    Shapes of one label and group are one object. Raises UserError where no file is found.
    """
    assert config.images is not None
    pictures = Pictures(folder_of("--images", config.images))
    folder = pictures.folder
    if config.annotations is not None:
        folder = folder_of("--annotations", config.annotations)
    labels = label_files(pictures, folder, [".json"])
    count_orphans(pictures, tally)
    frames = labelled_frames(config, pictures, labels, tally, _read)
    return Source(frames, tuple(sorted({box.name for frame in frames for box in frame.boxes})))


def _read(path: Path) -> tuple[Size | None, tuple[NamedBox, ...]]:
    """The picture's size as the file has it, and its boxes; raises Unusable if one is no box."""
    try:
        said = _LabelmeFile.model_validate_json(as_utf8(read_regular(path, MOST_LABEL_BYTES)))
    except OSError as error:
        raise Unusable("label unreadable", str(error.strerror)) from error
    except ValidationError as error:
        raise Unusable("label malformed", fault_of(error)) from error
    objects: dict[tuple[str, object], list[Point]] = {}
    for number, shape in enumerate(said.shapes):
        if not shape.label.strip():
            raise Unusable("a shape without a label", f"shape {number}")
        left, top, right, bottom = _corners(shape)
        group = ("", number) if shape.group_id is None else shape.group_id
        points = objects.setdefault((shape.label.strip(), group), [])
        points += [(left, top), (right, bottom)]
    return said.size, tuple(
        NamedBox(label, around_points(points)) for (label, _), points in objects.items()
    )


def _corners(shape: _Shape) -> Corners:
    """The box around a shape; raises Unusable if it has none."""
    if shape.shape_type not in LEAST_POINTS:
        raise Unusable("a shape that has no box", shape.shape_type)
    if len(shape.points) < LEAST_POINTS[shape.shape_type]:
        raise Unusable(f"a {shape.shape_type} of too few points", shape.label)
    refuse_shares(corners := around_points(shape.points))
    return corners
