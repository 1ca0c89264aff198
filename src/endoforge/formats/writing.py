"""What every writer of another format gets, and how it puts pictures in place."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.run_frames import FrameRecord
from endoforge.captures.schema import FrameLabel
from endoforge.core.files import create_file
from endoforge.core.folders import make_folder
from endoforge.core.reading import MOST_LABEL_BYTES, read_regular
from endoforge.core.text import as_utf8, printable

ALL, TRAIN, VAL = "all", "train", "val"


@dataclass(frozen=True, eq=False)
class Converted:
    """One frame to write: `data` is its picture's file, `size` (width, height) in pixels.

    `classes` are places among the class names; `boxes_px` is (K, 4) float64 xyxy in pixels, right
    and bottom edges exclusive. `masks` is (K, H, W) bool, the pixels of each box's polyp, or
    None if they aren't known or the writer doesn't use them.
    """

    record: FrameRecord
    data: bytes
    size: tuple[int, int]
    classes: tuple[int, ...]
    boxes_px: NDArray[np.float64]
    masks: NDArray[np.bool_] | None = None

    @cached_property
    def label(self) -> FrameLabel:
        """All that its label says."""
        data = read_regular(self.record.label_path, MOST_LABEL_BYTES)
        return FrameLabel.model_validate_json(as_utf8(data))

    @property
    def run(self) -> str:
        """The name of its run, as a line of a list can hold it."""
        return printable(self.record.run)

    @property
    def stem(self) -> str:
        """The name of its files within the run, without ending: `frame_00007`."""
        return self.record.label_path.stem

    @property
    def name(self) -> str:
        """Its name among all runs, `run_1/frame_00007`, with the picture's suffix left out."""
        return f"{self.run}/{self.stem}"

    @property
    def suffix(self) -> str:
        """The ending of its picture: `.png` or `.jpg`."""
        return self.record.image_path.suffix.lower()


class WriteError(Exception):
    """A `file` couldn't be written, for a `reason` in the system's words."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file, self.reason = file, reason


class Writer(ABC):
    """Writes frames to the new folder `out`; `sides` are `all`, or `train` and `val`."""

    masks: ClassVar[Literal["unused", "welcome", "needed"]] = "unused"
    """What polyps' masks are to it; without those that it needs, a frame is left out."""

    has_boxes: ClassVar[bool] = True
    """Whether it writes the boxes of polyps, or what follows from them, such as outlines."""

    packages: ClassVar[tuple[str, ...]] = ()
    """What must be installed beside EndoForge, as the extra of the format's name has it."""

    def __init__(self, out: Path, class_names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        self.out, self.class_names, self.sides = out, class_names, sides

    @abstractmethod
    def add(self, frame: Converted, side: str) -> None:
        """Write a frame of one side of the split.

        Raises Unusable, and has written nothing then, for one that lacks what the format needs.
        """

    @abstractmethod
    def finish(self) -> list[str]:
        """Write what is of all frames; what people should know of it, in lines."""

    def write_picture(self, name: str, frame: Converted) -> None:
        """Put the picture's file, as it is, at `name` below `out`."""
        self.write(name, frame.data)

    def write(self, name: str, data: bytes) -> None:
        """Write a file below `out`, making its folder if need be."""
        with self.writing(name) as path:
            make_folder(path.parent, within=self.out)
            with create_file(path) as file:
                file.write(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Where the file lies; an error of the system within becomes a WriteError that names it."""
        path = self.out / name
        try:
            yield path
        except OSError as error:  # which doesn't say of what, if the disk is full
            raise WriteError(path, error.strerror or str(error)) from error
