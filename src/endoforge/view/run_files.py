"""The files of one capture run, as pages name them: by the run's name and the frame's number."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from endoforge.captures.pictures import picture_size, read_picture
from endoforge.captures.run_frames import IMAGE_SUFFIXES, LABEL_PATTERN, read_manifest
from endoforge.captures.schema import FrameLabel, frame_number, image_name, label_name
from endoforge.captures.tally import Unusable
from endoforge.core.errors import UserError
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import as_utf8

MOST_NUMBER = 2**63
"""Frames have lower numbers: more than any run has, and no more than the index takes."""


class NotThere(UserError):
    """There is no such run or frame, or it can't be read; says which."""


def run_folders(root: Path) -> list[Path]:
    """The run folders of `root`, in no order; none if it can't be read.

    A folder whose name JSON can't hold isn't one that a page could ask for.
    """
    try:
        return [path for path in root.iterdir() if _is_run_name(path.name) and path.is_dir()]
    except OSError:
        return []


def newest_runs(root: Path, most: int) -> tuple[list[Path], int]:
    """The newest run folders of `root` by their names, the newest first, and how many are older."""
    folders = sorted(run_folders(root), key=lambda path: (len(path.name), path.name))[::-1]
    return folders[:most], max(0, len(folders) - most)


def stamp_of(path: Path) -> tuple[int, int, int]:
    """What tells that a file is another one than before: its number, its time and its size.

    Raises OSError if it isn't there.
    """
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _is_run_name(name: str) -> bool:
    half = any("\ud800" <= one <= "\udfff" for one in name)  # of a name that isn't UTF-8
    return name.startswith("run_") and not half and not set(name) & set("/\\:\0")


@dataclass(frozen=True)
class RunFiles:
    """The run folder `path`. Links within it that lead out are refused where they are read."""

    path: Path

    @classmethod
    def named(cls, root: Path, name: str) -> "RunFiles":
        """The run of that name in `root`; raises NotThere if there is none."""
        path = root / name
        if not _is_run_name(name) or not path.is_dir():
            raise NotThere(f"no run {name[:80]!r}")
        return cls(path)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    def label_path(self, frame_id: int) -> Path:
        """Where the frame's label lies, or would; some programs write fewer digits than ours."""
        if not 0 <= frame_id < MOST_NUMBER:
            raise NotThere(f"{self.name}: no such frame")
        path = self.path / label_name(frame_id)
        if path.is_file():
            return path
        return next((one for number, one in self.labels() if number == frame_id), path)

    def labels(self) -> list[tuple[int, Path]]:
        """Number and path of every label's file, in no order."""
        return self._numbered("labels", _label_number)

    def images(self) -> list[tuple[int, Path]]:
        """Number and path of every image that is named by a number, in no order."""
        return self._numbered("images", _image_number)

    def label(self, frame_id: int) -> FrameLabel:
        """The frame's label; raises NotThere if there is none, or none that can be read."""
        try:
            data = read_regular(self.label_path(frame_id), MOST_LABEL_BYTES)
            return FrameLabel.model_validate_json(as_utf8(data))
        except (OSError, ValidationError) as error:
            raise NotThere(f"{self.name}: no frame {frame_id} that can be read") from error

    def image_path(self, frame_id: int, label: FrameLabel | None) -> Path:
        """Where the frame's picture lies; raises NotThere if it has none in its run."""
        path = self._image_without_label(frame_id) if label is None else self.path / label.image
        try:
            within = path.resolve().is_relative_to(self.path.resolve())
        except (OSError, ValueError) as error:  # ValueError: a null, in no file's name
            raise NotThere(f"{self.name}: frame {frame_id} names no picture") from error
        if not within:
            raise NotThere(f"{self.name}: frame {frame_id} names a picture outside its run")
        return path

    def picture(self, frame_id: int, label: FrameLabel | None) -> NDArray[np.uint8]:
        """The frame's picture, (H, W, 3) uint8 RGB; raises NotThere if it can't be read."""
        try:
            return read_picture(self.image_path(frame_id, label))
        except (Unusable, OSError) as error:
            message = f"{self.name}: the picture of frame {frame_id} can't be read"
            raise NotThere(message) from error

    def picture_size(self, frame_id: int, label: FrameLabel | None) -> tuple[int, int]:
        """Width and height of the picture; raises NotThere if it can't be read."""
        try:
            return picture_size(self.image_path(frame_id, label))
        except (Unusable, OSError) as error:
            message = f"{self.name}: the picture of frame {frame_id} can't be read"
            raise NotThere(message) from error

    @property
    def is_simulated(self) -> bool:
        """Whether its manifest has the scene that EndoForge's simulator made it from."""
        try:
            manifest = read_manifest(self.path)
        except (OSError, ValidationError):
            return False
        return manifest is not None and "scene" in (manifest.endoforge or {})

    def _image_without_label(self, frame_id: int) -> Path:
        for suffix in sorted(IMAGE_SUFFIXES):
            if (path := self.path / image_name(frame_id, suffix)).is_file():
                return path
        for number, path in self.images():
            if number == frame_id:
                return path
        raise NotThere(f"{self.name}: no frame {frame_id}")

    def _numbered(self, folder: str, number_of: "Numbering") -> list[tuple[int, Path]]:
        try:
            paths = list((self.path / folder).iterdir())
        except OSError:
            return []
        numbered = ((number_of(path), path) for path in paths)
        return [(n, path) for n, path in numbered if n is not None and n < MOST_NUMBER]


Numbering = Callable[[Path], int | None]
"""The number of a frame's file, or None if its name has none."""


def _label_number(path: Path) -> int | None:
    match = LABEL_PATTERN.fullmatch(path.name)
    return None if match is None else int(match[1])


def _image_number(path: Path) -> int | None:
    return frame_number(path.name) if path.suffix.lower() in IMAGE_SUFFIXES else None
