"""COCO: one JSON file of images, annotations and categories."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from endoforge.captures.schema import Corners, Number
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.formats.config import ImportConfig
from endoforge.formats.source import (
    Blob,
    NamedBox,
    Pictures,
    Source,
    SourceFrame,
    folder_of,
    without_label,
)
from endoforge.formats.writing import Converted, Writer

Id = int | str


class _Image(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: Id
    file_name: str
    width: int | None = None
    height: int | None = None


class _Annotation(BaseModel):
    image_id: Id
    category_id: Id
    bbox: list[Number] | None = None
    segmentation: Any = None
    iscrowd: bool = False


class _Category(BaseModel):
    id: Id
    name: str


class CocoDataset(BaseModel):
    """What is read of such a file."""

    images: list[_Image]
    annotations: list[_Annotation] = []
    categories: list[_Category] = []


def read_coco(config: ImportConfig, tally: Tally) -> Source:
    """The images of the JSON file that are there, with their boxes by the categories' names.

    Raises UserError for a file that can't be read, and for a category or an image that is used but
    not named, or named twice.
    """
    assert config.images is not None
    assert config.annotations is not None
    pictures = Pictures(folder_of("--images", config.images))
    dataset = read_dataset(Path(config.annotations))
    names = _unique({}, [(one.id, one.name) for one in dataset.categories], "category")
    images = _unique({}, [(one.id, one) for one in dataset.images], "image")
    boxes: dict[Id, list[NamedBox]] = defaultdict(list)
    for place, annotation in enumerate(dataset.annotations):
        where = f"annotation {place} of image {annotation.image_id}"
        if annotation.category_id not in names:
            raise UserError(
                f"{config.annotations}: {where} is of category {annotation.category_id}, which has "
                f"no name; the file names {', '.join(f'{n} {names[n]}' for n in names) or 'none'}"
            )
        if annotation.image_id not in images:
            tally.drop("box: of an image that isn't listed", where)
            continue
        try:
            corners = _corners(annotation)
        except Unusable as unusable:
            tally.drop(f"box: {unusable.reason}", where, unusable.detail)
            continue
        boxes[annotation.image_id].append(NamedBox(names[annotation.category_id], corners))
    frames = _frames(config, pictures, images, boxes, tally)
    return Source(frames, tuple(dict.fromkeys(names.values())))


def read_dataset(path: Path) -> CocoDataset:
    """The file's content, ids as they are; raises UserError if it can't be read."""
    try:
        return CocoDataset.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise UserError(f"--annotations {path}: not COCO's JSON: {place} {fault['msg']}") from error
    except OSError as error:
        raise UserError(f"--annotations {path}: {error.strerror}") from error


def _unique(found: dict[Id, Any], pairs: list[tuple[Id, Any]], what: str) -> dict[Id, Any]:
    for number, one in pairs:
        if number in found:
            raise UserError(
                f"--annotations: two {what} entries have the id {number}; mend the file"
            )
        found[number] = one
    return found


def _corners(annotation: _Annotation) -> Corners:
    """Of its box, or else of its polygons; raises Unusable where it has neither."""
    if annotation.iscrowd:
        raise Unusable("a crowd region, which isn't one object")
    if annotation.bbox is not None and len(annotation.bbox) == 4:
        left, top, width, height = annotation.bbox
        return left, top, left + width, top + height
    if annotation.bbox:
        raise Unusable("bbox doesn't have four numbers")
    try:
        xs = [float(x) for polygon in annotation.segmentation for x in polygon[0::2]]
        ys = [float(y) for polygon in annotation.segmentation for y in polygon[1::2]]
        return min(xs), min(ys), max(xs), max(ys)
    except (TypeError, ValueError) as error:
        raise Unusable("neither bbox nor polygons") from error


def _frames(
    config: ImportConfig,
    pictures: Pictures,
    images: dict[Id, _Image],
    boxes: dict[Id, list[NamedBox]],
    tally: Tally,
) -> list[SourceFrame]:
    taken: dict[str, SourceFrame] = {}
    for number, image in images.items():
        try:
            name = pictures.find(image.file_name)
        except Unusable as unusable:
            tally.drop(f"picture: {unusable.reason}", image.file_name, unusable.detail)
            continue
        if name in taken:
            raise UserError(f"--annotations: two images are {name}; join their annotations")
        size = None
        if image.width is not None and image.height is not None:
            size = image.width, image.height
        data = Blob.of(pictures.paths[name])
        fields = {"id": number, **(image.model_extra or {})}
        taken[name] = SourceFrame(name, data, tuple(boxes[number]), size=size, fields=fields)
    if not taken:
        first = next(iter(images.values()), None)
        raise UserError(
            f"none of the {len(images)} images of {config.annotations} is in {pictures.folder}"
            + (f", such as {first.file_name}" if first else "")
        )
    frames: list[SourceFrame] = []
    for name in pictures:
        known = [taken[name]] if name in taken else None
        frames += known or without_label(config, name, pictures, tally)
    return frames


class CocoWriter(Writer):
    """`images/<run>/<frame>`, and annotations.json, or train.json and val.json."""

    def __init__(self, out: Path, class_names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        super().__init__(out, class_names, sides)
        self._images: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        self._annotations: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        self._num_images = self._num_annotations = 0

    def add(self, frame: Converted, side: str) -> None:
        self.write_picture(f"images/{frame.name}{frame.suffix}", frame)
        self._num_images += 1
        width, height = frame.size
        self._images[side].append(
            {
                "id": self._num_images,
                "file_name": f"{frame.name}{frame.suffix}",
                "width": width,
                "height": height,
                "run": frame.run,
            }
        )
        for number, (x0, y0, x1, y1) in zip(frame.classes, frame.boxes_px, strict=True):
            self._num_annotations += 1
            box = [round(float(v), 4) for v in (x0, y0, x1 - x0, y1 - y0)]
            self._annotations[side].append(
                {
                    "id": self._num_annotations,
                    "image_id": self._num_images,
                    "category_id": number + 1,
                    "bbox": box,
                    "area": round(box[2] * box[3], 4),
                    "iscrowd": 0,
                }
            )

    def finish(self) -> list[str]:
        categories = [{"id": n, "name": name} for n, name in enumerate(self.class_names, 1)]
        for side in self.sides:
            dataset = {
                "info": {"description": "capture runs of EndoForge"},
                "images": self._images[side],
                "annotations": self._annotations[side],
                "categories": categories,
            }
            name = "annotations.json" if side == "all" else f"{side}.json"
            (self.out / name).write_text(json.dumps(dataset) + "\n", encoding="utf-8")
        return []
