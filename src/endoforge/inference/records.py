"""What a line of `detections.jsonl` says of a picture."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoforge.detect.detections import Detections
from endoforge.inference.following import Followed
from endoforge.inference.material import InputPicture


def picture_record(
    picture: InputPicture, found: Detections, followed: Followed | None, classes: Sequence[str]
) -> dict[str, Any]:
    """Give the record of a picture with the best detections, `found`, of all that it has.

    Where it is `followed`, each detection says whose track it is of, if of any, and the tracks
    that are shown stand beside them.
    """
    height, width = picture.pixels.shape[:2]
    record: dict[str, Any] = {"file": picture.file}
    if picture.in_video is not None:
        record |= {
            "frame": picture.in_video.frame,
            "seconds": round(picture.in_video.seconds, 4),
        }
    record |= {"width": width, "height": height}
    boxes = list(_boxes(found.boxes, width, height))
    detections = [
        {"label": classes[number], "score": round(score, 4), **box}
        for number, score, box in zip(
            found.classes.tolist(), found.scores.tolist(), boxes, strict=True
        )
    ]
    if followed is None:
        return record | {"detections": detections}
    owners = followed.owners[: len(found)].tolist()
    return record | {
        "detections": [
            {**detection, "track": owner or None}
            for detection, owner in zip(detections, owners, strict=True)
        ],
        "tracks": _tracks(followed, width, height, classes),
    }


def _tracks(
    followed: Followed, width: int, height: int, classes: Sequence[str]
) -> list[dict[str, Any]]:
    tracked = followed.tracked
    return [
        {
            "track": track,
            "label": classes[number],
            "score": round(score, 4),
            "matched": matched,
            **box,
        }
        for track, number, score, matched, box in zip(
            tracked.ids.tolist(),
            tracked.classes.tolist(),
            tracked.scores.tolist(),
            tracked.matched.tolist(),
            _boxes(tracked.boxes, width, height),
            strict=True,
        )
    ]


def _boxes(boxes: NDArray[np.float32], width: int, height: int) -> Iterator[dict[str, list[float]]]:
    """Boxes (N, 4) xyxy in 0..1, in pixels and in 0..1."""
    pixels = boxes.astype(np.float64) * [width, height, width, height]
    for box, norm in zip(pixels.tolist(), boxes.tolist(), strict=True):
        yield {
            "bbox_px": [round(edge, 2) for edge in box],
            "bbox_norm": [round(edge, 6) for edge in norm],
        }
