"""Frames to what viewers get: a header and a JPEG, made once for all of them."""

import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.core.slot import Slot
from endoforge.view.clip import LastSeconds
from endoforge.view.frame import LiveFrame
from endoforge.view.live_tracks import Sighting
from endoforge.view.rates import Rate
from endoforge.view.to_viewers import FoundBox, FrameHeader, SecondBox, TrueBox

QUALITY = 82
"""Of live JPEGs: some 25 kB at 640x360, in which no block of the code can be told by eye."""
AGAIN_EVERY_S = 0.25
"""A picture that stands still goes out so often all the same: its boxes may change."""
PATIENCE_S = 3.0
"""A detector that hasn't looked at any of the pictures of so long isn't waited for."""


@dataclass(frozen=True)
class Packet:
    """A frame as it goes to viewers: its number, and the binary message."""

    frame: int
    data: bytes


class Encoding(threading.Thread):
    """Encodes frames, apart from what renders and what sends.

    It is the newest one that was detected on, with what was found on it; or with `newest_first`,
    and while nothing is detected, the newest of all, with what was found last.
    """

    def __init__(
        self, publish: Callable[[Packet], None], found: Callable[[], Sighting | None]
    ) -> None:
        super().__init__(name="encoding", daemon=True)
        self.frames: Slot[LiveFrame] = Slot()
        self.rate = Rate()
        self.with_truth = False
        self.newest_first = False
        self.kept = LastSeconds()
        self.dropped = 0
        """Frames that were asked for and never encoded."""
        self._publish, self._found = publish, found
        self._ended = threading.Event()
        self._last: tuple[LiveFrame, bytes] | None = None
        self._last_found: Sighting | None = None
        self._forgets = False
        self._waits_since: float | None = None
        """When the first frame came after the last that was detected on."""

    def run(self) -> None:
        while not self._ended.is_set():
            self.step(AGAIN_EVERY_S)

    def step(self, timeout_s: float) -> None:
        """Publish a packet if there is another picture, if other things were found, or in time."""
        newest, found = self.frames.take(timeout_s), self._found()
        if self._forgets:
            self._forgets, self._last = False, None
        frame = self._chosen(newest, found)
        if frame is not None and (self._last is None or frame is not self._last[0]):
            self._encode(frame)
        elif found is self._last_found and newest is not None:
            return
        self._last_found = found
        if self._last is not None:
            shown, picture = self._last
            header = header_of(shown, found, with_truth=self.with_truth)
            self.kept.add(shown, header, picture)
            self._publish(Packet(shown.number, packed(header, picture)))

    def _encode(self, frame: LiveFrame) -> None:
        """Here, once for all viewers, and not by them: most of the work is the JPEG."""
        before = self._last[0].number if self._last is not None else 0
        self.dropped += max(frame.number - before - 1, 0)
        self._last = frame, jpeg(frame.rgb)
        self.rate.add()

    def _chosen(self, newest: LiveFrame | None, found: Sighting | None) -> LiveFrame | None:
        now = time.monotonic()
        if found is not self._last_found:
            self._waits_since = None
        if newest is not None and self._waits_since is None:
            self._waits_since = now
        silent = self._waits_since is not None and now - self._waits_since > PATIENCE_S
        if self.newest_first or found is None or silent:
            return newest
        # It looked at it while newer ones were shown: the next one it looks at is newer.
        is_behind = self._last is not None and found.frame.number < self._last[0].number
        return None if is_behind else found.frame

    def forget(self) -> None:
        """Publish nothing until there is a new picture: something else is shown from now on."""
        self.frames.take(0)
        self._forgets = True
        self.kept.forget()

    def end(self) -> None:
        """End the thread after the frame at hand."""
        self._ended.set()
        self.frames.close()


def jpeg(rgb: NDArray[np.uint8], quality: int = QUALITY) -> bytes:
    """`rgb`, (H, W, 3) uint8, as a JPEG of a quality of 0 to 100."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    encoded, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise ValueError(f"can't encode a picture of shape {rgb.shape} as JPEG")
    return data.tobytes()


def packed(header: FrameHeader, picture: bytes) -> bytes:
    """The binary message: 4 bytes of length, little endian, the header as JSON, the picture."""
    text = header.encoded()
    return struct.pack("<I", len(text)) + text + picture


def header_of(frame: LiveFrame, found: Sighting | None, *, with_truth: bool) -> FrameHeader:
    """What is drawn over a frame: what was found, on this frame or another, and the truth if it is
    shown.
    """
    with_truth = with_truth and frame.has_truth
    return FrameHeader(
        frame=frame.number,
        looked_at=found.frame.number if found is not None else None,
        boxes=_found_boxes(found, with_truth=with_truth) if found is not None else (),
        truth=_true_boxes(frame, found) if with_truth else None,
        second=_second_boxes(found, with_truth=with_truth) if found is not None else None,
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


def _second_boxes(sighting: Sighting, *, with_truth: bool) -> tuple[SecondBox, ...] | None:
    second = sighting.second
    if second is None:
        return None
    found = second.detections
    return tuple(
        SecondBox(
            xyxy=_rounded(found.boxes[row]),
            score=round(float(found.scores[row]), 3),
            label=second.classes[found.classes[row]],
            hit=hit if with_truth else None,
        )
        for row, hit in enumerate(second.hits)
    )


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
