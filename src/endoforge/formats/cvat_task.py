"""What CVAT's XML file of a task says of each frame."""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from endoforge.captures.tally import Unusable
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_XML_BYTES, read_regular
from endoforge.core.text import printable
from endoforge.formats.cvat_shapes import Element, class_of, corners_of, outline_of, size_of, whole
from endoforge.formats.outlines import Size
from endoforge.formats.sequences import number_in
from endoforge.formats.source import NamedBox, SourceFrame, Track
from endoforge.formats.xml_texts import parse_xml

OF_A_PICTURE = {"tag"}
"""What says something of a whole picture, and has no place in it."""
TWICE = "named twice"
SILENT = "a track says nothing of it"
_STEP = re.compile(r"\s*step\s*=\s*([1-9][0-9]{0,8})\s*")


@dataclass
class SaidOfFrame:
    """What a file says of one frame; `fault` is why some of it can't be used.

    `outlines` are those of the boxes, as COCO's `segmentation`; None where the shape has none.
    """

    boxes: list[NamedBox] = field(default_factory=list)
    outlines: list[Any] = field(default_factory=list)
    fault: Unusable | None = None

    def add(self, shape: Element, label: str | None, track: Track | None) -> None:
        """Add the box of a shape, or keep why it has none."""
        try:
            self.boxes.append(NamedBox(class_of(label), corners_of(shape), track))
            self.outlines.append(outline_of(shape))
        except Unusable as unusable:
            self.fault = self.fault or unusable

    def add_all(self, image: Element) -> None:
        """Add the boxes of all shapes of an image."""
        for shape in image:
            if shape.tag not in OF_A_PICTURE:
                self.add(shape, shape.get("label"), None)

    def on(self, frame: SourceFrame) -> SourceFrame:
        """The picture with all of its boxes, or with the fault of one."""
        if self.fault is not None:
            return replace(frame, fault=self.fault)
        return replace(frame, boxes=tuple(self.boxes))


def read_task_file(file: Path) -> Element:
    """The root of CVAT's file; raises UserError for any other, and for one of several videos."""
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


@dataclass(frozen=True)
class CvatTask:
    """Which frames of which video a task has: every `step`-th from `first` to `last`.

    `last` is None where the file doesn't say it. `source` is the file name of the video, None for a
    task of pictures; `size` the (width, height) of its frames.
    """

    first: int
    last: int | None
    step: int
    source: str | None
    size: Size | None

    def __contains__(self, number: int) -> bool:
        """Whether a frame was there to label, as far as the file says."""
        is_late = self.last is not None and number > self.last
        return number >= self.first and not is_late and (number - self.first) % self.step == 0


def task_of(root: Element) -> CvatTask:
    """What a file's `meta` says of its task. Numbers are those of the video's frames."""
    first = whole(root.findtext("meta/*/start_frame")) or 0
    last = whole(root.findtext("meta/*/stop_frame"))
    match = _STEP.fullmatch(root.findtext("meta/*/frame_filter") or "")
    source = root.findtext("meta/source") or root.findtext("meta/*/source") or ""
    return CvatTask(
        first=first,
        last=last,
        step=int(match[1]) if match else 1,
        source=PurePosixPath(source.replace("\\", "/")).name or None,
        size=next(map(size_of, (*root.iter("original_size"), *root.iter("image"))), None),
    )


def follow_tracks(root: Element, known: list[int], file: Path) -> dict[int, SaidOfFrame]:
    """What a file's tracks say of frames, by number; `known` are those that there are, in order.

    A frame that isn't in it shows nothing of any track.
    """
    said: dict[int, SaidOfFrame] = defaultdict(SaidOfFrame)
    for track in root.iter("track"):
        _follow(track, known, said, file)
    return said


def said_of_video(root: Element, known: list[int], file: Path) -> dict[int, SaidOfFrame]:
    """What a file says of the frames of its video, by number, whichever way it was exported.

    `known` are the frames that there are, in order. Images are those that it has; of tracks, a
    frame that none of them is on shows nothing.
    """
    if root.find("image") is None:
        said = follow_tracks(root, known, file)
        return {**{number: SaidOfFrame() for number in known}, **said}
    found: dict[int, SaidOfFrame] = {}
    for image in root.iter("image"):
        number = number_in(image.get("name") or "")
        if number is None or image.get("id") != str(number):
            raise UserError(
                f"--annotations {file}: an image named {printable(image.get('name') or '')} with "
                f"the id {printable(image.get('id') or '')}, and CVAT's of a video have one "
                "number in both; export the task again"
            )
        found[number] = SaidOfFrame(fault=Unusable(TWICE) if number in found else None)
        found[number].add_all(image)
    return found


def _follow(track: Element, known: list[int], said: dict[int, SaidOfFrame], file: Path) -> None:
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
    if (number := whole(shape.get("frame"))) is None:
        raise UserError(
            f"--annotations {file}: a {shape.tag} of a track with no number of a frame, so it may "
            "be of any; fix the file"
        )
    return number


def _id(track: Element) -> Track | None:
    text = track.get("id")
    number = whole(text)
    return text if number is None else number
