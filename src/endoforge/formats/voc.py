"""Pascal VOC: an XML file a picture. Pixels count from 1, and the last one belongs to the box."""

from pathlib import Path
from xml.etree import ElementTree

from endoforge.captures.tally import Tally, Unusable
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

SUFFIX = ".xml"
SIDES = ("width", "height")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(config: ImportConfig, tally: Tally) -> Source:
    """Every picture with its XML file. Raises UserError where none is found."""
    assert config.images is not None
    pictures = Pictures(folder_of("--images", config.images))
    folder = _label_folder(config, pictures.folder)
    labels = label_files(pictures, folder, [SUFFIX])
    count_orphans(labels, folder, [SUFFIX], tally)
    frames: list[SourceFrame] = []
    for name, path in pictures.paths.items():
        if name not in labels:
            frames += without_label(config, name, path, tally)
            continue
        try:
            size, boxes = _read(labels[name], tally)
        except Unusable as unusable:
            tally.drop(f"picture: {unusable.reason}", name, unusable.detail)
            continue
        frames.append(SourceFrame(name, Blob.of(path), boxes, size=size))
    return Source(frames, tuple(sorted({box.name for frame in frames for box in frame.boxes})))


def _label_folder(config: ImportConfig, images: Path) -> Path:
    if config.annotations is not None:
        return folder_of("--annotations", config.annotations)
    beside = images.absolute().parent / "Annotations"
    return beside if beside.is_dir() else images


def _read(path: Path, tally: Tally) -> tuple[tuple[int, int] | None, tuple[NamedBox, ...]]:
    """The picture's size as the file has it, and its boxes; raises Unusable for another XML."""
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except (OSError, ElementTree.ParseError) as error:
        raise Unusable("label malformed", f"{path.name}: {error}") from error
    if root.tag != "annotation":
        raise Unusable("label malformed", f"{path.name}: not VOC's annotation, but {root.tag}")
    boxes: list[NamedBox] = []
    for number, item in enumerate(root.iter("object"), 1):
        name = (item.findtext("name") or "").strip()
        try:
            if not name:
                raise Unusable("object without a name")
            corners = [float(item.findtext(f"bndbox/{corner}") or "") for corner in CORNERS]
        except (Unusable, ValueError) as error:
            reason = error.reason if isinstance(error, Unusable) else "bndbox isn't four numbers"
            tally.drop(f"box: {reason}", f"{path.name} object {number}")
            continue
        boxes.append(NamedBox(name, (corners[0] - 1, corners[1] - 1, corners[2], corners[3])))
    return _size(root), tuple(boxes)


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
        ElementTree.SubElement(parent, tag).text = str(value)


def _plain(value: float) -> str:
    """Whole where it is one, as most readers of VOC want it; else with decimals."""
    rounded = round(float(value), 3)
    return str(int(rounded)) if rounded.is_integer() else str(rounded)
