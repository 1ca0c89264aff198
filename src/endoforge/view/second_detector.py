"""A second detector, which looks at the same frames as the first one, to be compared with it."""

import logging
import time

from endoforge.core.text import shortened
from endoforge.view.events import Events
from endoforge.view.frame import LiveFrame
from endoforge.view.keeper import Keeper
from endoforge.view.rates import Rate
from endoforge.view.score import Comparison, Score, compare_with_truth
from endoforge.view.to_viewers import SecondState

log = logging.getLogger(__name__)


class SecondDetector:
    """What another detector finds; single detections, since tracks are the first one's.

    One thread detects; any may ask for the `reading`. `setting` says in words with what it last
    looked, as its counts are kept in a score.
    """

    def __init__(self, keeper: Keeper, events: Events) -> None:
        self.keeper = keeper
        self.rate = Rate()
        self.setting = ""
        self._count = 0
        self._error: str | None = None
        self._events = events

    def look_at(self, frame: LiveFrame) -> Comparison | None:
        """Detect on a frame, and match with its truth; None if the detector fails."""
        try:
            detector = self.keeper.current()
            started = time.perf_counter()
            every = detector.detect(frame.rgb)
            self.rate.add(time.perf_counter() - started)
        except Exception as error:
            text = shortened(f"the second detector failed: {type(error).__name__}: {error}")
            if self._error is None:
                self._events.tell("error", text)
                log.debug("the second detector failed", exc_info=True)
            self._error, self._count = text, 0
            return None
        self._error = None
        strong = every.above(self.keeper.thresholds.objectness)
        self._count = len(strong)
        by_kind = self.keeper.classes_are_kinds(detector)
        return compare_with_truth(frame, strong, detector.classes, by_kind=by_kind)

    def reading(self, score: Score) -> SecondState:
        """How it does, for viewers; its counts are those of its setting."""
        median = self.rate.milliseconds()
        return SecondState(
            name=self.keeper.chosen,
            at_work=self.keeper.at_work,
            objectness=self.keeper.thresholds.objectness,
            iou=self.keeper.thresholds.iou,
            ms_median=None if median is None else round(median, 2),
            count=self._count,
            error=self._error or self.keeper.fallback,
            since_reset=score.counts(self.setting),
        )
