"""What was found in a clip, over its time: a lane a track, its stills, and the truth beside it.

The page is drawn by `timeline.js` from the JSON that is made here.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.core.text import printable

ASSETS = ("timeline.css", "timeline.js")
"""What a page with a timeline needs besides; for `Report.assets`."""
MOST_POINTS = 500
"""Points of a lane's curve: about one a pixel."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Still:
    """A frame at which a track was shown, or shortly before: the bytes of a JPEG.

    `box` is xyxy in 0..1 of the picture, None where nothing was shown yet; `truth` are boxes of
    polyps, where they are known.
    """

    seconds: float
    jpeg: bytes
    box: Box | None = None
    score: float | None = None
    truth: Sequence[Box] = ()


@dataclass(frozen=True, kw_only=True)
class TrackLane:
    """A track: when and how surely it was shown.

    `seconds` and `scores` (N,) are of the frames at which it was shown; `matched` (N,) bool says at
    which of them it was detected, and not carried through a gap. `verdict` says what the truth, if
    it is known, makes of it: the number of a polyp, 0 for a false alarm.
    """

    number: int
    label: str
    seconds: NDArray[np.float64]
    scores: NDArray[np.float64]
    matched: NDArray[np.bool_]
    best: Still
    stills: Sequence[Still]
    verdict: int | None = None


@dataclass(frozen=True, kw_only=True)
class LesionLane:
    """A polyp of the truth: the times, begin and end in seconds, at which it could be seen.

    `found` are those of them at which a track was on it; `first_found` is when the first one was.
    """

    number: int
    what: str
    visible: Sequence[tuple[float, float]]
    found: Sequence[tuple[float, float]]
    first_found: float | None


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A video or a run from `begin` to `end` seconds, and what was found in it."""

    name: str
    about: str
    begin: float
    end: float
    tracks: Sequence[TrackLane]
    lesions: Sequence[LesionLane] | None = None
    """None where the truth isn't known."""


@dataclass(frozen=True)
class Timeline:
    """A section that shows a clip's time as lanes, with stills that open at a click."""

    clip: Clip

    @property
    def heading(self) -> str:
        return self.clip.name

    def html(self) -> str:
        # `<` would end the script that holds the JSON.
        data = json.dumps(clip_as_json(self.clip)).replace("<", "\\u003c")
        return (
            f"<p>{escape(printable(self.clip.about))}</p>\n"
            f'<div class="timeline"><script type="application/json">{data}</script></div>'
        )


def clip_as_json(clip: Clip) -> dict[str, Any]:
    """Make what `timeline.js` draws: times in seconds, scores and boxes in 0..1."""
    lesions = None if clip.lesions is None else [_lesion(lane) for lane in clip.lesions]
    return {
        "name": printable(clip.name),
        "begin": _ms(clip.begin),
        "end": _ms(clip.end),
        "tracks": [_track(lane) for lane in clip.tracks],
        "lesions": lesions,
    }


def _track(lane: TrackLane) -> dict[str, Any]:
    return {
        "number": lane.number,
        "label": printable(lane.label),
        "begin": _ms(float(lane.seconds[0])),
        "end": _ms(float(lane.seconds[-1])),
        "frames": len(lane.seconds),
        "peak": round(float(lane.scores.max()), 3),
        "mean": round(float(lane.scores.mean()), 3),
        "points": _points(lane),
        "best": _still(lane.best),
        "stills": [_still(still) for still in lane.stills],
        "verdict": lane.verdict,
    }


def _points(lane: TrackLane) -> list[list[float]]:
    """[seconds, score, 1 or 0 for matched] of MOST_POINTS moments, of neighbours the best."""
    cuts = np.linspace(0, len(lane.seconds), min(MOST_POINTS, len(lane.seconds)) + 1).astype(int)
    points = []
    for first, last in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        best = first + int(np.argmax(lane.scores[first:last]))
        matched = int(lane.matched[first:last].any())
        score = round(float(lane.scores[best]), 3)
        points.append([_ms(float(lane.seconds[best])), score, matched])
    return points


def _lesion(lane: LesionLane) -> dict[str, Any]:
    return {
        "number": lane.number,
        "what": printable(lane.what),
        "visible": [[_ms(begin), _ms(end)] for begin, end in lane.visible],
        "found": [[_ms(begin), _ms(end)] for begin, end in lane.found],
        "first_found": None if lane.first_found is None else _ms(lane.first_found),
    }


def _still(still: Still) -> dict[str, Any]:
    return {
        "seconds": _ms(still.seconds),
        "score": None if still.score is None else round(still.score, 3),
        "box": None if still.box is None else _rounded(still.box),
        "truth": [_rounded(box) for box in still.truth],
        "jpeg": base64.b64encode(still.jpeg).decode(),
    }


def _rounded(box: Box) -> list[float]:
    return [round(float(side), 4) for side in box]


def _ms(seconds: float) -> float:
    """Round to a millisecond."""
    return round(seconds, 3)
