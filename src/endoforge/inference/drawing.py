"""Writes pictures and videos with what was found into a folder of their own."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.pictures import encode_png
from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.inference.drawings import DRAWN, SUFFIXES, drawn_name
from endoforge.inference.drawn_video import DrawnVideo
from endoforge.inference.growing import cant_write
from endoforge.inference.own_folder import OwnFolder
from endoforge.report.drawn_frames import encode_jpeg

JPEG_QUALITY = 92


class Drawing:
    """The folder `drawn` of `out`, which is `detect`'s own."""

    def __init__(self, out: Path, *, wanted: bool) -> None:
        """Raise UserError if drawings are `wanted` and what lies there isn't `detect`'s."""
        self._folder = OwnFolder(out / DRAWN, SUFFIXES)
        if wanted and not self._folder.is_own:
            raise UserError(
                f"--output {out}: {out / DRAWN} holds what detect hasn't drawn; name another "
                "folder, or leave drawing out by --draw none"
            )
        self._video: tuple[str, DrawnVideo] | None = None

    def picture(self, file: str, drawn: NDArray[np.uint8]) -> None:
        """Write the drawing of the picture `file`, (H, W, 3) uint8 RGB; UserError if that fails."""
        path = self._folder.place(drawn_name(file, video=False))
        data = (
            encode_png(drawn) if path.suffix.lower() == ".png" else encode_jpeg(drawn, JPEG_QUALITY)
        )
        try:
            write_atomic(path, data)
        except OSError as error:
            raise cant_write(path, error) from error

    def frame(self, file: str, seconds: float, drawn: NDArray[np.uint8]) -> None:
        """Append (H, W, 3) uint8 RGB to the drawing of video `file`; UserError if that fails."""
        if self._video is None or self._video[0] != file:
            self.end_video()
            path = self._folder.place(drawn_name(file, video=True))
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
        return self._folder.clear()
