"""The pictures and frames of videos that paths name, one after the other."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import read_picture
from endoforge.captures.schema import MANIFEST_NAME
from endoforge.captures.tally import Tally, Unusable
from endoforge.captures.video import SUFFIXES, Video
from endoforge.core.errors import UserError
from endoforge.formats.source import PICTURE_SUFFIXES, files_below


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture, (H, W, 3) uint8 RGB: of the file `file`, or frame `frame` of a video."""

    file: str
    picture: NDArray[np.uint8]
    frame: int | None = None
    seconds: float | None = None

    @property
    def name(self) -> str:
        """Names it among all: `a/1.png`, `clip.mp4#12`."""
        return self.file if self.frame is None else f"{self.file}#{self.frame}"


class Material:
    """What there is to look at: `pictures` and `videos` by their names.

    A name is the path below the deepest folder that holds all. What can't be read is counted in
    `tally` while `shots` goes along.
    """

    def __init__(self, paths: tuple[str, ...], fps: float | None) -> None:
        """Raises UserError for a path that isn't there, and if there is nothing to look at."""
        self.tally = Tally()
        self._fps = fps
        found: dict[Path, None] = {}
        for path in map(Path, paths):
            found.update(dict.fromkeys(_files(path)))
        if not found:
            raise UserError(f"no picture or video in {', '.join(paths)}")
        base = os.path.commonpath([_folder(Path(path)) for path in paths])
        named = {Path(os.path.relpath(path, base)).as_posix(): path for path in found}
        self.videos: dict[str, Video] = {}
        self.pictures: dict[str, Path] = {}
        for name, path in named.items():
            if path.suffix.lower() not in SUFFIXES:
                self.pictures[name] = path
                continue
            try:
                self.videos[name] = Video(path)
            except UserError as error:
                self.tally.drop("video: unreadable", name, str(error))

    @property
    def expected(self) -> int:
        """About how many shots there are."""
        videos = sum(video.expected(self._fps) for video in self.videos.values())
        return len(self.pictures) + videos

    def shots(self) -> Iterator[Shot]:
        """Every picture that can be decoded, then the frames of each video."""
        for name, path in self.pictures.items():
            try:
                yield Shot(name, read_picture(path))
            except Unusable as unusable:
                self.tally.drop(f"picture: {unusable.reason}", name, unusable.detail)
        for name, video in self.videos.items():
            count = 0
            for seconds, picture in video.frames(self._fps):
                count += 1
                yield Shot(name, picture, round(seconds * video.fps), seconds)
            if not count:
                self.tally.drop("video: no frame could be decoded", name)


def _folder(path: Path) -> Path:
    return path.absolute() if path.is_dir() else path.absolute().parent


def _files(path: Path) -> list[Path]:
    """The file that is named, or pictures and videos below a folder, in natural order."""
    if path.is_file():
        return [path.absolute()]
    if not path.is_dir():
        raise UserError(f"{path}: no such picture, video or folder")
    folder = path.absolute()
    runs = {manifest.parent for manifest in folder.rglob(MANIFEST_NAME)}
    return [
        file
        for file in files_below(folder, PICTURE_SUFFIXES | SUFFIXES)
        if not any(run in file.parents and run / "images" not in file.parents for run in runs)
    ]
