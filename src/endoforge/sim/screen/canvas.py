"""A screen's drawing in progress."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
Window = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, right and bottom exclusive."""
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class ScreenDrawing:
    """A drawing in progress.

    RGB `canvas` (H, W, 3) uint8; where it hides the picture, `covered` (H, W); and the number of
    the inset that shows the picture again, `insets` (H, W) uint8, 0 where none does.
    """

    canvas: NDArray[np.uint8]
    covered: Mask
    insets: NDArray[np.uint8]

    @staticmethod
    def around(shown: Mask, ground: Colour) -> "ScreenDrawing":
        """Start with the `ground` alone, around the picture, which is `shown` (H, W)."""
        canvas = np.zeros((*shown.shape, 3), np.uint8)
        canvas[~shown] = ground
        return ScreenDrawing(canvas, ~shown, np.zeros(shown.shape, np.uint8))

    def add(self, colour: Colour, draw: Callable[[NDArray[np.uint8]], None]) -> None:
        """Add what `draw` paints into a (H, W) stencil; over a picture, its solid part only."""
        stencil = np.zeros(self.covered.shape, np.uint8)
        draw(stencil)
        place = np.nonzero(stencil)
        share = stencil[place].astype(np.float32)[:, None] / 255
        over_picture = ~self.covered[place] | (self.insets[place] > 0)
        share[over_picture] = share[over_picture] > 0.43
        mixed = self.canvas[place] * (1 - share) + share * np.array(colour, np.float32)
        self.canvas[place] = np.rint(mixed)
        self.covered[place] |= share[:, 0] > 0
        self.insets[place] *= share[:, 0] == 0

    def box(self, colour: Colour, window: Window, border: int = -1) -> None:
        """Add a rectangle, filled or (`border` > 0) its outline of so many pixels."""
        x0, y0, x1, y1 = window
        self.add(colour, lambda s: _rectangle(s, (x0, y0), (x1 - 1, y1 - 1), border))

    def line(self, colour: Colour, points: Points, thickness: int) -> None:
        """Add a line through `points` (N, 2), x and y in pixels."""
        eighths = np.rint(points * 8).astype(np.int32)
        self.add(
            colour,
            lambda s: _polyline(s, eighths, thickness),
        )

    def words(self, colour: Colour, text: str, place: tuple[int, int], size: float) -> None:
        """Write `text`, its lower left corner at `place` (x, y)."""
        font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(2.2 * size))
        self.add(colour, lambda s: _text(s, text, place, font, size, thickness))


def _rectangle(
    stencil: NDArray[np.uint8], low: tuple[int, int], high: tuple[int, int], border: int
) -> None:
    cv2.rectangle(stencil, low, high, 255, border)


def _polyline(stencil: NDArray[np.uint8], eighths: NDArray[np.int32], thickness: int) -> None:
    cv2.polylines(stencil, [eighths], False, 255, thickness, cv2.LINE_AA, shift=3)


def _text(
    stencil: NDArray[np.uint8],
    text: str,
    place: tuple[int, int],
    font: int,
    size: float,
    thickness: int,
) -> None:
    cv2.putText(stencil, text, place, font, size, 255, thickness, cv2.LINE_AA)
