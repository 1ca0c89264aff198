"""Keeps a detector ready: the checkpoint's, or the heuristic one where that can't be had."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from endoforge.core.choices import DetectorKind
from endoforge.core.errors import UserError
from endoforge.core.reading import open_regular
from endoforge.core.slot import Slot
from endoforge.detect.detections import Detections, Detector
from endoforge.detect.heuristic import HeuristicDetector
from endoforge.detect.neural import NeuralDetector
from endoforge.detect.predict import Net
from endoforge.detect.tinydet import TinyDet
from endoforge.tracking.tracker import LOW_SHARE
from endoforge.view.colon_score import ColonScore
from endoforge.view.events import Events
from endoforge.view.frame import LiveFrame, WorldFrame
from endoforge.view.live_tracks import LiveTracking, Sighting, make_sighting
from endoforge.view.rates import Rate
from endoforge.view.score import Score, compare_with_truth
from endoforge.view.to_viewers import DetectorState

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
"""Seconds between two looks at the checkpoint, whether it has changed."""
MOST_HZ_CPU, MOST_HZ_GPU = 10.0, 60.0
"""Detections a second: on a CPU the renderer needs the cores."""
RETRY_S = 1.0
"""Seconds until a detector that threw is tried again."""

Stamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class Thresholds:
    """Least score of a detection, and the overlap (IoU) from which two are the same, 0 to 1."""

    objectness: float
    iou: float


class Keeper:
    """The detectors of a session: the neural one as its file is now, and the heuristic one.

    `place` brings a net to where it computes.
    """

    def __init__(
        self,
        checkpoint: str,
        place: Callable[[TinyDet], Net],
        thresholds: Thresholds,
        events: Events,
        make_heuristic: Callable[[], Detector] = HeuristicDetector,
        *,
        stand_in: Path | None = None,
    ) -> None:
        """`stand_in` names other weights, for as long as there is no file `checkpoint`."""
        self.checkpoint = checkpoint
        self.wanted: DetectorKind = "neural"
        self.thresholds = thresholds
        self._place, self._events = place, events
        self._make_heuristic = make_heuristic
        self._stand_in = stand_in
        self._heuristic: Detector | None = None
        self._neural: NeuralDetector | None = None
        self._named: str | None = None
        self._missing: str | None = None
        """Why there is no neural detector, in a line."""
        self._stamp: Stamp | Literal["never"] = "never"
        self._next_look = 0.0

    @property
    def mode(self) -> DetectorKind:
        """Which detector is at work."""
        neural = self.wanted == "neural" and self._neural is not None
        return "neural" if neural else "heuristic"

    @property
    def weights(self) -> str | None:
        """The weights at work: the file, or that they are packaged, and what tells them apart."""
        return self._named if self.mode == "neural" else None

    @property
    def fallback(self) -> str | None:
        """Why the wanted detector isn't at work, in a line."""
        return self._missing if self.wanted == "neural" else None

    def current(self) -> Detector:
        """The detector to use now, to give weak detections too, which continue tracks.

        May load weights, for some tenths of a second.
        """
        self.look_again()
        detector: Detector | None = self._neural
        if self.wanted == "heuristic" or detector is None:
            detector = self._heuristic = self._heuristic or self._make_heuristic()
        detector.set_thresholds(LOW_SHARE * self.thresholds.objectness, self.thresholds.iou)
        return detector

    def look_again(self) -> None:
        """Do as `look` does, unless that was done within LOOK_EVERY_S."""
        if time.monotonic() >= self._next_look:
            self.look()

    def classes_are_kinds(self, detector: Detector) -> bool:
        """Whether a detector tells Paris kinds apart."""
        metadata = getattr(detector, "metadata", None)
        return metadata is not None and metadata.label_field == "paris"

    def look(self) -> None:
        """Load the checkpoint if it is another one than before."""
        self._next_look = time.monotonic() + LOOK_EVERY_S
        stamp = _stamp(Path(self.checkpoint))
        if stamp == self._stamp:
            return
        first, self._stamp = self._stamp == "never", stamp
        path = self._stand_in if stamp is None and self._stand_in else Path(self.checkpoint)
        try:
            neural = NeuralDetector(path, place=self._place)
            with open_regular(path) as file:
                digits = hashlib.file_digest(file, "sha256").hexdigest()[:8]
        except UserError as error:
            self._fall_back(str(error))
        except Exception as error:  # a device that fails, or memory that is full
            self._fall_back(f"{path}: {type(error).__name__}: {error}")
        else:
            self._neural, self._missing = neural, None
            self._named = f"{'packaged' if path == self._stand_in else self.checkpoint} {digits}"
            again = "loaded" if first else "loaded again: it has changed"
            if path == self._stand_in:
                again = "not there; the weights that come with EndoForge are used until it is"
            self._events.tell("info", f"{self.checkpoint}: {again}")

    def _fall_back(self, reason: str) -> None:
        self._neural, self._missing = None, reason
        self._events.tell("warning", f"{reason}; the heuristic detector takes over")


class Detecting(threading.Thread):
    """Detects on the newest frame, again and again, apart from what is rendered and shown."""

    def __init__(self, keeper: Keeper, events: Events, *, most_hz: float) -> None:
        super().__init__(name="detecting", daemon=True)
        self.keeper = keeper
        self.score = Score()
        self.lesions = ColonScore()
        self.frames: Slot[LiveFrame] = Slot()
        self.rate = Rate()
        self.found: Sighting | None = None
        self.error: str | None = None
        self.on_found: Callable[[], None] = lambda: None
        """Hears that `found` is another one."""
        self._events = events
        self._interval_s = 1 / most_hz
        self._ended = threading.Event()
        self._last: LiveFrame | None = None
        self._tracking = LiveTracking()
        self._is_new = False
        self.setting = ""
        """With what the last frame was looked at, in words."""

    def run(self) -> None:
        while not self._ended.is_set():
            frame = self.frames.take(0.25)
            if frame is None:
                self.keeper.look_again()
                continue
            started = time.monotonic()
            self._detect(frame)
            self.on_found()
            pause = RETRY_S if self.error else started + self._interval_s - time.monotonic()
            self._ended.wait(max(pause, 0.0))

    def again(self) -> None:
        """Detect on the last frame again, unless a newer one comes: thresholds have changed."""
        if self._last is not None and self.frames.empty:
            self.frames.put(self._last)

    def forget(self) -> None:
        """Take back what was found: the detector, or the colon, is another one now."""
        self.found = None
        self._is_new = True
        self.rate.clear()

    def end(self) -> None:
        """End the thread after the frame at hand."""
        self._ended.set()
        self.frames.close()

    def _detect(self, frame: LiveFrame) -> None:
        again, self._last = frame is self._last, frame
        try:
            detector = self.keeper.current()
            started = time.perf_counter()
            detections = detector.detect(frame.rgb)
            self.rate.add(time.perf_counter() - started)
            self.found = self._sighting(frame, detector, detections)
        except Exception as error:
            self.found = None
            text = f"the detector failed: {type(error).__name__}: {error}"
            if self.error is None:
                self._events.tell("error", f"{text}; it is tried again every second")
                log.debug("the detector failed", exc_info=True)
            self.error = " ".join(text.split())
            return
        if self.error is not None:
            self._events.tell("info", "the detector works again")
            self.error = None
        if not isinstance(frame, WorldFrame):
            return
        if not again:
            self.setting = self._setting(frame)
            self.score.add(self.found.found, self.setting)
        self.lesions.add(frame, self.found, self._tracking.seconds)

    def _sighting(self, frame: LiveFrame, detector: Detector, every: Detections) -> Sighting:
        if self._is_new:
            self._is_new = False
            self._tracking.forget()
        objectness = self.keeper.thresholds.objectness
        tracked, owners = self._tracking.follow(frame, every, objectness)
        by_kind = self.keeper.classes_are_kinds(detector)
        strong = every.above(objectness)
        found = compare_with_truth(frame, strong, detector.classes, by_kind=by_kind)
        return make_sighting(frame, found, tracked, owners[: len(strong)])

    def _setting(self, frame: WorldFrame) -> str:
        keeper = self.keeper
        at = f"objectness {keeper.thresholds.objectness:.2f}, IoU {keeper.thresholds.iou:.2f}"
        return f"{keeper.weights or keeper.mode}, {at}, seed {frame.colon.base_seed}"

    def reading(self) -> DetectorState:
        """How detecting goes, for viewers."""
        keeper, found = self.keeper, self.found
        median, late = self.rate.milliseconds(), self.rate.milliseconds(0.95)
        return DetectorState(
            mode=keeper.mode,
            weights=keeper.weights,
            fallback=keeper.fallback,
            objectness=keeper.thresholds.objectness,
            iou=keeper.thresholds.iou,
            ms_median=None if median is None else round(median, 2),
            ms_p95=None if late is None else round(late, 2),
            hz=round(self.rate.hz, 1),
            count=len(found.found.detections) if found else 0,
            error=self.error,
        )


def _stamp(path: Path) -> Stamp:
    """What differs whenever the file is another one; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
