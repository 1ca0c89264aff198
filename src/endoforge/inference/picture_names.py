"""Matches pictures to names in files of annotations, where that is sure: it never guesses."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from endoforge.captures.run_frames import label_of
from endoforge.captures.schema import MANIFEST_NAME
from endoforge.formats.runs import import_of
from endoforge.formats.spellings import caseless

NUMBERED = re.compile(r"frame_\d{5,}")
"""The names that EndoForge gives, which begin anew in every run and so say nothing alone."""


@dataclass(frozen=True)
class Called:
    """The names that a picture may have: any of `paths`, or `file_name` without its folder.

    `run` is the run that it is of, if any; it is `nameless` if that run was imported, and doesn't
    say what the picture was called before.
    """

    paths: tuple[str, ...]
    file_name: str | None = None
    run: Path | None = None
    nameless: bool = False


def plain(name: str) -> str:
    """Bring a path that any tool wrote to forward slashes, without `./`."""
    return PurePosixPath(name.replace("\\", "/")).as_posix()


def spelling(name: str) -> str:
    """Give the same text for names that differ in case, Unicode's form, or %20 for a space."""
    return caseless(plain(name))


def match_names(named: Sequence[str], called: Mapping[str, Called]) -> dict[str, int]:
    """Find the place in `named` of each picture: by its path, by that spelt otherwise, or by its
    file name alone.

    Each way counts only if one picture and one name fit it, and neither has been matched before.
    """
    ways: list[tuple[Callable[[str], str], Callable[[Called], Iterable[str]]]] = [
        (plain, lambda one: one.paths),
        (spelling, lambda one: one.paths),
        (lambda name: spelling(PurePosixPath(plain(name)).name), _file_names),
    ]
    found: dict[str, int] = {}
    taken: set[int] = set()
    for key_of, names_of in ways:
        places, pictures = defaultdict(set), defaultdict(set)
        for place, name in enumerate(named):
            places[key_of(name)].add(place)
        for picture, one in called.items():
            for name in names_of(one):
                pictures[key_of(name)].add(picture)
        for key, alike in pictures.items():
            if len(alike) == 1 and len(places.get(key, ())) == 1:
                [picture], [place] = alike, places[key]
                if picture not in found and place not in taken:
                    found[picture] = place
                    taken.add(place)
    return found


def _file_names(one: Called) -> Iterable[str]:
    return () if one.file_name is None else (one.file_name,)


class Names:
    """Tells what pictures may be called, and reads each manifest once."""

    def __init__(self) -> None:
        self._import_of = cache(import_of)

    def of(self, name: str, path: Path) -> Called:
        """Tell what the picture at `path`, which `detect` calls `name`, may be called.

        Frames of a capture run are called after the run, by `convert` too. Their numbers say
        nothing without it, so an imported one is else called as its source was.
        """
        run = run_of(path)
        if run is None:
            own = (name, f"{path.parent.name}/{path.name}")
            return Called(own, None if NUMBERED.fullmatch(path.stem) else path.name)
        within = (f"{run.name}/images/{path.name}", f"{run.name}/{path.name}")
        label = label_of(run, path)
        if label is not None and label.source_image is not None:
            source = label.source_image
            return Called((source, *within), PurePosixPath(plain(source)).name, run)
        if self._import_of(run) not in (None, "video"):
            return Called(within, run=run, nameless=True)
        return Called((name, *within, f"images/{path.name}", path.name), run=run)


def run_of(path: Path) -> Path | None:
    """Find the capture run whose image `path` is; None if it is of none."""
    for place in (path, path.resolve()):  # a link to an image of a run is one
        run = place.parent.parent
        if place.parent.name == "images" and (run / MANIFEST_NAME).is_file():
            return run
    return None
