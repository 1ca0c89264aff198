"""Detects on the newest frame: with one detector, or beside it with a second one."""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from endoforge.core.errors import UserError
from endoforge.core.slot import Slot
from endoforge.detect.detections import Detections, Detector
from endoforge.view.colon_score import ColonScore
from endoforge.view.events import Events
from endoforge.view.frame import LiveFrame, WorldFrame
from endoforge.view.keeper import Keeper
from endoforge.view.live_tracks import LiveTracking, Sighting, make_sighting
from endoforge.view.rates import Rate
from endoforge.view.score import Comparison, Score, compare_with_truth
from endoforge.view.second_detector import SecondDetector
from endoforge.view.to_viewers import DetectorState

log = logging.getLogger(__name__)

MOST_HZ, MOST_HZ_BESIDE = 60.0, 6.0
"""Detections a second; and on a CPU whose cores the renderer needs, while pictures are shown that
weren't detected on."""
RETRY_S = 1.0
"""Seconds until a detector that threw is tried again."""


class Detecting(threading.Thread):
    """Detects on the newest frame, again and again, apart from what is rendered and shown.

    With a `second` detector, on each frame with both.
    """

    def __init__(
        self,
        keeper: Keeper,
        events: Events,
        *,
        most_hz: Callable[[], float],
        choices: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        """`most_hz` says how often it may detect, now; `choices` names the weights that viewers may
        choose."""
        super().__init__(name="detecting", daemon=True)
        self.keeper = keeper
        self.second: SecondDetector | None = None
        self.choices = choices
        self.score = Score()
        self.lesions = ColonScore()
        self.frames: Slot[tuple[int, LiveFrame]] = Slot()
        """The newest frame, and how often pictures had been forgotten when it came."""
        self.rate = Rate()
        self.found: Sighting | None = None
        self.error: str | None = None
        self.on_found: Callable[[], None] = lambda: None
        """Hears that `found` is another one."""
        self._events, self._most_hz = events, most_hz
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()
        """Other detectors that viewers want: they are loaded by the thread that detects."""
        self._ended = threading.Event()
        self._last: LiveFrame | None = None
        self._counted: LiveFrame | None = None
        self._forgetting = threading.Lock()
        self._times_forgotten = self._pictures_forgotten = 0
        self._tracking = LiveTracking()
        self._tracked_since = 0
        self.setting = ""
        """With what the last frame was looked at, in words."""

    def run(self) -> None:
        while not self._ended.is_set():
            frame = self._take(0.25)
            while not self._asked.empty():
                self._asked.get()()
            if frame is None:
                self.keeper.look_again()
                continue
            started = time.monotonic()
            self._detect(frame)
            self.on_found()
            pause = RETRY_S if self.error else started + 1 / self._most_hz() - time.monotonic()
            self._ended.wait(max(pause, 0.0))

    def look_at(self, frame: LiveFrame) -> None:
        """Have a frame detected on, unless a newer one comes before that."""
        with self._forgetting:
            self.frames.put((self._pictures_forgotten, frame))

    def again(self) -> None:
        """Detect on the last frame again, unless a newer one comes: thresholds have changed."""
        with self._forgetting:
            if self._last is not None and self.frames.empty:
                self.frames.put((self._pictures_forgotten, self._last))

    def forget(self) -> None:
        """Take back what was found, or is being looked for: the detector, or the colon, is another
        one now."""
        with self._forgetting:
            self._times_forgotten += 1
            self.found = None
        self.rate.clear()

    def forget_pictures(self) -> None:
        """Have nothing more to do with the pictures of before."""
        with self._forgetting:
            self._pictures_forgotten += 1
            self._last = None
        self.forget()

    def choose(self, path: Path) -> None:
        """Have the detector load other weights; if they can't be, those before stay."""
        self._asked.put(partial(self._choose, path))
        self.frames.nudge()

    def choose_second(self, path: Path | None) -> None:
        """Have a second detector look on, with these weights, or the heuristic one for None.

        If they can't be loaded, it stays as it is.
        """
        self._asked.put(partial(self._choose_second, path))
        self.frames.nudge()

    def drop_second(self) -> None:
        """Let the first detector look on alone."""
        self._asked.put(self._drop_second)
        self.frames.nudge()

    def end(self) -> None:
        """End the thread after the frame at hand."""
        self._ended.set()
        self.frames.close()

    def _choose(self, path: Path) -> None:
        try:
            self.keeper.choose(path)
        except UserError as error:
            self._events.tell("error", f"{error}; {self.keeper.at_work} stays")
            return
        self._events.tell("info", f"{self.keeper.at_work}: loaded")
        self.forget()
        self.again()

    def _drop_second(self) -> None:
        self.second = None
        self.again()

    def _choose_second(self, path: Path | None) -> None:
        keeper = self.keeper.another()
        if self.second is not None:
            keeper.thresholds = self.second.keeper.thresholds
        try:
            if path is None:
                keeper.wanted = "heuristic"
            else:
                keeper.choose(path)
        except UserError as error:
            stays = self.second.keeper.at_work if self.second else "none"
            self._events.tell("error", f"{error}; second detector: {stays}, as before")
            return
        self.second = SecondDetector(keeper, self._events)
        self._events.tell("info", f"second detector: {keeper.at_work}")
        self.again()

    def _take(self, timeout_s: float) -> LiveFrame | None:
        """The newest frame, as soon as there is one, unless it was forgotten since it came."""
        came = self.frames.take(timeout_s)
        with self._forgetting:
            if came is None or came[0] != self._pictures_forgotten:
                return None
            self._last = came[1]
            return self._last

    def _detect(self, frame: LiveFrame) -> None:
        with self._forgetting:
            began = self._times_forgotten
            if frame is not self._last:
                return  # forgotten, while other weights were loaded
        try:
            detector = self.keeper.current()
            started = time.perf_counter()
            detections = detector.detect(frame.rgb)
            self.rate.add(time.perf_counter() - started)
            second = self.second
            beside = second.look_at(frame) if second is not None else None
            if began != self._tracked_since:
                self._tracked_since = began
                self._tracking.forget()
            seen = self._sighting(frame, detector, detections, beside)
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
        with self._forgetting:
            if began != self._times_forgotten:
                return
            # Another thread may `forget` it at any moment, so what follows has its own, `seen`.
            self.found = seen
        if not isinstance(frame, WorldFrame):
            return
        if frame is not self._counted:
            self._counted = frame
            self._count(frame, seen, second)
        self.lesions.add(frame, seen, self._tracking.seconds)

    def _count(self, frame: WorldFrame, seen: Sighting, second: SecondDetector | None) -> None:
        """Count what was found; with two detectors apart from what each found alone, so that both
        have counted the same frames."""
        ours, seed = _in_words(self.keeper), f"seed {frame.colon.base_seed}"
        if second is None:
            self.setting = f"{ours}, {seed}"
        else:
            theirs = _in_words(second.keeper)
            self.setting = f"{ours}, {seed}, beside {theirs}"
            second.setting = f"second: {theirs}, {seed}, beside {ours}"
            if seen.second is None:
                return  # it has failed
            self.score.add(seen.second, second.setting)
        self.score.add(seen.found, self.setting)

    def _sighting(
        self,
        frame: LiveFrame,
        detector: Detector,
        every: Detections,
        second: Comparison | None,
    ) -> Sighting:
        objectness = self.keeper.thresholds.objectness
        tracked, owners = self._tracking.follow(frame, every, objectness)
        by_kind = self.keeper.classes_are_kinds(detector)
        strong = every.above(objectness)
        found = compare_with_truth(frame, strong, detector.classes, by_kind=by_kind)
        return make_sighting(frame, found, tracked, owners[: len(strong)], second)

    def reading(self) -> DetectorState:
        """How detecting goes, for viewers."""
        keeper, found = self.keeper, self.found
        second = self.second
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
            chosen=keeper.chosen,
            choices=self.choices(),
            second=second.reading(self.score) if second is not None else None,
        )


def _in_words(keeper: Keeper) -> str:
    """A detector and its thresholds."""
    at = keeper.thresholds
    return f"{keeper.weights or keeper.mode}, objectness {at.objectness:.2f}, IoU {at.iou:.2f}"
