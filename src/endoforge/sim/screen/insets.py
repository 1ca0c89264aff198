"""Places where the screen shows the picture once more: insets, stills, a twin."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.display import INSET_ROWS, MOST_INSETS
from endoforge.sim.screen.canvas import Colour, Mask, Points, ScreenDrawing, Window

INSET_BIT = 25
"""The first of three bits in a pixel of the screen that hold an inset's number."""
FINEST = 4
"""Samples of the picture a pixel of an inset, each way, at most."""
AS_IT_IS, GREY, NARROW_BAND = range(3)
"""In which colours an inset shows the picture."""
RIMS: tuple[Colour, ...] = ((200, 200, 200), (90, 90, 96), (235, 220, 90), (60, 110, 220))


@dataclass(frozen=True)
class Inset:
    """How an inset shows the picture.

    Pixel position p (x, y; the middle of the top left pixel is 0.5, 0.5) shows the picture at
    `origin` + `turn` p, in `colours`.
    """

    origin: Points
    turn: Points
    colours: int

    @staticmethod
    def of(
        box: Window,
        source: Window,
        *,
        flips: tuple[bool, bool] = (False, False),
        angle: float = 0.0,
        colours: int = AS_IT_IS,
    ) -> "Inset":
        """Show the `source` in the `box`, flipped across or down and turned by an angle in rad."""
        scale = [
            (source[k + 2] - source[k]) / (box[k + 2] - box[k]) * (1 - 2 * flips[k]) for k in (0, 1)
        ]
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = np.array([[cosine, -sine], [sine, cosine]]) * np.array(scale)
        middles = [np.array([w[0] + w[2], w[1] + w[3]]) / 2 for w in (box, source)]
        return Inset(middles[1] - turn @ middles[0], turn, colours)

    def rows(self) -> NDArray[np.float64]:
        """Its (INSET_ROWS, 4): origin's x, turn's first row, samples each way | y, second, colours.

        Samples are as many as pixels of the picture fall on one of the inset.
        """
        samples = min(math.ceil(np.hypot(*self.turn).max() - 0.2), FINEST)
        last = np.array([max(samples, 1), self.colours], np.float64)
        return np.column_stack([self.origin, self.turn, last])

    def sees(self, shown: Mask, box: Window) -> Mask:
        """Which pixels of the box see an open place of the picture: (h, w) of the box."""
        x, y = np.meshgrid(np.arange(box[0], box[2]) + 0.5, np.arange(box[1], box[3]) + 0.5)
        there = np.stack([x, y], axis=-1) @ self.turn.T + self.origin
        j, i = np.moveaxis(np.floor(there).astype(int), -1, 0)
        inside = (j >= 0) & (i >= 0) & (i < shown.shape[0]) & (j < shown.shape[1])
        height, width = shown.shape
        seen = shown[i.clip(0, height - 1), j.clip(0, width - 1)]
        return np.asarray(inside & seen)


def table_rows(insets: list[Inset], window: Window) -> NDArray[np.float32]:
    """Make the (1 + MOST_INSETS * INSET_ROWS, 4) float32 that `kernels.picture` reads.

    Number of insets, sums of the window's left and right, upper and lower edges, 0 | the
    `Inset.rows` of each.
    """
    rows = np.zeros((1 + MOST_INSETS * INSET_ROWS, 4), np.float32)
    rows[0, :3] = len(insets), window[0] + window[2], window[1] + window[3]
    for k, inset in enumerate(insets):
        rows[1 + INSET_ROWS * k : 1 + INSET_ROWS * (k + 1)] = inset.rows()
    return rows


@dataclass(frozen=True)
class Repeater:
    """Adds insets to a drawing, of the picture that `shown` (H, W) shows within `window`."""

    drawing: ScreenDrawing
    shown: Mask
    window: Window
    ground: Colour
    insets: list[Inset]

    def add(self, inset: Inset, box: Window, *, clear: bool, rim: Colour | None) -> None:
        """Show the picture in `box`; where it sees none, `clear` leaves what is there."""
        if len(self.insets) == MOST_INSETS:
            return
        self.insets.append(inset)
        inside = inset.sees(self.shown, box)
        if not clear:
            self.drawing.box(self.ground, box)
        part = np.s_[box[1] : box[3], box[0] : box[2]]
        self.drawing.insets[part][inside] = len(self.insets)
        self.drawing.covered[part][inside] = True
        self.drawing.canvas[part][inside] = self.ground
        if rim is not None:
            self.drawing.box(rim, box, max(1, self.shown.shape[0] // 300))

    def hides(self, box: Window) -> float:
        """Which share of the box has been drawn on already, but for mask and ground."""
        part = np.s_[box[1] : box[3], box[0] : box[2]]
        drawn = (self.drawing.canvas[part] != self.ground).any(axis=2) & self.drawing.covered[part]
        return float((drawn | (self.drawing.insets[part] > 0)).mean())

    @property
    def source(self) -> Window:
        """The part of the window that lies in the frame."""
        height, width = self.shown.shape
        x0, y0, x1, y1 = self.window
        return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)

    def cut(self, rng: np.random.Generator, least: float) -> Window:
        """A part of the window, at least `least` of it each way."""
        x0, y0, x1, y1 = self.source
        share = rng.uniform(least, 1.0)
        w, h = share * (x1 - x0), share * (y1 - y0)
        left, top = x0 + (x1 - x0 - w) * rng.random(), y0 + (y1 - y0 - h) * rng.random()
        return round(left), round(top), round(left + w), round(top + h)


def repeat_picture(repeater: Repeater, rng: np.random.Generator, strength: float) -> None:
    """Add the small inset in which a processor shows its picture again, live or frozen."""
    x0, y0, x1, y1 = repeater.source
    w = (x1 - x0) * (0.17 + 0.2 * strength) * rng.uniform(0.85, 1.15)
    source = repeater.source if rng.random() < 0.6 else repeater.cut(rng, 0.6)
    if rng.random() < 0.3:  # cropped so that none of the mask is repeated
        across, down = round(0.14 * (x1 - x0)), round(0.14 * (y1 - y0))
        source = (x0 + across, y0 + down, x1 - across, y1 - down)
    h = w * (source[3] - source[1]) / (source[2] - source[0])
    # Processors keep it clear of what else they show: of some places, the one that hides least.
    boxes = [_corner(repeater, rng, w, h) for _ in range(4)]
    box = min(boxes, key=repeater.hides)
    frozen = rng.random() < 0.4
    flips = (bool(frozen and rng.random() < 0.6), bool(frozen and rng.random() < 0.4))
    colours = int(rng.choice([AS_IT_IS, GREY, NARROW_BAND], p=[0.84, 0.06, 0.1]))
    inset = Inset.of(box, source, flips=flips, colours=colours)
    rim = RIMS[rng.integers(len(RIMS))] if rng.random() < 0.4 else None
    repeater.add(inset, box, clear=rng.random() < 0.5, rim=rim)


def _corner(repeater: Repeater, rng: np.random.Generator, w: float, h: float) -> Window:
    """Draw a box at the frame's edges, or about the picture's corner: half over it, half beside."""
    height, width = repeater.shown.shape
    on_left, below, at_frame = rng.random(3) < (0.6, 0.65, 0.5)
    x0, y0, x1, y1 = (0, 0, width, height) if at_frame else repeater.source
    off_x, off_y = rng.uniform(0, 0.15, 2) if at_frame else rng.uniform(-0.6, 0.15, 2)
    left = x0 + off_x * w if on_left else x1 - w - off_x * w
    top = y1 - h - off_y * h if below else y0 + off_y * h
    return _inside((left, top, left + w, top + h), width, height)


def add_stills(
    repeater: Repeater, rng: np.random.Generator, strength: float, panel: Window | None
) -> None:
    """Add a row of captured stills along an edge of the frame, or a column in a panel."""
    height, width = repeater.shown.shape
    count = int(rng.integers(2, 5))
    x0, y0, x1, y1 = panel or (0, 0, width, height)
    upright = panel is not None or rng.random() < 0.3
    long, aspect = (y1 - y0 if upright else x1 - x0), rng.uniform(1.0, 1.35)
    h = (0.12 + 0.1 * strength) * height
    if upright:
        h = min(h, 0.9 * (x1 - x0) / aspect, 0.9 * long / count)
    w = h * aspect
    step = (h if upright else w) * rng.uniform(1.03, 1.15)
    first = (long - step * count) * rng.random()
    aside = rng.uniform(0.01, 0.05) * height
    far = rng.random() < 0.6
    for k in range(count):
        along = first + step * k
        if panel is not None:
            left, top = (x0 + x1 - w) / 2, y0 + along
        elif upright:
            left, top = (width - w - aside if far else aside), along
        else:
            left, top = along, (height - h - aside if far else aside)
        box = _inside((left, top, left + w, top + h), width, height)
        flips = (bool(rng.random() < 0.5), bool(rng.random() < 0.5))
        angle = float(rng.choice([0.0, rng.uniform(-math.pi, math.pi)]))
        inset = Inset.of(box, repeater.cut(rng, 0.35), flips=flips, angle=angle)
        repeater.add(inset, box, clear=False, rim=RIMS[k % 2])


def add_twin(repeater: Repeater, rng: np.random.Generator, area: Window) -> None:
    """Add the picture once more in other colours, as large as fits in an `area` beside it."""
    height, width = repeater.shown.shape
    x0, y0, x1, y1 = repeater.source
    scale = min((area[2] - area[0]) / (x1 - x0), (area[3] - area[1]) / (y1 - y0))
    w, h = scale * (x1 - x0), scale * (y1 - y0)
    left, top = (area[0] + area[2] - w) / 2, (area[1] + area[3] - h) / 2
    box = _inside((left, top, left + w, top + h), width, height)
    colours = int(rng.choice([AS_IT_IS, GREY, NARROW_BAND], p=[0.2, 0.1, 0.7]))
    inset = Inset.of(box, repeater.source, colours=colours)
    repeater.add(inset, box, clear=True, rim=None)


def _inside(box: tuple[float, float, float, float], width: int, height: int) -> Window:
    """The box in whole pixels, moved into the frame, at least 4 pixels a side."""
    w = min(max(round(box[2] - box[0]), 4), width)
    h = min(max(round(box[3] - box[1]), 4), height)
    left = min(max(round(box[0]), 0), width - w)
    top = min(max(round(box[1]), 0), height - h)
    return left, top, left + w, top + h
