"""CVAT's XML: "for video 1.1", tracks with a box a frame, and "for images 1.1", boxes a picture."""

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from endoforge.captures.tally import Tally, Unusable
from endoforge.core.errors import UserError
from endoforge.core.text import printable
from endoforge.formats.config import ImportConfig
from endoforge.formats.cvat_shapes import Element, size_of
from endoforge.formats.cvat_task import (
    TWICE,
    CvatTask,
    SaidOfFrame,
    follow_tracks,
    read_task_file,
    task_of,
)
from endoforge.formats.searching import search
from endoforge.formats.segmentations import with_pixels
from endoforge.formats.sequences import number_in
from endoforge.formats.source import (
    UNCLEAR,
    Blob,
    Moment,
    Pictures,
    Source,
    SourceFrame,
    folder_of,
    refuse_unreadable,
    without_label,
)
from endoforge.formats.spellings import Paths

FILE = "annotations.xml"


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
        root = read_task_file(file)
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


def _read_images(
    root: Element, within: dict[str, str], pictures: Pictures, tally: Tally
) -> dict[str, SourceFrame]:
    """The pictures that images name, by their names in `pictures`."""
    paths = Paths(within)
    found: dict[str, SourceFrame] = {}
    outlines: dict[str, list[Any]] = {}
    for image in root.iter("image"):
        named = image.get("name") or ""
        try:
            name = within[paths.find(named)]
        except Unusable as unusable:
            tally.drop(f"picture: {unusable.reason}", printable(named), unusable.detail)
            for path in paths.fitting(named):
                pictures.unclear[within[path]] = Unusable(UNCLEAR, named)
            continue
        frame = SourceFrame(name, Blob.of(pictures.paths[name]), size=size_of(image))
        said = SaidOfFrame(fault=Unusable(TWICE) if name in found else None)
        said.add_all(image)
        found[name] = said.on(frame)
        outlines[name] = said.outlines
    if any(one for those in outlines.values() for one in those):
        return {name: with_pixels(frame, outlines[name]) for name, frame in found.items()}
    return found


def _read_video(
    root: Element, file: Path, within: dict[str, str], pictures: Pictures, tally: Tally
) -> dict[str, SourceFrame]:
    """The pictures of the file's frames, by their names in `pictures`."""
    numbers = {name: number_in(path) for path, name in within.items()}
    known = sorted({number for number in numbers.values() if number is not None})
    task = task_of(root)
    _refuse_counted_from_one(file, known, task)
    said = follow_tracks(root, known, file)
    sequence = _sequence(task, file, pictures.folder)
    found: dict[str, SourceFrame] = {}
    for name, number in numbers.items():
        frame = SourceFrame(name, Blob.of(pictures.paths[name]), size=task.size)
        if number is None:
            found[name] = replace(frame, fault=Unusable("no number of a frame in its name"))
        elif number in task:
            frame = replace(frame, moment=Moment(sequence, number))
            found[name] = said.get(number, SaidOfFrame()).on(frame)
    for number in sorted(said.keys() - set(filter(task.__contains__, known))):
        if said[number].boxes:
            tally.drop("label: of a frame without a picture", file.name, f"frame {number}")
    return found


def _refuse_counted_from_one(file: Path, known: list[int], task: CvatTask) -> None:
    """Raises UserError for pictures that are numbered one off: labels would be a frame late."""
    first, last = task.first, task.last
    if known and last is not None and (known[0], known[-1]) == (first + 1, last + 1):
        raise UserError(
            f"--images: pictures are numbered from {first + 1} to {last + 1}, and the frames of "
            f"{file.name} from {first} to {last}; rename them (ffmpeg: -start_number {first})"
        )


def _sequence(task: CvatTask, file: Path, images: Path) -> str:
    """The video's name: the folder of the file below the pictures', or the source that it names."""
    folder = file.absolute().parent
    if folder.is_relative_to(images.absolute()) and folder != images.absolute():
        return folder.relative_to(images.absolute()).as_posix()
    return printable(PurePosixPath(task.source or file.name).stem)
