"""Where in the frame the picture shows, and in which shape."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.screen.canvas import Mask, Window

Style = Literal["none", "octagonal", "round", "rounded", "square"]


def draw_window(
    rng: np.random.Generator, strength: float, style: Style, width: int, height: int
) -> Window:
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


def draw_shape(
    rng: np.random.Generator,
    style: Style,
    window: Window,
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


def draw_framing(
    rng: np.random.Generator, strength: float, area: Window, size: tuple[int, int]
) -> tuple[Style, Window, Mask]:
    """Draw the mask's style, the picture's window and where it shows, within an `area` of a frame.

    `size` is the frame's (width, height). The greater `strength`, the wider the margins may be, and
    the more of the window may lie beyond the area's edges, where the recording has cut it off.
    """
    style: Style = rng.choice(["octagonal", "round", "rounded", "square"], p=[0.5, 0.2, 0.15, 0.15])
    window = _framed_window(rng, strength, style, area)
    width, height = size
    x = np.arange(width, dtype=np.float32)[None] + 0.5
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5
    shown = (x > area[0]) & (x < area[2]) & (y > area[1]) & (y < area[3])
    shown &= _framed_shape(rng, style, window, x, y)
    if rng.random() < 0.3:
        _blacken_edges(rng, shown)
    return style, window, np.asarray(shown)


def _framed_window(rng: np.random.Generator, strength: float, style: Style, area: Window) -> Window:
    across, down = area[2] - area[0], area[3] - area[1]
    aspect = rng.uniform(1.0, 1.2 if style == "round" else 1.42)
    h = down * (1 - 0.4 * strength * rng.random() * (rng.random() < 0.6))
    h = min(h, across / aspect)
    # A recording that shows too little: the window is larger than its area, or pushed out of it.
    h *= 1 + 0.25 * strength * rng.random() * (rng.random() < 0.25)
    w = h * aspect
    pushed = 0.2 * strength * rng.uniform(-1, 1, 2) * (rng.random(2) < 0.3)
    x0 = area[0] + (across - w) * rng.choice([0.5, rng.random()]) + pushed[0] * w
    y0 = area[1] + (down - h) * rng.choice([0.5, rng.random()]) + 0.5 * pushed[1] * h
    return round(x0), round(y0), round(x0 + max(w, 32)), round(y0 + max(h, 32))


def _framed_shape(
    rng: np.random.Generator,
    style: Style,
    window: Window,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
) -> Mask:
    """Where a window of this style shows the picture, of pixels with their middles at x and y."""
    x0, y0, x1, y1 = window
    left, right, top, bottom = x - x0, x1 - x, y - y0, y1 - y
    inside = (left > 0) & (right > 0) & (top > 0) & (bottom > 0)
    if style == "octagonal":
        cuts = rng.uniform(0.05, 0.36, 4) * (y1 - y0)
        # One size for all corners, one for the upper and one for the lower two, or four.
        alike = rng.choice(3, p=[0.6, 0.25, 0.15])
        cuts = cuts[[[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 2, 3]][alike]]
        slope = rng.uniform(0.75, 1.25)
        corners = [(left, top), (right, top), (left, bottom), (right, bottom)]
        for cut, (sideways, up) in zip(cuts.tolist(), corners, strict=True):
            inside &= sideways * slope + up > cut
    elif style == "round":
        # Wider than the window is high: its upper and lower parts are cut off, or its sides too.
        radius = 0.5 * (x1 - x0) * rng.uniform(0.94, 1.18)
        inside &= np.hypot(x - (x0 + x1) / 2, y - (y0 + y1) / 2) < radius
    elif style == "rounded":
        radius = rng.uniform(0.03, 0.4) * (y1 - y0)
        corner_x = np.maximum(radius - np.minimum(left, right), 0)
        corner_y = np.maximum(radius - np.minimum(top, bottom), 0)
        inside &= np.hypot(corner_x, corner_y) < radius
    return np.asarray(inside)


def _blacken_edges(rng: np.random.Generator, shown: Mask) -> None:
    """Take a few pixels off some of the frame's edges, as recorders do."""
    most = max(2, round(0.015 * shown.shape[1]))
    left, right, top, bottom = rng.integers(0, most + 1, 4) * (rng.random(4) < 0.5)
    shown[:, :left] = shown[:top] = False
    shown[:, shown.shape[1] - right :] = shown[shown.shape[0] - bottom :] = False
