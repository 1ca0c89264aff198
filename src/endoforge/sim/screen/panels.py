"""Coloured panels beside the picture, and what they show."""

from itertools import pairwise

import numpy as np

from endoforge.sim.screen.canvas import Colour, ScreenDrawing, Window
from endoforge.sim.screen.course import course_in
from endoforge.sim.screen.words import lines_of

PANEL_COLOURS: tuple[Colour, ...] = (
    (20, 38, 84), (34, 64, 128), (28, 28, 32), (58, 60, 66), (104, 108, 114), (12, 52, 56),
    (150, 160, 172), (44, 24, 62), (0, 0, 0),
)  # fmt: skip
BOX_COLOURS: tuple[Colour, ...] = (
    (24, 70, 180), (10, 30, 110), (70, 74, 82), (190, 196, 204), (150, 30, 34), (22, 110, 60),
    (200, 150, 30),
)  # fmt: skip
WORDS = (
    "LIVE", "REC", "FREEZE", "NBI", "WLI", "Menu", "Capture", "Scope", "Print", "Zoom x1.2",
    "Please wait", "Check connection", "Image saved", "Iris AVE", "Air 2", "Light 45", "CO2",
    "Stiffness", "No patient data", "Function", "Exam 0231", "Colonoscopy", "Withdrawal 06:12",
)  # fmt: skip
LOGOS = ("ENDOVIEW", "ScopeStation", "CV-X", "MedRec HD", "lumina", "OptiSight")


def panel_windows(
    rng: np.random.Generator, strength: float, width: int, height: int
) -> tuple[Window, list[Window]]:
    """Draw where panels stand: the area that they leave to the picture, and their windows."""
    share = rng.uniform(0.16, 0.22 + 0.18 * strength)
    x = round(share * width)
    left = rng.random() < 0.75
    area: Window = (x, 0, width, height) if left else (0, 0, width - x, height)
    panels: list[Window] = [(0, 0, x, height) if left else (width - x, 0, width, height)]
    for at_top in (True, False):
        if rng.random() < 0.25:
            y = round(height * rng.uniform(0.05, 0.05 + 0.1 * strength))
            x0, y0, x1, y1 = area
            area = (x0, y0 + y, x1, y1) if at_top else (x0, y0, x1, y1 - y)
            panels.append((x0, y0, x1, y0 + y) if at_top else (x0, y1 - y, x1, y1))
    return area, panels


def draw_panels(drawing: ScreenDrawing, rng: np.random.Generator, panels: list[Window]) -> None:
    """Fill the panels with colour and what processors show there, from the top down."""
    colour = PANEL_COLOURS[rng.integers(len(PANEL_COLOURS))]
    for panel in panels:
        if rng.random() < 0.25:
            colour = PANEL_COLOURS[rng.integers(len(PANEL_COLOURS))]
        drawing.box(colour, panel)
        x0, y0, x1, y1 = panel
        across = x1 - x0
        if across > y1 - y0:
            _strip(drawing, rng, panel)
            continue
        y = y0 + 0.03 * across
        while y < y1 - 0.1 * across:
            tall = across * rng.uniform(0.12, 0.3)
            if rng.random() < 0.15:  # as wide as high
                tall = 0.9 * across
            box = (
                x0 + round(0.05 * across), round(y),
                x1 - round(0.05 * across), min(round(y + tall), y1 - 1),
            )  # fmt: skip
            if box[3] - box[1] > 3:
                _element(drawing, rng, box)
            y += tall + across * rng.uniform(0.02, 0.25)
    if rng.random() < 0.3:
        _cursor(drawing, rng)


def message(drawing: ScreenDrawing, rng: np.random.Generator, window: Window) -> None:
    """Put a box with words over an edge of the window, mostly blue."""
    x0, y0, x1, y1 = window
    w, h = rng.uniform(0.25, 0.6) * (x1 - x0), rng.uniform(0.05, 0.14) * (y1 - y0)
    left, top = x0 + (x1 - x0 - w) * rng.random(), y0 if rng.random() < 0.4 else y1 - h
    colour = BOX_COLOURS[0 if rng.random() < 0.6 else rng.integers(len(BOX_COLOURS))]
    box = (round(left), round(top), round(left + w), round(top + h))
    drawing.box(colour, box)
    _fit(drawing, rng, box, WORDS[rng.integers(len(WORDS))])


def _element(drawing: ScreenDrawing, rng: np.random.Generator, box: Window) -> None:
    """Draw one thing into a box: the course, words, a button, a scale, a histogram, a bar."""
    x0, y0, x1, y1 = box
    kind = rng.choice(6, p=[0.0, 0.38, 0.22, 0.14, 0.13, 0.13])
    if y1 - y0 > 0.7 * (x1 - x0):
        course_in(drawing, rng, (x0, y0, x1 - 1, y1 - 1), (x0, y0, x1 - x0, y1 - y0))
    elif kind == 1:
        lines = lines_of(rng)
        words = [*WORDS, *LOGOS, *lines, *lines]
        _fit(drawing, rng, box, words[rng.integers(len(words))])
    elif kind == 2:
        drawing.box(BOX_COLOURS[rng.integers(len(BOX_COLOURS))], box)
        drawing.box((210, 214, 220), box, 1)
        _fit(drawing, rng, box, WORDS[rng.integers(len(WORDS))])
    elif kind == 3:
        _scale(drawing, rng, box)
    elif kind == 4:
        _histogram(drawing, rng, box)
    else:
        _bar(drawing, rng, box)


def _strip(drawing: ScreenDrawing, rng: np.random.Generator, panel: Window) -> None:
    """Words side by side in a low panel."""
    x0, y0, x1, y1 = panel
    words = [*LOGOS, *WORDS]
    places = np.linspace(x0, x1, int(rng.integers(2, 5)))
    for left, right in pairwise(places):
        if rng.random() < 0.75:
            box = (round(left) + 2, y0, round(right) - 2, y1)
            _fit(drawing, rng, box, words[rng.integers(len(words))])


def _fit(drawing: ScreenDrawing, rng: np.random.Generator, box: Window, text: str) -> None:
    """Write words as large as their box lets them be; in small boxes they are a hint of words."""
    x0, y0, x1, y1 = box
    size = min((x1 - x0) / (19 * max(len(text), 1)), (y1 - y0) / 44) * rng.uniform(0.75, 1.0)
    dark = drawing.canvas[min(y0 + 1, y1 - 1), min(x0 + 1, x1 - 1)].mean() > 140
    colour = (20, 22, 30) if dark else [(235, 235, 235), (240, 220, 90)][rng.random() < 0.2]
    place = (x0 + round(6 * size), round((y0 + y1) / 2 + 11 * size))
    drawing.words(colour, text, place, max(size, 0.12))


def _scale(drawing: ScreenDrawing, rng: np.random.Generator, box: Window) -> None:
    """A line with ticks and a mark on it."""
    x0, y0, x1, y1 = box
    middle, thick = (y0 + y1) / 2, max(1, (y1 - y0) // 20)
    drawing.line((200, 200, 200), np.array([[x0, middle], [x1 - 1, middle]]), thick)
    for x in np.linspace(x0, x1 - 1, int(rng.integers(4, 12))):
        tick = np.array([[x, middle], [x, middle - 0.3 * (y1 - y0)]])
        drawing.line((200, 200, 200), tick, thick)
    mark = rng.uniform(x0, x1)
    side = 0.2 * (y1 - y0)
    triangle = np.array([[mark - side, y1 - 1], [mark, middle], [mark + side, y1 - 1]])
    drawing.line((240, 200, 60), triangle, thick)


def _histogram(drawing: ScreenDrawing, rng: np.random.Generator, box: Window) -> None:
    """Bars side by side."""
    x0, y0, x1, y1 = box
    drawing.box((10, 10, 12), box)
    colour = BOX_COLOURS[rng.integers(len(BOX_COLOURS))]
    edges = np.linspace(x0, x1, int(rng.integers(5, 16))).round().astype(int)
    for left, right in pairwise(edges):
        top = round(y1 - (y1 - y0) * rng.random())
        if right > left + 1 and top < y1:
            drawing.box(colour, (int(left), top, int(right) - 1, y1))


def _bar(drawing: ScreenDrawing, rng: np.random.Generator, box: Window) -> None:
    """How far something is: a bar that is partly filled, as of zoom or focus."""
    x0, y0, x1, y1 = box
    third = max((y1 - y0) // 3, 1)
    outline = (x0, y0 + third, x1, max(y1 - third, y0 + third + 2))
    end = round(x0 + (x1 - x0) * rng.uniform(0.1, 1))
    drawing.box(BOX_COLOURS[rng.integers(len(BOX_COLOURS))], (x0, outline[1], end, outline[3]))
    drawing.box((190, 194, 200), outline, 1)


def _cursor(drawing: ScreenDrawing, rng: np.random.Generator) -> None:
    """A pointer, somewhere."""
    height, width = drawing.covered.shape
    corner = rng.uniform(0.05, 0.95, 2) * [width, height]
    arrow = np.array([[0, 0], [0, 1.0], [0.28, 0.75], [0.72, 0.72], [0, 0]])
    drawing.line((235, 235, 235), corner + 0.035 * height * arrow, max(1, height // 250))
