"""What becomes known of the tracks of videos and runs, from frame to frame."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.inference.run_clock import FrameMoment
from endoforge.tracking.histories import TrackHistory, track_histories
from endoforge.tracking.tracker import Tracked


class SequenceTracks:
    """A video or run, of which some frames were looked at, and its tracks.

    `frames` are their numbers and `seconds` their times; histories have places in these lists.
    """

    def __init__(self, file: str, classes: tuple[str, ...]) -> None:
        """`classes` are the names that the tracks' class numbers stand for."""
        self.file, self.classes = file, classes
        self.frames: list[int] = []
        self.seconds: list[float] = []
        self._shown: list[tuple[int, Tracked]] = []
        self._sizes: list[tuple[int, int]] = []
        """Width and height of each frame, in pixels."""

    def add(self, moment: FrameMoment, size: tuple[int, int], tracked: Tracked) -> None:
        """Take the tracks shown of a frame of `size` (width, height)."""
        if len(tracked):
            self._shown.append((len(self.frames), tracked))
        self.frames.append(moment.frame)
        self.seconds.append(moment.seconds)
        self._sizes.append(size)

    @property
    def size(self) -> tuple[int, int]:
        """The width and height of its first frame, in pixels."""
        return self._sizes[0]

    @property
    def duration(self) -> float:
        """Seconds from its first frame to its end, the last frame as long as the one before."""
        last_s = self.seconds[-1] - self.seconds[-2] if len(self.seconds) > 1 else 0.0
        return self.seconds[-1] - self.seconds[0] + last_s

    def histories(self) -> list[TrackHistory]:
        """Tell its tracks by their numbers."""
        return track_histories(self._shown)

    def as_json(self) -> dict[str, Any]:
        """The sequence as `tracks.json` has it."""
        width, height = self.size
        return {
            "file": self.file,
            "frames": len(self.frames),
            "seconds": round(self.duration, 4),
            "width": width,
            "height": height,
            "tracks": [self._track(track) for track in self.histories()],
        }

    def _track(self, track: TrackHistory) -> dict[str, Any]:
        peak, best = round(float(track.scores[track.best]), 4), int(track.places[track.best])
        edges = track.boxes[track.best].astype(np.float64) * [*self._sizes[best] * 2]
        return {
            "track": track.number,
            "label": self.classes[track.label],
            "begin": self._place(int(track.places[0])),
            "end": self._place(int(track.places[-1])),
            "best": {
                **self._place(best),
                "score": peak,
                "bbox_px": [round(edge, 2) for edge in edges.tolist()],
            },
            "frames": len(track.places),
            "peak_score": peak,
            "mean_score": round(float(track.scores.mean(dtype=np.float64)), 4),
        }

    def _place(self, place: int) -> dict[str, Any]:
        return {"frame": self.frames[place], "seconds": round(self.seconds[place], 4)}


class TrackLog:
    """Keeps the tracks of each sequence; `sequences` has them by their names, in order."""

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
        return sum(len(one.histories()) for one in self._sequences.values())

    def add(self, moment: FrameMoment, pixels: NDArray[np.uint8], tracked: Tracked) -> None:
        """Take the tracks shown of a frame, whose `pixels` are (H, W, 3) uint8 RGB."""
        height, width = pixels.shape[:2]
        name = moment.sequence
        if name not in self._sequences:
            self._sequences[name] = SequenceTracks(name, self._classes)
        self._sequences[name].add(moment, (width, height), tracked)
