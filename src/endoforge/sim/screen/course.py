"""The course of the colon up to the scope's tip, as position detection draws it."""

import numpy as np

from endoforge.sim.screen.canvas import Points, ScreenDrawing, Window

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


def draw_course(
    drawing: ScreenDrawing,
    rng: np.random.Generator,
    strength: float,
    window: Window,
    area: Window,
) -> None:
    """Draw a coloured box with the colon's curve up to the tip, as of position detection, within
    the `area` that panels leave."""
    height, width = drawing.covered.shape
    h = min(height, 0.75 * width) * rng.uniform(0.2, 0.26 + 0.12 * strength)
    w = h * rng.uniform(0.8, 1.15)
    gap = 0.012 * height * (rng.random() < 0.6)
    left, top, right, bottom = area
    free = max(window[0] - left, 0)
    on_left = rng.random() < 0.75
    x0 = left + gap if on_left else right - w - gap
    if on_left and free > w:
        x0 = left + rng.uniform(gap, max(gap, free - w + 0.25 * w * rng.random()))
    # The text stands at the top left.
    y0 = bottom - h - gap if on_left or rng.random() < 0.5 else top + gap
    # Its last pixels are its own: a panel begins at the right, or below.
    ends = min(round(x0 + w), right - 1), min(round(y0 + h), bottom - 1)
    course_in(drawing, rng, (round(x0), round(y0), *ends), (x0, y0, w, h))


def course_in(
    drawing: ScreenDrawing,
    rng: np.random.Generator,
    box: Window,
    place: tuple[float, float, float, float],
) -> None:
    """Draw the curve in a `box`, whose exact `place` is (x0, y0, width, height)."""
    x0, y0, w, h = place
    fill = INSET_COLOURS[rng.integers(len(INSET_COLOURS))]
    rim = (90, 110, 120) if rng.random() < 0.6 else fill
    curve = smoothed(COLON + rng.normal(0, 0.025, COLON.shape)).clip(0.07, 0.93)
    curve = curve[: max(8, round(len(curve) * rng.uniform(0.25, 1.0)))]
    thickness = max(1, round(0.035 * h * rng.uniform(0.6, 1.4)))
    bright = CURVE_COLOURS[rng.integers(len(CURVE_COLOURS))]
    # The box's own last pixels belong to it, as those of a rectangle's corners do.
    box = (box[0], box[1], box[2] + 1, box[3] + 1)
    drawing.box(fill, box)
    drawing.box(rim, box, 1)
    drawing.line(bright, np.array([x0, y0]) + curve * np.array([w, h]), thickness)


def smoothed(points: Points) -> Points:
    """The line with its corners cut three times, as Chaikin does it."""
    for _ in range(3):
        near = 0.75 * points[:-1] + 0.25 * points[1:]
        far = 0.25 * points[:-1] + 0.75 * points[1:]
        cut = np.stack([near, far], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points
