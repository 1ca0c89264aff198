"""What the video processor draws around and over the picture.

Mask, ground, burned-in words, panels, the scope's course, and insets that show the picture again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoforge.sim.display import NO_DISPLAY, Display
from endoforge.sim.screen.canvas import Colour, Mask, ScreenDrawing, Window
from endoforge.sim.screen.course import draw_course
from endoforge.sim.screen.insets import (
    INSET_BIT,
    Repeater,
    add_stills,
    add_twin,
    repeat_picture,
    table_rows,
)
from endoforge.sim.screen.mask import Style, draw_framing, draw_shape, draw_window
from endoforge.sim.screen.panels import draw_panels, message, panel_windows
from endoforge.sim.screen.words import SMALLEST_TEXT, write, write_small
from endoforge.sim.streams import Stream, stream

COVERED = 1 << 24
"""The bit that is set in every pixel of `Screen.pixels` that hides the picture."""
BRIGHTEST_GROUND = 60.0
"""The ground's grey, of 255, at strength 1."""
GROUND_TINTS = ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (0.85, 0.95, 1.3), (1.15, 1.0, 0.85))


@dataclass(frozen=True)
class Screen:
    """What a run's video processor draws on frames of one size, (W, H).

    `window` (x0, y0, x1, y1) holds the picture, right and bottom exclusive, and may reach beyond
    the frame; `pixels` (H, W) int32: 0 where the picture shows, else COVERED | R | G << 8 | B << 16
    and, where inset k (from 1) shows the picture again, k << INSET_BIT; `style` the mask's shape;
    `insets` the float32 rows of `insets.table_rows`.
    """

    window: Window
    pixels: NDArray[np.int32]
    style: Style
    insets: NDArray[np.float32]


def make_screen(
    seed: int, strength: float, width: int, height: int, display: Display = NO_DISPLAY
) -> Screen:
    """Draw the screen of a seed, for frames of (width, height).

    At strength 0 and without a `display` the picture fills the frame and nothing is drawn on it. A
    greater one (to 1) leaves less of the frame to the picture and writes more beside it.
    """
    whole: Window = (0, 0, width, height)
    rng, layout = stream(seed, Stream.SCREEN), stream(seed, Stream.LAYOUT)
    style: Style = "none"
    window, shown = whole, np.ones((height, width), np.bool_)
    if strength > 0:
        style = rng.choice(["octagonal", "octagonal", "round", "rounded"])
        window = draw_window(rng, strength, style, width, height)
        shown = draw_shape(rng, style, window, width, height)
    area, panels, beside = _areas(layout, display, width, height)
    if display.framing > 0 or area != whole:
        style, window, shown = draw_framing(layout, display.framing, area, (width, height))
    ground = _ground(layout, display.ground)
    drawing = ScreenDrawing.around(shown, ground)
    repeater = Repeater(drawing, shown, window, ground, [])
    if panels:
        draw_panels(drawing, layout, panels)
    if beside is not None:
        add_twin(repeater, stream(seed, Stream.INSETS), beside)
    if display.framing > 0 and height >= SMALLEST_TEXT and layout.random() < 0.35:
        write_small(drawing, layout, _around(area, beside))
    elif strength > 0:
        _label(drawing, rng, strength, window, _around(area, beside))
    if display.panels > 0 and layout.random() < 0.3:
        message(drawing, layout, _within(window, width, height))
    _repeat(repeater, stream(seed, Stream.STILLS), display, panels)
    return Screen(window, _packed(drawing), style, table_rows(repeater.insets, window))


def _label(
    drawing: ScreenDrawing,
    rng: np.random.Generator,
    strength: float,
    window: Window,
    area: Window,
) -> None:
    """Write beside the picture, and draw the scope's course, in the area that panels leave."""
    num_lines = int(rng.integers(1, 3 + round(7 * strength)))
    if drawing.covered.shape[0] >= SMALLEST_TEXT and rng.random() < 0.35 + 0.6 * strength:
        write(drawing, rng, num_lines, window, area)
    if rng.random() < 0.75 * strength:
        draw_course(drawing, rng, strength, window, area)


def _areas(
    rng: np.random.Generator, display: Display, width: int, height: int
) -> tuple[Window, list[Window], Window | None]:
    """Draw the part of the frame for the picture, those for panels, and the one for a twin."""
    area: Window = (0, 0, width, height)
    panels: list[Window] = []
    if display.panels > 0:
        area, panels = panel_windows(rng, display.panels, width, height)
    if display.twin <= 0:
        return area, panels, None
    x0, y0, x1, y1 = area
    # The twin has the smaller part, or as much: beside the picture, in upright frames below it.
    share = rng.uniform(0.5, 0.72)
    if y1 - y0 > x1 - x0:
        split = round(y0 + (y1 - y0) * share)
        return (x0, y0, x1, split), panels, (x0, split, x1, y1)
    split = round(x0 + (x1 - x0) * share)
    return (x0, y0, split, y1), panels, (split, y0, x1, y1)


def _around(area: Window, beside: Window | None) -> Window:
    """All that panels leave: the picture's area and the twin's."""
    if beside is None:
        return area
    (x0, y0), (x1, y1) = np.minimum(area, beside)[:2], np.maximum(area, beside)[2:]
    return int(x0), int(y0), int(x1), int(y1)


def _ground(rng: np.random.Generator, strength: float) -> Colour:
    tint = GROUND_TINTS[rng.integers(len(GROUND_TINTS))]
    red, green, blue = (round(BRIGHTEST_GROUND * strength * part) for part in tint)
    return red, green, blue


def _repeat(
    repeater: Repeater, rng: np.random.Generator, display: Display, panels: list[Window]
) -> None:
    if display.stills > 0:
        in_panel = bool(panels) and rng.random() < 0.5
        add_stills(repeater, rng, display.stills, panels[0] if in_panel else None)
    if display.repeated > 0:
        repeat_picture(repeater, rng, display.repeated)


def _within(window: Window, width: int, height: int) -> Window:
    x0, y0, x1, y1 = window
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def _packed(drawing: ScreenDrawing) -> NDArray[np.int32]:
    """The drawing as `Screen.pixels`."""
    red, green, blue = np.moveaxis(drawing.canvas.astype(np.int32), -1, 0)
    colour = COVERED | red | green << 8 | blue << 16 | drawing.insets.astype(np.int32) << INSET_BIT
    return np.where(drawing.covered, colour, 0).astype(np.int32)


__all__ = ["COVERED", "Mask", "Screen", "Style", "make_screen"]
