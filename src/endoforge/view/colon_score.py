"""Which polyps of the colon that is flown were found so far, and what was taken for one."""

import statistics
from dataclasses import dataclass
from threading import Lock

from endoforge.view.frame import WorldFrame
from endoforge.view.live_tracks import Sighting
from endoforge.view.to_viewers import LesionMark, LesionsState, MarkKind
from endoforge.view.world import Colon

FALSE_AFTER_S = 0.5
"""A track that was on no polyp for so long after it was confirmed is false, until it is on one."""
MOST_FALSE_MARKS = 60
"""False tracks that are marked on the map; only the newest are."""


@dataclass
class _LiveTrack:
    """A track: when it was first shown, how deep in the colon, and whether it was on a polyp."""

    since: float
    s_mm: float
    is_real: bool = False


class ColonScore:
    """Polyps found and missed, and false tracks, of one colon since the last reset.

    Any thread may ask. A polyp is found by the first track on it while it has a box, and missed so
    far if it has had one; its delay is the time between both.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._colon: Colon | None = None
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        with self._lock:
            self._clear()

    def add(self, frame: WorldFrame, sighting: Sighting, seconds: float) -> None:
        """Count a frame, by the tracker's clock; one of another colon begins anew."""
        with self._lock:
            if frame.colon is not self._colon:
                self._clear()
                self._colon = frame.colon
            self._now = seconds
            for view in frame.seen:
                self._visible.setdefault(view.instance, seconds)
            ids = sighting.tracked.ids.tolist()
            for track, instance, unclear in zip(ids, sighting.on, sighting.unclear, strict=True):
                self._add_track(track, instance, unclear, frame.state.pose.s_mm)

    def reading(self) -> LesionsState:
        """The state, for viewers."""
        with self._lock:
            delays = list(self._delays.values())
            false = [
                track
                for track in self._tracks.values()
                if not track.is_real and self._now - track.since >= FALSE_AFTER_S
            ]
            return LesionsState(
                polyps=len(self._colon.run.scene.polyps) if self._colon else 0,
                found=len(delays),
                missed=len(self._visible) - len(delays),
                false_tracks=len(false),
                delay_s=round(statistics.median(delays), 2) if delays else None,
                marks=self._marks(false[-MOST_FALSE_MARKS:]),
            )

    def _marks(self, false: list[_LiveTrack]) -> tuple[LesionMark, ...]:
        if self._colon is None:
            return ()
        anatomy, length = self._colon.run.scene.anatomy, self._colon.flight.lumen.length_mm
        polyps = self._colon.run.scene.polyps
        places: list[tuple[MarkKind, float]] = [("false", track.s_mm) for track in false]
        for instance in self._visible:
            kind: MarkKind = "found" if instance in self._delays else "missed"
            places.append((kind, polyps[instance - 1].s_mm))
        return tuple(
            LesionMark(kind, anatomy.segment(s_mm), round(min(max(s_mm / length, 0.0), 1.0), 4))
            for kind, s_mm in places
        )

    def _clear(self) -> None:
        self._now = 0.0
        self._visible: dict[int, float] = {}
        self._delays: dict[int, float] = {}
        self._tracks: dict[int, _LiveTrack] = {}

    def _add_track(self, track: int, instance: int | None, unclear: bool, s_mm: float) -> None:
        one = self._tracks.setdefault(track, _LiveTrack(self._now, s_mm))
        one.is_real |= unclear or instance is not None
        if instance is not None:
            self._delays.setdefault(instance, self._now - self._visible[instance])
