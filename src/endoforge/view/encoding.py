"""Frames to what viewers get: a header and a JPEG, made once for all of them."""

import json
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.view.frame import LiveFrame
from endoforge.view.rates import Rate
from endoforge.view.score import Comparison
from endoforge.view.slot import Slot

QUALITY = 82
AGAIN_EVERY_S = 0.25
"""A picture that stands still goes out so often all the same: its boxes may change."""


@dataclass(frozen=True)
class Packet:
    """A frame as it goes to viewers."""

    frame: int
    data: bytes


class Encoding(threading.Thread):
    """Encodes the newest frame, apart from what renders and what sends."""

    def __init__(
        self, publish: Callable[[Packet], None], found: Callable[[], Comparison | None]
    ) -> None:
        super().__init__(name="encoding", daemon=True)
        self.frames: Slot[LiveFrame] = Slot()
        self.rate = Rate()
        self.with_truth = False
        self._publish, self._found = publish, found
        self._ended = threading.Event()
        self._again = threading.Event()
        self._last: tuple[LiveFrame, bytes] | None = None

    def run(self) -> None:
        while not self._ended.is_set():
            frame = self.frames.take(AGAIN_EVERY_S)
            if frame is not None:
                started = time.perf_counter()
                self._last = frame, jpeg(frame.rgb)
                self.rate.add(time.perf_counter() - started)
            if self._last is not None:
                shown, picture = self._last
                header = header_of(shown, self._found(), with_truth=self.with_truth)
                self._publish(Packet(shown.number, packed(header, picture)))

    def forget(self) -> None:
        """Show no older frame again."""
        self._last = None

    def end(self) -> None:
        """Stop after the frame at hand."""
        self._ended.set()
        self.frames.close()


def jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """The JPEG of (H, W, 3) uint8 RGB."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    encoded, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not encoded:
        raise ValueError(f"can't encode a picture of shape {rgb.shape} as JPEG")
    return data.tobytes()


def packed(header: dict[str, Any], picture: bytes) -> bytes:
    """The binary message: 4 bytes of length, little endian, the header as JSON, the picture."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<I", len(text)) + text + picture


def header_of(frame: LiveFrame, found: Comparison | None, *, with_truth: bool) -> dict[str, Any]:
    """What a frame's message says: the newest detections, and the truth if it is shown."""
    header: dict[str, Any] = {
        "frame": frame.number,
        "time_s": round(frame.state.time_s, 3),
        "boxes": [],
        "boxes_of": None,
    }
    if found is not None:
        header["boxes_of"] = found.frame
        rows = zip(found.detections.boxes, found.detections.scores, strict=True)
        header["boxes"] = [
            {
                "xyxy": _rounded(box),
                "score": round(float(score), 3),
                "label": label,
                "hit": hit if with_truth else None,
            }
            for (box, score), label, hit in zip(rows, found.labels(), found.hits, strict=True)
        ]
    if with_truth:
        header["truth"] = [
            {
                "xyxy": _rounded(box),
                "label": "polyp",
                "paris": view.polyp.paris,
                "found": _was_met(view.instance, found),
            }
            for view, box in zip(frame.seen, frame.boxes(), strict=True)
        ]
    return header


def _was_met(instance: int, found: Comparison | None) -> bool | None:
    """Whether the newest detections hold it; None if it wasn't in their frame."""
    if found is None or instance not in found.seen:
        return None
    return instance in found.met


def _rounded(box: NDArray[np.float32]) -> list[float]:
    return [round(edge, 4) for edge in box.tolist()]
