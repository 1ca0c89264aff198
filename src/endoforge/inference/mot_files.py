"""Tracks as the text of the MOT Challenge (Milan et al. 2016, "MOT16", section 4.1)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.core.errors import UserError
from endoforge.core.files import write_atomic
from endoforge.inference.growing import cant_write
from endoforge.inference.own_folder import OwnFolder
from endoforge.inference.run_clock import FrameMoment
from endoforge.tracking.tracker import Tracked

MOT = "mot"


class MotFiles:
    """The folder `mot` of `out`, with a file for each video or run: `clip.mp4.txt`.

    A line is `frame,id,left,top,width,height,score,-1,-1,-1`, a frame and track; frames count from
    1, and boxes are in pixels, of which the first is 0.
    """

    def __init__(self, out: Path, *, wanted: bool) -> None:
        """Raise UserError if the files are `wanted` and what lies there isn't `detect`'s."""
        self._folder = OwnFolder(out / MOT, {".txt"})
        self._lines: dict[str, list[str]] = {}
        if wanted and not self._folder.is_own:
            raise UserError(
                f"--output {out}: {out / MOT} holds what detect hasn't written; name another "
                "folder, or leave out --mot"
            )

    def add(self, moment: FrameMoment, pixels: NDArray[np.uint8], tracked: Tracked) -> None:
        """Take the tracks shown of a frame, whose `pixels` are (H, W, 3) uint8 RGB."""
        height, width = pixels.shape[:2]
        lines = self._lines.setdefault(moment.sequence, [])
        boxes = tracked.boxes.astype(np.float64) * [width, height, width, height]
        for number, (x0, y0, x1, y1), score in zip(
            tracked.ids.tolist(), boxes.tolist(), tracked.scores.tolist(), strict=True
        ):
            box = f"{x0:.2f},{y0:.2f},{x1 - x0:.2f},{y1 - y0:.2f}"
            lines.append(f"{moment.frame + 1},{number},{box},{score:.4f},-1,-1,-1\n")

    def write(self) -> None:
        """Write a file for each sequence, empty if it has no tracks; UserError if that fails."""
        for sequence, lines in self._lines.items():
            path = self._folder.place(f"{sequence}.txt")
            try:
                write_atomic(path, "".join(lines).encode())
            except OSError as error:
                raise cant_write(path, error) from error

    def clear(self) -> int:
        """Remove what an earlier `detect` wrote and this one didn't; give the number of files."""
        return self._folder.clear()
