"""Frames of videos with their tracks drawn, a colour a track."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from endoforge.captures.overlay import Color, draw_boxes
from endoforge.detect.detections import Detections
from endoforge.inference.following import Followed
from endoforge.report.drawn_frames import tag_box

COLORS: tuple[Color, ...] = (
    *((242, 176, 94), (122, 183, 255), (155, 227, 107), (255, 128, 168)),
    *((197, 155, 255), (94, 226, 224), (255, 228, 105), (255, 139, 92)),
)
"""Of the tracks 1 to 8, and again from 9 on: bright, unlike each other, and unlike mucosa."""
UNCONFIRMED: Color = (235, 235, 235)


def track_color(track: int) -> Color:
    """The colour of the track of this id, RGB."""
    return COLORS[(track - 1) % len(COLORS)]


def draw_tracks(
    picture: NDArray[np.uint8], followed: Followed, found: Detections, class_names: Sequence[str]
) -> NDArray[np.uint8]:
    """A copy of `picture`, (H, W, 3) uint8 RGB, with its tracks, their ids and smoothed scores.

    A track that is carried through a gap has a thin line, and so, in grey and without a word, have
    those of all detections `found` that are of no confirmed track. Where there are several classes,
    each track has its name too.
    """
    tracked = followed.tracked
    drawn = draw_boxes(picture, found.boxes[followed.owners[: len(found)] == 0], UNCONFIRMED)
    for row, (track, matched) in enumerate(
        zip(tracked.ids.tolist(), tracked.matched.tolist(), strict=True)
    ):
        box, color = tracked.boxes[row], track_color(track)
        drawn = draw_boxes(drawn, box[None], color, thickness=2 if matched else 1)
        name = f"{class_names[tracked.classes[row]]} " if len(class_names) > 1 else ""
        tag_box(drawn, f"#{track} {name}{tracked.scores[row]:.2f}", box, color)
    return drawn
