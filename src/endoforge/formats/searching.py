"""Files below a folder: linked folders are followed, and what can't be read is told."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from endoforge.captures.schema import MANIFEST_NAME
from endoforge.core.marks import mark_of

_OF_THE_SYSTEM = {"lost+found", "$RECYCLE.BIN", "System Volume Information"}
"""Folders at the top of a disk that nobody may read and that hold nobody's pictures."""


@dataclass(frozen=True)
class FilesFound:
    """What a search found, in natural order, and where it didn't look."""

    files: list[Path] = field(default_factory=list)
    unreadable: dict[Path, str] = field(default_factory=dict)
    """Folders that can't be read, and links that lead nowhere, with the system's reason."""
    outputs: dict[Path, str] = field(default_factory=dict)
    """Folders that were passed by, with what they are: capture runs, or what a command wrote."""


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts names with numbers by the numbers, however long: frame 9 before frame 10."""
    key: list[tuple[int, int, str]] = []
    for part in filter(None, re.split(r"(\d+)", name)):
        digits = part.lstrip("0")
        key.append((0, len(digits), digits) if part.isdecimal() else (1, 0, part))
    return key


def search(folder: Path, suffixes: Iterable[str], *, pass_outputs: bool = False) -> FilesFound:
    """The files below `folder` with one of these endings, hidden ones left out.

    Linked folders are followed after all others, so that each folder is searched once, under its
    own name if it has one there; a link to what `folder` lies in is not followed. With
    `pass_outputs`, capture runs and folders that a command has marked as its own aren't searched.
    """
    found = FilesFound()
    wanted = set(suffixes)
    top = os.path.realpath(folder)
    seen: set[str] = set()
    folders: list[Path] = [folder]
    links: list[Path] = []
    while folders or links:
        here = folders.pop() if folders else links.pop(0)
        place = os.path.realpath(here)
        if place in seen or (here != folder and _holds(place, top)):
            continue
        seen.add(place)
        output = _output(here) if pass_outputs else None
        if output is not None:
            found.outputs[here] = output
            continue
        for path, kind in _entries(here, wanted, found):
            if kind == "file":
                found.files.append(path)
            else:
                (links if kind == "link" else folders).append(path)
        links.sort(key=lambda path: natural_key(path.relative_to(folder).as_posix()))
    found.files.sort(key=lambda path: natural_key(path.relative_to(folder).as_posix()))
    return found


def _holds(outer: str, inner: str) -> bool:
    return Path(inner).is_relative_to(outer)


def _entries(folder: Path, wanted: set[str], found: FilesFound) -> Iterator[tuple[Path, str]]:
    """The folders, links to folders and wanted files in `folder`; what can't be read is noted."""
    try:
        with os.scandir(folder) as scan:
            entries = list(scan)
    except OSError as error:
        found.unreadable[folder] = error.strerror or str(error)
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _OF_THE_SYSTEM:
            continue
        path = folder / entry.name
        is_wanted = path.suffix.lower() in wanted
        try:
            if entry.is_dir():
                yield path, "link" if entry.is_symlink() else "folder"
            elif is_wanted and entry.is_file():
                yield path, "file"
            elif (is_wanted or not path.suffix) and entry.is_symlink() and not path.exists():
                found.unreadable[path] = "a link that leads nowhere"
        except OSError as error:
            if is_wanted or not path.suffix:
                found.unreadable[path] = error.strerror or str(error)


def _output(folder: Path) -> str | None:
    if (folder / MANIFEST_NAME).is_file():
        return "a capture run"
    command = mark_of(folder)
    return None if command is None else f"an output of {command}"


def listed(notes: dict[Path, str], most: int = 3) -> str:
    """Join places and reasons for a message: `a (why), b (why) ...`."""
    shown = [f"{path} ({why})" for path, why in list(notes.items())[:most]]
    return ", ".join(shown) + (" ..." if len(notes) > most else "")
