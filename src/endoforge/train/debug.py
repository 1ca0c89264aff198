"""A look at a batch as training sees it: `--debug-batch`."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.backends.base import BatchView
from endoforge.captures.overlay import Color, draw_boxes
from endoforge.captures.pictures import encode_png
from endoforge.core.files import write_atomic
from endoforge.detect.boxes import NUM_EDGE_CHANNELS

MOST_PICTURES = 16
SHOWN_DETECTIONS = 3
LEAST_WIDTH, GAP = 480, 6
TRUTH: Color = (79, 209, 165)
CELL: Color = (242, 176, 94)
DETECTION: Color = (122, 183, 255)
PAPER = (15, 19, 23)

Picture = NDArray[np.uint8]


def draw_batch(path: Path, view: BatchView, class_names: Sequence[str]) -> list[str]:
    """Draw the first pictures of a batch to `path` (PNG), and tell the ranges of all of it.

    With each picture go its true boxes, the cells that must find them, and the best detections;
    where there are several classes, with their names.
    """
    num_shown = min(len(view.images), MOST_PICTURES)
    tiles = [_tile(view, number, class_names) for number in range(num_shown)]
    columns = int(np.ceil(np.sqrt(num_shown)))
    rows = [_row(tiles[first : first + columns], columns) for first in range(0, num_shown, columns)]
    sheet = _stack([*rows, _key(rows[0].shape[1])])
    write_atomic(path, encode_png(sheet))
    return [*_range_lines(view), f"first batch: drawn to {path}"]


def _tile(view: BatchView, number: int, class_names: Sequence[str]) -> Picture:
    picture = np.rint(view.images[number] * 255).astype(np.uint8)
    zoom = int(np.ceil(LEAST_WIDTH / picture.shape[1]))
    size = (picture.shape[1] * zoom, picture.shape[0] * zoom)
    canvas = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    best = view.detections[number][:SHOWN_DETECTIONS]
    canvas = draw_boxes(canvas, best.boxes, DETECTION, best.captions(class_names))
    counted = slice(view.num_boxes[number])
    several = len(class_names) > 1
    names = [class_names[place] for place in view.classes[number][counted]] if several else ()
    canvas = draw_boxes(canvas, view.boxes[number][counted], TRUTH, names, thickness=2)
    positive = view.positive[number]
    for (x, y), stride in zip(view.centres[positive], view.strides[positive], strict=True):
        radius = round(3 * stride / view.strides.min())
        cv2.circle(canvas, (round(x * zoom), round(y * zoom)), radius, CELL, -1, cv2.LINE_AA)
    return canvas


def _row(tiles: list[Picture], columns: int) -> Picture:
    blank = np.full_like(tiles[0], PAPER)
    tiles = tiles + [blank] * (columns - len(tiles))
    gap = np.full((tiles[0].shape[0], GAP, 3), PAPER, np.uint8)
    parts = [part for tile in tiles for part in (tile, gap)][:-1]
    return np.concatenate(parts, axis=1)


def _stack(rows: list[Picture]) -> Picture:
    gap = np.full((GAP, rows[0].shape[1], 3), PAPER, np.uint8)
    return np.concatenate([part for row in rows for part in (row, gap)][:-1], axis=0)


def _key(width: int) -> Picture:
    """What the colours mean, on a strip as wide as the rows."""
    strip = np.full((28, width, 3), PAPER, np.uint8)
    left = 10
    for text, color in (
        ("truth", TRUTH),
        ("cells that must find it", CELL),
        ("best detections", DETECTION),
    ):
        cv2.putText(strip, text, (left, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, 1, cv2.LINE_AA)
        left += 20 + cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)[0][0]
    return strip


def _range_lines(view: BatchView) -> list[str]:
    """Shapes, and from where to where the values go."""
    height, width = view.images.shape[1:3]
    counted = np.arange(view.boxes.shape[1]) < view.num_boxes[:, None]
    boxes = view.boxes[counted]
    sides = (boxes[:, 2:] - boxes[:, :2]) * [width, height]
    channels = view.images.reshape(-1, 3)
    lines = [
        f"images      {len(view.images)} of {width}x{height}, {_span(channels)}, mean of red, "
        f"green, blue {' '.join(f'{mean:.3f}' for mean in channels.mean(axis=0))}",
        f"boxes       {len(boxes)}, {view.num_boxes.min()} to {view.num_boxes.max()} a picture, "
        f"corners {_span(boxes)}, sides {_span(sides)} pixels",
        f"targets     {view.positive.sum()} of {view.positive.size} cells must find a box",
        f"objectness  logits {_span(view.raw[..., :-NUM_EDGE_CHANNELS])}",
        f"edges       logits {_span(view.raw[..., -NUM_EDGE_CHANNELS:])}",
        f"loss        {view.loss:.4f}, mean IoU {view.mean_iou:.3f}",
    ]
    return [f"first batch: {line}" for line in lines]


def _span(values: NDArray[np.floating]) -> str:
    return f"{values.min():.3f} to {values.max():.3f}" if values.size else "none"
