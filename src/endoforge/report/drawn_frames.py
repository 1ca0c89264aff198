"""Frames with their boxes drawn, for reports and for curious eyes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.captures.overlay import Color, draw_boxes
from endoforge.captures.pictures import read_picture
from endoforge.data.letterbox import resize_picture
from endoforge.detect.detections import Detections
from endoforge.evaluate.matching import Truth, match_picture
from endoforge.evaluate.result import EvalResult

TRUTH: Color = (79, 209, 165)
HIT: Color = (122, 183, 255)
FALSE: Color = (242, 176, 94)
"""Box colours: a truth box, a detection that found one, a detection that found none."""
DARK: Color = (15, 19, 23)
JPEG_QUALITY = 88
WIDTH_PX = 640
"""About how wide frames are shown, so that lines and letters are neither coarse nor tiny."""


@dataclass(frozen=True)
class DrawnFrame:
    """A frame with its boxes drawn, as the bytes of a JPEG, and a line about it."""

    jpeg: bytes
    caption: str


def detection_grid(result: EvalResult, count: int) -> list[DrawnFrame]:
    """`count` of the measured frames, evenly spread, with truth boxes and detections."""
    return frames_with_boxes(result, evenly_spread(len(result.frames), count))


def evenly_spread(length: int, count: int) -> list[int]:
    """Up to `count` places of `length`, from the first to the last."""
    places = np.linspace(0, length - 1, min(count, length)).round().astype(int)
    return [int(place) for place in np.unique(places)]


def frames_with_boxes(result: EvalResult, places: Sequence[int]) -> list[DrawnFrame]:
    """The frames at these places of `result`, with truth boxes and detections."""
    return [frame_with_boxes(result, place) for place in places]


def frame_with_boxes(result: EvalResult, place: int, title: str | None = None) -> DrawnFrame:
    """The frame at this place of `result`, with truth boxes and detections.

    `title` stands before the counts in its caption; if not given, the run and the frame do.
    """
    frame, metrics = result.frames[place], result.metrics
    picture = read_picture(frame.image_path)
    _, placement = resize_picture(picture, result.subject.input_size, result.subject.resize_mode)
    found = result.detections[place].above(metrics.obj_thresh)
    hits = match_picture(found, result.truths[place], metrics.at_iou[0].iou) > 0
    in_picture = replace(found, boxes=placement.to_picture(found.boxes))
    truth = replace(result.truths[place], boxes=frame.boxes)
    drawn = draw_found(_to_width(picture), truth, in_picture, hits, result.class_names)
    right, truths = int(hits.sum()), len(result.truths[place])
    what = f"{right} of {truths} found" if truths else "no polyp"
    title = title or f"{frame.run} #{frame.frame_id}"
    return DrawnFrame(encode_jpeg(drawn), f"{title}: {what}, {len(found) - right} false")


def draw_found(
    picture: NDArray[np.uint8],
    truth: Truth,
    found: Detections,
    hits: NDArray[np.bool_],
    class_names: Sequence[str],
) -> NDArray[np.uint8]:
    """A copy of `picture` with its truth boxes and detections, with their scores; 0..1 of it.

    Where there are several classes, each box has its name too.
    """
    names = [class_names[n] for n in truth.classes] if len(class_names) > 1 else ()
    drawn = draw_boxes(picture, truth.boxes, TRUTH, names, thickness=2)
    for mask, color in ((hits, HIT), (~hits, FALSE)):
        drawn = draw_boxes(drawn, found.boxes[mask], color, thickness=2)
    texts = found.captions(class_names)
    for box, text, hit in zip(found.boxes, texts, hits, strict=True):
        tag_box(drawn, text, box, HIT if hit else FALSE)
    return drawn


def tag_box(canvas: NDArray[np.uint8], text: str, box: NDArray[np.float32], color: Color) -> None:
    """Write `text` on a plate above the left end of the box, xyxy in 0..1 of `canvas`, (H, W, 3)
    uint8 RGB, or inside it where there is no room."""
    height, width = canvas.shape[:2]
    scale = max(0.35, 0.5 * width / WIDTH_PX)
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    plate_width, plate_height = text_width + 8, text_height + 8
    left = min(max(0, round(float(box[0]) * width)), width - plate_width)
    top = round(float(box[1]) * height)
    top = top - plate_height if top >= plate_height else top
    end = (left + plate_width - 1, top + plate_height - 1)
    cv2.rectangle(canvas, (left, top), end, color, cv2.FILLED)
    place = (left + 4, top + text_height + 4)
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, DARK, 1, cv2.LINE_AA)


def _to_width(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale `picture` to a width of WIDTH_PX and keep its shape."""
    height, width = picture.shape[:2]
    size = (WIDTH_PX, max(1, round(height * WIDTH_PX / width)))
    method = cv2.INTER_AREA if width > WIDTH_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=method), dtype=np.uint8)


def encode_jpeg(image: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> bytes:
    """Make the bytes of a JPEG of `image`, (H, W, 3) uint8 RGB; `quality` is 0..100."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()
