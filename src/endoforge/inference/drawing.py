"""Writes pictures and videos with what was found into a folder of their own."""

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import encode_png
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.core.folders import (
    is_link,
    make_folder,
    remove_files,
    remove_if_empty,
    remove_unfinished,
)
from endoforge.core.marks import MARK_NAME, leave_mark
from endoforge.inference.drawings import (
    DETECT,
    DRAWN,
    SUFFIXES,
    drawn_name,
    files_in,
    is_detects_own,
)
from endoforge.inference.drawn_video import DrawnVideo
from endoforge.inference.growing import cant_write

JPEG_QUALITY = 92


class Drawing:
    """The folder `drawn` of `out`, which is `detect`'s own: it makes, marks and clears it."""

    def __init__(self, out: Path, *, wanted: bool) -> None:
        """Raise UserError if drawings are `wanted` and what lies there isn't `detect`'s."""
        self.folder = out / DRAWN
        self._own = is_detects_own(self.folder)
        if wanted and not self._own:
            raise UserError(
                f"--out {out}: {self.folder} holds what detect hasn't drawn; name another folder, "
                "or leave drawing out by --draw none"
            )
        self._written: set[Path] = set()
        self._ready: set[Path] = set()
        self._video: tuple[str, DrawnVideo] | None = None

    def picture(self, file: str, drawn: NDArray[np.uint8]) -> None:
        """Write the drawing of the picture `file`, (H, W, 3) uint8 RGB; UserError if that fails."""
        path = self._place(drawn_name(file, video=False))
        data = encode_png(drawn) if path.suffix.lower() == ".png" else _jpeg(drawn)
        try:
            write_atomic(path, data)
        except OSError as error:
            raise cant_write(path, error) from error

    def frame(self, file: str, seconds: float, drawn: NDArray[np.uint8]) -> None:
        """Append (H, W, 3) uint8 RGB to the drawing of video `file`; UserError if that fails."""
        if self._video is None or self._video[0] != file:
            self.end_video()
            path = self._place(drawn_name(file, video=True))
            self._video = file, DrawnVideo(path, drawn.shape[:2])
        self._video[1].add(seconds, drawn)

    def end_video(self) -> None:
        """Complete the video that was begun last; raises UserError if that fails."""
        if self._video is not None:
            _, video = self._video
            self._video = None
            video.close()

    def clear(self) -> int:
        """Remove what an earlier `detect` drew and this one didn't; give the number of drawings."""
        if not self._own or not self.folder.is_dir():
            return 0
        stale = [
            path
            for path in files_in(self.folder)
            if path.suffix.lower() in SUFFIXES and path not in self._written and not is_link(path)
        ]
        for path in stale:
            remove_files(path.parent, [path.name], within=self.folder)
        self._remove_empty_folders()
        return sum(not path.name.startswith(".") for path in stale)

    def _place(self, name: str) -> Path:
        """Choose the place of a drawing, which no other has, in a folder that is there."""
        path = self.folder / name
        while path in self._written:  # a.bmp and a.bmp.jpg are both drawn as a.bmp.jpg
            path = path.with_name(f"{path.stem}_{path.suffix}")
        self._written.add(path)
        if path.parent not in self._ready:
            try:
                self._make_ready(path.parent)
            except OSError as error:
                raise cant_write(path, error) from error
        return path

    def _make_ready(self, folder: Path) -> None:
        make_folder(self.folder)
        leave_mark(self.folder, DETECT)
        make_folder(folder, within=self.folder)
        self._ready.add(folder)

    def _remove_empty_folders(self) -> None:
        for place, _, files in os.walk(self.folder, topdown=False):
            folder = Path(place)
            remove_unfinished(folder, "*", within=self.folder)
            if folder == self.folder and files == [MARK_NAME]:
                remove_files(folder, files)
            remove_if_empty(folder, within=self.folder)


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
