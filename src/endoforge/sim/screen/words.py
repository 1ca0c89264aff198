"""Words that a video processor writes beside or over the picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from endoforge.sim.screen.canvas import ScreenDrawing, Window

SMALLEST_TEXT = 90
"""Frames lower than this, in pixels, carry no text: it couldn't be read."""
TEXT_COLOURS = ((235, 235, 235), (170, 170, 170), (240, 225, 110), (120, 220, 235))


def lines_of(rng: np.random.Generator) -> list[str]:
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


def write(
    drawing: ScreenDrawing, rng: np.random.Generator, count: int, window: Window, area: Window
) -> None:
    """Write some lines at the left of the `area` that panels leave, small enough to fit beside the
    picture if there is room."""
    height, width = drawing.covered.shape
    left, top, _, bottom = area
    font = cv2.FONT_HERSHEY_SIMPLEX if rng.random() < 0.6 else cv2.FONT_HERSHEY_DUPLEX
    size = max(min(height, 0.75 * width) / 360, 0.5) * rng.uniform(0.33, 0.5)
    lines = lines_of(rng)[:count]
    widest = max((cv2.getTextSize(line, font, size, 1)[0][0] for line in lines), default=0)
    room = max(window[0] - left - 0.02 * width, 0.2 * width)
    size *= min(1.0, max(room / max(widest, 1), 0.7))
    thickness = max(1, round(2.2 * size))
    step = 34 * size * rng.uniform(1.15, 1.9)
    x, y = left + 0.012 * width, top + height * rng.uniform(0.02, 0.12) + 26 * size
    colour = TEXT_COLOURS[rng.integers(len(TEXT_COLOURS))]
    places = []
    for line in lines:
        if rng.random() < 0.15:
            y += step
        if y < bottom - 0.03 * height:
            places.append((line, (round(x), round(y))))
        y += step

    def put(stencil: NDArray[np.uint8]) -> None:
        for line, place in places:
            cv2.putText(stencil, line, place, font, size, 255, thickness, cv2.LINE_AA)

    drawing.add(colour, put)


def write_small(drawing: ScreenDrawing, rng: np.random.Generator, area: Window) -> None:
    """Write a column of small words at the left of the `area` that panels leave, with gaps, white
    blocks, and a block as cursor."""
    height, width = drawing.covered.shape
    size = height / 256 * rng.uniform(0.14, 0.24)
    colour = TEXT_COLOURS[rng.integers(2)]
    x = area[0] + round(0.012 * width)
    y = area[1] + height * rng.uniform(0.02, 0.08) + 26 * size
    lines = ["ID:", "Name:", "", *lines_of(rng), "Comment:"]
    for line in lines:
        if y > area[3] - 0.05 * height:
            return
        if rng.random() < 0.15:
            _write_blocks(drawing, rng, (x, round(y)), size)
        elif line:
            drawing.words(colour, line, (x, round(y)), size)
        y += size * rng.choice([40, 40, 40, 90])


def _write_blocks(
    drawing: ScreenDrawing, rng: np.random.Generator, place: tuple[int, int], size: float
) -> None:
    """Blocks in place of letters, as of what is kept secret."""
    side = max(2, round(18 * size))
    x, y = place
    for k in range(int(rng.integers(1, 8))):
        left = x + k * (side + max(1, side // 4))
        drawing.box((235, 235, 235), (left, y - side, left + side, y))
