"""What the video processor draws around and over the picture: mask, burned-in text, an inset."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.streams import Stream, stream

COVERED = 1 << 24
"""The bit that is set in every pixel of `Screen.pixels` that hides the picture."""
Style = Literal["none", "octagonal", "round", "rounded"]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]

SMALLEST_TEXT = 90
"""Frames lower than this, in pixels, carry no text: it couldn't be read."""
TEXT_COLOURS = ((235, 235, 235), (170, 170, 170), (240, 225, 110), (120, 220, 235))
INSET_COLOURS = ((6, 44, 34), (10, 26, 78), (24, 24, 28), (0, 58, 60))
CURVE_COLOURS = ((250, 220, 70), (110, 240, 130), (230, 235, 240), (250, 150, 60))
COLON = np.array(
    [
        [0.50, 0.95], [0.50, 0.82], [0.38, 0.72], [0.58, 0.66], [0.80, 0.72], [0.80, 0.46],
        [0.82, 0.16], [0.66, 0.26], [0.50, 0.38], [0.34, 0.28], [0.16, 0.20], [0.18, 0.48],
        [0.20, 0.76],
    ]
)  # fmt: skip
"""The colon seen from the front, rectum to cecum, in 0..1 of the inset: x right, y down."""


@dataclass(frozen=True)
class Screen:
    """What a run's video processor draws on frames of one size, (W, H).

    `window` (x0, y0, x1, y1) holds the picture, right and bottom exclusive; `pixels` (H, W) int32:
    0 where the picture shows, else COVERED | R | G << 8 | B << 16; `style` the mask's shape.
    """

    window: tuple[int, int, int, int]
    pixels: NDArray[np.int32]
    style: Style


def make_screen(seed: int, strength: float, width: int, height: int) -> Screen:
    """Draw the screen of a seed, for frames of (width, height).

    At strength 0 the picture fills the frame and nothing is drawn on it. A greater one (to 1)
    leaves less of the frame to the picture and writes more beside it.
    """
    if strength <= 0:
        return Screen((0, 0, width, height), np.zeros((height, width), np.int32), "none")
    rng = stream(seed, Stream.SCREEN)
    style: Style = rng.choice(["octagonal", "octagonal", "round", "rounded"])
    window = _window(rng, strength, style, width, height)
    shown = _shape(rng, style, window, width, height)
    drawing = _Drawing(np.zeros((height, width, 3), np.uint8), ~shown)
    num_lines = int(rng.integers(1, 3 + round(7 * strength)))
    if height >= SMALLEST_TEXT and rng.random() < 0.35 + 0.6 * strength:
        _write(drawing, rng, num_lines, window)
    if rng.random() < 0.75 * strength:
        _draw_inset(drawing, rng, strength, window)
    red, green, blue = np.moveaxis(drawing.canvas.astype(np.int32), -1, 0)
    pixels = np.where(drawing.covered, COVERED | red | green << 8 | blue << 16, 0)
    return Screen(window, pixels.astype(np.int32), style)


@dataclass(frozen=True)
class _Drawing:
    """A drawing in progress: RGB `canvas` (H, W, 3) uint8, and where it hides, `covered` (H, W)."""

    canvas: NDArray[np.uint8]
    covered: Mask

    def add(self, colour: tuple[int, int, int], draw: Callable[[NDArray[np.uint8]], None]) -> None:
        """Add what `draw` paints into a (H, W) stencil; over the picture, its solid part only."""
        stencil = np.zeros(self.covered.shape, np.uint8)
        draw(stencil)
        place = np.nonzero(stencil)
        share = stencil[place].astype(np.float32)[:, None] / 255
        over_picture = ~self.covered[place]
        share[over_picture] = share[over_picture] > 0.43
        mixed = self.canvas[place] * (1 - share) + share * np.array(colour, np.float32)
        self.canvas[place] = np.rint(mixed)
        self.covered[place] |= share[:, 0] > 0


def _window(
    rng: np.random.Generator, strength: float, style: Style, width: int, height: int
) -> tuple[int, int, int, int]:
    """Draw the picture's window: most often as high as the frame, and on its right side."""
    lowered = 1 - 0.14 * strength * rng.random() * (rng.random() < 0.6)
    aspect = rng.uniform(1.0, 1.12) if style == "round" else rng.uniform(1.05, 1.4)
    fills = style != "round" and rng.random() < 0.55 - 0.5 * strength
    h = min(height, max(32, round(height * lowered)))
    w = width if fills else min(width, max(32, round(h * aspect)))
    if fills:
        h = height
    h = min(h, round(w / 0.85))
    room = width - w
    x0 = round(room * (rng.uniform(0.75, 1.0) if rng.random() < 0.65 else 0.5))
    y0 = round((height - h) * rng.uniform(0.3, 0.7))
    return x0, y0, x0 + w, y0 + h


def _shape(
    rng: np.random.Generator,
    style: Style,
    window: tuple[int, int, int, int],
    width: int,
    height: int,
) -> Mask:
    """Where the picture shows: (H, W) bool."""
    x0, y0, x1, y1 = window
    x = np.arange(width, dtype=np.float32)[None] + 0.5
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5
    inside = (x > x0) & (x < x1) & (y > y0) & (y < y1)
    left, right, top, bottom = x - x0, x1 - x, y - y0, y1 - y
    if style == "octagonal":
        slope, upper, lower = rng.uniform(0.85, 1.2), *(rng.uniform(0.16, 0.32, 2) * (y1 - y0))
        if rng.random() < 0.7:
            lower = upper
        across = np.minimum(left, right) * slope
        inside &= (across + top > upper) & (across + bottom > lower)
    elif style == "rounded":
        radius = rng.uniform(0.04, 0.22) * (y1 - y0)
        corner_x = np.maximum(radius - np.minimum(left, right), 0)
        corner_y = np.maximum(radius - np.minimum(top, bottom), 0)
        inside &= np.hypot(corner_x, corner_y) < radius
    else:
        radius = 0.5 * max(x1 - x0, y1 - y0)
        inside &= np.hypot(x - (x0 + x1) / 2, y - (y0 + y1) / 2) < radius
    return np.asarray(inside)


def _lines(rng: np.random.Generator) -> list[str]:
    """Make up lines as they stand beside a picture, in the order in which they come."""
    day, month, year = rng.integers(1, 29), rng.integers(1, 13), rng.integers(2009, 2025)
    hour, minute, second = rng.integers(7, 18), rng.integers(0, 60), rng.integers(0, 60)
    date = (
        f"{day:02d}/{month:02d}/{year}" if rng.random() < 0.6 else f"{year}-{month:02d}-{day:02d}"
    )
    lines = [
        date,
        f"{hour:02d}:{minute:02d}:{second:02d}",
        "ID No.: " + "-" * int(rng.integers(0, 7)),
        "Name:",
        "Sex:    Age:",
        "D.O.B.:",
        f"CVP: {rng.integers(1, 60)}/{rng.integers(60, 100)}",
        f"Ph: {rng.integers(0, 99)}",
        f"Gr: {'NBA'[rng.integers(0, 3)]}  Ce: {rng.integers(0, 3)}",
        f"Eh: {'AB'[rng.integers(0, 2)]}{rng.integers(1, 9)}  Cm: {rng.integers(1, 3)}",
        f"Zm: x{rng.uniform(1, 2):.1f}",
        "Comment:",
        f"SCV {rng.integers(1, 200)}",
    ]
    keep = rng.random(len(lines)) < 0.8
    return [line for line, kept in zip(lines, keep, strict=True) if kept]


def _write(
    drawing: _Drawing, rng: np.random.Generator, count: int, window: tuple[int, int, int, int]
) -> None:
    """Write some lines at the left, small enough to fit beside the picture if there is room."""
    height, width = drawing.covered.shape
    font = cv2.FONT_HERSHEY_SIMPLEX if rng.random() < 0.6 else cv2.FONT_HERSHEY_DUPLEX
    size = max(min(height, 0.75 * width) / 360, 0.5) * rng.uniform(0.33, 0.5)
    lines = _lines(rng)[:count]
    widest = max((cv2.getTextSize(line, font, size, 1)[0][0] for line in lines), default=0)
    room = max(window[0] - 0.02 * width, 0.2 * width)
    size *= min(1.0, max(room / max(widest, 1), 0.7))
    thickness = max(1, round(2.2 * size))
    step = 34 * size * rng.uniform(1.15, 1.9)
    x, y = 0.012 * width, height * rng.uniform(0.02, 0.12) + 26 * size
    colour = TEXT_COLOURS[rng.integers(len(TEXT_COLOURS))]
    places = []
    for line in lines:
        if rng.random() < 0.15:
            y += step
        if y < 0.97 * height:
            places.append((line, (round(x), round(y))))
        y += step

    def put(stencil: NDArray[np.uint8]) -> None:
        for line, place in places:
            cv2.putText(stencil, line, place, font, size, 255, thickness, cv2.LINE_AA)

    drawing.add(colour, put)


def _draw_inset(
    drawing: _Drawing,
    rng: np.random.Generator,
    strength: float,
    window: tuple[int, int, int, int],
) -> None:
    """Draw a coloured box with the colon's curve up to the tip, as of position detection."""
    height, width = drawing.covered.shape
    h = min(height, 0.75 * width) * rng.uniform(0.2, 0.26 + 0.12 * strength)
    w = h * rng.uniform(0.8, 1.15)
    gap = 0.012 * height * (rng.random() < 0.6)
    free = max(window[0], 0)
    on_left = rng.random() < 0.75
    x0 = gap if on_left else width - w - gap
    if on_left and free > w:
        x0 = rng.uniform(gap, free - w + 0.25 * w * rng.random())
    # The text stands at the top left.
    y0 = height - h - gap if on_left or rng.random() < 0.5 else gap
    low, high = (round(x0), round(y0)), (round(x0 + w), round(y0 + h))
    fill = INSET_COLOURS[rng.integers(len(INSET_COLOURS))]
    rim = (90, 110, 120) if rng.random() < 0.6 else fill
    curve = _smoothed(COLON + rng.normal(0, 0.025, COLON.shape)).clip(0.07, 0.93)
    curve = curve[: max(8, round(len(curve) * rng.uniform(0.25, 1.0)))]
    points = np.rint((np.array([x0, y0]) + curve * np.array([w, h])) * 8).astype(np.int32)
    thickness = max(1, round(0.035 * h * rng.uniform(0.6, 1.4)))
    bright = CURVE_COLOURS[rng.integers(len(CURVE_COLOURS))]

    def box(stencil: NDArray[np.uint8], border: int) -> None:
        cv2.rectangle(stencil, low, high, 255, border)

    def line(stencil: NDArray[np.uint8]) -> None:
        cv2.polylines(stencil, [points], False, 255, thickness, cv2.LINE_AA, shift=3)

    drawing.add(fill, lambda stencil: box(stencil, -1))
    drawing.add(rim, lambda stencil: box(stencil, 1))
    drawing.add(bright, line)


def _smoothed(points: Points) -> Points:
    """The line with its corners cut three times, as Chaikin does it."""
    for _ in range(3):
        near = 0.75 * points[:-1] + 0.25 * points[1:]
        far = 0.25 * points[:-1] + 0.75 * points[1:]
        cut = np.stack([near, far], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points
