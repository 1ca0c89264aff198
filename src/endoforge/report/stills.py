"""Which frames of a clip show what a track was on, and these frames as small pictures."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.report.drawn_frames import encode_jpeg
from endoforge.report.timeline import Box, Still, TrackLane
from endoforge.tracking.histories import TrackHistory

MOST_STILLS = 12
"""Stills of a track while it was shown, evenly spread; its best one comes to them."""
AROUND_S = (-1.0, -0.5, 0.5, 1.0)
"""Seconds before a track was first shown, and after it was last, of which there is a still too."""
WIDTH_PX = 420
"""Wide enough to judge a lesion by, and some 15 kB."""

PictureBoxes = Callable[[NDArray[np.float32], tuple[int, int]], NDArray[np.float32]]
"""Boxes (N, 4) of a track as boxes of a picture of a size (width, height), xyxy in 0..1 both."""

ReadFrames = Callable[[Sequence[int]], Iterator[tuple[int, NDArray[np.uint8]]]]
"""Gives frames of a clip, (H, W, 3) uint8 RGB, by their places in it, which rise."""


def track_lanes(
    tracks: Sequence[TrackHistory],
    seconds: Sequence[float],
    read: ReadFrames,
    class_names: Sequence[str],
    *,
    truths: Sequence[Sequence[Box]] | None = None,
    verdicts: Mapping[int, int] | None = None,
    to_picture: PictureBoxes = lambda boxes, _: boxes,
) -> list[TrackLane]:
    """Make the lanes of a clip's tracks, with their stills, which are read here.

    `seconds` are those of all frames of the clip; `truths` the boxes of polyps on them, xyxy in
    0..1; `verdicts` say of each track, by its number, which polyp it was on, 0 for none. Where
    tracks are of another picture than is read, such as a detector's input, `to_picture` leads back.
    """
    chosen = [still_places(track, seconds) for track in tracks]
    wanted = sorted({place for places in chosen for place in places})
    # A frame is read once, however many tracks want it, and only its small JPEG is kept.
    jpegs, sizes = {}, {}
    for place, pixels in read(wanted):
        jpegs[place] = encode_jpeg(_small(pixels))
        sizes[place] = (pixels.shape[1], pixels.shape[0])
    lanes = []
    for track, places in zip(tracks, chosen, strict=True):
        of_place = dict(zip(track.places.tolist(), range(len(track.places)), strict=True))
        stills = {
            place: Still(
                seconds=seconds[place],
                jpeg=jpegs[place],
                **_shown(track, of_place.get(place), sizes[place], to_picture),
                truth=() if truths is None else truths[place],
            )
            for place in places
            if place in jpegs
        }
        if (best := stills.get(int(track.places[track.best]))) is None:
            continue  # the file has changed since, or lost its end
        lanes.append(
            TrackLane(
                number=track.number,
                label=class_names[track.label],
                seconds=np.asarray([seconds[place] for place in track.places.tolist()]),
                scores=track.scores.astype(np.float64),
                matched=track.matched,
                best=best,
                stills=list(stills.values()),
                verdict=None if verdicts is None else verdicts[track.number],
            )
        )
    return lanes


def still_places(track: TrackHistory, seconds: Sequence[float]) -> list[int]:
    """Choose the places of the frames to show of a track: its best, some while it was shown, and
    some around that; they rise."""
    count = len(track.places)
    spread = np.linspace(0, count - 1, min(MOST_STILLS, count)).round().astype(int)
    places = {*track.places[spread].tolist(), int(track.places[track.best])}
    first, last = int(track.places[0]), int(track.places[-1])
    for after in AROUND_S:
        moment = seconds[first if after < 0 else last] + after
        place = min(bisect_left(seconds, moment), len(seconds) - 1)
        if place < first or place > last:
            places.add(place)
    return sorted(places)


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    if width <= WIDTH_PX:
        return picture
    size = (WIDTH_PX, max(1, round(height * WIDTH_PX / width)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _shown(
    track: TrackHistory, row: int | None, size: tuple[int, int], to_picture: PictureBoxes
) -> dict[str, Any]:
    """The box and score of a still, where the track has a row for it."""
    if row is None:
        return {}
    x0, y0, x1, y1 = to_picture(track.boxes[[row]], size)[0].tolist()
    return {"box": (x0, y0, x1, y1), "score": float(track.scores[row])}
