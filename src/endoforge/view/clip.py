"""The last seconds of what was shown, as it went out, and a video of them when one asks for it."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.overlay import Color, draw_boxes
from endoforge.captures.pictures import decode_picture
from endoforge.core.errors import UserError
from endoforge.core.folders import scratch_folder
from endoforge.core.reading import read_regular
from endoforge.inference.drawn_video import DrawnVideo
from endoforge.report.drawn_frames import tag_box
from endoforge.view.frame import LiveFrame, clock_step
from endoforge.view.to_viewers import FoundBox, FrameHeader, SecondBox, TrueBox

LAST_S = 20.0
"""Seconds that a clip has at most: one has seen something, and wants to keep it."""
MOST_BYTES = 64_000_000
"""Of JPEGs that are kept: of large pictures a clip is shorter."""
MOST_CLIP_BYTES = 4 * MOST_BYTES
"""Of an MP4, which is smaller than the JPEGs that it is made of."""
MOST_GAP_S = 2.0
"""By its clock, a picture follows the one before by so much at most; what is more is a cut."""
TRACK: Color = (122, 183, 255)
HIT: Color = (79, 209, 165)
FALSE: Color = (255, 180, 84)
MISS: Color = (211, 179, 255)
TRUTH: Color = (255, 255, 255)
UNCONFIRMED: Color = (195, 204, 214)
SECOND: Color = (255, 157, 219)
"""The colours of boxes on the page, which a test compares."""


@dataclass(frozen=True, eq=False)
class ShownPicture:
    """A picture that went out: its time in the clip's seconds, its boxes, and its JPEG."""

    seconds: float
    header: FrameHeader
    jpeg: bytes


class LastSeconds:
    """What was shown in the last LAST_S seconds, by the clock of what was shown; for all threads.

    So a clip plays at the pace of the procedure, whatever the speed at which it was watched; a
    pause takes no time in it, and a leap is a cut.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pictures: deque[ShownPicture] = deque()
        self._bytes = 0
        self._last: LiveFrame | None = None
        self._last_wall = 0.0

    def forget(self) -> None:
        """Begin anew: something else is shown from now on."""
        with self._lock:
            self._clear()

    def add(self, frame: LiveFrame, header: FrameHeader, jpeg: bytes) -> None:
        """Keep a picture, or the last one with its newest boxes; forget what is too old.

        One of another size begins anew.
        """
        with self._lock:
            if self._last is not None and frame.rgb.shape != self._last.rgb.shape:
                self._clear()
            if frame is self._last:
                self._pictures[-1] = replace(self._pictures[-1], header=header)
                return
            seconds = 0.0
            if self._last is not None:
                wall_s = time.monotonic() - self._last_wall
                step = clock_step(self._last, frame, most_s=MOST_GAP_S, wall_s=wall_s)
                seconds = self._pictures[-1].seconds + step
            self._last, self._last_wall = frame, time.monotonic()
            self._pictures.append(ShownPicture(seconds, header, jpeg))
            self._bytes += len(jpeg)
            while len(self._pictures) > 1 and (
                seconds - self._pictures[0].seconds > LAST_S or self._bytes > MOST_BYTES
            ):
                self._bytes -= len(self._pictures.popleft().jpeg)

    def _clear(self) -> None:
        self._pictures.clear()
        self._bytes, self._last = 0, None

    def pictures(self) -> list[ShownPicture]:
        """What is kept, the oldest first."""
        with self._lock:
            return list(self._pictures)


class ClipMaker:
    """Makes one clip at a time of what `kept` holds."""

    def __init__(self, kept: LastSeconds) -> None:
        self._kept = kept
        self._busy = threading.Lock()
        self._ended = threading.Event()

    def end(self) -> None:
        """Give up the clip that is being made."""
        self._ended.set()

    def make(self, *, with_boxes: bool) -> bytes:
        """An MP4 of the last seconds, with the boxes as they were shown or without.

        Raises UserError if nothing was shown, or another one is being made.
        """
        if not self._busy.acquire(blocking=False):
            raise UserError("a clip is being made already: try again when it is there")
        try:
            pictures = self._kept.pictures()
            if not pictures:
                raise UserError("no picture was shown yet: there is nothing to make a clip of")
            with scratch_folder() as folder:
                path = folder / "clip.mp4"
                self._write(path, pictures, with_boxes=with_boxes)
                return read_regular(path, MOST_CLIP_BYTES)
        finally:
            self._busy.release()

    def _write(self, path: Path, pictures: Sequence[ShownPicture], *, with_boxes: bool) -> None:
        video = None
        for shown in pictures:
            if self._ended.is_set():
                raise UserError("the live view ends")
            rgb = decode_picture(shown.jpeg)
            video = video or DrawnVideo(path, rgb.shape[:2])
            drawn = draw_header(rgb, shown.header) if with_boxes else rgb
            video.add(shown.seconds - pictures[0].seconds, drawn)
        assert video is not None
        video.close()


def draw_header(picture: NDArray[np.uint8], header: FrameHeader) -> NDArray[np.uint8]:
    """A copy of `picture`, (H, W, 3) uint8 RGB, with the boxes as the page draws them.

    What is carried through a gap, or isn't confirmed, has a thin line.
    """
    drawn = picture
    for true in header.truth or ():
        drawn = _draw_true(drawn, true)
    for box in header.boxes:
        drawn = _draw_found(drawn, box)
    for second in header.second or ():
        drawn = _draw_second(drawn, second)
    return drawn


def _draw_true(picture: NDArray[np.uint8], true: TrueBox) -> NDArray[np.uint8]:
    edges = np.array([true.xyxy], np.float32)
    missed = true.found is False
    drawn = draw_boxes(picture, edges, MISS if missed else TRUTH, thickness=2 if missed else 1)
    if missed:
        tag_box(drawn, f"? {true.paris} missed", edges[0], MISS)
    return drawn


def _draw_second(picture: NDArray[np.uint8], box: SecondBox) -> NDArray[np.uint8]:
    edges = np.array([box.xyxy], np.float32)
    drawn = draw_boxes(picture, edges, SECOND)
    name = "" if box.label == "polyp" else f"{box.label} "
    tag_box(drawn, f"2nd {name}{box.score:.2f}", edges[0], SECOND)
    return drawn


def _draw_found(picture: NDArray[np.uint8], box: FoundBox) -> NDArray[np.uint8]:
    edges = np.array([box.xyxy], np.float32)
    if box.track is None:
        return draw_boxes(picture, edges, HIT if box.hit else UNCONFIRMED)
    color = {None: TRACK, True: HIT, False: FALSE}[box.hit]
    drawn = draw_boxes(picture, edges, color, thickness=2 if box.matched else 1)
    name = "" if box.label == "polyp" else f"{box.label} "
    tag_box(drawn, f"#{box.track} {name}{box.score:.2f}", edges[0], color)
    return drawn
