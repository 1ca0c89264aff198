"""Which files of labels are of which pictures, by their paths without endings."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from endoforge.formats.spellings import SPELLINGS, caseless

IMAGE_FOLDERS = {"images", "jpegimages"}
"""Folders of pictures that have a folder of labels beside them, in small letters."""

T = TypeVar("T")
Key = Callable[[str], str]
"""Of a path; "" for none."""


class Pairing:
    """`found` are the files of each picture, `left` those of none, with the path that each names.

    A picture has the files at its path, or with `beside` in place of the last folder of images in
    it, or without that folder; or else those of its file name, if they are in one folder and no
    other picture has the name. Names may be spelt differently where that leaves one picture.
    """

    def __init__(self, stems: Mapping[str, str], files: Mapping[Path, str], beside: str) -> None:
        """`stems` are the pictures' paths by their names."""
        self.found: dict[str, list[Path]] = {}
        self.left = dict(files)
        self._stems = stems
        places: tuple[Key, ...] = (lambda stem: _replaced(stem, (beside,)), str, _without_images)
        for spelling in SPELLINGS:
            for place in places:
                self._match_paths(place, spelling)
        for spelling in SPELLINGS:
            self._match_file_names(spelling)
        self._left_by_name = _grouped(self.left, lambda path: caseless(_last(self.left[path])))

    def alike(self, name: str) -> list[Path]:
        """Files of no picture that have this one's file name, in any spelling."""
        stem = self._stems.get(name)
        return [] if stem is None else self._left_by_name.get(caseless(_last(stem)), [])

    def _match_paths(self, place: Key, spelling: Key) -> None:
        files = _grouped(self.left, lambda path: spelling(self.left[path]))
        waiting = (name for name in self._stems if name not in self.found)
        pictures = _grouped(waiting, lambda name: spelling(place(self._stems[name])))
        for key in pictures.keys() & files.keys():
            # `a.png` and `a.jpg` share a label, but not by a loose spelling
            if key and (spelling is SPELLINGS[0] or len(pictures[key]) == 1):
                for name in pictures[key]:
                    self.found[name] = files[key]
                self._drop(files[key])

    def _match_file_names(self, spelling: Key) -> None:
        def last(stem: str) -> str:
            return spelling(_last(stem))

        files = _grouped(self.left, lambda path: last(self.left[path]))
        counts = Counter(map(last, self._stems.values()))
        for name, stem in self._stems.items():
            alike = files.get(last(stem), [])
            folders = {path.parent for path in alike}
            if name not in self.found and len(folders) == 1 and counts[last(stem)] == 1:
                self.found[name] = alike
                self._drop(alike)

    def _drop(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self.left.pop(path, None)


def _grouped(items: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)


def _last(stem: str) -> str:
    return stem.rpartition("/")[2]


def _replaced(stem: str, instead: tuple[str, ...]) -> str:
    """The path with other folders in place of the last one of images; "" where there is none."""
    parts = stem.split("/")
    for place in reversed(range(len(parts) - 1)):
        if parts[place].lower() in IMAGE_FOLDERS:
            return "/".join([*parts[:place], *instead, *parts[place + 1 :]])
    return ""


def _without_images(stem: str) -> str:
    return _replaced(stem, ())
