"""The pictures and frames of videos that paths name, one after the other."""

import logging
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.addresses import live_address
from endoforge.captures.pictures import (
    PICTURE_SUFFIXES,
    decode_picture,
    is_upright,
    read_bytes,
)
from endoforge.captures.schema import MANIFEST_NAME
from endoforge.captures.tally import Tally, Unusable
from endoforge.captures.video import SUFFIXES, Video
from endoforge.core.errors import UserError
from endoforge.core.text import printable
from endoforge.formats.source import files_below
from endoforge.inference.drawings import drawings_around, holds_drawings
from endoforge.inference.live_input import LiveInput
from endoforge.inference.run_clock import FrameMoment, RunClock

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class InputPicture:
    """One picture to look at: that of the file `file`, or of one of its frames if it is a video.

    `pixels` is (H, W, 3) uint8 RGB; `moment` is its place in the video, or in the capture run that
    it is an image of; None for a picture by itself.
    """

    file: str
    pixels: NDArray[np.uint8]
    moment: FrameMoment | None = None

    @property
    def in_video(self) -> FrameMoment | None:
        """Its place in the video `file`; None if that is a picture."""
        return self.moment if self.moment and self.moment.sequence == self.file else None

    @property
    def name(self) -> str:
        """What it is called in results, as no other is: `a/1.png`, `clip.mp4#12`."""
        return f"{self.file}#{self.in_video.frame}" if self.in_video else self.file


class Material:
    """All that a `detect` looks at: `pictures`, `videos` and `live` sources by their names.

    A name is the path below the deepest folder that holds all, bytes that aren't UTF-8 as `\\xff`.
    What can't be read is counted in `tally` while `decoded` goes along, and in `notes` what was
    looked at in a way that people should know.
    """

    def __init__(
        self, paths: tuple[str, ...], fps: float | None, seconds: float | None = None
    ) -> None:
        """`seconds` are how long to look at each camera and stream among `paths`.

        Raises UserError for a path that isn't there, and if there is nothing to look at.
        """
        self.tally, self.notes = Tally(), Tally()
        self.incomplete = False
        """Whether frames of a video, or all of one, couldn't be decoded, as far as is known yet."""
        self._fps = fps
        addresses = [address for path in paths if (address := live_address(path)) is not None]
        live = [LiveInput(address, seconds or 0.0) for address in addresses]
        self.live = {one.name: one for one in live}
        paths = tuple(path for path in paths if live_address(path) is None)
        found: dict[Path, None] = {}
        for path in map(Path, paths):
            found.update(dict.fromkeys(_files(path, self.tally)))
        self.videos: dict[str, Video] = {}
        self.pictures: dict[str, Path] = {}
        self._of_runs: dict[str, dict[int, Path]] = {}
        """The pictures of recorded runs by their numbers, as far as `decoded` has come."""
        if not paths:
            return
        if not found:
            but = f" but for {'; '.join(self.tally.lines())}" if self.tally.counts else ""
            raise UserError(f"no picture or video in {', '.join(paths)}{but}")
        base = os.path.commonpath([_folder(Path(path)) for path in paths])
        for name, path in self._named(found, base).items():
            if path.suffix.lower() not in SUFFIXES:
                self.pictures[name] = path
                continue
            try:
                self.videos[name] = Video(path)
            except UserError as error:
                self.tally.drop("video: unreadable", name, str(error))
                self.incomplete = True

    @property
    def expected(self) -> int:
        """About how many pictures `decoded` gives; headers of videos may be wrong."""
        videos = sum(video.expected(self._fps) for video in self.videos.values())
        return len(self.pictures) + videos

    def decoded(self) -> Iterator[InputPicture]:
        """Give every picture that can be decoded, then the frames of each video."""
        yield from self.pictures_named(self.pictures)
        for name in self.videos:
            yield from self.video_frames(name)
        for name in self.live:
            yield from self.live_frames(name)

    def pictures_named(self, names: Iterable[str]) -> Iterator[InputPicture]:
        """Give those pictures among `names`, in their order, that can be decoded."""
        clock = RunClock(self.notes)
        for name in names:
            path = self.pictures[name]
            try:
                picture, upright = _read(path)
            except Unusable as unusable:
                self.tally.drop(f"picture: {unusable.reason}", name, printable(unusable.detail))
                continue
            if not upright:
                self.notes.count("picture: looked at as stored, not turned as its EXIF says", name)
            moment = clock.moment(name, path)
            if moment is not None:
                self._of_runs.setdefault(moment.sequence, {})[moment.frame] = path
            yield InputPicture(name, picture, moment)

    def video_frames(self, name: str) -> Iterator[InputPicture]:
        """Give the frames of a video; in the end, what it lacks is counted."""
        video, count = self.videos[name], 0
        for number, seconds, picture in video.frames(self._fps):
            count += 1
            yield InputPicture(name, picture, FrameMoment(name, number, seconds))
        if not count:
            self.tally.drop("video: no frame could be decoded", name)
            self.incomplete = True
        elif lacking := video.lacking(count, self._fps):
            expected = video.expected(self._fps)
            reason = f"frame: not decoded, of about {expected} that the file's header tells"
            self.tally.count(reason, f"{name} (from {video.lacking_from:.2f} s on)", lacking)
            self.incomplete = True

    def live_frames(self, name: str) -> Iterator[InputPicture]:
        """Give the newest frame of a camera or stream whenever another one is asked for."""
        for number, seconds, picture in self.live[name].frames(self._fps, self.tally, self.notes):
            yield InputPicture(name, picture, FrameMoment(name, number, seconds))

    def again(
        self, sequence: str, frames: Collection[int]
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Read some frames of a video or run again: their numbers, which rise, and their pixels.

        What can't be read any more is left out.
        """
        if sequence in self.live:
            return  # what was to be seen is gone
        if sequence not in self.videos:
            yield from self._pictures_again(self._of_runs[sequence], frames)
        elif frames:
            last = max(frames)
            for number, _, picture in self.videos[sequence].frames(self._fps):
                if number in frames:
                    yield number, picture
                if number >= last:
                    break

    def _pictures_again(
        self, paths: Mapping[int, Path], frames: Collection[int]
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for number in sorted(frames):
            try:
                yield number, _read(paths[number])[0]
            except Unusable:
                continue

    def _named(self, found: dict[Path, None], base: str) -> dict[str, Path]:
        """Give each file its name; what two paths of a name lead to is there once."""
        named: dict[str, Path] = {}
        for path in found:
            # As UTF-8 wherever it can be: what is written down must name the file.
            inner = os.fsencode(Path(os.path.relpath(path, base)).as_posix())
            name = inner.decode(errors="backslashreplace")
            other = named.setdefault(name, path)
            if other is not path and not path.samefile(other):
                self.tally.drop("file: printed, its name is that of another; rename it", name)
        return named


def _read(path: Path) -> tuple[NDArray[np.uint8], bool]:
    """Decode a picture, and say if it is stored upright; raises Unusable if that can't be done."""
    data = read_bytes(path)
    return decode_picture(data), is_upright(data)


def _folder(path: Path) -> Path:
    return path.absolute() if path.is_dir() else path.absolute().parent


def _files(path: Path, tally: Tally) -> list[Path]:
    """Give the file that is named, or what a folder holds; UserError if it isn't there."""
    if not path.exists():
        raise UserError(f"{path}: no such picture, video or folder")
    if (drawings := drawings_around(path)) is not None:
        where = printable(os.path.relpath(drawings))
        log.warning(
            "%s: what EndoForge has drawn (%s) is looked at too", printable(str(path)), where
        )
    return _Search(path.absolute()).files(tally) if path.is_dir() else [path.absolute()]


class _Search:
    """A search for what there is to look at below a folder.

    Of capture runs it finds the images alone, and what EndoForge has drawn only if the folder
    itself lies among that.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        real = folder.resolve()
        self._searched = {real, *real.parents}
        # Asked for every file, and each answer walks up to the root: once a folder is enough.
        self._footage = cache(self._is_footage)
        self._drawings = cache(self._find_drawings)

    def files(self, tally: Tally) -> list[Path]:
        """Find pictures and videos, in natural order; drawings are counted in `tally`."""
        files: list[Path] = []
        drawn: Counter[Path] = Counter()
        for file in files_below(self._folder, PICTURE_SUFFIXES | SUFFIXES):
            if not self._footage(file.parent):
                continue
            # A link to a drawing is a drawing, wherever the link lies.
            folder = file.resolve().parent if file.is_symlink() else file.parent
            if (drawings := self._drawings(folder)) is None:
                files.append(file)
            else:
                drawn[drawings] += 1
        for drawings, count in drawn.items():
            where = printable(os.path.relpath(drawings))
            tally.count("file: drawn by EndoForge itself", where, count)
        return files

    def _is_footage(self, folder: Path) -> bool:
        """Say if files of `folder` count: it lies in no capture run, or among the images of one."""
        if _is_run(folder):
            return False
        if folder == self._folder or _holds_frames(folder):
            return True
        if folder.is_symlink() and _lies_beside_frames(folder.resolve()):
            return False
        return self._footage(folder.parent)

    def _find_drawings(self, folder: Path) -> Path | None:
        """Find the folder of drawn pictures that `folder` lies in, links followed."""
        real = folder.resolve()
        places = (one for one in (real, *real.parents) if one not in self._searched)
        return next(filter(holds_drawings, places), None)


def _holds_frames(folder: Path) -> bool:
    return folder.name == "images" and _is_run(folder.parent)


def _lies_beside_frames(folder: Path) -> bool:
    """Say if `folder` is a part of a capture run, or lies in one, but not among its images."""
    places = (folder, *folder.parents)
    return any(map(_is_run, places)) and not any(map(_holds_frames, places))


def _is_run(folder: Path) -> bool:
    return (folder / MANIFEST_NAME).is_file()
