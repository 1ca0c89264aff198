"""CVAT's XML: "for video 1.1", tracks with a box a frame, and "for images 1.1", boxes a picture."""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from endoforge.captures.label_boxes import refuse_shares
from endoforge.captures.schema import Corners, is_class_name
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_XML_BYTES, read_regular
from endoforge.core.text import printable
from endoforge.formats.config import ImportConfig
from endoforge.formats.outlines import Size
from endoforge.formats.searching import search
from endoforge.formats.sequences import number_in
from endoforge.formats.source import (
    UNCLEAR,
    Blob,
    Moment,
    NamedBox,
    Pictures,
    Source,
    SourceFrame,
    Track,
    folder_of,
    refuse_unreadable,
    without_label,
)
from endoforge.formats.spellings import Paths
from endoforge.formats.xml_texts import parse_xml

FILE = "annotations.xml"
OF_A_PICTURE = {"tag"}
"""What says something of a whole picture, and has no place in it."""
SILENT = "a track says nothing of it"
TWICE = "named twice"
MOST_DIGITS = 10
"""Longer numbers than any frame, track or side has."""

Element = ElementTree.Element


@dataclass
class _Said:
    """What a file says of one frame; `fault` is why some of it can't be used."""

    boxes: list[NamedBox] = field(default_factory=list)
    fault: Unusable | None = None

    def add(self, shape: Element, label: str | None, track: Track | None) -> None:
        """Add the box of a shape, or keep why it has none."""
        try:
            self.boxes.append(NamedBox(_class_of(label), _corners(shape), track))
        except Unusable as unusable:
            self.fault = self.fault or unusable

    def on(self, frame: SourceFrame) -> SourceFrame:
        """The picture with all of its boxes, or with the fault of one."""
        if self.fault is not None:
            return replace(frame, fault=self.fault)
        return replace(frame, boxes=tuple(self.boxes))


def read_cvat(config: ImportConfig, tally: Tally) -> Source:
    """The pictures of each XML file, with their boxes.

    That is `--annotations`, which is of all pictures; or else every annotations.xml below
    `--images`, each of those below its own folder; or the one beside `--images`. Raises UserError
    where there is none, and for a file that can't be read or leaves open of which frame it speaks.
    """
    assert config.images is not None
    pictures = Pictures(folder_of("--images", config.images))
    found: dict[str, SourceFrame] = {}
    for file, folder in _files(config, pictures.folder):
        within = {
            path.relative_to(folder).as_posix() if folder else name: name
            for name, path in pictures.paths.items()
            if name not in found and (folder is None or path.is_relative_to(folder))
        }
        root = _root(file)
        if root.find("image") is not None:
            found |= _read_images(root, within, pictures, tally)
        else:
            found |= _read_video(root, file, within, pictures, tally)
    frames: list[SourceFrame] = []
    for name in pictures:
        frames += [found[name]] if name in found else without_label(config, name, pictures, tally)
    return Source(frames, tuple(sorted({box.name for frame in frames for box in frame.boxes})))


def _files(config: ImportConfig, images: Path) -> list[tuple[Path, Path | None]]:
    """The XML files, each with the folder of its pictures; None: all of them."""
    if config.annotations is not None:
        return [(Path(config.annotations), None)]
    # The deepest first: pictures are those of the file that is nearest to them.
    xml = search(images, [".xml"])
    refuse_unreadable(xml)
    below = [path for path in xml.files if path.name == FILE]
    if below:
        below.sort(key=lambda path: -len(path.parts))
        return [(path, path.parent) for path in below]
    beside = images.absolute().parent / FILE
    if not beside.is_file():
        raise UserError(
            f"no {FILE} in {images} or beside it; name CVAT's XML file with --annotations"
        )
    return [(beside, None)]


def _root(file: Path) -> Element:
    try:
        root = parse_xml(read_regular(file, MOST_XML_BYTES))
    except OSError as error:
        raise UserError(f"--annotations {file}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"--annotations {file}: not CVAT's XML: {printable(str(error))}") from error
    is_video = root.find("track") is not None or root.findtext("meta/*/mode") == "interpolation"
    if root.tag != "annotations" or not (is_video or root.find("image") is not None):
        raise UserError(
            f"--annotations {file}: neither tracks nor images in it; export it as CVAT for video "
            "1.1, or for images 1.1"
        )
    if len(root.findall("meta/project/tasks/task")) > 1 and is_video:
        raise UserError(
            f"--annotations {file}: several videos in one file; export each task by itself"
        )
    return root


def _read_images(
    root: Element, within: dict[str, str], pictures: Pictures, tally: Tally
) -> dict[str, SourceFrame]:
    """The pictures that images name, by their names in `pictures`."""
    paths = Paths(within)
    found: dict[str, SourceFrame] = {}
    for image in root.iter("image"):
        named = image.get("name") or ""
        try:
            name = within[paths.find(named)]
        except Unusable as unusable:
            tally.drop(f"picture: {unusable.reason}", printable(named), unusable.detail)
            for path in paths.fitting(named):
                pictures.unclear[within[path]] = Unusable(UNCLEAR, named)
            continue
        frame = SourceFrame(name, Blob.of(pictures.paths[name]), size=_size(image))
        said = _Said(fault=Unusable(TWICE) if name in found else None)
        for shape in image:
            if shape.tag not in OF_A_PICTURE:
                said.add(shape, shape.get("label"), None)
        found[name] = said.on(frame)
    return found


def _read_video(
    root: Element, file: Path, within: dict[str, str], pictures: Pictures, tally: Tally
) -> dict[str, SourceFrame]:
    """The pictures of the file's frames, by their names in `pictures`."""
    numbers = {name: number_in(path) for path, name in within.items()}
    known = sorted({number for number in numbers.values() if number is not None})
    first, last = _stretch(root)
    _refuse_counted_from_one(file, known, first, last)
    said: dict[int, _Said] = defaultdict(_Said)
    for track in root.iter("track"):
        _follow(track, known, said, file)
    size = next((_size(one) for one in root.iter("original_size")), None)
    sequence = _sequence(root, file, pictures.folder)
    found: dict[str, SourceFrame] = {}
    for name, number in numbers.items():
        frame = SourceFrame(name, Blob.of(pictures.paths[name]), size=size)
        if number is None:
            found[name] = replace(frame, fault=Unusable("no number of a frame in its name"))
        elif first <= number and (last is None or number <= last):
            frame = replace(frame, moment=Moment(sequence, number))
            found[name] = said.get(number, _Said()).on(frame)
    for number in sorted(said.keys() - set(known)):
        if said[number].boxes:
            tally.drop("label: of a frame without a picture", file.name, f"frame {number}")
    return found


def _follow(track: Element, known: list[int], said: dict[int, _Said], file: Path) -> None:
    """Add a track's boxes to what is said of frames.

    CVAT writes a shape for every frame on which the track is to be seen, interpolated or not, and
    one that is outside where it ends. Frames between two shapes, the first of which can be seen,
    are such as another tool left to interpolation: what they show isn't known.
    """
    label, name = track.get("label"), _id(track)
    shapes = [(_frame_of(shape, file), shape) for shape in track if shape.tag != "attribute"]
    shapes.sort(key=lambda one: one[0])
    visible: int | None = None
    for number, shape in shapes:
        if visible is not None:
            for silent in known[bisect_right(known, visible) : bisect_left(known, number)]:
                said[silent].fault = said[silent].fault or Unusable(SILENT, f"track {name}")
        visible = None if shape.get("outside") == "1" else number
        if visible is not None:
            said[number].add(shape, label, name)


def _frame_of(shape: Element, file: Path) -> int:
    if (number := _whole(shape.get("frame"))) is None:
        raise UserError(
            f"--annotations {file}: a {shape.tag} of a track with no number of a frame, so it may "
            "be of any; mend the file"
        )
    return number


def _id(track: Element) -> Track | None:
    text = track.get("id")
    number = _whole(text)
    return text if number is None else number


def _whole(text: str | None) -> int | None:
    """The number from 0 on that a text is; None for any other."""
    is_number = text is not None and text.isascii() and text.isdecimal()
    return int(text) if text is not None and is_number and len(text) < MOST_DIGITS else None


def _stretch(root: Element) -> tuple[int, int | None]:
    """The first frame that was there to label, and the last, as far as it is said."""
    first, last = (_whole(root.findtext(f"meta/*/{end}")) for end in ("start_frame", "stop_frame"))
    return first or 0, last


def _refuse_counted_from_one(file: Path, known: list[int], first: int, last: int | None) -> None:
    """Raises UserError for pictures that are numbered one off: labels would be a frame late."""
    if known and last is not None and (known[0], known[-1]) == (first + 1, last + 1):
        raise UserError(
            f"--images: pictures are numbered from {first + 1} to {last + 1}, and the frames of "
            f"{file.name} from {first} to {last}; rename them (ffmpeg: -start_number {first})"
        )


def _sequence(root: Element, file: Path, images: Path) -> str:
    """The video's name: the folder of the file below the pictures', or the source that it names."""
    folder = file.absolute().parent
    if folder.is_relative_to(images.absolute()) and folder != images.absolute():
        return folder.relative_to(images.absolute()).as_posix()
    source = root.findtext("meta/source") or root.findtext("meta/*/source") or ""
    return printable(PurePosixPath(source).stem or file.stem)


def _size(element: Element) -> Size | None:
    """(width, height) of attributes or of elements within; None where they aren't said."""
    width, height = (
        _whole(element.get(side) or element.findtext(side)) for side in ("width", "height")
    )
    return (width, height) if width and height else None


def _class_of(label: str | None) -> str:
    name = (label or "").strip()
    if not name or not is_class_name(name):
        raise Unusable("a shape without a label that can name a class")
    return name


def _corners(shape: Element) -> Corners:
    """The box around a shape, xyxy in pixels; raises Unusable if it has none."""
    if shape.tag == "box":
        corners = _turned(shape, *_numbers(shape, "xtl", "ytl", "xbr", "ybr"))
    elif shape.tag == "ellipse":
        corners = _around_ellipse(shape)
    elif shape.tag == "mask":
        left, top, width, height = _numbers(shape, "left", "top", "width", "height")
        corners = (left, top, left + width, top + height)
    elif shape.tag == "polygon":
        corners = _around_polygon(shape.get("points") or "")
    else:
        raise Unusable("a shape that has no box", shape.tag)
    refuse_shares(corners)
    return corners


def _numbers(shape: Element, *names: str) -> list[float]:
    try:
        numbers = [float(shape.get(name) or "") for name in names]
    except ValueError as error:
        raise Unusable(f"a {shape.tag} without {' '.join(names)}") from error
    if not all(map(math.isfinite, numbers)):
        raise Unusable(f"a {shape.tag} with NaN or infinite numbers")
    return numbers


def _rotation(shape: Element) -> float:
    """Radians, clockwise in the picture."""
    return math.radians(_numbers(shape, "rotation")[0]) if shape.get("rotation") else 0.0


def _turned(shape: Element, x0: float, y0: float, x1: float, y1: float) -> Corners:
    """Around a box that is turned about its centre: half a side is the sum of two projections."""
    angle = _rotation(shape)
    if angle == 0:
        return x0, y0, x1, y1
    if x1 < x0 or y1 < y0:
        raise Unusable("a box with reversed corners")
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    half_x = (cos * (x1 - x0) + sin * (y1 - y0)) / 2
    half_y = (sin * (x1 - x0) + cos * (y1 - y0)) / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return x - half_x, y - half_y, x + half_x, y + half_y


def _around_ellipse(shape: Element) -> Corners:
    x, y, rx, ry = _numbers(shape, "cx", "cy", "rx", "ry")
    cos, sin = math.cos(_rotation(shape)), math.sin(_rotation(shape))
    half_x, half_y = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
    return x - half_x, y - half_y, x + half_x, y + half_y


def _around_polygon(points: str) -> Corners:
    """Around `x,y;x,y;...`."""
    try:
        pairs = [tuple(map(float, point.split(","))) for point in points.split(";")]
        xs, ys = zip(*pairs, strict=True)
    except ValueError as error:
        raise Unusable("a polygon that isn't pairs of numbers") from error
    if not all(map(math.isfinite, (*xs, *ys))):
        raise Unusable("a polygon with NaN or infinite numbers")
    return min(xs), min(ys), max(xs), max(ys)
