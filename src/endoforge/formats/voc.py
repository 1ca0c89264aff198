"""Pascal VOC: an XML file a picture. Pixels count from 1, and the last one belongs to the box."""

from pathlib import Path
from xml.etree import ElementTree

from endoforge.captures.label_boxes import refuse_shares
from endoforge.captures.schema import is_class_name
from endoforge.captures.tally import Tally, Unusable
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import printable
from endoforge.formats.config import ImportConfig
from endoforge.formats.source import (
    NamedBox,
    Pictures,
    Source,
    count_orphans,
    folder_of,
    label_files,
    labelled_frames,
    subfolders,
)
from endoforge.formats.writing import ALL, Converted, Writer
from endoforge.formats.xml_texts import parse_xml

SUFFIX = ".xml"
FOLDER = "Annotations"
BOX_TAGS = {"object", "bndbox", "robndbox", "polygon", "bbox", "box", "xmin"}
SIDES = ("width", "height")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(config: ImportConfig, tally: Tally) -> Source:
    """Every picture with its XML file. Raises UserError where none is found."""
    assert config.images is not None
    pictures = Pictures(folder_of("--images", config.images))
    folder = _label_folder(config, pictures.folder)
    labels = label_files(pictures, folder, [SUFFIX], FOLDER)
    count_orphans(pictures, tally)
    frames = labelled_frames(config, pictures, labels, tally, _read)
    return Source(frames, tuple(sorted({box.name for frame in frames for box in frame.boxes})))


def _label_folder(config: ImportConfig, images: Path) -> Path:
    if config.annotations is not None:
        return folder_of("--annotations", config.annotations)
    return next(iter(subfolders(images.absolute().parent, FOLDER)), images)


def _read(path: Path) -> tuple[tuple[int, int] | None, tuple[NamedBox, ...]]:
    """The picture's size as the file has it, and its boxes; raises Unusable if one is no box."""
    root = _parsed(path)
    if root.tag != "annotation":
        raise Unusable("label malformed", f"not VOC's annotation, but {root.tag}")
    items = list(root.iter("object"))
    within = {element for item in items for element in item.iter()}
    others = {element.tag.lower() for element in root.iter() if element not in within} & BOX_TAGS
    if others:
        raise Unusable("label malformed", f"beside objects {', '.join(sorted(others))}")
    boxes = tuple(_box(item, number) for number, item in enumerate(items, 1))
    return _size(root), boxes


def _parsed(path: Path) -> ElementTree.Element:
    """Raises Unusable if it is no XML, or of an encoding that isn't known."""
    try:
        return parse_xml(read_regular(path, MOST_LABEL_BYTES))
    except OSError as error:
        raise Unusable("label unreadable", str(error.strerror)) from error
    except ValueError as error:
        raise Unusable("label malformed", str(error)) from error


def _box(item: ElementTree.Element, number: int) -> NamedBox:
    """Corners may be swapped; raises Unusable without a name or four numbers of one box."""
    name = (item.findtext("name") or "").strip()
    if not name:
        raise Unusable("an object without a name", f"object {number}")
    if not is_class_name(name):
        raise Unusable("an object whose name is no class's", f"object {number}")
    try:
        [box] = item.findall("bndbox")
        x0, y0, x1, y1 = (float(box.findtext(corner) or "") for corner in CORNERS)
    except ValueError as error:
        reason = "an object without a bndbox of four numbers"
        raise Unusable(reason, f"object {number} {name}") from error
    refuse_shares((x0, y0, x1, y1))
    left, right = _ordered(x0, x1)
    top, bottom = _ordered(y0, y1)
    return NamedBox(name, (left - 1, top - 1, right, bottom))


def _ordered(first: float, last: float) -> tuple[float, float]:
    """Edges narrower than a pixel have a first above their last, since that belongs to the box."""
    return (last, first) if first - 1 >= last else (first, last)


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """(width, height); None where it isn't said, or said to be 0."""
    try:
        width, height = (int(float(root.findtext(f"size/{side}") or 0)) for side in SIDES)
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None


class VocWriter(Writer):
    """`JPEGImages/<run>_<frame>`, `Annotations/<run>_<frame>.xml`, and lists in ImageSets/Main."""

    def __init__(self, out: Path, class_names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        super().__init__(out, class_names, sides)
        self._names: dict[str, list[str]] = {side: [] for side in (*sides, ALL)}

    def add(self, frame: Converted, side: str) -> None:
        name = f"{frame.run}_{frame.stem}"
        self.write_picture(f"JPEGImages/{name}{frame.suffix}", frame)
        self.write(f"Annotations/{name}{SUFFIX}", self._xml(frame, name))
        for one in dict.fromkeys((side, ALL)):
            self._names[one].append(f"{name}\n")

    def finish(self) -> list[str]:
        for side, names in self._names.items():
            self.write(f"ImageSets/Main/{side}.txt", "".join(names).encode())
        return []

    def _xml(self, frame: Converted, name: str) -> bytes:
        root = ElementTree.Element("annotation")
        _texts(root, folder="JPEGImages", filename=f"{name}{frame.suffix}")
        size = ElementTree.SubElement(root, "size")
        _texts(size, width=frame.size[0], height=frame.size[1], depth=3)
        _texts(root, segmented=0)
        for number, (x0, y0, x1, y1) in zip(frame.classes, frame.boxes_px, strict=True):
            item = ElementTree.SubElement(root, "object")
            _texts(item, name=self.class_names[number], pose="Unspecified", truncated=0)
            _texts(item, difficult=0)
            box = ElementTree.SubElement(item, "bndbox")
            corners = (_plain(x0 + 1), _plain(y0 + 1), _plain(x1), _plain(y1))
            _texts(box, **dict(zip(CORNERS, corners, strict=True)))
        ElementTree.indent(root)
        return ElementTree.tostring(root) + b"\n"


def _texts(parent: ElementTree.Element, **values: str | int) -> None:
    for tag, value in values.items():
        ElementTree.SubElement(parent, tag).text = printable(str(value))  # XML has no controls


def _plain(value: float) -> str:
    """Whole where it is one, as most readers of VOC want it; else with decimals."""
    rounded = round(float(value), 3)
    return str(int(rounded)) if rounded.is_integer() else str(rounded)
