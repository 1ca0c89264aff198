"""Knows folders of drawn pictures again, so that none is looked at, or lost, by mistake."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from endoforge.core.marks import mark_of
from endoforge.core.parsing import parse_json
from endoforge.core.reading import MOST_LIST_BYTES, read_regular

DETECT, OVERLAY = "detect", "overlay-labels"
"""The commands that draw on pictures and mark the folder for it."""
DRAWN = "drawn"
LINES, RESULTS, IMAGES = "detections.jsonl", "coco_results.json", "coco_images.json"
TRACKS, REPORT = "tracks.json", "report.html"
"""The files that `detect` writes into its folder, beside the folder DRAWN."""
KEPT_SUFFIXES = {".png", ".jpg", ".jpeg"}
SUFFIXES = {*KEPT_SUFFIXES, ".mp4"}
"""The endings of what `detect` draws."""


def drawn_name(file: str, *, video: bool) -> str:
    """Name the drawing of a picture or video: as the file, with one of SUFFIXES."""
    suffix = PurePosixPath(file).suffix.lower()
    if video:
        return file if suffix == ".mp4" else f"{file}.mp4"
    return file if suffix in KEPT_SUFFIXES else f"{file}.jpg"


def holds_drawings(folder: Path) -> bool:
    """Say if `folder` is one of drawn pictures, also of a `detect` of before there were marks."""
    made_by = mark_of(folder)
    if made_by is not None:
        return made_by in (DETECT, OVERLAY)
    results = (folder.parent / name for name in (LINES, IMAGES))
    return folder.name == DRAWN and all(path.is_file() for path in results)


def drawings_around(path: Path) -> Path | None:
    """Find the folder of drawings that `path`, links followed, is or lies in; None if none."""
    real = path.resolve()
    return next((folder for folder in (real, *real.parents) if holds_drawings(folder)), None)


def is_detects_own(folder: Path) -> bool:
    """Say if `detect` alone has filled `folder`, or may fill it: it is empty or not there.

    Without a mark, nothing may lie in it that the lines beside it don't tell of.
    """
    if not os.path.lexists(folder):
        return True
    if folder.is_symlink() or not folder.is_dir():
        return False
    if mark_of(folder) == DETECT:
        return True
    drawn = {path.relative_to(folder).as_posix() for path in files_in(folder)}
    return drawn <= _told_of(folder.parent / LINES)


def files_in(folder: Path) -> Iterator[Path]:
    """Give all below `folder` that is no folder; links aren't followed, but are given."""
    for place, folders, files in os.walk(folder):
        inner = Path(place)
        yield from (inner / name for name in files)
        yield from (inner / name for name in folders if (inner / name).is_symlink())


def _told_of(lines: Path) -> set[str]:
    """Read which drawings a file of detections tells of; none if it isn't one."""
    names = set()
    try:
        for line in read_regular(lines, MOST_LIST_BYTES).splitlines():
            record = parse_json(line)
            names.add(drawn_name(record["file"], video="frame" in record))
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return names
