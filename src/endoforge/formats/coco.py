"""COCO: one JSON file of images, annotations and categories."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from endoforge.captures.pictures import picture_size
from endoforge.captures.schema import MOST_SIDE, ClassName, PolypLabel
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_LIST_BYTES, read_regular
from endoforge.core.text import as_utf8, counted
from endoforge.formats.config import ImportConfig
from endoforge.formats.outlines import Size, box_of, encoded
from endoforge.formats.segmentations import with_pixels
from endoforge.formats.source import (
    Blob,
    Moment,
    NamedBox,
    Pictures,
    Source,
    SourceFrame,
    Track,
    folder_of,
    without_label,
)
from endoforge.formats.spellings import caseless
from endoforge.formats.writing import Converted, Writer

Id = int | str
Side = Annotated[int, Field(ge=-MOST_SIDE, le=MOST_SIDE)]

CROWD = "a crowd region, not one object (if it is one, as CVAT's masks are, set iscrowd to 0)"
MOST_NUMBER, LEAST_FPS = 1e12, 1e-6
"""Of seconds and frames, and of frames a second: beyond, and a file means something else."""
_WHOLE_NUMBER = re.compile(r"\s*(0|-?[1-9][0-9]{0,18})(\.0+)?\s*")


class _Image(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: Id
    file_name: str
    width: Side | None = None
    height: Side | None = None

    @property
    def size(self) -> Size | None:
        """The width and height in pixels, or None if the file does not tell."""
        return None if self.width is None or self.height is None else (self.width, self.height)

    @property
    def said(self) -> dict[str, Any]:
        """What else the file says of it."""
        return self.model_extra or {}


class CocoAnnotation(BaseModel):
    """What is read of an object in an image."""

    image_id: Id
    category_id: Id
    bbox: Any = None
    segmentation: Any = None
    iscrowd: bool | None = None
    track_id: Id | None = None
    instance_id: Id | None = None
    attributes: Any = None

    @property
    def polyp(self) -> PolypLabel | None:
        """What else is said of it, for its label."""
        return None

    @property
    def track(self) -> Track | None:
        """The object's name through its video: a field, or an attribute as CVAT has it."""
        others = self.attributes if isinstance(self.attributes, dict) else {}
        for track in (self.track_id, self.instance_id, others.get("track_id")):
            if isinstance(track, int | str) and not isinstance(track, bool):
                return _key(track)
        return None


class _VideoEntry(BaseModel):
    id: Id
    name: str | None = None
    fps: Any = None


class _Category(BaseModel):
    id: Id
    name: ClassName


class CocoDataset(BaseModel):
    """What is read of such a file. Without `annotations`, it says nothing of what images show."""

    images: Annotated[list[_Image], Field(fail_fast=True)]
    annotations: Annotated[list[CocoAnnotation], Field(fail_fast=True)] | None = None
    videos: Annotated[list[_VideoEntry], Field(fail_fast=True)] | None = None
    categories: Annotated[
        list[_Category], Field(fail_fast=True), BeforeValidator(lambda value: value or [])
    ] = []


def read_coco(config: ImportConfig, tally: Tally) -> Source:
    """The images of the JSON file that are there, with their boxes by the categories' names.

    An image of which an annotation can't be used comes with the fault in place of its boxes. Raises
    UserError for a file that can't be read, and for a category or an image that is used but not
    named, or named twice.
    """
    assert config.images is not None
    assert config.annotations is not None
    dataset = read_dataset(Path(config.annotations))
    if dataset.annotations is None:
        raise UserError(
            f"--annotations {config.annotations}: has no annotations, so it doesn't say what its "
            "images show; name the file that does"
        )
    return source_of(dataset, config, tally)


def source_of(dataset: CocoDataset, config: ImportConfig, tally: Tally) -> Source:
    """The images of `dataset` that are there, with their boxes; raises what `read_coco` does."""
    assert config.images is not None
    pictures = Pictures(folder_of("--images", config.images))
    names = _unique([(one.id, one.name) for one in dataset.categories], "category")
    images = _unique([(one.id, one) for one in dataset.images], "image")
    videos = _videos(dataset.videos or [])
    annotations: dict[Id, list[tuple[int, CocoAnnotation]]] = defaultdict(list)
    for place, annotation in enumerate(dataset.annotations or []):
        where = f"annotation {place} of image {annotation.image_id}"
        if _key(annotation.category_id) not in names:
            raise UserError(
                f"{config.annotations}: {where} is of category {annotation.category_id}, which has "
                f"no name; the file names {', '.join(f'{n} {names[n]}' for n in names) or 'none'}"
            )
        if _key(annotation.image_id) not in images:
            tally.drop("box: of an image that isn't listed", where)
            continue
        annotations[_key(annotation.image_id)].append((place, annotation))
    taken = _found(config, pictures, images, tally)
    have_masks = any(one.segmentation for one in dataset.annotations or [])
    frames: list[SourceFrame] = []
    for name, path in pictures.paths.items():
        if name in taken:
            number = taken[name]
            image = images[number]
            moment = _moment(image, videos)
            frame = SourceFrame(name, Blob.of(path), fields=_fields(number, image), moment=moment)
            frame = _with_boxes(frame, image, annotations[number], names)
            outlines = [one.segmentation for _, one in annotations[number]]
            frames.append(with_pixels(frame, outlines) if have_masks else frame)
        else:
            frames += without_label(config, name, pictures, tally)
    return Source(frames, tuple(dict.fromkeys(names.values())))


def read_dataset(path: Path, flag: str = "--annotations") -> CocoDataset:
    """The file's content, ids as they are; raises UserError, which names `flag`, if it can't be
    read."""
    try:
        return CocoDataset.model_validate_json(as_utf8(read_regular(path, MOST_LIST_BYTES)))
    except ValidationError as error:
        fault = error.errors()[0]
        said = " ".join([".".join(map(str, fault["loc"])), fault["msg"]]).strip()
        raise UserError(f"{flag} {path}: not COCO's JSON: {said}") from error
    except OSError as error:
        raise UserError(f"{flag} {path}: {error.strerror}") from error


def _key(number: Id) -> Id:
    """An id to compare by: some tools put numbers in quotes here and not there."""
    match = _WHOLE_NUMBER.fullmatch(number) if isinstance(number, str) else None
    return int(match[1]) if match else number


def _unique(pairs: list[tuple[Id, Any]], what: str) -> dict[Id, Any]:
    found: dict[Id, Any] = {}
    for number, one in pairs:
        if _key(number) in found:
            raise UserError(f"--annotations: two {what} entries have the id {number}; fix the file")
        found[_key(number)] = one
    return found


def _found(
    config: ImportConfig, pictures: Pictures, images: dict[Id, _Image], tally: Tally
) -> dict[str, Id]:
    """Of each picture that an image names, the image's number."""
    taken: dict[str, Id] = {}
    by_file_name = _say_which_file(images.values())
    for number, image in images.items():
        try:
            name = pictures.find(image.file_name, by_file_name=by_file_name)
        except Unusable as unusable:
            tally.drop(f"picture: {unusable.reason}", image.file_name, unusable.detail)
            continue
        if name in taken:
            raise UserError(
                f"--annotations {config.annotations}: {images[taken[name]].file_name} and "
                f"{image.file_name} are both {name}; join their annotations"
            )
        taken[name] = number
    if not taken:
        first = next(iter(images.values()), None)
        such = f", such as {first.file_name}" if first else ""
        of_video = "; frames of a video come in by `endoforge detect VIDEO --as-runs`"
        raise UserError(
            f"none of the {counted(len(images), 'image')} of {config.annotations} is in "
            f"{pictures.folder}"
            f"{such}; name their folder with --images{of_video if '#' in such else ''}"
        )
    return taken


def _say_which_file(images: Iterable[_Image]) -> bool:
    """Whether the images' file names say it without their folders: no two folders have the same."""
    paths = {PurePosixPath(caseless(image.file_name.replace("\\", "/"))) for image in images}
    within = [path.name for path in paths if len(path.parts) > 1]
    return len(set(within)) == len(within)


def _fields(number: Id, image: _Image) -> dict[str, Any]:
    return {"id": number, **image.said}


def _videos(entries: list[_VideoEntry]) -> dict[Id, tuple[str, float]]:
    """Of each video its name and its frames a second; "" for one that others have too, 0 for none.

    Raises UserError for an id that two have.
    """
    counts = Counter(one.name for one in entries)
    found = _unique([(one.id, one) for one in entries], "video")
    return {
        number: (one.name if one.name and counts[one.name] == 1 else "", _finite(one.fps) or 0.0)
        for number, one in found.items()
    }


def _moment(image: _Image, videos: dict[Id, tuple[str, float]]) -> Moment | None:
    """Its place in its video, as COCO-VID says it: `video_id`, `frame_id` and the video's `fps`.

    `seconds` is a field of ours, for frames that don't follow each other evenly.
    """
    video_id, number = image.said.get("video_id"), image.said.get("frame_id")
    if not isinstance(video_id, int | str):
        return None
    name, fps = videos.get(_key(video_id), ("", 0.0))
    if type(number) is not int or not 0 <= number <= MOST_NUMBER:
        number = None
    seconds = _finite(image.said.get("seconds"))
    if seconds is None and number is not None and fps >= LEAST_FPS:
        seconds = number / fps
    return Moment(name or f"video {_key(video_id)}", number, seconds)


def _finite(value: Any) -> float | None:
    """The number; None for anything else."""
    is_number = isinstance(value, int | float) and abs(value) <= MOST_NUMBER
    return float(value) if is_number else None


def _with_boxes(
    frame: SourceFrame,
    image: _Image,
    annotations: list[tuple[int, CocoAnnotation]],
    names: dict[Id, str],
) -> SourceFrame:
    """With all its boxes, or with the fault of the first annotation that can't be used."""
    boxes: list[NamedBox] = []
    for place, annotation in annotations:
        try:
            if annotation.iscrowd:
                raise Unusable(CROWD)
            corners = box_of(
                annotation.bbox,
                annotation.segmentation,
                lambda: image.size or picture_size(frame.data.path),
            )
        except Unusable as unusable:
            where = f"annotation {place}" + (f": {unusable.detail}" if unusable.detail else "")
            return replace(frame, size=image.size, fault=Unusable(unusable.reason, where))
        name = names[_key(annotation.category_id)]
        boxes.append(NamedBox(name, corners, annotation.track, annotation.polyp))
    return replace(frame, size=image.size, boxes=tuple(boxes))


class CocoWriter(Writer):
    """`images/<run>/<frame>`, and annotations.json, or train.json and val.json.

    Of polyps whose masks are known, `segmentation` is their run lengths, and `area` their pixels.
    """

    masks = "welcome"

    def __init__(self, out: Path, class_names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        super().__init__(out, class_names, sides)
        self._videos: dict[str, dict[str, int]] = {side: {} for side in sides}
        self._lengths = Counter[str]()
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
                "video_id": self._videos[side].setdefault(frame.run, len(self._videos[side]) + 1),
                "frame_id": self._lengths[frame.run],
                "seconds": frame.record.seconds,
            }
        )
        self._lengths[frame.run] += 1
        masks = [None] * len(frame.classes) if frame.masks is None else frame.masks
        for number, track, (x0, y0, x1, y1), mask in zip(
            frame.classes, frame.record.polyp_ids, frame.boxes_px, masks, strict=True
        ):
            self._num_annotations += 1
            box = [round(float(v), 4) for v in (x0, y0, x1 - x0, y1 - y0)]
            self._annotations[side].append(
                {
                    "id": self._num_annotations,
                    "image_id": self._num_images,
                    "category_id": number + 1,
                    "bbox": box,
                    "area": round(box[2] * box[3], 4) if mask is None else int(mask.sum()),
                    "iscrowd": 0,
                    **({} if track is None else {"track_id": track}),
                    **({} if mask is None else {"segmentation": encoded(mask)}),
                }
            )

    def finish(self) -> list[str]:
        categories = [{"id": n, "name": name} for n, name in enumerate(self.class_names, 1)]
        for side in self.sides:
            dataset = {
                "info": {"description": "capture runs of EndoForge"},
                "videos": [{"id": n, "name": run} for run, n in self._videos[side].items()],
                "images": self._images[side],
                "annotations": self._annotations[side],
                "categories": categories,
            }
            name = "annotations.json" if side == "all" else f"{side}.json"
            self.write(name, (json.dumps(dataset) + "\n").encode())
        return []
