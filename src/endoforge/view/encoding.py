"""Frames to what viewers get: a header and a JPEG, made once for all of them."""

import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.core.slot import Slot
from endoforge.view.frame import LiveFrame
from endoforge.view.live_tracks import Sighting
from endoforge.view.messages import FoundBox, FrameHeader, TrueBox
from endoforge.view.rates import Rate

QUALITY = 82
"""Of live JPEGs: some 25 kB at 640x360, in which no block of the code can be told by eye."""
AGAIN_EVERY_S = 0.25
"""A picture that stands still goes out so often all the same: its boxes may change."""


@dataclass(frozen=True)
class Packet:
    """A frame as it goes to viewers: its number, and the binary message."""

    frame: int
    data: bytes


class Encoding(threading.Thread):
    """Encodes the newest frame, apart from what renders and what sends."""

    def __init__(
        self, publish: Callable[[Packet], None], found: Callable[[], Sighting | None]
    ) -> None:
        super().__init__(name="encoding", daemon=True)
        self.frames: Slot[LiveFrame] = Slot()
        self.rate = Rate()
        self.with_truth = False
        self._publish, self._found = publish, found
        self._ended = threading.Event()
        self._last: tuple[LiveFrame, bytes] | None = None

    def run(self) -> None:
        while not self._ended.is_set():
            # Encoded here, once for all viewers, and not by them: most of the work is the JPEG.
            frame = self.frames.take(AGAIN_EVERY_S)
            if frame is not None:
                self._last = frame, jpeg(frame.rgb)
                self.rate.add()
            if self._last is not None:
                shown, picture = self._last
                header = header_of(shown, self._found(), with_truth=self.with_truth)
                self._publish(Packet(shown.number, packed(header, picture)))

    def end(self) -> None:
        """End the thread after the frame at hand."""
        self._ended.set()
        self.frames.close()


def jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """`rgb`, (H, W, 3) uint8, as a JPEG."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    encoded, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not encoded:
        raise ValueError(f"can't encode a picture of shape {rgb.shape} as JPEG")
    return data.tobytes()


def packed(header: FrameHeader, picture: bytes) -> bytes:
    """The binary message: 4 bytes of length, little endian, the header as JSON, the picture."""
    text = header.encoded()
    return struct.pack("<I", len(text)) + text + picture


def header_of(frame: LiveFrame, found: Sighting | None, *, with_truth: bool) -> FrameHeader:
    """What is drawn over a frame: the newest detections, and the truth if it is shown.

    The detections may be of an earlier frame: detecting is slower than showing.
    """
    with_truth = with_truth and frame.has_truth
    return FrameHeader(
        frame=frame.number,
        boxes=_found_boxes(found, with_truth=with_truth) if found is not None else (),
        truth=_true_boxes(frame, found) if with_truth else None,
    )


def _found_boxes(sighting: Sighting, *, with_truth: bool) -> tuple[FoundBox, ...]:
    """The tracks, and the detections that are of none."""
    tracked, found = sighting.tracked, sighting.found
    hits = [instance is not None for instance in sighting.on]
    boxes = [
        FoundBox(
            xyxy=_rounded(tracked.boxes[row]),
            score=round(float(tracked.scores[row]), 3),
            label=found.classes[tracked.classes[row]],
            track=track,
            matched=bool(tracked.matched[row]),
            hit=hits[row] if with_truth else None,
        )
        for row, track in enumerate(tracked.ids.tolist())
    ]
    boxes += [
        FoundBox(
            xyxy=_rounded(found.detections.boxes[row]),
            score=round(float(found.detections.scores[row]), 3),
            label=found.classes[found.detections.classes[row]],
            track=None,
            matched=True,
            hit=hit if with_truth else None,
        )
        for row, hit in enumerate(found.hits)
        if not sighting.owners[row]
    ]
    return tuple(boxes)


def _true_boxes(frame: LiveFrame, found: Sighting | None) -> tuple[TrueBox, ...]:
    return tuple(
        TrueBox(_rounded(box), view.polyp.paris, _was_met(view.instance, found))
        for view, box in zip(frame.seen, frame.boxes(), strict=True)
    )


def _was_met(instance: int, found: Sighting | None) -> bool | None:
    """Whether anything that is shown is on a polyp; None if it wasn't in the frame looked at."""
    if found is None or instance not in found.found.seen:
        return None
    return instance in found.met


def _rounded(box: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(round(edge, 4) for edge in box.tolist())
