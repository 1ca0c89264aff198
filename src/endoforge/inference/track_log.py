"""What becomes known of the tracks of videos and runs, from frame to frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.inference.run_clock import Moment
from endoforge.tracking.tracker import Tracked


@dataclass(frozen=True)
class Still:
    """One frame of a track: its smoothed `score`, and its box, xyxy in pixels."""

    moment: Moment
    score: float
    bbox_px: tuple[float, ...]


@dataclass
class TrackSummary:
    """A track from the first to the last frame in which it was shown, gaps in between included.

    `best` is the frame with the highest score among those in which it was found; `total_score` is
    the sum over all `frames` in which it was shown.
    """

    track: int
    label: str
    begin: Moment
    end: Moment
    best: Still
    frames: int
    total_score: float

    def as_json(self) -> dict[str, Any]:
        """The track as `tracks.json` has it."""
        best = self.best
        return {
            "track": self.track,
            "label": self.label,
            "begin": _place(self.begin),
            "end": _place(self.end),
            "best": {
                **_place(best.moment),
                "score": round(best.score, 4),
                "bbox_px": [round(edge, 2) for edge in best.bbox_px],
            },
            "frames": self.frames,
            "peak_score": round(best.score, 4),
            "mean_score": round(self.total_score / self.frames, 4),
        }


@dataclass
class SequenceTracks:
    """The tracks of a video or run, by their ids, and what of it was looked at.

    `seconds` is how long it takes, its last frame as long as the one before; `width` and `height`
    are the first frame's, in pixels.
    """

    file: str
    width: int
    height: int
    frames: int
    seconds: float
    tracks: dict[int, TrackSummary]
    last: Moment

    def as_json(self) -> dict[str, Any]:
        """The sequence as `tracks.json` has it."""
        return {
            "file": self.file,
            "frames": self.frames,
            "seconds": round(self.seconds, 4),
            "width": self.width,
            "height": self.height,
            "tracks": [track.as_json() for track in self.tracks.values()],
        }


class TrackLog:
    """Sums up the tracks of each sequence; `sequences` has them by their names, in order."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        """`classes` are the names that the tracks' class numbers stand for."""
        self._classes = classes
        self._sequences: dict[str, SequenceTracks] = {}

    @property
    def sequences(self) -> Mapping[str, SequenceTracks]:
        """What was followed so far."""
        return self._sequences

    @property
    def count(self) -> int:
        """The number of all tracks."""
        return sum(len(one.tracks) for one in self._sequences.values())

    def add(self, moment: Moment, pixels: NDArray[np.uint8], tracked: Tracked) -> None:
        """Take the tracks shown of a frame, whose `pixels` are (H, W, 3) uint8 RGB."""
        height, width = pixels.shape[:2]
        sequence = self._sequences.get(moment.sequence)
        if sequence is None:
            sequence = SequenceTracks(moment.sequence, width, height, 0, 0.0, {}, moment)
            self._sequences[moment.sequence] = sequence
        sequence.frames += 1
        sequence.seconds = 2 * moment.seconds - sequence.last.seconds
        sequence.last = moment
        boxes = tracked.boxes.astype(np.float64) * [width, height, width, height]
        for row, number in enumerate(tracked.ids.tolist()):
            still = Still(moment, float(tracked.scores[row]), tuple(boxes[row].tolist()))
            label = self._classes[tracked.classes[row]]
            track = sequence.tracks.get(number)
            if track is None:
                track = TrackSummary(number, label, moment, moment, still, 0, 0.0)
                sequence.tracks[number] = track
            track.label, track.end = label, moment
            track.frames += 1
            track.total_score += still.score
            if tracked.matched[row] and still.score > track.best.score:
                track.best = still


def _place(moment: Moment) -> dict[str, Any]:
    return {"frame": moment.frame, "seconds": round(moment.seconds, 4)}
