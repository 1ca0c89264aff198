"""Capture runs as CVAT's XML, a folder a run: "for video 1.1" where its polyps make tracks."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from endoforge.core.text import counted, printable
from endoforge.formats.cvat import FILE
from endoforge.formats.instances import Outline, outline
from endoforge.formats.outlines import Size
from endoforge.formats.writing import ALL, Converted, Writer

Numbers = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class _Box:
    name: str
    polyp_id: int | None
    corners: Numbers
    outline: Outline | None
    """Around its pixels, where they are known."""
    source: str
    """In CVAT's word: auto is a detector's alone, manual a person's."""


@dataclass
class _Frames:
    """The frames of a run so far: the names of their pictures, their sizes, and their boxes."""

    names: list[str] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    boxes: list[list[_Box]] = field(default_factory=list)

    @property
    def are_named(self) -> bool:
        """Whether each box says which polyp it is, so that they make tracks."""
        return all(box.polyp_id is not None for boxes in self.boxes for box in boxes)

    @property
    def are_tracks(self) -> bool:
        """Whether some polyp is in two frames, as one of a video is and one of a still isn't."""
        counts = Counter(box.polyp_id for boxes in self.boxes for box in boxes)
        return self.are_named and (not counts or max(counts.values()) > 1)


class CvatWriter(Writer):
    """`<run>/images/frame_000000.png` and `<run>/annotations.xml`; a side is a folder.

    A run of which a box has no `polyp_id` is written "for images 1.1", since a track would name it,
    and so is one that has no polyp in two frames: its pictures are stills. There, polyps whose
    pixels are known are polygons. What nobody has looked at has the `source` "auto", and all else
    "manual"; CVAT's format has no place for a score.

    https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
    """

    masks = "welcome"

    def __init__(self, out: Path, class_names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        super().__init__(out, class_names, sides)
        self._runs: dict[str, _Frames] = {}

    def add(self, frame: Converted, side: str) -> None:
        folder = frame.run if side == ALL else f"{side}/{frame.run}"
        run = self._runs.setdefault(folder, _Frames())
        name = f"frame_{len(run.names):06d}{frame.suffix}"
        self.write_picture(f"{folder}/images/{name}", frame)
        run.names.append(name)
        run.sizes.append(frame.size)
        masks = [None] * len(frame.classes) if frame.masks is None else frame.masks
        run.boxes.append(
            [
                _Box(
                    printable(self.class_names[number]),
                    polyp_id,
                    corners,
                    None if mask is None else outline(mask),
                    "auto" if is_auto else "manual",
                )
                for number, polyp_id, corners, mask, is_auto in zip(
                    frame.classes,
                    frame.record.polyp_ids,
                    map(tuple, frame.boxes_px.tolist()),
                    masks,
                    frame.record.unreviewed,
                    strict=True,
                )
            ]
        )

    def finish(self) -> list[str]:
        nameless = stills = 0
        for folder, run in self._runs.items():
            root = ElementTree.Element("annotations")
            _leaf(root, "version", "1.1")
            _add_meta(root, PurePosixPath(folder).name, run, self.class_names)
            (_add_tracks if run.are_tracks else _add_images)(root, run)
            nameless += not run.are_named
            stills += run.are_named and not run.are_tracks
            ElementTree.indent(root)
            self.write(f"{folder}/{FILE}", ElementTree.tostring(root, encoding="utf-8") + b"\n")
        why = {
            "with boxes without polyp_id": nameless,
            "without a polyp that is in two frames": stills,
        }
        return [
            f"{counted(number, 'run')} {what}: for images, without tracks"
            for what, number in why.items()
            if number
        ]


def _add_meta(
    root: ElementTree.Element, name: str, run: _Frames, class_names: tuple[str, ...]
) -> None:
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    _leaf(task, "name", name)
    _leaf(task, "size", str(len(run.names)))
    _leaf(task, "mode", "interpolation" if run.are_tracks else "annotation")
    _leaf(task, "start_frame", "0")
    _leaf(task, "stop_frame", str(len(run.names) - 1))
    labels = ElementTree.SubElement(task, "labels")
    for class_name in class_names:
        _leaf(ElementTree.SubElement(labels, "label"), "name", printable(class_name))
    if run.are_tracks and len(set(run.sizes)) == 1:  # of a video; pictures have one each
        size = ElementTree.SubElement(task, "original_size")
        _leaf(size, "width", str(run.sizes[0][0]))
        _leaf(size, "height", str(run.sizes[0][1]))
    _leaf(task, "source", name)


def _add_images(root: ElementTree.Element, run: _Frames) -> None:
    for number, (name, size, boxes) in enumerate(zip(run.names, run.sizes, run.boxes, strict=True)):
        facts = {"id": number, "name": name, "width": size[0], "height": size[1]}
        image = ElementTree.SubElement(root, "image", {key: str(v) for key, v in facts.items()})
        for box in boxes:
            shape = {"label": box.name, "source": box.source, "occluded": "0"}
            if box.outline is None:
                said = {**shape, **_edges(box.corners), "z_order": "0"}
                ElementTree.SubElement(image, "box", said)
            else:
                points = ";".join(f"{x},{y}" for x, y in box.outline.tolist())
                ElementTree.SubElement(
                    image, "polygon", {**shape, "points": points, "z_order": "0"}
                )


def _add_tracks(root: ElementTree.Element, run: _Frames) -> None:
    """A track a polyp: a box on each frame that has one, and one that is outside where it goes."""
    tracks: dict[tuple[int, str], ElementTree.Element] = {}
    last: dict[tuple[int, str], tuple[int, _Box]] = {}
    for number, boxes in enumerate(run.boxes):
        for box in boxes:
            assert box.polyp_id is not None
            key = box.polyp_id, box.name
            if key not in tracks:
                said = {"id": str(box.polyp_id), "label": box.name, "source": box.source}
                tracks[key] = ElementTree.SubElement(root, "track", said)
            elif last[key][0] < number - 1:
                _add_shape(tracks[key], last[key][0] + 1, last[key][1], outside=True)
            if box.source == "auto":  # of a part of it is as good as of the whole
                tracks[key].set("source", "auto")
            _add_shape(tracks[key], number, box, outside=False)
            last[key] = number, box
    for key, (number, box) in last.items():
        if number < len(run.boxes) - 1:
            _add_shape(tracks[key], number + 1, box, outside=True)


def _add_shape(track: ElementTree.Element, number: int, box: _Box, *, outside: bool) -> None:
    said = {"frame": str(number), "outside": str(int(outside)), "occluded": "0", "keyframe": "1"}
    ElementTree.SubElement(track, "box", {**said, **_edges(box.corners), "z_order": "0"})


def _edges(corners: Numbers) -> dict[str, str]:
    names = ("xtl", "ytl", "xbr", "ybr")
    return {name: f"{round(v, 4):.10g}" for name, v in zip(names, corners, strict=True)}


def _leaf(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = printable(text)
